"""Member "kernel": a light predictor, and the law of its residuals near the present level.

    ŷ = y_t + scale·(w·features),   u = (y − ŷ)/(s(x)·v),   weight of u_i: 2^{−age/1000}·exp(−½((x − x_i)/h)²)

The predictor is recursive least squares on bumps of the level, recent increments and gaps. s(x) is log-linear in the
bumps, v the local volatility. The kernel law is drawn towards the pooled one, and that towards the normal law, by
what sampling noise explains. Reference: Yu & Jones (1998), local quantiles.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import information
from ..contract import Row
from ..law import Law, continued
from . import buffer as buffers
from . import memory, volatility
from .anchor import Anchor
from .field import N_BASIS, SHAPE_MAX, SHAPE_PRIOR, X_MAX, basis, prior_precision, recurse, scale_score
from .volatility import Volatility

BUFFER = 1024
HALF_LIFE = 1000.0
BANDWIDTH = 0.25
FORGET = 0.9998
RIDGE = 15.0
TAIL_INDEX = 0.1


class Level(NamedTuple):
    """Predictor weights (p,) and log-scale weights (11,), each with its covariance; volatility and residual buffer."""

    weights: Array
    cov: Array
    shape: Array
    shape_cov: Array
    vol: Volatility
    residuals: buffers.Buffer


def _features(anchor: Anchor, row: Row) -> tuple[Array, Array, Array]:
    """Standardised level (), the predictor's inputs (p,) and the log-scale's (11,)."""
    x = jnp.clip((row.last - anchor.centre) / anchor.spread, -X_MAX, X_MAX)
    phi = basis(x)
    return x, jnp.concatenate([phi, memory.inputs(row)]), jnp.concatenate([phi, jnp.ones_like(phi[:1])])


def init(prior: np.ndarray, dtype: object) -> Level:
    """Persistence with errors of one unit; ``prior`` (p,) are the variances of the lags and gaps beside the level."""
    start = np.diag(np.concatenate([np.ones(N_BASIS), prior / RIDGE]))
    start[:N_BASIS, :N_BASIS] = information.start(np.linalg.inv(prior_precision(2.0, 4.0)))
    shape_cov = jnp.asarray(information.start(np.linalg.inv(SHAPE_PRIOR)), dtype)
    weights, cov = jnp.zeros(start.shape[:1], dtype), jnp.asarray(start, dtype)
    shape = jnp.zeros((N_BASIS + 1,), dtype)
    return Level(weights, cov, shape, shape_cov, volatility.calm(dtype), buffers.empty(BUFFER, dtype))


def update(state: Level, anchor: Anchor, row: Row, target: Array, then: Array | None = None) -> Level:
    """Learn one outcome: predictor with bounded influence, scale at the level, volatility, residual with its level.

    ``then`` are the volatility's averages when the law was made, if they have moved on.
    """
    x, f, g = _features(anchor, row)
    scale = jnp.exp(g @ state.shape)
    error = (target - row.last) / row.unit - f @ state.weights
    z = jnp.clip(error / scale, -1e3, 1e3)
    v = volatility.level(state.vol, then)
    u = z / v
    # bounded influence: a residual beyond 2.5 scales pulls like one of 2.5
    weights, cov = recurse(state.weights, state.cov, f / (scale * v), jnp.clip(u, -2.5, 2.5), 1.0, FORGET)
    shape, shape_cov = recurse(state.shape, state.shape_cov, g, scale_score(u), 0.5, FORGET)
    shape = jnp.concatenate([jnp.clip(shape[:-1], -SHAPE_MAX, SHAPE_MAX), jnp.clip(shape[-1:], -12.0, 6.0)])
    vol = volatility.follow(state.vol, z, then)
    return Level(weights, cov, shape, shape_cov, vol, buffers.push(state.residuals, u, x))


def fit(state: Level, anchor: Anchor, rows: Row, targets: Array, mask: Array) -> Level:
    """Walk the rows once from the fresh ``state``: the residuals kept are honest ones of laws made before."""
    # Errors of h neighbouring rows overlap and count as one: the prior weighs h times as much.
    h = rows.steps[0]
    state = state._replace(cov=state.cov / h, shape_cov=state.shape_cov / h)

    def walk(carry: Level, item: tuple[Row, Array, Array]) -> tuple[Level, None]:
        row, target, real = item
        new = update(carry, anchor, row, target)
        return jax.tree.map(lambda a, b: jnp.where(real, a, b), new, carry), None

    return jax.lax.scan(walk, state, (rows, targets, mask))[0]


def law(state: Level, anchor: Anchor, row: Row, v: Array) -> Law:
    """Quantiles of y_{t+h} in the series' units; ``v`` () is the local volatility."""
    x, f, g = _features(anchor, row)
    recent = buffers.recency(state.residuals, HALF_LIFE)
    pooled = buffers.shrunk(state.residuals, recent, buffers.NORMAL)
    d = (x - state.residuals.mark) / BANDWIDTH
    u = buffers.shrunk(state.residuals, recent * (jnp.exp(-0.5 * d * d) + 1e-3), pooled)
    spread = jnp.exp(g @ state.shape) * v
    q = jax.lax.cummax(row.last + row.unit * (f @ state.weights + spread * u))
    return continued(q, TAIL_INDEX)
