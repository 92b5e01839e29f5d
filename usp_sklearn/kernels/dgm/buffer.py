"""A sorted window of residuals: insertion by shifting, weighted quantiles by a cumulative sum, no sort per step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..law import LEVELS, NORMAL, cell_weights

PRIOR_WEIGHT = 20.0
"""A fresh buffer counts as this many observations of the standard normal law."""


_CELLS = cell_weights()
_NOISE: np.ndarray = LEVELS * (1 - LEVELS) * 2 * np.pi * np.exp(NORMAL**2)
"""Sampling variance (25,) of a quantile, times the number of observations: u(1 − u)/φ²."""


FAR = 1e6
"""Mark of the prior's entries: near nothing."""


class Buffer(NamedTuple):
    """Values (n,) ascending, a mark and a time (n,) for each, and the clock (). Times below zero are the prior's."""

    value: Array
    mark: Array
    time: Array
    clock: Array


def empty(size: int, dtype: Any = None) -> Buffer:
    """A buffer holding the standard normal law's quantiles; ``size`` must be a square of an integer (see `_cumsum`).

    >>> q = quantiles(empty(256), jnp.ones(256))
    >>> abs(float(q[12])) < 1e-6, 1.5 < float(q[21]) < 1.8
    (True, True)
    """
    dtype = dtype or jnp.result_type(float)
    value = jax.scipy.special.ndtri((jnp.arange(size, dtype=dtype) + 0.5) / size)
    # the order in which the prior's entries leave is spread over the whole range: a stride coprime to the size
    order = (np.arange(size) * (int(size * 0.618) | 1)) % size
    return Buffer(value, jnp.full((size,), FAR, dtype), jnp.asarray(order - size, dtype), jnp.zeros((), dtype))


def push(buffer: Buffer, value: Array, mark: Array | float = 0.0) -> Buffer:
    """Drop the oldest entry and insert ``value`` where it belongs: two shifts of the arrays."""
    n = buffer.value.shape[0]
    index = jnp.arange(n)
    # times are consecutive, so the oldest is known; a masked sum vectorises where argmin does not
    gone = jnp.where(buffer.time == buffer.clock - n, index, 0).sum()
    kept_below = (buffer.value < value).sum() - (buffer.value[gone] < value)

    def shift(a: Array, new: Array | float) -> Array:
        left = jnp.concatenate([a[1:], a[-1:]])
        right = jnp.concatenate([a[:1], a[:-1]])
        moved = jnp.where(
            (index >= gone) & (index < kept_below), left, jnp.where((index > kept_below) & (index <= gone), right, a)
        )
        return jnp.where(index == kept_below, jnp.asarray(new, a.dtype), moved)

    return Buffer(
        shift(buffer.value, value), shift(buffer.mark, mark), shift(buffer.time, buffer.clock), buffer.clock + 1
    )


def recency(buffer: Buffer, half_life: float) -> Array:
    """Weights (n,): one for the newest, half after ``half_life`` pushes, and the prior's small share."""
    age = buffer.clock - buffer.time
    return jnp.where(buffer.time < 0, PRIOR_WEIGHT / buffer.value.shape[0], jnp.exp2(-age / half_life))


def quantiles(buffer: Buffer, weights: Array) -> Array:
    """Weighted quantiles (25,) at the law's levels, linear between the mid-ranks of the entries."""
    total = _cumsum(weights)
    rank = (total - 0.5 * weights) / total[-1]
    levels = jnp.asarray(LEVELS, buffer.value.dtype)
    # the rank ascends: find the block of √n entries first, then the place in it
    side = round(rank.shape[0] ** 0.5)
    blocks = rank.reshape(side, side)
    block = jnp.minimum((blocks[:, -1] < levels[:, None]).sum(-1), side - 1)
    right = jnp.clip(side * block + (blocks[block] < levels[:, None]).sum(-1), 1, rank.shape[0] - 1)
    low, high = rank[right - 1], rank[right]
    part = jnp.clip((levels - low) / jnp.maximum(high - low, 1e-300), 0.0, 1.0)
    return buffer.value[right - 1] * (1 - part) + buffer.value[right] * part


def shrunk(buffer: Buffer, weights: Array, base: Array | np.ndarray) -> Array:
    """Weighted quantiles (25,) drawn towards ``base`` (25,) by as much as sampling noise explains their distance.

    The factor is James and Stein's positive part, (1 − noise/distance²)₊, with Kish's effective number of observations.
    """
    local = quantiles(buffer, weights)
    n = weights.sum() ** 2 / (weights * weights).sum()
    distance = local - base
    noise = (_CELLS * _NOISE).sum() / n
    ratio = noise / jnp.maximum((jnp.asarray(_CELLS, local.dtype) * distance**2).sum(), 1e-12)
    return jnp.asarray(base) + jnp.clip(1 - ratio, 0.0, 1.0) * distance


def _cumsum(a: Array) -> Array:
    """Cumulative sum of (n,), n a square: two triangular products, much faster than a scan on one core."""
    side = round(a.shape[0] ** 0.5)
    upper = np.triu(np.ones((side, side)))
    rows = a.reshape(side, side) @ jnp.asarray(upper, a.dtype)
    before = rows[:, -1] @ jnp.asarray(upper - np.eye(side), a.dtype)
    return (rows + before[:, None]).reshape(-1)
