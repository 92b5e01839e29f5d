"""Members "switch" and "switch-ar": two hidden regimes, each with its own mean (or autoregression) and variance.

    x_{t+1} = a_S + φ_S x_t + s_S ε,   S a two-state Markov chain,   φ = 0 for "switch"

The filter is Hamilton's (1989): the law is the mixture of the regimes' normal laws, weighed by the predicted
probabilities of S. Parameters follow Cappé's online EM (2011): expected sufficient statistics are carried for each
value of the newest state, so that the past is smoothed and not only filtered. Markov in (x, S).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ..contract import Row
from ..law import Law, continued
from ..mixture import normal_quantiles
from .anchor import Anchor

PSEUDO = 20.0
"""Observations the starting parameters are worth."""
RATE = 5e-4
"""Statistics forget at this rate in the long run."""
PRIOR = 3.0
"""Observations that pull a regime's line to y = x (y = 0 without autoregression), its variance to the pooled one."""
CAP = 8.0
"""An outcome further than this from both regimes, in their standard deviations, counts as if it were there."""
FLOOR = 1e-3
TAIL_INDEX = 0.1
AUTOREGRESSIVE = {"switch": 0.0, "switch-ar": 1.0}
"""The members: whether the regime's line may depend on the level."""


class Regimes(NamedTuple):
    """One member; i, j, k run over regimes, u = (1, x) are the regressors."""

    line: Array
    """(2, 2) a_i and φ_i, standardised levels"""
    variance: Array
    """(2,) s_i²"""
    stay: Array
    """(2, 2) transition probabilities, rows the state left"""
    filtered: Array
    """(2,) probabilities of the present state"""
    jumps: Array
    """(2 k, 2 i, 2 j) mean number of transitions i → j, given the present state k"""
    moments: Array
    """(2 k, 2 i, 6) mean of 1, x, x², y, xy, y² in regime i, given the present state k"""
    pooled: Array
    """() variance of all residuals, the prior's"""
    count: Array
    """() outcomes seen"""
    autoregressive: Array
    """() whether the line may depend on the level, 0 or 1"""


def _start(line: Array, variance: Array, pooled: Array, autoregressive: Array) -> Regimes:
    """Member at given parameters; its statistics are what these parameters expect."""
    a, slope = line[:, 0], line[:, 1]
    one = jnp.ones_like(a)
    y2 = a * a + slope * slope + variance
    moments = 0.5 * jnp.stack([one, 0 * a, one, a, slope, y2], -1)
    stay = jnp.asarray([[0.95, 0.05], [0.05, 0.95]], a.dtype)
    each = jnp.broadcast_to(0.5 * stay, (2, 2, 2))
    pair = jnp.stack([moments, moments])
    return Regimes(line, variance, stay, 0.5 * one, each, pair, pooled, jnp.zeros_like(pooled), autoregressive)


def init(dtype: object, members: tuple[str, ...] = tuple(AUTOREGRESSIVE)) -> Regimes:
    """``members`` (leading axis m) that know nothing: both regimes are random walks, of small and of large steps."""
    line = jnp.asarray([[0.0, 1.0], [0.0, 1.0]], dtype)
    one, variance = jnp.ones((), dtype), jnp.asarray([0.1, 1.0], dtype)
    kinds = jnp.asarray([AUTOREGRESSIVE[m] for m in members], dtype)
    return jax.vmap(lambda kind: _start(line, variance, one, kind))(kinds)


def _predicted(state: Regimes, x: Array) -> tuple[Array, Array, Array]:
    """Probabilities (2,) of the next state, means (2,) and standard deviations (2,) of the next level."""
    return state.filtered @ state.stay, state.line[:, 0] + state.line[:, 1] * x, jnp.sqrt(state.variance)


def _learn(state: Regimes, x: Array, y: Array) -> tuple[Regimes, Array]:
    """One outcome of one member, standardised levels; also its log-likelihood."""
    chance, mean, scale = _predicted(state, x)
    y = jnp.clip(y, (mean - CAP * scale).min(), (mean + CAP * scale).max())
    log_density = -0.5 * ((y - mean) / scale) ** 2 - jnp.log(scale)
    top = log_density.max()
    joint = chance * jnp.exp(log_density - top)
    total = joint.sum()
    filtered = (joint / total + 1e-9) / (1 + 2e-9)
    # Probability of the state left, given the state entered.
    back = state.filtered[:, None] * state.stay / jnp.maximum(chance, 1e-12)
    gamma = jnp.maximum(1 / (state.count + PSEUDO), RATE)
    own = jnp.eye(2, dtype=x.dtype)
    fresh = jnp.stack([jnp.ones_like(x), x, x * x, y, x * y, y * y])
    moments = (1 - gamma) * jnp.einsum("lk,lim->kim", back, state.moments) + gamma * own[:, :, None] * fresh
    entered = back.T[:, :, None] * own[:, None, :]
    jumps = (1 - gamma) * jnp.einsum("lk,lij->kij", back, state.jumps) + gamma * entered
    new = state._replace(filtered=filtered, jumps=jumps, moments=moments, count=state.count + 1)
    return _maximise(new, gamma), jnp.log(total) + top


