"""Regularity of a short window from absolute moments of its increments, and the record all estimators return.

    M_q(l) = mean |x_{t+l} − x_t|^q ~ l^ζ(q)

H = ζ(1) is the slope of log M₁ on log l over dyadic lags, weighted by the covariance the log-moments have for
Brownian motion (generalised least squares, :mod:`.moments`). References: Mandelbrot & Van Ness (1968), Jaffard (1997).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from .moments import HURST, HURST_STEP, Table, table

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


class Scaling(NamedTuple):
    """Growth of the moments of a window's increments; scalars."""

    one: Array
    """() ζ(1), the exponent for any window"""
    two: Array
    """() ζ(2)/2, the same exponent with less variance where the increments are normal"""
    late: Array
    """() ζ(1) with weights that halve every quarter of the window"""
    curvature: Array
    """() fall of h(q) = dζ/dq from the orders (0, ½) to (1, 2)"""
    se: Array
    """(3,) standard errors of ``one``, ``two`` and ``curvature``"""
    dispersion: Array
    """() relative variance of the absolute increments over that of normal ones"""
    live: Array
    """() whether anything moved"""


def quadratic_variation(window: Array, width: Array | int) -> Array:
    """Σ (Δx)² over the last ``width`` values of ``window`` (L,).

    >>> float(quadratic_variation(jnp.array([5.0, 5.0, 5.0, 7.0, 6.0]), 3))
    5.0
    """
    steps = jnp.diff(window)
    real = jnp.arange(1, window.shape[0]) > window.shape[0] - width
    return jnp.where(real, steps * steps, 0.0).sum()


def _standard_errors(constants: Table, row: Array, exponent: Array, inflation: Array) -> Array:
    """(3,) errors at ``exponent``, by interpolation between the tabulated ones."""
    clipped = jnp.clip(exponent, HURST[0], HURST[-1])
    hat = jnp.clip(1 - jnp.abs(clipped - jnp.asarray(HURST, exponent.dtype)) / HURST_STEP, 0.0, 1.0)
    return jnp.sqrt(jnp.asarray(constants.variance, exponent.dtype)[:, row] @ hat * inflation)


def scaling(window: Array, width: Array | int) -> Scaling:
    """Exponents of the moments ½, 1 and 2 of the increments of a window (L,) whose last ``width`` values are real.

    Standard errors are those of fractional Brownian motion with the exponent found, raised where increments are
    more dispersed than normal ones.

    >>> round(float(scaling(3.0 * jnp.arange(64.0), 64).two), 6)
    1.0
    """
    n = window.shape[0]
    if n < 3:
        # Two lags need three values.
        window = jnp.pad(window, (3 - n, 0), mode="edge")
        n = 3
    constants = table(n)
    dtype = window.dtype
    width = jnp.asarray(width, dtype)
    age = jnp.arange(n - 1, -1, -1)
    real = age < width
    top = jnp.where(real, jnp.abs(window - window[-1]), 0.0).max()
    fade = jnp.exp2(-4.0 * age / jnp.maximum(width, 1.0))
    # One gather for all lags: unrolled slices compile several times slower.
    lags = jnp.asarray(constants.lags)[:, None]
    back = jnp.arange(n) - lags
    seen = (back >= 0) & (age + lags < width)
    # Differences first: those of tied values are zero then, on every runtime.
    size = jnp.abs(window - window[jnp.maximum(back, 0)]) / jnp.where(top > 0, top, 1.0)
    size = jnp.where(seen, size, 0.0)
    even = seen / jnp.maximum(seen.sum(1, keepdims=True), 1)
    late = jnp.where(seen, fade, 0.0)
    late = late / jnp.maximum(late.sum(1, keepdims=True), 1e-12)
    moments = jnp.stack([even * jnp.sqrt(size), even * size, even * size * size, late * size]).sum(-1)
    live = moments[1].max() > 0
    usable = jnp.clip((jnp.asarray(constants.lags) <= width / 4).sum() - 2, 0, len(constants.weights) - 1)
    share = n / jnp.maximum(width, 3.0)
    dispersion = (moments[2, 0] / jnp.maximum(moments[1, 0] ** 2, 1e-30) - 1) / _ABS_VAR
    logs = jnp.log(jnp.maximum(moments, 1e-12 * jnp.where(live, moments.max(), 1.0)))
    # E log M lies below log E M by half the relative variance of M, which a smooth window does not have.
    bias = jnp.asarray(constants.bias, dtype)[jnp.array([0, 1, 2, 1])]
    logs = logs + share * jnp.clip(dispersion, 0.0, 1.0) * bias
    half, one, two, late_one = logs @ jnp.asarray(constants.weights, dtype)[usable]
    se = _standard_errors(constants, usable, one, share * jnp.maximum(dispersion, 1.0))
    return Scaling(one, two / 2, late_one, half * 2 - (two - one), se, dispersion, live)


def structure_function(window: Array, width: Array | int) -> Identification:
    """Identify a window (L,) whose last ``width`` values are real, from its absolute increments.

    ``holder`` is ζ(1), ``local`` the same with weights that halve every quarter of the window, ``spectrum_width``
    the fall of h(q) = dζ/dq between the orders (0, ½) and (1, 2).

    >>> round(float(structure_function(3.0 * jnp.arange(64.0), 64).holder), 6)
    1.0
    """
    found = scaling(window, width)
    live = found.live
    return Identification(
        holder=jnp.where(live, jnp.clip(found.one, HOLDER_MIN, HOLDER_MAX), NEUTRAL),
        holder_se=jnp.where(live, jnp.minimum(found.se[0], NEUTRAL_SE), NEUTRAL_SE),
        spectrum_width=jnp.where(live, jnp.clip(found.curvature, 0.0, HOLDER_MAX - HOLDER_MIN), 0.0),
        quadratic_variation=quadratic_variation(window, width),
        local=jnp.where(live, jnp.clip(found.late, HOLDER_MIN, HOLDER_MAX), NEUTRAL),
    )
