"""Simulated series whose one-step law is known, so that a forecaster can be measured against the best possible one.

Every maker returns the series y (n,); with ``return_ideal=True`` also a function ``ideal(levels) -> (n − 1, q)`` whose
row i holds the quantiles of y[i + 1] given y[: i + 1] under the true process.
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from sklearn.utils import check_random_state

Series = NDArray[np.float64]
Ideal = Callable[[ArrayLike], NDArray[np.float64]]
Made = Series | tuple[Series, Ideal]

_SUBSTEPS = 20
_CELLS = 801


def _source(n: Any, random_state: Any) -> np.random.RandomState:
    """Where a series of ``n`` values comes from."""
    if not isinstance(n, Integral) or n < 1:
        raise ValueError(f"The 'n' parameter of a simulated series must be an int of at least 1. Got {n!r} instead.")
    return check_random_state(random_state)


def _levels(levels: ArrayLike) -> Series:
    return np.atleast_1d(np.asarray(levels, dtype=np.float64))


def _mixture_quantiles(weights: Series, means: Series, scales: Series, levels: ArrayLike) -> NDArray[np.float64]:
    """Quantiles (n, q) of normal mixtures with components on the last axis of (n, k) arrays, by bisecting the cdf."""
    u = _levels(levels)
    reach = 40.0 * scales.max(-1)
    low = np.repeat((means.min(-1) - reach)[:, None], len(u), 1)
    high = np.repeat((means.max(-1) + reach)[:, None], len(u), 1)
    for _ in range(70):
        middle = (low + high) / 2
        z = (middle[..., None] - means[:, None]) / scales[:, None]
        below = (weights[:, None] * special.ndtr(z)).sum(-1) < u
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def make_stable_walk(
    n: int = 2000,
    *,
    alpha: float = 1.7,
    beta: float = 0.0,
    scale: float = 1.0,
    random_state: Any = None,
    return_ideal: bool = False,
) -> Made:
    """Random walk with α-stable steps S(α, β, scale, 0) in the S0 parametrisation (Nolan 2020).

    >>> make_stable_walk(5, random_state=0).shape
    (5,)
    """
    # scipy's default is S1, whose location lies β·scale·tan(πα/2) to the right of S0's.
    shift = -beta * scale * np.tan(np.pi * alpha / 2) if alpha != 1 else -beta * scale * 2 / np.pi * np.log(scale)
    law = stats.levy_stable(alpha, beta, loc=shift, scale=scale)
    y = np.cumsum(law.rvs(n, random_state=_source(n, random_state)))
    if not return_ideal:
        return y
    return y, lambda levels: y[:-1, None] + law.ppf(_levels(levels))


def make_ou(
    n: int = 2000,
    *,
    theta: float = 0.1,
    mean: float = 0.0,
    sigma: float = 1.0,
    random_state: Any = None,
    return_ideal: bool = False,
) -> Made:
    """Ornstein–Uhlenbeck process dX = θ (mean − X) dt + σ dW at unit steps, started in equilibrium.

    >>> y, ideal = make_ou(100, random_state=0, return_ideal=True)
    >>> ideal([0.1, 0.5, 0.9]).shape
    (99, 3)
    """
    rng = _source(n, random_state)
    decay, spread = np.exp(-theta), sigma * np.sqrt(-np.expm1(-2 * theta) / (2 * theta))
    noise = rng.standard_normal(n)
    y = np.empty(n)
    y[0] = sigma / np.sqrt(2 * theta) * noise[0]
    for t in range(1, n):
        y[t] = decay * y[t - 1] + spread * noise[t]
    y += mean
    if not return_ideal:
        return y
    centre = mean + decay * (y[:-1, None] - mean)
    return y, lambda levels: centre + spread * stats.norm.ppf(_levels(levels))


def make_double_well(
    n: int = 2000,
    *,
    rate: float = 1.0,
    sigma: float = 0.7,
    random_state: Any = None,
    return_ideal: bool = False,
) -> Made:
    """Bistable diffusion dX = rate (X − X³) dt + σ dW at unit steps (20 Euler steps each).

    The ideal law is the 20-fold Chapman–Kolmogorov product of the Euler kernel on a fine grid.

    >>> make_double_well(10, random_state=0).shape
    (10,)
    """
    rng = _source(n, random_state)
    dt = 1.0 / _SUBSTEPS
    x, y = 1.0, np.empty(n)
    for t, kicks in enumerate(rng.standard_normal((n, _SUBSTEPS)) * sigma * np.sqrt(dt)):
        for kick in kicks:
            x += rate * (x - x**3) * dt + kick
        y[t] = x
    if not return_ideal:
        return y
    reach = max(3.0, float(np.abs(y).max()) * 1.2)
    edges = np.linspace(-reach, reach, _CELLS + 1)
    cells = (edges[1:] + edges[:-1]) / 2

    def ideal(levels: ArrayLike) -> NDArray[np.float64]:
        move = cells + rate * (cells - cells**3) * dt
        cdf = special.ndtr((edges - move[:, None]) / (sigma * np.sqrt(dt)))
        cdf[:, 0], cdf[:, -1] = 0.0, 1.0
        law = np.cumsum(np.linalg.matrix_power(np.diff(cdf, axis=1), _SUBSTEPS), axis=1)
        by_cell = np.stack([np.interp(_levels(levels), np.r_[0.0, row], edges) for row in law])
        return np.stack([np.interp(y[:-1], cells, column) for column in by_cell.T], axis=1)

    return y, ideal


def make_merton(
    n: int = 2000,
    *,
    drift: float = 0.0,
    sigma: float = 1.0,
    intensity: float = 0.05,
    jump_mean: float = 0.0,
    jump_scale: float = 6.0,
    random_state: Any = None,
    return_ideal: bool = False,
) -> Made:
    """Merton's jump diffusion at unit steps: drift + σ W plus Poisson(intensity) normal jumps (Merton 1976).

    >>> make_merton(10, random_state=0).shape
    (10,)
    """
    rng = _source(n, random_state)
    counts = rng.poisson(intensity, n)
    jumps = jump_mean * counts + jump_scale * np.sqrt(counts) * rng.standard_normal(n)
    y = np.cumsum(drift + sigma * rng.standard_normal(n) + jumps)
    if not return_ideal:
        return y
    k = np.arange(int(stats.poisson.isf(1e-14, intensity)) + 2, dtype=np.float64)
    weights, means = np.asarray(stats.poisson.pmf(k, intensity), np.float64), drift + jump_mean * k
    scales = np.sqrt(sigma**2 + jump_scale**2 * k)
    return y, lambda levels: y[:-1, None] + _mixture_quantiles(weights[None], means[None], scales[None], levels)


def make_fgn(
    n: int = 2000, *, hurst: float = 0.8, sigma: float = 1.0, random_state: Any = None, return_ideal: bool = False
) -> Made:
    """Fractional Gaussian noise by circulant embedding (Davies & Harte 1987); its ideal law by Durbin–Levinson.

    >>> make_fgn(10, hurst=0.2, random_state=0).shape
    (10,)
    """
    rng = _source(n, random_state)
    k = np.arange(n + 1, dtype=np.float64)
    cov = (np.abs(k + 1) ** (2 * hurst) - 2 * k ** (2 * hurst) + np.abs(k - 1) ** (2 * hurst)) / 2
    eigen = np.fft.fft(np.r_[cov, cov[-2:0:-1]]).real.clip(min=0.0)
    noise = rng.standard_normal(2 * n) + 1j * rng.standard_normal(2 * n)
    y = sigma * np.fft.fft(np.sqrt(eigen / (2 * n)) * noise).real[:n]
    if not return_ideal:
        return y
    phi, variance = np.zeros(n), cov[0]
    centre, spread = np.empty(n - 1), np.empty(n - 1)
    for t in range(1, n):
        kappa = (cov[t] - phi[: t - 1] @ cov[t - 1 : 0 : -1]) / variance
        phi[: t - 1] -= kappa * phi[: t - 1][::-1].copy()
        phi[t - 1] = kappa
        variance *= 1 - kappa**2
        centre[t - 1], spread[t - 1] = phi[:t] @ y[t - 1 :: -1], sigma * np.sqrt(variance)
    return y, lambda levels: centre[:, None] + spread[:, None] * stats.norm.ppf(_levels(levels))


def make_garch(
    n: int = 2000,
    *,
    omega: float = 0.05,
    alpha: float = 0.1,
    beta: float = 0.85,
    nu: float = 5.0,
    random_state: Any = None,
    return_ideal: bool = False,
) -> Made:
    """GARCH(1,1) returns with Student-t innovations of unit variance (Bollerslev 1987), started at the mean variance.

    >>> make_garch(10, random_state=0).shape
    (10,)
    """
    rng = _source(n, random_state)
    unit = np.sqrt((nu - 2) / nu)
    shocks = rng.standard_t(nu, n) * unit
    y, variance = np.empty(n), np.empty(n)
    variance[0] = omega / (1 - alpha - beta)
    for t in range(n):
        y[t] = np.sqrt(variance[t]) * shocks[t]
        if t + 1 < n:
            variance[t + 1] = omega + alpha * y[t] ** 2 + beta * variance[t]
    if not return_ideal:
        return y
    return y, lambda levels: np.sqrt(variance[1:, None]) * unit * stats.t.ppf(_levels(levels), nu)


def make_regime_switch(
    n: int = 2000,
    *,
    kind: Literal["mean", "variance"] = "mean",
    stay: float = 0.99,
    contrast: float = 4.0,
    random_state: Any = None,
    return_ideal: bool = False,
) -> Made:
    """Noise around a hidden two-state Markov chain that keeps its state with probability ``stay``.

    ``kind="mean"``: means ±contrast/2, unit variance; ``"variance"``: standard deviations 1 and ``contrast``.
    The ideal law is the mixture of the Hamilton (1989) filter that knows the parameters.

    >>> make_regime_switch(10, random_state=0).shape
    (10,)
    """
    if kind not in ("mean", "variance"):
        raise ValueError(
            f"The 'kind' parameter of make_regime_switch must be 'mean' or 'variance'. Got {kind!r} instead."
        )
    rng = _source(n, random_state)
    state = np.cumsum(rng.random_sample(n) > stay) % 2
    means = np.array([-contrast / 2, contrast / 2]) if kind == "mean" else np.zeros(2)
    scales = np.ones(2) if kind == "mean" else np.array([1.0, contrast])
    y = means[state] + scales[state] * rng.standard_normal(n)
    if not return_ideal:
        return y
    prior, priors = np.array([stay, 1 - stay]), np.empty((n - 1, 2))
    for t in range(n - 1):
        posterior = prior * np.exp(-0.5 * ((y[t] - means) / scales) ** 2) / scales
        posterior /= posterior.sum()
        prior = stay * posterior + (1 - stay) * posterior[::-1]
        priors[t] = prior
    wide = np.broadcast_to(means, priors.shape), np.broadcast_to(scales, priors.shape)
    return y, lambda levels: _mixture_quantiles(priors, *wide, levels)
