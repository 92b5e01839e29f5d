"""Short memory of the generalised residuals: what recent increments and slow gaps still tell once the level has spoken.

    z_t = β·f_t + v_t·ε_t,   β by recursive least squares with bounded influence and a strong prior at zero

For a diffusion of the level β = 0 and nothing is lost; for a series with more memory than its level the law moves by
β·f before V is inverted.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from ..contract import Row
from .field import location_score, recurse

N_LAGS = 8
N_GAPS = 4
RIDGE = 60.0
FORGET = 0.9998


class Memory(NamedTuple):
    """Weights β (p,) and their covariance (p, p)."""

    weights: Array
    cov: Array


def inputs(row: Row) -> Array:
    """f (p,): recent increments and gaps to slow averages over the row's scale, clipped."""
    return jnp.concatenate(
        [jnp.clip(row.increments[..., :N_LAGS], -8, 8), jnp.clip(row.gaps[..., :N_GAPS], -30, 30)], -1
    )


def prior_variance(n_lags: int, n_gaps: int) -> np.ndarray:
    """Prior variances (p,) of the weights, times the ridge: older lags, and the gaps, start more firmly at zero."""
    lags = np.arange(1, min(n_lags, N_LAGS) + 1)
    return 1.0 / np.concatenate([lags, np.full(min(n_gaps, N_GAPS), 2)]) ** 2


def blank(prior: np.ndarray, dtype: object) -> Memory:
    """No memory: β = 0, with the variances of :func:`prior_variance`."""
    return Memory(jnp.zeros(prior.shape, dtype), jnp.diag(jnp.asarray(prior / RIDGE, dtype)))


def follow(state: Memory, f: Array, u: Array, v: Array) -> Memory:
    """Learn from the standardised remainder u = (z − β·f)/v."""
    return Memory(*recurse(state.weights, state.cov, f / v, location_score(u), 1.0, FORGET))
