"""Wavelet transform modulus maxima: skeleton, partition function, spectrum, exponents.

With T(b, a) = |W(b, a)|/√a ~ a^h around a singularity of exponent h, and S(l, a) the supremum of T along a
maxima line l up to scale a,

    Z(q, a) = Σ_l S(l, a)^q ~ a^τ(q),    D(h) = min_q (q h − τ(q)),    argmax D(h) = τ'(0).

τ'(0) is the slope of the mean of log S over the lines, so the Hölder exponent needs no search over h.
Lines are rooted 1¾ octaves below the finest fitted scale: there the supremum would have no room. Positions are half
samples apart: whole samples merge maxima at fine scales and bias the exponent of Brownian motion by −0.02.
References: Muzy, Bacry & Arneodo (1993), Jaffard (1997), Mallat (2009, §6.4).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from . import cwt as _cwt
from .holder import HOLDER_MAX, HOLDER_MIN, NEUTRAL, NEUTRAL_SE, Identification, quadratic_variation

ORDERS: np.ndarray = np.linspace(-3.0, 5.0, 17)
"""Orders q of the partition function."""

PRECISION = 18
"""Sampling of the wavelet, log₂: below it steps split flat maxima at large scales, and lines end there."""

PHASES = 2
"""Positions per sample."""

_ROOT_OCTAVES = 1.75
_BLOCKS = 8
_STUDENT = 2.3646 / 1.96
"""Widens a jackknife over eight stretches to its 95 % interval, Student's with seven degrees of freedom."""
_NOISE = 1e-9


class Grid(NamedTuple):
    """Scales of one skeleton in samples: ``roots`` of them only root the lines, the others are fitted."""

    scales: np.ndarray
    roots: int


class Skeleton(NamedTuple):
    """Maxima lines over scales (S) and positions (N, half samples), roots left out."""

    log_sup: Array
    """(S, N) log of the supremum along the line through each maximum, 0 elsewhere"""
    on_line: Array
    """(S, N) whether a maxima line passes here"""
    local: Array
    """() slope of log S along the line that ends nearest to the window's end, among those that span half of the
    scales; nan if there is none"""


def grid(n: int, n_scales: int = 40, j_min: float = 1.0, j_max: float = 6.0) -> Grid:
    """Scales for a window of ``n`` values: those of :func:`dyadic_scales` and 1¾ octaves of roots below.

    >>> grid(4096).scales.size, grid(4096).roots
    (54, 14)
    """
    fitted = _cwt.dyadic_scales(n, n_scales, j_min, j_max)
    roots = max(round(_ROOT_OCTAVES * (n_scales - 1) / (j_max - j_min)), 1)
    below = 2.0 ** np.linspace(j_min - _ROOT_OCTAVES, j_min, roots, endpoint=False)
    return Grid(np.concatenate([below, fitted]), roots)


def moduli(window: Array, width: Array | int, scales: np.ndarray, backend: str = "jax") -> Array:
    """T = |W|/√a (S, N) at half samples of a window (n,) continued by constants, zero where the window holds padding.

    Each sample is repeated, so that scales are twice as many of those.
    """
    n = window.shape[0]
    twice = PHASES * np.asarray(scales)
    if backend == "jax":
        w = _cwt.transform(jnp.pad(jnp.diff(window), 1), twice, PRECISION, PHASES)
    else:
        reach = int(np.ceil(5 * max(twice))) + 2
        padded = jnp.pad(jnp.repeat(window - window[-1], PHASES), reach, mode="edge")
        w = _cwt.cwt_pywt(padded, twice, PRECISION)[:, reach : reach + PHASES * n]
    real = jnp.arange(PHASES * n) >= PHASES * (n - width)
    return jnp.where(real, jnp.abs(w) / jnp.sqrt(jnp.asarray(twice, window.dtype))[:, None], 0.0)


def _nearest(mask: Array) -> Array:
    """Position of the nearest True at each position, along the last axis; far outside where there is none."""
    n = mask.shape[-1]
    i = jnp.arange(n)
    # One running maximum serves both directions: it is the costliest thing here to compile.
    both = jnp.stack([mask, mask[..., ::-1]])
    last = jax.lax.cummax(jnp.where(both, i, -4 * n), axis=mask.ndim)
    left, right = last[0], n - 1 - last[1][..., ::-1]
    return jnp.where(i - left <= right - i, left, right)


def _slope(y: Array, x: Array, w: Array) -> Array:
    """Weighted slope of ``y`` (..., S) on ``x`` (S,); weights ``w`` (S,) may be zero."""
    total = jnp.maximum(w.sum(), 1e-300)
    dx = x - (w * x).sum() / total
    return (y * (w * dx)).sum(-1) / jnp.maximum((w * dx * dx).sum(), 1e-300)


