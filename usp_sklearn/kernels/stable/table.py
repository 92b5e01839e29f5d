"""The stored table of standard S0 quantiles and tails, for use inside a scan at constant cost.

Axes: α in [1, 2] and |β| in [0, 1] through :func:`beta_axis`; negative β by Q(u; −β) = −Q(1 − u; β). Columns: the
K quantiles at :data:`~usp_sklearn.kernels.law.LEVELS`, the left and right Pareto scale, the left and right tail index.
A second table inverts McCulloch's two quantile ratios. Lookups are cubic (four-point Lagrange) in both axes.
Built by ``python -m usp_sklearn.kernels.stable.build``; read on first use, not on import.

Reference: McCulloch (1986), Simple consistent estimators of stable distribution parameters.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ..law import INDEX_MAX, INDEX_MIN, LEVELS, MEDIAN, N_LEVELS, Law

PATH = Path(__file__).with_name("table.npz")
ALPHA_MIN = 1.05
"""Smallest α the fast estimator returns: below it the mean of a law barely exists."""
SKEW_FLOOR = 0.03
"""Near α = 2 skewness cannot be seen in quantiles: the ratio is divided by at least this, so β shrinks to 0."""
SKEW_UNIT = 0.04
"""1 − |β| at which the light side's power law is about as heavy as the outer level sees."""
Q05, Q25, Q75, Q95 = (int(np.searchsorted(LEVELS, u)) for u in (0.05, 0.25, 0.75, 0.95))


class Table(NamedTuple):
    """Host arrays, read once."""

    laws: np.ndarray
    """(A, B, K + 4) over α in [1, 2] and beta_axis(|β|) in [0, 1]"""
    inverse: np.ndarray
    """(P, R, 2): α, |β| over p in [0, p_max] and |r| in [0, 1]"""
    widest: np.ndarray
    """(P, 1, 1) largest |ν_β| at each p"""
    p_max: float
    nu_normal: float
    """ν_α of the normal law"""


@lru_cache(maxsize=1)
def load() -> Table:
    """The table, read from the package's data file on first use."""
    with np.load(PATH, allow_pickle=False) as data:
        laws, inverse, widest = (data[k] for k in ("laws", "inverse", "widest"))
        p_max, nu_normal = (float(v) for v in data["range"])
    return Table(laws, inverse, widest[:, None, None], p_max, nu_normal)


def _weights(position: Array, n: int) -> tuple[Array, Array]:
    """First of the four nodes around ``position`` in [0, n − 1], and the Lagrange weights (4,) on them."""
    first = jnp.clip(jnp.floor(position).astype(jnp.int32) - 1, 0, n - 4)
    t = position - first
    w = [t - k for k in range(4)]
    return first, jnp.stack(
        [-w[1] * w[2] * w[3] / 6, w[0] * w[2] * w[3] / 2, -w[0] * w[1] * w[3] / 2, w[0] * w[1] * w[2] / 6]
    )


def interpolate(table: np.ndarray, row: Array, column: Array) -> Array:
    """Cubic lookup of ``table`` (n, m, d) at fractional indices, each inside the table: (d,)."""
    n, m, d = table.shape
    zero = jnp.int32(0)
    i, wi = _weights(row, n)
    if m == 1:
        block = jax.lax.dynamic_slice(jnp.asarray(table), (i, zero, zero), (4, 1, d))[:, 0].astype(wi.dtype)
        return (wi[:, None] * block).sum(0)
    j, wj = _weights(column, m)
    block = jax.lax.dynamic_slice(jnp.asarray(table), (i, j, zero), (4, 4, d)).astype(wi.dtype)
    return ((wi[:, None] * wj)[..., None] * block).sum((0, 1))


def beta_axis(beta: Array) -> Array:
    """ln(1 + (1 − β)/c)/ln(1 + 1/c): fine where β → 1 and the light side loses its power law, 1 at β = 0."""
    return jnp.log1p((1 - beta) / SKEW_UNIT) / float(np.log1p(1 / SKEW_UNIT))


