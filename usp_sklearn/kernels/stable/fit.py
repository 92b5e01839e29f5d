"""Estimation of S0(α, β, γ, δ) from a sample: quantiles, then characteristic function, then likelihood.

1. McCulloch's quantile ratios give a start that no outlier can spoil.
2. One pass of Koutrouvelis' regressions on the empirical characteristic function φ̂ of the standardised sample:
       ln(−ln|φ̂(t)|) = α ln t + α ln γ,      arg φ̂(t) = δ t + β T (t^α − t),     T (t^α − t) continuous at α = 1.
3. Fisher scoring with the outer product of scores and Levenberg's damping. log f and its derivatives are evaluated
   on a grid of knots over the sample and interpolated, so that a step costs the same for any sample size.

The standard errors are the square roots of the diagonal of the inverse information at the estimate.
References: McCulloch (1986); Koutrouvelis (1980); Nolan (2001), Maximum likelihood estimation of stable parameters.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..law import LEVELS
from .density import tails_and_pdf
from .sampler import _tangent
from .table import fit_quantiles

ALPHA_RANGE = (0.6, 2.0)
_KNOTS = 768
_STEPS = 40
_TOLERANCE = 1e-6
"""Scoring stops when a step moves no parameter by more than this (in units of itself or of γ)."""


class StableFit(NamedTuple):
    """Parameters in S0, each (); ``errors`` (4,) of α, β, γ, δ, NaN for one at its bound and for β at α = 2."""

    alpha: Array
    beta: Array
    scale: Array
    loc: Array
    errors: Array
    loglik: Array
    """log-likelihood of the sample at the estimate"""
    iterations: Array
    converged: Array


def sample_quantiles(x: Array, mask: Array) -> Array:
    """Quantiles (K,) at LEVELS of the entries of ``x`` (n,) where ``mask`` is true (at least one)."""
    ordered = jnp.sort(jnp.where(mask, x, jnp.inf))
    position = jnp.asarray(LEVELS, x.dtype) * (mask.sum() - 1)
    low = jnp.floor(position).astype(jnp.int32)
    high = jnp.minimum(low + 1, jnp.maximum(mask.sum() - 1, 0))
    part = position - low
    return ordered[low] * (1 - part) + ordered[high] * part


def _line(design: Array, y: Array) -> Array:
    """Least squares coefficients (2,) of ``y`` (m,) on two columns (m, 2), by the normal equations."""
    a, b = design.T @ design, design.T @ y
    det = a[0, 0] * a[1, 1] - a[0, 1] ** 2
    return jnp.stack([a[1, 1] * b[0] - a[0, 1] * b[1], a[0, 0] * b[1] - a[0, 1] * b[0]]) / det


def characteristic_step(x: Array, mask: Array, alpha: Array, beta: Array, scale: Array, loc: Array) -> tuple:
    """One pass of Koutrouvelis' two regressions around a first estimate; returns the four parameters."""
    z = (x - loc) / scale
    t = jnp.linspace(0.1, 1.0, 10, dtype=x.dtype)
    count = mask.sum()
    weight = mask.astype(x.dtype) / count
    real, imag = jnp.cos(t[:, None] * z) @ weight, jnp.sin(t[:, None] * z) @ weight
    modulus = jnp.clip(real * real + imag * imag, 1e-12, 1 - 1e-9)
    level, alpha = _line(jnp.stack([jnp.ones_like(t), jnp.log(t)], 1), jnp.log(-0.5 * jnp.log(modulus)))
    alpha = jnp.clip(alpha, *ALPHA_RANGE)
    gamma = jnp.exp(jnp.clip(level / alpha, -1.0, 1.0))
    s, a = gamma * t, alpha - 1
    growth = jnp.expm1(a * jnp.log(s))
    bend = s * _tangent(alpha) * jnp.where(jnp.abs(a) < 1e-8, jnp.log(s), growth / jnp.where(a == 0, 1.0, a))
    flat = jnp.abs(_tangent(alpha)) < 0.05  # β leaves no trace near α = 2: keep the quantiles' β there
    design = jnp.stack([t, jnp.where(flat, jnp.ones_like(t), bend)], 1)
    shift, skew = _line(design, jnp.arctan2(imag, real))
    beta = jnp.where(flat, beta, jnp.clip(skew, -1.0, 1.0))
    return alpha, beta, scale * gamma, loc + jnp.where(flat, 0.0, scale * jnp.clip(shift, -1.0, 1.0))