def _supported(scales: Grid, width: Array | int, dtype: jnp.dtype) -> Array:
    """Which scales (all of them) are fitted for ``width`` real values: a ≤ max(width/8, an octave)."""
    a = jnp.asarray(scales.scales, dtype)
    limit = jnp.maximum(jnp.asarray(width, dtype) / 8, 2 * a[scales.roots] * (1 + _NOISE))
    return (a <= limit) & (jnp.arange(a.size) >= scales.roots)


def skeleton(modulus: Array, width: Array | int, scales: Grid, cone: Array | float = 1.5) -> Skeleton:
    """Chain the maxima of T (S, N) into lines: each maximum to the nearest one a scale finer, |Δb| ≤ cone·a.

    Only lines that reach the finest scale count, and a finer maximum continues one line only, its nearest.
    ``modulus`` covers all of ``scales``; the last ``width`` samples are real.
    """
    n = modulus.shape[1]
    dtype = modulus.dtype
    i = jnp.arange(n)
    beside = jnp.pad(modulus, ((0, 0), (1, 1)))
    # Margins on both sides, so that plateaus equal up to rounding give one maximum whatever the backend.
    rises = modulus > beside[:, :-2] * (1 + _NOISE)
    maxima = rises & (modulus >= beside[:, 2:] * (1 - _NOISE)) & (modulus > _NOISE * modulus.max())
    log_t = jnp.log(jnp.where(maxima, modulus, 1.0))
    log_a = jnp.log(jnp.asarray(scales.scales, dtype))
    fitted = _supported(scales, width, dtype)
    enough = fitted.sum() // 2
    ahead = n - 1 - i

    near = _nearest(maxima)
    child = near[:-1]
    at = jnp.clip(child, 0, n - 1)
    back = jnp.take_along_axis(near[1:], at, axis=1)
    reach = cone * PHASES * jnp.asarray(scales.scales[1:], dtype)[:, None]
    linked = maxima[1:] & (jnp.abs(child - i) <= reach) & (back == i)

    def step(carry: tuple, level: tuple) -> tuple:
        sup, alive, end, sums, best = carry
        t, link, at, x, fit = level
        on = link & alive[at]
        sup = jnp.where(on, jnp.maximum(t, sup[at]), 0.0)
        end = jnp.where(on, end[at], -1)
        new = jnp.stack([jnp.ones_like(t), jnp.full_like(t, x), t, jnp.full_like(t, x * x), x * t])
        # Where the wavelet overhangs the window's end, the continuation by a constant bends the line.
        sums = jnp.where(on, sums[:, at] + jnp.where(fit & (ahead >= PHASES * jnp.exp(x)), new, 0.0), 0.0)
        # Prefer the line that ends latest, then its longest stretch.
        count = sums[0]
        score = jnp.where(on & (count >= enough), end * (scales.scales.size + 1.0) + count, -1.0)
        top = jnp.argmax(score)
        m, sx, sy, sxx, sxy = sums[:, top]
        slope = (m * sxy - sx * sy) / jnp.maximum(m * sxx - sx * sx, 1e-300)
        better = score[top] > best[0]
        best = (jnp.where(better, score[top], best[0]), jnp.where(better, slope, best[1]))
        return (sup, on, end, sums, best), (sup, on)

    first = (
        log_t[0],
        maxima[0],
        jnp.where(maxima[0], i, -1),
        jnp.zeros((5, n), dtype),
        (jnp.asarray(-0.5, dtype), jnp.asarray(jnp.nan, dtype)),
    )
    levels = (log_t[1:], linked, at, log_a[1:], fitted[1:])
    scanned: tuple[tuple, tuple[Array, Array]] = jax.lax.scan(step, first, levels)
    carry, rest = scanned
    sup, on = (x[scales.roots - 1 :] for x in rest)
    return Skeleton(sup, on, carry[-1][1])


def log_partition(lines: Skeleton) -> Array:
    """log Z (Q, S) at :data:`ORDERS`; 0 at scales without lines."""
    on = lines.on_line
    top = jnp.where(on, lines.log_sup, -jnp.inf).max(1)
    top = jnp.where(on.any(1), top, 0.0)
    relative = jnp.where(on, lines.log_sup - top[:, None], 0.0)
    growth = jnp.exp(relative * (ORDERS[1] - ORDERS[0]))

    def order(power: Array, _: None) -> tuple[Array, Array]:
        return power * growth, jnp.where(on, power, 0.0).sum(1)

    # Successive powers: one product per order in place of one exponential.
    _, z = jax.lax.scan(order, jnp.exp(relative * ORDERS[0]), None, length=ORDERS.size)
    z = jnp.where(on.any(1), z, 1.0)
    return jnp.log(z) + jnp.asarray(ORDERS, z.dtype)[:, None] * top


