"""Law: a one-dimensional predictive distribution on a fixed grid of quantile levels.

Inside the grid the quantile function Q is piecewise linear. Beyond the outer levels u₀ and 1 − u₀ it
follows a generalised Pareto tail, so a stable or jump law keeps its weight far out:

    Q(u)     = q₀ − b₋ ((u₀/u)^ξ₋ − 1)/ξ₋            u < u₀
    Q(1 − u) = q_K + b₊ ((u₀/u)^ξ₊ − 1)/ξ₊           u < u₀

Every function takes laws with any leading batch shape. Reference: Pickands (1975) for the tail.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import ndtri

_LOWER = [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45]
LEVELS: np.ndarray = np.array([*_LOWER, 0.5, *(round(1 - u, 3) for u in reversed(_LOWER))])
"""The K = 25 quantile levels every law is held on, symmetric about ½."""

N_LEVELS = len(LEVELS)
MEDIAN = N_LEVELS // 2
EDGE = float(LEVELS[0])
NORMAL: np.ndarray = ndtri(LEVELS)
"""Standard normal quantiles at the levels."""
INDEX_MIN, INDEX_MAX = 1e-3, 0.95
"""Tail indices are kept where the mean exists; the lower bound stands in for an exponential tail."""
INDEX_OTHERS = 0.1
"""Tail index of laws that are known by their quantiles only."""


class Law(NamedTuple):
    """Quantiles ``q`` (..., K) in the series' units, tail scales and indices (..., 2), left then right."""

    q: Array
    tail_scale: Array
    tail_index: Array


def cell_weights() -> np.ndarray:
    """Quadrature weights (K,) of the levels on (0, 1): the width of the cell around each level."""
    edges = np.concatenate([[0.0], (LEVELS[1:] + LEVELS[:-1]) / 2, [1.0]])
    return np.diff(edges)


def from_quantiles(q: Array, tail_index: Array | float = 0.1) -> Law:
    """Law through quantiles ``q`` (..., K), sorted here; the tails continue the slope of the outer cells.

    >>> law = from_quantiles(jnp.linspace(-1.0, 1.0, N_LEVELS))
    >>> float(mean(law).round(6)) == 0.0
    True
    """
    return continued(jnp.sort(q, axis=-1), tail_index)


def continued(q: Array, tail_index: Array | float) -> Law:
    """:func:`from_quantiles` of quantiles that ascend already."""
    reach = float(np.log(LEVELS[3] / LEVELS[0]))
    scale = jnp.stack([q[..., 3] - q[..., 0], q[..., -1] - q[..., -4]], -1) / reach
    index = jnp.broadcast_to(jnp.asarray(tail_index, q.dtype), scale.shape)
    return Law(q, scale, jnp.clip(index, INDEX_MIN, INDEX_MAX))


def affine(law: Law, loc: Array, scale: Array) -> Law:
    """Law of ``loc + scale·Z`` for ``Z ~ law`` and scale ≥ 0; ``loc`` and ``scale`` have the batch shape."""
    s = jnp.asarray(scale)[..., None]
    return Law(jnp.asarray(loc)[..., None] + s * law.q, s * law.tail_scale, law.tail_index)


def _excess(ratio: Array, index: Array) -> Array:
    """((ratio)^ξ − 1)/ξ, the standard Pareto quantile at tail probability u₀/ratio."""
    return jnp.expm1(index * jnp.log(ratio)) / index


def ppf(law: Law, u: Array | float) -> Array:
    """Quantiles at probabilities ``u`` (n,) in (0, 1): shape (..., n)."""
    u = jnp.atleast_1d(jnp.asarray(u, law.q.dtype))
    levels = jnp.asarray(LEVELS, law.q.dtype)
    right = jnp.clip(jnp.searchsorted(levels, u), 1, N_LEVELS - 1)
    t = jnp.clip((u - levels[right - 1]) / (levels[right] - levels[right - 1]), 0.0, 1.0)
    body = law.q[..., right - 1] * (1 - t) + law.q[..., right] * t
    low = _excess(jnp.maximum(EDGE / u, 1.0), law.tail_index[..., :1]) * law.tail_scale[..., :1]
    high = _excess(jnp.maximum(EDGE / (1 - u), 1.0), law.tail_index[..., 1:]) * law.tail_scale[..., 1:]
    return body - low + high


def cdf(law: Law, y: Array | float) -> Array:
    """P(Y ≤ y), ``y`` of the batch shape. Where Q is flat (an atom) the upper end is returned."""
    return _cdf(law, y, left=False)


