"""Regularity of a short window from absolute moments of its increments, and the record all estimators return.

    M(l) = mean |x_{t+l} − x_t| ~ l^H

H is the slope of log M on log l over dyadic lags, weighted by the covariance the log-moments have for Brownian
motion (generalised least squares). References: Mandelbrot & Van Ness (1968), Jaffard (1997).
"""

from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

LAG_MAX = 64
HOLDER_MIN, HOLDER_MAX = -1.0, 2.0
NEUTRAL, NEUTRAL_SE = 0.5, 1.0
"""What a window without any movement reports: a random walk's exponent, with an error that says "unknown"."""

_ABS_VAR = np.pi / 2 - 1
"""Var|Z| / (E|Z|)² of a normal variable."""


class Identification(NamedTuple):
    """Regularity of one window; every field is a scalar and finite."""

    holder: Array
    """() Hölder exponent: argmax of the spectrum D(h), or the scaling of mean absolute increments; in [−1, 2]"""
    holder_se: Array
    """() its standard error"""
    spectrum_width: Array
    """() range of the exponents h(q) over the orders the estimator can use, ≥ 0"""
    quadratic_variation: Array
    """() Σ (Δx)² over the real part of the window, units of the series squared"""
    local: Array
    """() exponent at the window's end"""


def _covariance(n: int, lags: list[int]) -> np.ndarray:
    """Cov(log M(l), log M(m)) to first order for Brownian motion seen at ``n`` times."""
    shift = np.arange(-max(lags), max(lags) + 1)
    out = np.zeros((len(lags), len(lags)))
    for i, k in enumerate(lags):
        for j, m in enumerate(lags):
            # Increments over (t, t + k] and (t + shift, t + shift + m] are correlated by their overlap.
            shared = np.clip(np.minimum(k, shift + m) - np.maximum(0, shift), 0, None)
            rho = shared / np.sqrt(k * m)
            cov = np.sqrt(np.clip(1 - rho**2, 0, None)) + rho * np.arcsin(np.minimum(rho, 1.0)) - 1
            pairs = np.clip(np.minimum(n - k, n - m - shift) - np.maximum(0, -shift), 0, None)
            out[i, j] = (cov * pairs).sum() / ((n - k) * (n - m))
    return out


class _Table(NamedTuple):
    """Regression constants for a window of ``n`` values; row p uses the first p + 2 lags."""

    lags: np.ndarray
    weights: np.ndarray
    variance: np.ndarray
    bias: np.ndarray


@lru_cache(maxsize=64)
def _table(n: int) -> _Table:
    lags = [2**k for k in range(LAG_MAX.bit_length()) if 2**k <= max(n // 4, 2)]
    cov = _covariance(max(n, 4), lags)
    weights, variance = np.zeros((len(lags) - 1, len(lags))), np.zeros(len(lags) - 1)
    for p in range(2, len(lags) + 1):
        design = np.stack([np.ones(p), np.log(lags[:p])], 1)
        precision = np.linalg.inv(cov[:p, :p])
        spread = np.linalg.inv(design.T @ precision @ design)
        weights[p - 2, :p] = (spread @ design.T @ precision)[1]
        variance[p - 2] = spread[1, 1]
    return _Table(np.array(lags), weights, variance, np.diag(cov) / 2)


def quadratic_variation(window: Array, width: Array | int) -> Array:
    """Σ (Δx)² over the last ``width`` values of ``window`` (L,).

    >>> float(quadratic_variation(jnp.array([5.0, 5.0, 5.0, 7.0, 6.0]), 3))
    5.0
    """
    steps = jnp.diff(window)
    real = jnp.arange(1, window.shape[0]) > window.shape[0] - width
    return jnp.where(real, steps * steps, 0.0).sum()


def structure_function(window: Array, width: Array | int) -> Identification:
    """Identify a window (L,) whose last ``width`` values are real, from its absolute increments.

    ``local`` repeats the regression with weights that halve every quarter of the window; ``spectrum_width`` is
    the fall of h(q) = dζ/dq between the orders (0, ½) and (1, 2), ζ(q) the scaling of |Δ|^q. The standard error
    is the one of Brownian motion, raised where increments are more dispersed than normal ones.

    >>> round(float(structure_function(3.0 * jnp.arange(64.0), 64).holder), 6)
    1.0
    """
    n = window.shape[0]
    if n < 3:
        # Two lags need three values.
        window = jnp.pad(window, (3 - n, 0), mode="edge")
        n = 3
    table = _table(n)
    dtype = window.dtype
    width = jnp.asarray(width, dtype)
    age = jnp.arange(n - 1, -1, -1)
    real = age < width
    centred = jnp.where(real, window - window[-1], 0.0)
    top = jnp.abs(centred).max()
    centred = centred / jnp.where(top > 0, top, 1.0)
    fade = jnp.exp2(-4.0 * age / jnp.maximum(width, 1.0))
    # One gather for all lags: unrolled slices compile several times slower.
    lags = jnp.asarray(table.lags)[:, None]
    back = jnp.arange(n) - lags
    seen = (back >= 0) & (age + lags < width)
    size = jnp.where(seen, jnp.abs(centred - centred[jnp.maximum(back, 0)]), 0.0)
    even = seen / jnp.maximum(seen.sum(1, keepdims=True), 1)
    late = jnp.where(seen, fade, 0.0)
    late = late / jnp.maximum(late.sum(1, keepdims=True), 1e-12)
    moments = jnp.stack([even * jnp.sqrt(size), even * size, even * size * size, late * size]).sum(-1)
    live = moments[1].max() > 0
    usable = jnp.clip((jnp.asarray(table.lags) <= width / 4).sum() - 2, 0, len(table.weights) - 1)
    share = n / jnp.maximum(width, 3.0)
    dispersion = (moments[2, 0] / jnp.maximum(moments[1, 0] ** 2, 1e-30) - 1) / _ABS_VAR
    logs = jnp.log(jnp.maximum(moments, 1e-12 * jnp.where(live, moments.max(), 1.0)))
    # E log M lies below log E M by half the relative variance of M, which a smooth window does not have.
    logs = logs + share * jnp.clip(dispersion, 0.0, 1.0) * jnp.asarray(table.bias, dtype)
    slopes = logs @ jnp.asarray(table.weights, dtype)[usable]
    se = jnp.sqrt(jnp.asarray(table.variance, dtype)[usable] * share * jnp.maximum(dispersion, 1.0))
    spread = slopes[0] * 2 - (slopes[2] - slopes[1])
    return Identification(
        holder=jnp.where(live, jnp.clip(slopes[1], HOLDER_MIN, HOLDER_MAX), NEUTRAL),
        holder_se=jnp.where(live, jnp.minimum(se, NEUTRAL_SE), NEUTRAL_SE),
        spectrum_width=jnp.where(live, jnp.clip(spread, 0.0, HOLDER_MAX - HOLDER_MIN), 0.0),
        quadratic_variation=quadratic_variation(window, width),
        local=jnp.where(live, jnp.clip(slopes[3], HOLDER_MIN, HOLDER_MAX), NEUTRAL),
    )
