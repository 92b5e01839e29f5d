"""Member "dgm": the level is a diffusion, its predictive CDF a Deep Galerkin net, its residual law learned online.

    x = (y_t − c)/r,   P(y_{t+h} ≤ y) = F(Φ⁻¹(V(1, x; (y − c)/r)) / v)

V solves Kolmogorov's backward equation for the drift and volatility that :mod:`field` estimates; F is the law of the
standardised generalised residuals, normal if the diffusion is right and corrected by as much as the data insist on.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import information, lockstep
from ..contract import Row
from ..law import LEVELS, Law
from . import buffer as buffers
from . import kolmogorov, memory, volatility
from .anchor import Anchor
from .estimate import learn, pack, polish, scoring
from .field import N_BASIS, PRIOR, X_MAX, Field
from .kolmogorov import Trainer
from .memory import Memory
from .volatility import Volatility
from .watch import Watch, watch

BUFFER = 1024
HALF_LIFE = 1000.0
FORGET = 0.9995
NET_EVERY = 16
NET_RATE = 1e-3
FIT_BATCH, BATCH = 48, 32
FIT_STEPS, REFIT_STEPS, FIT_RATE = 1200, 500, 1e-2
TAIL_INDEX = 0.1
_GRID: np.ndarray = 7.0 * np.sinh(1.5 * np.linspace(-1, 1, 49)) / np.sinh(1.5)
_DOMAIN: np.ndarray = np.linspace(-2.2, 2.2, 10)


class Diffusion(NamedTuple):
    """State of the member: coefficients and covariance, net in training, residual law, volatility, memory, watch."""

    field: Field
    cov: Array
    trainer: Trainer
    residuals: buffers.Buffer
    vol: Volatility
    memory: Memory
    tick: Array
    watch: Watch


def init(key: Array, prior: np.ndarray, dtype: object) -> Diffusion:
    """A random walk of about one unit of the row per horizon, until :func:`fit` or updates say otherwise.

    ``prior`` (p,) are the variances the memory's weights start with.
    """
    shape = jnp.zeros((N_BASIS + 1,), dtype).at[-1].set(np.log(0.25))
    field = Field(jnp.zeros((N_BASIS,), dtype), shape, jnp.asarray(0.25, dtype))
    trainer = kolmogorov.init(key, reach=X_MAX, dtype=dtype)
    cov = jnp.asarray(information.start(np.linalg.inv(PRIOR)), dtype)
    residuals = buffers.empty(BUFFER, dtype)
    one = jnp.ones((), dtype)
    seen = Watch(0 * one, one, jnp.zeros((), bool))
    parts = volatility.calm(dtype), memory.blank(prior, dtype), jnp.zeros((), jnp.int32), seen
    return Diffusion(field, cov, trainer, residuals, *parts)


def _place(anchor: Anchor, last: Array, target: Array) -> tuple[Array, Array]:
    """Standardised level and move of the level."""
    x = jnp.clip((last - anchor.centre) / anchor.spread, -X_MAX, X_MAX)
    return x, (target - last) / anchor.spread


def _residual(trainer: Trainer, field: Field, x: Array, move: Array) -> Array:
    """Generalised residuals z = Φ⁻¹(V) at levels x and moves of one shape."""
    _, sigma = field(x)
    return kolmogorov.score(trainer.net, field, 1.0, x, jnp.clip(move / sigma, -1e3, 1e3))


def _digest(
    residuals: buffers.Buffer, vol: Volatility, mem: Memory, z: Array, f: Array, then: Array | None = None
) -> tuple[tuple[buffers.Buffer, Volatility, Memory], Array]:
    """Take in one residual: memory, volatility and residual law after it, and the remainder z − β·f."""
    left = z - mem.weights @ f
    v = volatility.level(vol, then)
    u = left / v
    return (buffers.push(residuals, u), volatility.follow(vol, left, then), memory.follow(mem, f, u, v)), left


def fit(state: Diffusion, anchor: Anchor, rows: Row, targets: Array, mask: Array) -> tuple[Diffusion, Array]:
    """From a fresh ``state``: coefficients by scoring, net by Adam, in turns; then one pass for the residuals."""
    x, move = _place(anchor, rows.last, targets)
    x, move = jnp.where(mask, x, 0.0), jnp.where(mask, move, 0.0)
    weight = mask.astype(x.dtype)
    n = jnp.maximum(weight.sum(), 1.0)
    size = jnp.abs(move)
    mean = (size * weight).sum() / n
    unit = jnp.where(mask, rows.scale, 0.0).sum() / n / anchor.spread
    scale = (jnp.minimum(size, 5 * mean) * weight).sum() / n / volatility.MEAN_ABS
    scale = jnp.maximum(scale, jnp.maximum(1e-3 * unit, 1e-12))
    start = pack(
        Field(jnp.zeros_like(state.field.drift), jnp.zeros_like(state.field.shape).at[-1].set(jnp.log(scale)), scale)
    )
    field, cov = scoring(start, scale, x, move, weight)

    def turn(carry: tuple[Field, Trainer], plan: tuple[Array, Array]) -> tuple[tuple[Field, Trainer], Array]:
        field, trainer = carry
        steps, rate = plan

        def descend(i: Array, t: tuple[Trainer, Array]) -> tuple[Trainer, Array]:
            trainer, loss = kolmogorov.step(t[0], field, rate * (1 - i / steps) + 1e-4, FIT_BATCH)
            return trainer, 0.98 * t[1] + 0.02 * loss

        trainer, loss = jax.lax.fori_loop(0, steps, descend, (trainer, jnp.zeros((), x.dtype)))
        z = _residual(trainer, field, x, move)
        return (polish(field, cov, start, z, x, weight), trainer), loss

    plans = (
        jnp.array([FIT_STEPS, REFIT_STEPS, REFIT_STEPS]),
        jnp.array([FIT_RATE, FIT_RATE / 2, FIT_RATE / 2], x.dtype),
    )
    (field, trainer), loss = jax.lax.scan(turn, (field, state.trainer), plans)
    z = _residual(trainer, field, x, move)

    f = memory.inputs(rows)

    def replay(carry: tuple, item: tuple[Array, Array, Array]) -> tuple[tuple, None]:
        (buffer, vol, mem), (z, f, real) = carry, item
        new, _ = _digest(buffer, vol, mem, z, f)
        return jax.tree.map(lambda a, b: jnp.where(real, a, b), new, carry), None

    fresh = buffers.empty(BUFFER, x.dtype), volatility.calm(x.dtype), state.memory
    (residuals, vol, mem), _ = jax.lax.scan(replay, fresh, (z, f, mask))
    state = Diffusion(field, cov, trainer, residuals, vol, mem, jnp.zeros((), jnp.int32), state.watch)
    return state._replace(watch=look(trainer, field)), loss[-1]


def update(state: Diffusion, anchor: Anchor, row: Row, target: Array, then: Array | None = None) -> Diffusion:
    """Learn one move: coefficients, residual law, volatility; every sixteenth time the net takes a step."""
    x, move = _place(anchor, row.last, target)
    z = _residual(state.trainer, state.field, x, move)
    v = volatility.level(state.vol, then)
    parts, left = _digest(state.residuals, state.vol, state.memory, z, memory.inputs(row), then)
    field, cov = learn(state.field, state.cov, x, left, v, FORGET)
    state = Diffusion(field, cov, state.trainer, *parts, state.tick + 1, state.watch)

    def descend(trainer: Trainer, _: Watch) -> tuple[Trainer, Watch]:
        trainer, _ = kolmogorov.step(trainer, field, NET_RATE, BATCH)
        return trainer, look(trainer, field)

    due = state.tick % NET_EVERY == 0
    trainer, seen = lockstep.cond(due, descend, lambda t, w: (t, w), state.trainer, state.watch)
    return state._replace(trainer=trainer, watch=seen)


def look(trainer: Trainer, field: Field) -> Watch:
    """The mode-collapse watch over the domain |x|, |k| ≤ 2.2: V(1, x; k) against its terminal condition 1{x ≤ k}."""
    points = jnp.asarray(_DOMAIN, field.drift.dtype)
    x, k = points[:, None], points + 0.5 * (points[1] - points[0])
    v = kolmogorov.cdf(trainer.net, field, 1.0, x, k)
    return watch(v.reshape(-1), jnp.where(x <= k, 1.0, 0.0).astype(v.dtype).reshape(-1))


def law(state: Diffusion, anchor: Anchor, row: Row, v: Array) -> Law:
    """Invert V at the residual law's quantiles, ``v`` () times as wide: quantiles of y_{t+h} in the series' units."""
    x, _ = _place(anchor, row.last, row.last)
    _, sigma = state.field(x)
    mean, var = kolmogorov.flow(state.field, 1.0, x)
    grid = (mean - x + jnp.sqrt(var) * jnp.asarray(_GRID, x.dtype)) / sigma
    g = kolmogorov.score(state.trainer.net, state.field, 1.0, x, grid)
    # monotone from the centre outwards: a slip of the net far out must not reach the middle
    half = _GRID.shape[0] // 2
    g = jnp.concatenate([jax.lax.cummin(g[: half + 1], reverse=True)[:-1], jax.lax.cummax(g[half:])])
    weights = buffers.recency(state.residuals, HALF_LIFE)
    wanted = buffers.shrunk(state.residuals, weights, buffers.NORMAL) * v
    wanted = wanted + jnp.clip(state.memory.weights @ memory.inputs(row), -5.0, 5.0)
    right = jnp.clip((g < wanted[:, None]).sum(-1), 1, g.shape[0] - 1)
    rise = jnp.maximum(g[right] - g[right - 1], 1e-6)
    zeta = grid[right - 1] + (wanted - g[right - 1]) / rise * (grid[right] - grid[right - 1])
    inside = (wanted > g[0]) & (wanted < g[-1])
    outer = wanted - jnp.where(wanted <= g[0], g[0] - grid[0], g[-1] - grid[-1])
    q = jax.lax.cummax(row.last + anchor.spread * sigma * jnp.where(inside, zeta, outer))
    reach = float(np.log(LEVELS[3] / LEVELS[0]))
    scale = jnp.stack([q[3] - q[0], q[-1] - q[-4]]) / reach
    return Law(q, scale, jnp.full((2,), TAIL_INDEX, q.dtype))