def cdf_left(law: Law, y: Array | float) -> Array:
    """P(Y < y), ``y`` of the batch shape: the left limit of :func:`cdf`, its lower end where Q is flat.

    >>> law = from_quantiles(jnp.where(LEVELS < 0.25, -1.0, 0.0))
    >>> float(cdf_left(law, 0.0).round(6)), float(cdf(law, 0.0))
    (0.25, 1.0)
    """
    return _cdf(law, y, left=True)


def _cdf(law: Law, y: Array | float, *, left: bool) -> Array:
    y = jnp.asarray(y, law.q.dtype)[..., None]
    levels = jnp.asarray(LEVELS, law.q.dtype)
    gap = jnp.diff(law.q, axis=-1)
    flat = y > law.q[..., 1:] if left else y >= law.q[..., 1:]
    part = jnp.where(gap > 0, jnp.clip((y - law.q[..., :-1]) / jnp.where(gap > 0, gap, 1.0), 0, 1), flat)
    body = levels[0] + (part * jnp.diff(levels)).sum(-1)
    beyond = jnp.concatenate([law.q[..., :1] - y, y - law.q[..., -1:]], -1)
    scale = jnp.where(law.tail_scale > 0, law.tail_scale, 1.0)
    z = law.tail_index * jnp.maximum(beyond, 0.0) / scale
    tail = jnp.where(law.tail_scale > 0, EDGE * jnp.exp(-jnp.log1p(z) / law.tail_index), 0.0)
    # A tail without scale is an atom at its end: not yet below it, wholly at it.
    low, high = (beyond[..., 0] >= 0, beyond[..., 1] > 0) if left else (beyond[..., 0] > 0, beyond[..., 1] >= 0)
    return jnp.where(low, tail[..., 0], jnp.where(high, 1 - tail[..., 1], body))


def mean(law: Law) -> Array:
    """E[Y], exact for the piecewise linear body and the Pareto tails."""
    levels = jnp.asarray(LEVELS, law.q.dtype)
    body = ((law.q[..., 1:] + law.q[..., :-1]) / 2 * jnp.diff(levels)).sum(-1)
    tail = EDGE * law.tail_scale / (1 - law.tail_index)
    return body + EDGE * (law.q[..., 0] + law.q[..., -1]) - tail[..., 0] + tail[..., 1]


def std(law: Law) -> Array:
    """Standard deviation; infinite where a tail index is ½ or more."""
    m = mean(law)
    levels = jnp.asarray(LEVELS, law.q.dtype)
    a, b = law.q[..., :-1] - m[..., None], law.q[..., 1:] - m[..., None]
    body = ((a * a + a * b + b * b) / 3 * jnp.diff(levels)).sum(-1)
    ends = jnp.stack([m - law.q[..., 0], law.q[..., -1] - m], -1)
    xi, scale = law.tail_index, law.tail_scale
    heavy = xi >= 0.5
    safe = jnp.where(heavy, 0.0, xi)
    second = ends**2 + 2 * ends * scale / (1 - safe) + 2 * scale**2 / ((1 - safe) * (1 - 2 * safe))
    second = jnp.where(heavy & (scale > 0), jnp.inf, second)
    return jnp.sqrt(body + EDGE * second.sum(-1))


def sample(law: Law, key: Array, n: int) -> Array:
    """``n`` draws by inversion: shape (..., n)."""
    u = jax.random.uniform(key, (*law.q.shape[:-1], n), law.q.dtype, minval=1e-12, maxval=1 - 1e-12)
    flat = jax.tree.map(lambda x: x.reshape((-1, *x.shape[law.q.ndim - 1 :])), law)
    return jax.vmap(ppf)(flat, u.reshape(-1, n)).reshape(u.shape)


def _tail_crps(edge: Array, scale: Array, xi: Array, y: Array) -> Array:
    """∫₀^{u₀} 2(1{y<Q} − u)(Q − y) du for the left tail; the right one is its mirror image."""
    d = edge - y
    inside = d > 0
    z = jnp.where(scale > 0, xi * jnp.maximum(d, 0.0) / jnp.where(scale > 0, scale, 1.0), jnp.inf)
    ratio = jnp.where(inside, jnp.exp(-jnp.log1p(z) / xi), 1.0)
    u = EDGE * ratio
    c = scale / xi

    def below(v: Array, r: Array) -> Array:
        power = jnp.exp(-xi * jnp.log(jnp.maximum(r, 1e-300)))
        return v * v * (-d - c) + 2 * c * v * v * power / (2 - xi)

    def above(v: Array, r: Array) -> Array:
        power = jnp.exp(-xi * jnp.log(jnp.maximum(r, 1e-300)))
        return 2 * ((d + c) * (v - v * v / 2) - c * power * (v / (1 - xi) - v * v / (2 - xi)))

    one = jnp.ones_like(ratio)
    edge_u = EDGE * one
    return below(u, ratio) + jnp.where(inside, above(edge_u, one) - above(u, ratio), 0.0)


