"""What sampling does to absolute moments of increments: covariances and regression weights, in closed form.

For normal X, Y of unit variance and correlation ρ (Hermite expansion, (x)_k the falling factorial),

    Cov(|X|^p, |Y|^q) / (E|X|^p E|Y|^q) = Σ_k c_k(p) c_k(q) ρ^{2k},   c_k(q) = 2^k (q/2)_k / √(2k)!

Averaged over all pairs of increments of fractional Brownian motion this is, to first order, the covariance of the
logs of M_q(l) = mean |x_{t+l} − x_t|^q. All of it is NumPy, run once per window length.
References: Mandelbrot & Van Ness (1968), Coeurjolly (2001).
"""

from functools import lru_cache
from math import factorial, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LAG_MAX = 64
ORDERS = (0.5, 1.0, 2.0)
"""Orders q of the moments."""
CURVATURE = (2.0, 1.0, -1.0)
"""h over the orders (0, ½) minus h over (1, 2), in terms of ζ(q) at :data:`ORDERS`."""
HURST_STEP = 0.2
HURST = np.arange(0.1, 1.0, HURST_STEP)
"""Grid of exponents at which variances are tabulated."""

_TERMS = 24


def _coefficients(q: float) -> NDArray[np.float64]:
    """c_k(q), k = 1 … _TERMS."""
    k = range(1, _TERMS + 1)
    return np.array([2.0**j * prod(q / 2 - i for i in range(j)) / np.sqrt(float(factorial(2 * j))) for j in k])


def _absolute_moment(q: float) -> float:
    """E|Z|^q by the trapezoid rule in log |Z|, exponentially accurate."""
    u = np.linspace(-60.0, 3.5, 4001)
    return float(2 / np.sqrt(2 * np.pi) * np.exp((q + 1) * u - np.exp(2 * u) / 2).sum() * (u[1] - u[0]))


def _series(orders: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients of ρ², ρ⁴, … of the covariance of Σ_q w_q |X|^q/E|X|^q; ``orders`` (Q,) are the w_q.

    The last one closes the sum at ρ = 1.
    """
    squares = (orders @ np.stack([_coefficients(q) for q in ORDERS])) ** 2
    moment = np.array([_absolute_moment(q) for q in ORDERS])
    cross = np.array([[_absolute_moment(p + q) for q in ORDERS] for p in ORDERS]) / np.outer(moment, moment) - 1
    return np.append(squares, orders @ cross @ orders - squares.sum())


def covariance(
    n: int, lags: list[int], hurst: float = 0.5, orders: tuple[tuple[float, ...], ...] = ((0.0, 1.0, 0.0),)
) -> NDArray[np.float64]:
    """Covariances (R, L, L) over ``lags`` (L) of Σ_q w_q log M_q(l), one for each row w of ``orders`` (R, Q).

    First order, for fractional Brownian motion seen at ``n`` times.

    >>> round(float(covariance(1000, [1])[0, 0, 0]) * 999, 4)  # Var|Z| / (E|Z|)² = π/2 − 1
    0.5708
    """
    series = np.stack([_series(np.asarray(w, float)) for w in orders])
    shift = np.arange(1 - n, n)

    def power(t: NDArray[np.int_]) -> NDArray[np.float64]:
        return np.abs(t).astype(float) ** (2 * hurst)

    out = np.zeros((len(orders), len(lags), len(lags)))
    for i, k in enumerate(lags):
        for j, m in enumerate(lags[: i + 1]):
            # Increments over (0, k] and (s, s + m].
            rho = (power(shift + m) + power(shift - k) - power(shift) - power(shift + m - k)) / (2 * (k * m) ** hurst)
            pairs = np.clip(np.minimum(n - k, n - m - shift) - np.maximum(0, -shift), 0, None) / ((n - k) * (n - m))
            square = np.minimum(rho * rho, 1.0)
            moments = np.zeros(_TERMS + 1)
            for term in range(_TERMS + 1):
                pairs = pairs * square
                moments[term] = pairs.sum()
            out[:, i, j] = out[:, j, i] = series @ moments
    return out


class Table(NamedTuple):
    """Regression constants for a window of ``n`` values; row p uses the first p + 2 of L dyadic lags."""

    lags: NDArray[np.int_]
    """(L,)"""
    weights: NDArray[np.float64]
    """(L − 1, L) slope on log l, generalised least squares for Brownian motion at order 1"""
    variance: NDArray[np.float64]
    """(3, L − 1, H) variances of ζ(1), of ζ(2)/2 and of the curvature at the exponents :data:`HURST`"""
    bias: NDArray[np.float64]
    """(Q, L) what E log M_q lies below log E M_q: half the relative variance of M_q"""


@lru_cache(maxsize=64)
def table(n: int) -> Table:
    """Constants for windows of ``n`` ≥ 3 values."""
    n = max(n, 4)
    lags = [2**k for k in range(LAG_MAX.bit_length()) if 2**k <= max(n // 4, 2)]
    size = len(lags)
    plain = tuple(tuple(float(i == j) for j in range(3)) for i in range(3))
    brownian = covariance(n, lags, 0.5, plain)
    weights = np.zeros((size - 1, size))
    for p in range(2, size + 1):
        design = np.stack([np.ones(p), np.log(lags[:p])], 1)
        precision = np.linalg.inv(brownian[1, :p, :p])
        weights[p - 2, :p] = (np.linalg.inv(design.T @ precision @ design) @ design.T @ precision)[1]
    statistics = ((0.0, 1.0, 0.0), (0.0, 0.0, 0.5), CURVATURE)
    spread = np.stack([covariance(n, lags, h, statistics) for h in HURST])
    variance = np.einsum("pi,hsij,pj->sph", weights, spread, weights)
    return Table(np.array(lags), weights, variance, np.diagonal(brownian, axis1=1, axis2=2) / 2)