def _scores(theta: Array, x: Array, mask: Array) -> tuple[Array, Array]:
    """Log-likelihood and the scores (n, 4) in (α, β, ln γ, δ/γ) at ``theta`` = (α, β, ln γ, δ)."""
    alpha, beta, log_scale, loc = theta
    z = jnp.where(mask, (x - loc) * jnp.exp(-log_scale), 0.0)
    y = jnp.arcsinh(z)
    knots = jnp.linspace(y.min() - 1e-3, y.max() + 1e-3, _KNOTS, dtype=x.dtype)
    tiny = 1e-30

    def log_pdf(v: Array, p: Array, b: Array) -> Array:
        return jnp.log(jnp.maximum(tails_and_pdf(v, p, b)[2], tiny))

    points = jnp.sinh(knots)
    one, zero = jnp.ones_like(points), jnp.zeros_like(points)
    at = (points, alpha * one, beta * one)
    value, push = jax.linearize(log_pdf, *at)
    dz, da, db = jax.vmap(push)(*(jnp.stack(v) for v in ((one, zero, zero), (zero, one, zero), (zero, zero, one))))
    table = jnp.stack([value, da, db, -1 - points * dz, -dz])
    width = knots[1] - knots[0]
    left = jnp.clip(jnp.floor((y - knots[0]) / width).astype(jnp.int32), 0, _KNOTS - 2)
    part = (y - knots[0]) / width - left
    values = table[:, left] * (1 - part) + table[:, left + 1] * part
    values = jnp.where(mask, values, 0.0)
    return values[0].sum() - mask.sum() * log_scale, values[1:].T


def _pinned(theta: Array, score: Array) -> Array:
    """(4,) true for a parameter at its bound whose likelihood still rises outward."""
    low = jnp.array([ALPHA_RANGE[0], -1.0, -jnp.inf, -jnp.inf])
    high = jnp.array([ALPHA_RANGE[1], 1.0, jnp.inf, jnp.inf])
    return ((theta <= low) & (score <= 0)) | ((theta >= high) & (score >= 0))


def _information(theta: Array, scores: Array) -> tuple[Array, Array, Array]:
    """Total score (4,), information (4, 4) with pinned directions taken out, and which they are."""
    score = scores.sum(0)
    pinned = _pinned(theta, score)
    keep = ~pinned
    info = jnp.where(keep[:, None] & keep, scores.T @ scores, 0.0)
    floor = 1e-9 * jnp.maximum(jnp.max(jnp.diag(info)), 1e-9)
    return jnp.where(keep, score, 0.0), info + jnp.diag(jnp.where(pinned, 1.0, floor)), pinned