def crps(law: Law, y: Array | float) -> Array:
    """Continuous ranked probability score, closed form; ``y`` of the batch shape, units of the series.

    CRPS = ∫₀¹ 2 (1{y < Q(u)} − u)(Q(u) − y) du  (Gneiting & Raftery 2007).
    """
    y = jnp.asarray(y, law.q.dtype)
    levels = jnp.asarray(LEVELS, law.q.dtype)
    u0, u1 = levels[:-1], levels[1:]
    a, b = law.q[..., :-1] - y[..., None], law.q[..., 1:] - y[..., None]
    gap = b - a
    t = jnp.where(gap > 0, jnp.clip(-a / jnp.where(gap > 0, gap, 1.0), 0, 1), jnp.where(b <= 0, 1.0, 0.0))
    cross, um = a + t * gap, u0 + t * (u1 - u0)
    third = 1.0 / 6.0

    def moment(p: Array, q: Array, v: Array, w: Array) -> Array:
        """∫ u·Q̃(u) du over [v, w], Q̃ linear from p to q."""
        return (w - v) * third * (2 * p * v + 2 * q * w + p * w + q * v)

    below = -2 * moment(a, cross, u0, um)
    above = (u1 - um) * (cross + b) - 2 * moment(cross, b, um, u1)
    left = _tail_crps(law.q[..., 0], law.tail_scale[..., 0], law.tail_index[..., 0], y)
    right = _tail_crps(-law.q[..., -1], law.tail_scale[..., 1], law.tail_index[..., 1], -y)
    return (below + above).sum(-1) + left + right


def pinball(q: Array, y: Array) -> Array:
    """Pinball loss (..., K) of quantiles ``q`` (..., K) at :data:`LEVELS`; twice its mean over u is the CRPS."""
    e = jnp.asarray(y)[..., None] - q
    levels = jnp.asarray(LEVELS, q.dtype)
    return jnp.maximum(levels * e, (levels - 1) * e)


def w2(first: Law, second: Law) -> Array:
    """2-Wasserstein distance of the grid laws, ‖Q₁ − Q₂‖ in L²(0, 1)."""
    return jnp.sqrt((cell_weights() * (first.q - second.q) ** 2).sum(-1))


def barycentre(laws: Law, weights: Array) -> Law:
    """W2 barycentre over the leading axis: weighted mean of quantile functions (Agueh & Carlier 2011).

    ``weights`` is (m,) or, one simplex per level, (m, K). Tails: scales average, indices by tail scale.
    """
    w = weights if weights.ndim == 2 else weights[:, None]
    q = jnp.sort((w * laws.q).sum(0), axis=-1)
    tail = jnp.stack([w[:, 0], w[:, -1]], -1)
    scale = tail * laws.tail_scale
    total = scale.sum(0)
    index = jnp.where(total > 0, (scale * laws.tail_index).sum(0) / jnp.where(total > 0, total, 1.0), INDEX_MIN)
    return Law(q, total, jnp.clip(index, INDEX_MIN, INDEX_MAX))


def mix_cdf(laws: Law, weights: Array) -> Law:
    """Linear pool over the leading axis: the law of the mixture Σ wᵢ Fᵢ, by inversion on the pooled grid."""
    points = jnp.sort(laws.q.reshape(-1))
    members = jax.vmap(lambda law: jax.vmap(lambda y: cdf(law, y))(points))(laws)
    pooled = jax.lax.cummax((weights[:, None] * members).sum(0))
    q = jnp.interp(jnp.asarray(LEVELS, points.dtype), pooled, points)
    scale = (weights[:, None] * laws.tail_scale).sum(0)
    index = (weights[:, None] * laws.tail_scale * laws.tail_index).sum(0) / jnp.where(scale > 0, scale, 1.0)
    return Law(q, scale, jnp.clip(index, INDEX_MIN, INDEX_MAX))