def _regression(lines: Skeleton, width: Array | int, scales: Grid) -> tuple[Array, Array]:
    """log a (S,) of the fitted scales and their weights a^(−1/3), 0 beyond the window's reach.

    The number of lines, 1/a, would suit Brownian motion; equal weights average out the periods in log a that the
    moments of cascades have.
    """
    a = jnp.asarray(scales.scales[scales.roots :], lines.log_sup.dtype)
    fitted = _supported(scales, width, a.dtype)[scales.roots :]
    return jnp.log(a), jnp.where(fitted & lines.on_line.any(1), a ** (-1 / 3), 0.0)


def tau(lines: Skeleton, width: Array | int, scales: Grid) -> Array:
    """Scaling exponents τ(q) (Q,) of the partition function at :data:`ORDERS`."""
    x, weight = _regression(lines, width, scales)
    return _slope(log_partition(lines), x, weight)


def spectrum(exponents: Array, h: Array) -> Array:
    """Legendre transform D(h) = min_q (q h − τ(q)), shape of ``h`` (m,), from τ at :data:`ORDERS`.

    >>> brownian = 0.5 * jnp.asarray(ORDERS) - 1
    >>> float(spectrum(brownian, jnp.array([0.5]))[0])
    1.0
    """
    return (jnp.asarray(ORDERS, exponents.dtype) * h[:, None] - exponents).min(1)


def _mean_log(lines: Skeleton, width: Array | int) -> tuple[Array, Array]:
    """Mean of log S over the lines (S,), and the same with each time block left out (B, S)."""
    n = lines.on_line.shape[1]
    real = PHASES * jnp.asarray(width, lines.log_sup.dtype)
    position = (jnp.arange(n) - (n - real)) / real * _BLOCKS
    block = jnp.arange(_BLOCKS)[:, None] == jnp.floor(position)
    member = block.astype(lines.log_sup.dtype).T
    sums = jnp.where(lines.on_line, lines.log_sup, 0.0) @ member
    counts = lines.on_line.astype(member.dtype) @ member
    total, number = sums.sum(1, keepdims=True), counts.sum(1, keepdims=True)
    mean = total / jnp.maximum(number, 1.0)
    rest = number - counts
    left = jnp.where(rest > 0, (total - sums) / jnp.maximum(rest, 1.0), mean)
    return mean[:, 0], left.T


def wtmm(
    window: Array,
    width: Array | int,
    cone: Array | float = 1.5,
    *,
    n_scales: int = 40,
    backend: str = "jax",
) -> Identification:
    """Identify a window (n,), padded on the left with its oldest value, of which the last ``width`` are real.

    ``spectrum_width`` is h(q) at the lowest order minus h(q) at the highest, h = dτ/dq. The standard error is a
    jackknife over eight stretches of time, since neighbouring scales and lines are strongly dependent; it is scaled
    for ±1.96 of it to be the 95 % interval.

    >>> walk = jnp.cumsum(jnp.where(jnp.sin(jnp.arange(512.0) ** 2) > 0, 1.0, -1.0))
    >>> bool(abs(wtmm(walk, 512).holder - 0.5) < 0.25)
    True
    """
    scales = grid(window.shape[0], n_scales)
    lines = skeleton(moduli(window, width, scales.scales, backend), width, scales, cone)
    x, weight = _regression(lines, width, scales)
    live = (weight > 0).sum() >= 2
    mean, left = _mean_log(lines, width)
    holder = _slope(mean, x, weight)
    without = _slope(left, x, weight)
    se = _STUDENT * jnp.sqrt((_BLOCKS - 1) / _BLOCKS * ((without - without.mean()) ** 2).sum())
    exponents = _slope(log_partition(lines), x, weight)
    low, high = (exponents[1] - exponents[0], exponents[-1] - exponents[-2])
    wide = (low - high) / (ORDERS[1] - ORDERS[0])
    local = jnp.where(jnp.isnan(lines.local), holder, lines.local)
    return Identification(
        holder=jnp.where(live, jnp.clip(holder, HOLDER_MIN, HOLDER_MAX), NEUTRAL),
        holder_se=jnp.where(live & (se > _NOISE), jnp.minimum(se, NEUTRAL_SE), NEUTRAL_SE),
        spectrum_width=jnp.where(live, jnp.clip(wide, 0.0, HOLDER_MAX - HOLDER_MIN), 0.0),
        quadratic_variation=quadratic_variation(window, width),
        local=jnp.where(live, jnp.clip(local, HOLDER_MIN, HOLDER_MAX), NEUTRAL),
    )