def _maximise(state: Regimes, gamma: Array) -> Regimes:
    """Parameters that fit the statistics best, drawn to the prior by ``PRIOR`` observations."""
    autoregressive = state.autoregressive
    jumps = jnp.einsum("k,kij->ij", state.filtered, state.jumps) + gamma * jnp.asarray([[0.9, 0.1], [0.1, 0.9]])
    n, sx, sxx, sy, sxy, syy = jnp.einsum("k,kim->mi", state.filtered, state.moments)
    k = PRIOR * gamma
    # The prior's line is y = x, or y = 0 without autoregression; its regressors have unit second moments.
    a, b, c = n + k, autoregressive * sx, autoregressive * sxx + (1 - autoregressive) + k
    u, v = sy, autoregressive * (sxy + k)
    determinant = jnp.maximum(a * c - b * b, 1e-12)
    start, slope = (c * u - b * v) / determinant, (a * v - b * u) / determinant
    fitted = start * start * n + slope * slope * sxx + 2 * start * slope * sx - 2 * start * sy - 2 * slope * sxy
    variance = (jnp.maximum(syy + fitted, 0.0) + k * state.pooled) / (n + k)
    floor = FLOOR * state.pooled
    line = jnp.stack([start, slope], -1)
    return state._replace(line=line, variance=jnp.maximum(variance, floor), stay=jumps / jumps.sum(1, keepdims=True))


def _level(anchor: Anchor, value: Array) -> Array:
    return (value - anchor.centre) / anchor.spread


def update(state: Regimes, anchor: Anchor, row: Row, target: Array) -> Regimes:
    """Learn one outcome, series units; all members."""
    x, y = _level(anchor, row.last), _level(anchor, target)
    return jax.vmap(_learn, in_axes=(0, None, None))(state, x, y)[0]


def fit(state: Regimes, anchor: Anchor, rows: Row, targets: Array, mask: Array) -> Regimes:
    """Starting parameters for the members of ``state``.

    Two passes from a split of means and from a split of variances; the likelier one is kept.
    """
    x, y = _level(anchor, rows.last), _level(anchor, targets)
    real = mask.astype(x.dtype)
    n = jnp.maximum(real.sum(), 1.0)
    mx, my = (real * x).sum() / n, (real * y).sum() / n
    cov = (real * (x - mx) * (y - my)).sum() / n
    slope = jnp.clip(cov / jnp.maximum((real * (x - mx) ** 2).sum() / n, 1e-12), -1.0, 1.0)

    def member(autoregressive: Array) -> Regimes:
        b = autoregressive * slope
        a = my - b * mx
        pooled = jnp.maximum((real * (y - a - b * x) ** 2).sum() / n, 1e-12)
        s = jnp.sqrt(pooled)
        line = jnp.stack([jnp.stack([a, a]), jnp.stack([b, b])], -1)
        split = jnp.asarray([[-0.8, 0.0], [0.8, 0.0]], x.dtype) * s
        means = _start(line + split, pooled * jnp.asarray([0.4, 0.4], x.dtype), pooled, autoregressive)
        variances = _start(line, pooled * jnp.asarray([0.3, 1.7], x.dtype), pooled, autoregressive)
        starts = jax.tree.map(lambda *v: jnp.stack(v), means, variances)
        passed, score = jax.vmap(lambda state: _walk(state, x, y, mask))(starts)
        return jax.tree.map(lambda v: v[jnp.argmax(score)], passed)

    return jax.vmap(member)(state.autoregressive)


def _walk(state: Regimes, x: Array, y: Array, mask: Array) -> tuple[Regimes, Array]:
    """Two passes; parameters at the end as a fresh start, and the log-likelihood of the second pass."""

    def step(carry: tuple[Regimes, Array], item: tuple[Array, Array, Array]) -> tuple[tuple[Regimes, Array], None]:
        state, score = carry
        x, y, real = item
        new, gain = _learn(state, x, y)
        return (jax.tree.map(lambda a, b: jnp.where(real, a, b), new, state), score + jnp.where(real, gain, 0.0)), None

    def again(_: Array, carry: tuple[Regimes, Array]) -> tuple[Regimes, Array]:
        state, _score = carry
        fresh = state._replace(count=jnp.zeros_like(state.count), filtered=jnp.full_like(state.filtered, 0.5))
        return jax.lax.scan(step, (fresh, jnp.zeros_like(state.count)), (x, y, mask))[0]

    state, score = jax.lax.fori_loop(0, 2, again, (state, jnp.zeros_like(state.count)))
    return state._replace(count=jnp.zeros_like(state.count)), score


def law(state: Regimes, anchor: Anchor, row: Row) -> Law:
    """One law per member, leading axis m, series units."""
    chance, mean, scale = jax.vmap(_predicted, in_axes=(0, None))(state, _level(anchor, row.last))
    q = anchor.centre + anchor.spread * jax.vmap(normal_quantiles)(chance, mean, scale)
    return continued(q, TAIL_INDEX)