def _ascend(theta: Array, x: Array, mask: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Damped Fisher scoring from ``theta``; returns it with likelihood, scores, iterations and convergence."""

    def step(carry: tuple) -> tuple:
        n, theta, loglik, scores, damping, _ = carry
        score, info, _ = _information(theta, scores)
        move = jnp.linalg.solve(info + damping * jnp.diag(jnp.diag(info)), score)
        move = move / jnp.maximum(1.0, jnp.max(jnp.abs(move) / jnp.array([0.3, 0.7, 0.7, 1.0])))
        trial = theta + move * jnp.array([1.0, 1.0, 1.0, 0.0])
        trial = trial.at[3].add(move[3] * jnp.exp(theta[2]))
        trial = trial.at[0].set(jnp.clip(trial[0], *ALPHA_RANGE)).at[1].set(jnp.clip(trial[1], -1.0, 1.0))
        new_loglik, new_scores = _scores(trial, x, mask)
        better = new_loglik > loglik
        small = jnp.max(jnp.abs(move)) < _TOLERANCE
        theta = jnp.where(better, trial, theta)
        scores = jnp.where(better, new_scores, scores)
        damping = jnp.where(better, damping * 0.2, jnp.maximum(damping, 1e-4) * 8)
        return n + 1, theta, jnp.where(better, new_loglik, loglik), scores, damping, small | (damping > 1e8)

    loglik, scores = _scores(theta, x, mask)
    start = (0, theta, loglik, scores, jnp.asarray(1e-3, x.dtype), jnp.asarray(False))
    n, theta, loglik, scores, _, done = jax.lax.while_loop(lambda c: (c[0] < _STEPS) & ~c[5], step, start)
    return theta, loglik, scores, jnp.asarray(n), done


@jax.jit
def _characteristic(x: Array, mask: Array) -> tuple:
    alpha, beta, scale, loc = fit_quantiles(sample_quantiles(x, mask))
    return characteristic_step(x, mask, alpha, beta, jnp.where(scale > 0, scale, 1.0), loc)


@jax.jit
def _fit(x: Array, mask: Array) -> StableFit:
    alpha, beta, scale, loc = _characteristic(x, mask)
    theta = jnp.stack([jnp.minimum(alpha, 1.99), 0.98 * beta, jnp.log(scale), loc])
    theta, loglik, scores, n, done = _ascend(theta, x, mask)
    _, info, pinned = _information(theta, scores)
    scale = jnp.exp(theta[2])
    spread = jnp.sqrt(jnp.diag(jnp.linalg.inv(info))) * jnp.stack([1.0, 1.0, scale, scale])
    normal = theta[0] >= ALPHA_RANGE[1]  # β has no meaning there
    errors = jnp.where(pinned | (normal & (jnp.arange(4) == 1)), jnp.nan, spread)
    return StableFit(theta[0], jnp.where(normal, 0.0, theta[1]), scale, theta[3], errors, loglik, n, done)


def _sample(x: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array]:
    x = jnp.asarray(x, jnp.result_type(float, x)).ravel()
    return x, jnp.ones(x.shape, bool) if mask is None else jnp.asarray(mask, bool).ravel()


def fit_characteristic(x: ArrayLike, mask: ArrayLike | None = None) -> tuple[Array, Array, Array, Array]:
    """α, β, γ, δ in S0, each (), of a sample ``x`` (n,) by stages 1 and 2 alone: no iteration, no likelihood.

    >>> from usp_sklearn.kernels.stable import sample
    >>> alpha, beta, scale, loc = fit_characteristic(sample(jax.random.key(0), 1.6, 0.3, (4000,)))
    >>> bool(abs(alpha - 1.6) < 0.1), bool(abs(scale - 1) < 0.1)
    (True, True)
    """
    return _characteristic(*_sample(x, mask))


def fit(x: ArrayLike, mask: ArrayLike | None = None) -> StableFit:
    """Maximum likelihood S0 parameters of a sample ``x`` (n,), in its units; α in [0.6, 2], with standard errors.

    ``mask`` (n,) marks the real entries of a padded sample. Compiled once per length n.

    >>> from usp_sklearn.kernels.stable import sample
    >>> got = fit(10 + 3 * sample(jax.random.key(0), 1.6, 0.3, (4000,)))
    >>> bool(got.converged), bool(abs(got.alpha - 1.6) < 3 * got.errors[0]), bool(abs(got.loc - 10) < 0.5)
    (True, True, True)
    """
    return _fit(*_sample(x, mask))
