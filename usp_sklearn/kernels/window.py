"""Coordinates: a raw row of X becomes a :class:`Row` in units that make every model scale- and shift-free.

A raw row is ``[exogenous… | level context… | window]``, the window oldest value first. Windows shorter
than their bucket are padded on the left with their oldest value, so padding only adds zero increments.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from .contract import Row

LOCAL_RATE = 0.06
AVERAGES = (0.3, 0.1, 0.03)
VOLATILITY_RATES = (0.5, 0.2, 0.08, 0.03)
MEMORY = 2000.0
"""Observations after which the long-run mean |Δy| starts to forget."""


class Raw(NamedTuple):
    """Columns of one row in series units, padded to their buckets; ``width`` counts the real window values."""

    exog: Array
    level: Array
    window: Array
    width: Array
    experts: Array | None = None
    """(E, K) quantiles that others forecast for the row's outcome, if there are others; NaN where one is silent"""


class Local(NamedTuple):
    """What a row says by itself, in series units; computed for many rows at once, before any recursion."""

    last: Array
    increments: Array
    gaps: Array
    exog: Array
    local: Array
    volatility: Array


class Statistics(NamedTuple):
    """Series-level statistics a model learned: long-run mean |Δy|, mean |y_{t+h} − y_t| over it at the start, h,
    running range, exogenous location and scale."""

    roughness: Array
    reach: Array
    ahead: Array
    count: Array
    low: Array
    high: Array
    exog_mean: Array
    exog_scale: Array


def _decay(rates: tuple[float, ...], n: int, dtype: jnp.dtype) -> Array:
    return jnp.asarray((1 - np.array(rates))[:, None] ** np.arange(n), dtype)


def _average(rates: tuple[float, ...], values: Array, real: Array) -> Array:
    """Exponential averages of ``values`` (n,), newest first, over the entries that ``real`` marks."""
    weight = _decay(rates, values.shape[0], values.dtype) * real
    return (weight @ values) / jnp.maximum(weight.sum(1), 1e-300)


def localise(raw: Raw) -> Local:
    """Row-only features: increments and averages of the window and of the context, in series units."""
    window = raw.window
    newest_first = window[::-1]
    last = newest_first[0]
    increments = newest_first[:-1] - newest_first[1:]
    index = jnp.arange(window.shape[0])
    real = (index < raw.width).astype(window.dtype)
    size = jnp.abs(increments)
    averages = _average(AVERAGES, newest_first - last, real)
    rough = _average((LOCAL_RATE, *VOLATILITY_RATES), size, real[1:])
    gaps = jnp.concatenate([averages, raw.level - last])
    return Local(last, increments, gaps, raw.exog, rough[0], rough[1:])


def standardise(local: Local, stats: Statistics, signature: Array) -> Row:
    """Row in model units. The unit blends local and long-run mean |Δy| (.8 and .2), so it never vanishes."""
    scale = 0.8 * local.local + 0.2 * stats.roughness
    # A series that never moved has no unit of its own; any finite one gives a finite, narrow law.
    scale = jnp.where(scale > 0, scale, 1e-9 * (1.0 + jnp.abs(local.last)))
    exog = jnp.clip((local.exog - stats.exog_mean) / stats.exog_scale, -20, 20)
    volatility = jnp.log(jnp.maximum(local.volatility / scale, 1e-3))
    gaps = local.gaps / scale
    return Row(local.last, scale, local.increments / scale, gaps, exog, signature, volatility, stats.reach, stats.ahead)


def measure(raw: Raw, target: Array, mask: Array, ahead: Array | int = 1) -> Statistics:
    """Statistics of training rows (leading axis n; ``mask`` marks the real ones), outcomes ``ahead`` steps away."""
    real = mask.astype(raw.window.dtype)
    count = jnp.maximum(real.sum(), 1.0)
    last = raw.window[:, -1]
    size = jnp.abs(last - raw.window[:, -2]) * real
    # One window per row overlaps the next, so its newest increment is enough; the first row brings the rest.
    rough = size.sum() / count
    mean = (raw.exog * real[:, None]).sum(0) / count
    spread = jnp.sqrt(((raw.exog - mean) ** 2 * real[:, None]).sum(0) / count)
    values = jnp.where(mask[:, None], raw.window, last[0])
    low, high = values.min(), values.max()
    low = jnp.minimum(low, jnp.where(mask, target, low).min())
    high = jnp.maximum(high, jnp.where(mask, target, high).max())
    moved = (jnp.abs(target - last) * real).sum() / count
    reach = jnp.clip(jnp.where(rough > 0, moved / jnp.where(rough > 0, rough, 1.0), 1.0), 0.1, 1e3)
    steps = jnp.asarray(ahead, rough.dtype)
    return Statistics(
        rough, reach, steps, jnp.minimum(count, MEMORY), low, high, mean, jnp.where(spread > 0, spread, 1.0)
    )


def learn(stats: Statistics, local: Local) -> Statistics:
    """One step: the newest increment enters the long-run mean, the newest value the running range."""
    count = jnp.minimum(stats.count + 1, MEMORY)
    rough = stats.roughness + (jnp.abs(local.increments[0]) - stats.roughness) / count
    low, high = jnp.minimum(stats.low, local.last), jnp.maximum(stats.high, local.last)
    return stats._replace(roughness=rough, count=count, low=low, high=high)
