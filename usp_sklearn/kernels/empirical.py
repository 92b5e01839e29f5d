"""Recency-weighted empirical law of a stream, at constant cost per step and without sorting.

Values wait in a block of ``BLOCK``; a full block is merged into the sorted buffer at once, in place of the
``BLOCK`` oldest values: every survivor's new place is its old one, less the dropped before it, plus the
new ones below it. Quantiles interpolate the weighted distribution at mid-weights (Hyndman & Fan 1996,
type 5) with weights 2^(−age/half-life).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax import Array

from .law import LEVELS

BLOCK = 16
SIDE = 32
SIZE = SIDE * SIDE
HALF_LIFE = 1000.0
PRIOR_WEIGHT = 30.0
"""Observations the starting law is worth."""


class Empirical(NamedTuple):
    """Sorted values (N,), the step each came at (N,; negative for the starting law), the waiting block."""

    value: Array
    stamp: Array
    block: Array


def init(dtype: jnp.dtype | None = None) -> Empirical:
    """Buffer that starts as Student's t with four degrees of freedom and unit mean absolute value."""
    law = scipy.stats.t(4)
    value = law.ppf((np.arange(SIZE) + 0.5) / SIZE)
    value /= np.abs(value).mean()
    # Scattered ages, so that the starting law keeps its shape while it is being replaced.
    stamp = np.random.default_rng(0).permutation(SIZE) - SIZE
    return Empirical(jnp.asarray(value, dtype), jnp.asarray(stamp, jnp.int32), jnp.zeros(BLOCK, dtype))


def due(steps: Array) -> Array:
    """Whether the value pushed at this step (0, 1, …) completes a block and :func:`merge` must follow."""
    return steps % BLOCK == BLOCK - 1


def push(state: Empirical, value: Array, steps: Array) -> Empirical:
    """Put the value of step ``steps`` into the waiting block."""
    return state._replace(block=state.block.at[steps % BLOCK].set(value))


def merge(state: Empirical, steps: Array) -> Empirical:
    """Merge the block that ended at ``steps`` into the sorted buffer."""
    order = jnp.argsort(state.block)
    fresh, fresh_stamp = state.block[order], steps - (BLOCK - 1) + order.astype(jnp.int32)
    # Stamps are consecutive, so those older than the buffer's length after the merge are exactly BLOCK.
    dropped = state.stamp <= steps - SIZE
    before = _running(dropped.astype(state.value.dtype)).astype(jnp.int32)
    below = (fresh[None, :] < state.value[:, None]).sum(1)
    place = jnp.where(dropped, SIZE, jnp.arange(SIZE) - before + below)
    kept = jnp.where(dropped, jnp.inf, state.value)
    slot = jnp.arange(BLOCK) + (kept[None, :] <= fresh[:, None]).sum(1)
    value = state.value.at[place].set(state.value, mode="drop").at[slot].set(fresh)
    stamp = state.stamp.at[place].set(state.stamp, mode="drop").at[slot].set(fresh_stamp)
    return Empirical(value, stamp, state.block)


def quantiles(state: Empirical, steps: Array, tilt: Array | None = None) -> Array:
    """Quantiles (K,) at :data:`LEVELS` after step ``steps``; ``tilt`` (N,) multiplies the weights (a kernel, say)."""
    dtype = state.value.dtype
    age = (steps - state.stamp).astype(dtype)
    weight = jnp.where(state.stamp < 0, PRIOR_WEIGHT / SIZE, 1.0) * jnp.exp2(-age / HALF_LIFE)
    weight = weight if tilt is None else weight * tilt
    # Two levels of SIDE instead of one long cumulative sum and search.
    blocks = weight.reshape(SIDE, SIDE)
    lower = jnp.asarray(np.tril(np.ones((SIDE, SIDE))), dtype)
    totals = blocks.sum(1)
    ends = lower @ totals
    target = jnp.asarray(LEVELS, dtype) * ends[-1]
    block = jnp.minimum((ends[None, :] <= target[:, None]).sum(1), SIDE - 1)
    start = (ends - totals)[block]
    inside = blocks[block]
    below = start[:, None] + inside @ lower.T - inside / 2 <= target[:, None]
    count = below.sum(1)
    reached = start + (inside * below).sum(1)
    right = jnp.minimum(block * SIDE + count, SIZE - 1)
    left = jnp.maximum(block * SIDE + count - 1, 0)
    low, high = reached - weight[left] / 2, reached + weight[right] / 2
    part = jnp.clip((target - low) / jnp.maximum(high - low, 1e-300), 0, 1)
    return state.value[left] * (1 - part) + state.value[right] * part


def _running(x: Array) -> Array:
    """Cumulative sum of (N,) in two levels."""
    lower = jnp.asarray(np.tril(np.ones((SIDE, SIDE))), x.dtype)
    inside = x.reshape(SIDE, SIDE) @ lower.T
    total = inside[:, -1]
    return (inside + (lower @ total - total)[:, None]).reshape(-1)
