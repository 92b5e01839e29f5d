"""How the outcomes of one row at different horizons hang together: a Gaussian copula, learned online.

Marginal laws say nothing about paths. Every outcome's probability integral transform under the law that was stored for
it gives a normal score; rows whose outcomes are all in teach the correlation of scores between horizons,

    z_h = Φ⁻¹(F_h(y_{t+h})),   R ← R + (z z' − R)/min(n + n₀, N),

which starts as a random walk's, corr(z_h, z_k) = √(min(h, k)/max(h, k)), worth n₀ rows. A path is y_h = F_h⁻¹(Φ(z_h)),
z ~ N(0, R): its marginals are the laws themselves (Sklar 1959; Pinson et al. 2009, who forecast wind power so).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtri

PRIOR = 50.0
"""Rows the random walk's correlation is worth."""
MEMORY = 2000.0
REACH = 4.0
"""Normal scores are clipped here: one outcome far out must not decide a correlation."""


class Copula(NamedTuple):
    """Scores of rows whose outcomes are coming in (Q, H), a ring; correlation of scores (H, H); rows learned."""

    scores: Array
    correlation: Array
    count: Array


def init(n_horizons: int, queue: int, dtype: jnp.dtype | None = None) -> Copula:
    """The random walk's correlation."""
    h = np.arange(1, n_horizons + 1)
    start = np.sqrt(np.minimum.outer(h, h) / np.maximum.outer(h, h))
    zero = jnp.zeros((), dtype)
    return Copula(jnp.zeros((queue, n_horizons), dtype), jnp.asarray(start, dtype), zero)


def learn(state: Copula, u: Array, rows: Array) -> Copula:
    """Horizon h's outcome of row ``rows[h]`` had the probability transform ``u[h]``; the last row is complete now."""
    queue, n = state.scores.shape
    z = jnp.clip(ndtri(jnp.clip(u, 1e-12, 1 - 1e-12)), -REACH, REACH)
    scores = state.scores.at[rows % queue, jnp.arange(n)].set(z)
    whole = scores[rows[-1] % queue]
    count = state.count + 1
    rate = 1 / jnp.minimum(count + PRIOR, MEMORY)
    return Copula(scores, state.correlation + rate * (jnp.outer(whole, whole) - state.correlation), count)


def draw(correlation: np.ndarray, n: int, rng: np.random.RandomState) -> np.ndarray:
    """``n`` joint uniforms (n, H) with the copula of ``correlation`` (H, H), whose diagonal need not be one yet.

    >>> u = draw(np.eye(2), 1000, np.random.RandomState(0))
    >>> bool(abs(np.corrcoef(u.T)[0, 1]) < 0.1 and 0 < u.min() and u.max() < 1)
    True
    """
    size = np.sqrt(np.diag(correlation))
    whole = correlation / np.outer(size, size)
    values, vectors = np.linalg.eigh(whole)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    z = rng.standard_normal((n, len(whole))) @ root.T
    return np.asarray(jax.scipy.special.ndtr(z)).clip(1e-12, 1 - 1e-12)
