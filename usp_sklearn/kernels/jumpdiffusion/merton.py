"""Parameters of the jump diffusion of standardised residuals, by discounted online EM.

Over one unit of time z = m + σ₀ε + Σ_{k ≤ n} J_k with n ~ Poisson(λ) and J ~ N(μ, s²) (Merton 1976): a mixture
over n. Every step averages the expected sufficient statistics of the newest z and reads the parameters off
them (Cappé & Moulines 2009).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

MAX_JUMPS = 4
RATE = 0.0015
LIMIT = 30.0
"""Residuals count as at most this many σ_t."""


class Jumps(NamedTuple):
    """Each (): mean and variance of the diffusive part, intensity, mean and variance of a jump; unit: σ_t."""

    drift: Array
    variance: Array
    intensity: Array
    mean: Array
    spread: Array


class Statistics(NamedTuple):
    """Running averages of E[n], E[d], E[d²], E[Σ J], E[Σ J²]; d is the diffusive part."""

    n: Array
    d: Array
    d2: Array
    j: Array
    j2: Array


def start(dtype: jnp.dtype) -> Statistics:
    """Statistics of a mild jump diffusion: one jump of two σ in twenty steps."""
    return Statistics(*(jnp.asarray(v, dtype) for v in (0.05, 0.0, 0.8, 0.0, 0.2)))


def parameters(stats: Statistics) -> Jumps:
    """The maximising parameters, kept where the density solver can hold them.

    >>> round(float(parameters(start(jnp.float32)).spread), 4)
    4.0
    """
    variance = jnp.maximum(stats.d2 - stats.d**2, 1e-6)
    intensity = jnp.clip(stats.n, 1e-3, 2.0)
    n = jnp.maximum(stats.n, 1e-6)
    mean = jnp.clip(stats.j / n, -LIMIT, LIMIT)
    spread = jnp.clip(stats.j2 / n - mean**2, 0.05 * variance, LIMIT**2)
    return Jumps(stats.d, variance, intensity, mean, spread)


def expected(z: Array, at: Jumps) -> tuple[Statistics, Array]:
    """Expected statistics of one residual under parameters ``at``, and its log likelihood."""
    n = jnp.arange(MAX_JUMPS + 1, dtype=z.dtype)
    log_prior = n * jnp.log(at.intensity) - at.intensity - jax.lax.lgamma(n + 1)
    total = at.variance + n * at.spread
    error = z - at.drift - n * at.mean
    log_joint = log_prior - 0.5 * jnp.log(2 * jnp.pi * total) - error**2 / (2 * total)
    evidence = jax.nn.logsumexp(log_joint)
    r = jnp.exp(log_joint - evidence)
    d = at.drift + at.variance / total * error
    d2 = d**2 + at.variance * (1 - at.variance / total)
    j = at.mean + at.spread / total * error
    j2 = j**2 + at.spread * (1 - at.spread / total)
    return Statistics((r * n).sum(), (r * d).sum(), (r * d2).sum(), (r * n * j).sum(), (r * n * j2).sum()), evidence


def update(stats: Statistics, z: Array, count: Array) -> Statistics:
    """One residual; the step size falls from 1/30 to ``RATE``."""
    new, _ = expected(jnp.clip(z, -LIMIT, LIMIT), parameters(stats))
    rate = jnp.maximum(1 / (count + 30), RATE)
    return jax.tree.map(lambda old, x: old + rate * (x - old), stats, new)
