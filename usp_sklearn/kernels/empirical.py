"""Recency-weighted empirical law of a stream, held as a sorted buffer.

Each new value replaces the oldest by one shift, so there is no sort and the cost per step is constant.
Quantiles interpolate the weighted distribution at mid-weights (Hyndman & Fan 1996, type 5).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax import Array

from .law import LEVELS

SIZE = 1000
HALF_LIFE = 1000.0
PRIOR_WEIGHT = 30.0
"""Observations the starting law is worth."""


class Empirical(NamedTuple):
    """Sorted values (N,) and their weights (N,); the smallest weight marks the oldest value."""

    value: Array
    weight: Array


def init(size: int = SIZE, dtype: jnp.dtype | None = None) -> Empirical:
    """Buffer that starts as Student's t with four degrees of freedom and unit mean absolute value."""
    law = scipy.stats.t(4)
    value = law.ppf((np.arange(size) + 0.5) / size)
    value /= np.abs(value).mean()
    return Empirical(jnp.asarray(value, dtype), jnp.full(size, PRIOR_WEIGHT / size, dtype))


def update(state: Empirical, value: Array, half_life: Array | float = HALF_LIFE) -> Empirical:
    """Insert ``value`` with weight one, decay the others, drop the oldest."""
    index = jnp.arange(state.value.shape[0])
    weight = state.weight * jnp.exp2(-1.0 / jnp.asarray(half_life, state.weight.dtype))
    out = jnp.argmin(weight)
    place = jnp.sum(state.value < value)
    slot = jnp.where(place <= out, place, place - 1)
    from_left = (index > slot) & (index <= out)
    from_right = (index >= out) & (index < slot)

    def shift(x: Array, new: Array) -> Array:
        left = jnp.concatenate([x[:1], x[:-1]])
        right = jnp.concatenate([x[1:], x[-1:]])
        return jnp.where(index == slot, new, jnp.where(from_left, left, jnp.where(from_right, right, x)))

    return Empirical(shift(state.value, value), shift(weight, jnp.ones_like(value)))


def quantiles(state: Empirical, tilt: Array | float = 1.0) -> Array:
    """Quantiles (K,) at :data:`LEVELS`; ``tilt`` (N,) multiplies the weights (a kernel, say)."""
    weight = state.weight * tilt
    # Eight-fold blocks: a short cumulative sum over blocks and one inside each costs far less than a long one.
    blocks = weight.reshape(-1, 8)
    inside = jnp.cumsum(blocks, axis=1)
    total = jnp.cumsum(inside[:, -1])
    cumulative = (inside + (total - inside[:, -1])[:, None]).reshape(-1)
    middle = (cumulative - weight / 2) / jnp.maximum(total[-1], 1e-300)
    return jnp.interp(jnp.asarray(LEVELS, weight.dtype), middle, state.value)