def _lookup(alpha: ArrayLike, beta: ArrayLike) -> tuple[Array, Array, Array]:
    """Quantiles (K,), tail scales (2,) and tail indices (2,) for scalar α and β."""
    laws = load().laws
    n, m, _ = laws.shape
    dtype = jnp.result_type(float, alpha, beta)
    beta = jnp.clip(jnp.asarray(beta, dtype), -1.0, 1.0)
    alpha = jnp.clip(jnp.asarray(alpha, dtype), 1.0, 2.0)
    row = (alpha - 1) * (n - 1)
    column = beta_axis(jnp.abs(beta)) * (m - 1)
    values = interpolate(laws, row, column)
    q, scale, index = values[:N_LEVELS], values[N_LEVELS : N_LEVELS + 2], values[N_LEVELS + 2 :]
    scale, index = jnp.maximum(scale, 0.0), jnp.clip(index, INDEX_MIN, jnp.minimum(1 / alpha, INDEX_MAX))
    left = beta < 0
    return jnp.where(left, -q[::-1], q), jnp.where(left, scale[::-1], scale), jnp.where(left, index[::-1], index)


def quantiles(alpha: ArrayLike, beta: ArrayLike) -> Array:
    """Quantiles (K,) at LEVELS of the standard S0 law, for scalar α in [1, 2] and β in [−1, 1] (clipped).

    >>> bool(abs(quantiles(2.0, 0.0)[-1] - 3.6427733) < 1e-4)  # √2 times the normal 0.995 quantile
    True
    """
    return _lookup(alpha, beta)[0]


def tail(alpha: ArrayLike, beta: ArrayLike) -> tuple[Array, Array]:
    """Pareto scale (2,) and index (2,) that continue the standard law beyond the outer levels, left then right.

    The index is 1/α where the power law has set in, smaller where a side is still normal-like at the levels a
    forecast can see (α → 2, or the light side of |β| → 1), and never above ``INDEX_MAX``.

    >>> scale, index = tail(1.5, 0.0)
    >>> bool(abs(index[0] - 1 / 1.5) < 0.01)
    True
    """
    return _lookup(alpha, beta)[1:]


def standard_law(alpha: ArrayLike, beta: ArrayLike) -> Law:
    """:func:`quantiles` and :func:`tail` in one lookup.

    >>> law = standard_law(1.7, 0.3)
    >>> law.q.shape, law.tail_scale.shape
    ((25,), (2,))
    """
    return Law(*_lookup(alpha, beta))


def fit_quantiles(q: Array) -> tuple[Array, Array, Array, Array]:
    """McCulloch's estimator from quantiles ``q`` (K,) at LEVELS: α in [1.05, 2], β, scale γ > 0 and loc δ in S0.

        ν_α = (q₉₅ − q₀₅)/(q₇₅ − q₂₅),   ν_β = (q₉₅ + q₀₅ − 2 q₅₀)/(q₉₅ − q₀₅)

    Without branches, defined for every sorted ``q``; γ is 0 for a constant one.

    >>> alpha, beta, scale, loc = fit_quantiles(3.0 + 2.0 * quantiles(1.5, 0.4))
    >>> [float(v.round(2)) for v in (alpha, beta, scale, loc)]
    [1.5, 0.4, 2.0, 3.0]
    """
    table = load()
    n, m, _ = table.inverse.shape
    middle, width = q[Q75] - q[Q25], q[Q95] - q[Q05]
    some = width > 0
    nu_beta = jnp.where(some, q[Q95] + q[Q05] - 2 * q[MEDIAN], 0.0) / jnp.where(some, width, 1.0)
    nu_alpha = jnp.where(some, width, table.nu_normal) / jnp.where(middle > 0, middle, jnp.where(some, width * 1e-3, 1))
    p = jnp.clip(jnp.log(nu_alpha / table.nu_normal), 0.0, table.p_max)
    row = p * ((n - 1) / table.p_max)
    widest = jnp.maximum(interpolate(table.widest, row, row)[0], SKEW_FLOOR)
    r = jnp.minimum(jnp.abs(nu_beta) / widest, 1.0)
    alpha, beta = interpolate(table.inverse, row, r * (m - 1))
    alpha, beta = jnp.clip(alpha, ALPHA_MIN, 2.0), jnp.sign(nu_beta) * jnp.clip(beta, 0.0, 1.0)
    z = quantiles(alpha, beta)
    scale = middle / (z[Q75] - z[Q25])
    return alpha, beta, scale, q[MEDIAN] - scale * z[MEDIAN]
