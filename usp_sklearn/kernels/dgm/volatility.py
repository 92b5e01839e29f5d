"""Local volatility of the generalised residuals: a small log-linear head over moving averages of |z|.

    log v = log m₀ + w·F,   F_i = log(m_i/m₀),   m_i moving averages of |z| at rates .3, .1, .03; m₀ at rate .005

w follows a natural-gradient recursion on the bounded score of log v. A diffusion of the level has v = 1 throughout;
the head is there for series whose volatility also moves on its own.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from .field import recurse, scale_score

RATES: np.ndarray = np.array([0.3, 0.1, 0.03, 0.005])
MEAN_ABS = float(np.sqrt(2 / np.pi))
Z_CAP = 8.0
FORGET = 0.9995


class Volatility(NamedTuple):
    """Moving averages (4,) of |z|, head weights (3,), their covariance (3, 3)."""

    mean: Array
    head: Array
    cov: Array


def calm(dtype: object) -> Volatility:
    """The state in which v = 1."""
    return Volatility(jnp.full((4,), MEAN_ABS, dtype), jnp.full((3,), 0.1, dtype), jnp.eye(3, dtype=dtype) * 0.03)


def _features(mean: Array) -> Array:
    return jnp.clip(jnp.log(mean[:-1] / mean[-1]), -2.0, 2.0)


def level(state: Volatility, then: Array | None = None) -> Array:
    """v () for the next residual; from the averages ``then`` (4,) for one of an older law."""
    mean = state.mean if then is None else then
    return mean[-1] / MEAN_ABS * jnp.exp(jnp.clip(_features(mean) @ state.head, -2.0, 2.0))


def follow(state: Volatility, z: Array, then: Array | None = None) -> Volatility:
    """Learn from the residual ``z`` () that was met while :func:`level` was in force."""
    v = level(state, then)
    x = _features(state.mean if then is None else then)
    head, cov = recurse(state.head, state.cov, x, scale_score(z / v, 4.0), 0.5, FORGET)
    size = jnp.minimum(jnp.abs(z), Z_CAP * jnp.maximum(v, state.mean[-1]))
    mean = jnp.maximum(state.mean + jnp.asarray(RATES, z.dtype) * (size - state.mean), 1e-6)
    return Volatility(mean, head, cov)
