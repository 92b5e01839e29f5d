"""A member made of the other members: their medians stacked by regression, their widths rescaled by experience.

The innovation of the outcome over the experts' mean median is regressed on each median's distance from the last
outcome, the member's own last errors and a constant (Granger & Ramanathan 1984), so weights may leave the
simplex, a common bias is corrected and errors that echo are used. Its law is the
empirical law of the last errors in units of the experts' mean width times a running ratio of error to width.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import stdtrit

from ..kernels import regression
from ..kernels.law import LEVELS
from .calibration import half_width

N_ERRORS = 4
SIZE = 500
TUNING = regression.Tuning(0.995, 100.0, 3.0, 2.0)
RATIO_RATE, RATIO_WARM = 0.05, 30
UNIT_RATE = 0.03
WARM = 50
"""Outcomes before the member speaks for itself; until then it is the experts' mean."""
CLIP = 50.0


class Window(NamedTuple):
    """The last N values, sorted, and the step each came at; negative for the law it starts as."""

    value: Array
    stamp: Array


def init_window(size: int = SIZE, dtype: jnp.dtype | None = None) -> Window:
    """Starts as Student's t with four degrees of freedom and unit mean absolute value."""
    value = stdtrit(4, (np.arange(size) + 0.5) / size)
    # Scattered ages, so that the starting law keeps its shape while it is being replaced.
    stamp = np.random.default_rng(0).permutation(size) - size
    return Window(jnp.asarray(value / np.abs(value).mean(), dtype), jnp.asarray(stamp, jnp.int32))


def insert(window: Window, new: Array, step: Array) -> Window:
    """Put ``new`` () in the place of the oldest value by one shift, so that nothing is sorted."""
    index = jnp.arange(window.value.shape[0])
    out = jnp.argmin(window.stamp)
    below = jnp.sum(window.value < new)
    slot = jnp.where(below <= out, below, below - 1)
    down = (index > slot) & (index <= out)
    up = (index >= out) & (index < slot)

    def shift(x: Array, value: Array) -> Array:
        left, right = jnp.concatenate([x[:1], x[:-1]]), jnp.concatenate([x[1:], x[-1:]])
        return jnp.where(index == slot, value, jnp.where(down, left, jnp.where(up, right, x)))

    return Window(shift(window.value, new), shift(window.stamp, step))


class State(NamedTuple):
    """Regression, law of the scaled errors, and the running quantities they are scaled by."""

    fit: regression.Regression
    errors: Window
    recent: Array
    """(N_ERRORS,) last errors, newest first, units of the series"""
    unit: Array
    """() running half-width of the experts' laws, units of the series; 0 before the first"""
    ratio: Array
    """() running |error| over half-width"""
    last: Array
    """() newest outcome, NaN before the first"""
    count: Array


def init(n_experts: int, dtype: jnp.dtype | None = None) -> State:
    """Nothing learned yet by the stack of ``n_experts``."""
    one = jnp.ones((), dtype)
    return State(
        fit=regression.init(n_experts + N_ERRORS + 1, TUNING.ridge, one.dtype),
        errors=init_window(SIZE, one.dtype),
        recent=jnp.zeros(N_ERRORS, one.dtype),
        unit=0 * one,
        ratio=0.5 * one,
        last=one * jnp.nan,
        count=jnp.zeros((), jnp.int32),
    )


def _parts(
    state: State, q: Array, awake: Array, levels: Array, last: Array, recent: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Mean law (K,), centre of the stack, its features, its unit and the experts' half-width."""
    n = jnp.maximum(awake.sum(), 1)
    mean = jnp.where(awake[:, None], q, 0.0).sum(0) / n
    medians = _medians(q, levels)
    middle = jnp.where(awake, medians, 0.0).sum() / n
    medians = jnp.where(awake, medians, middle)
    width = jnp.maximum(half_width(mean, levels), 1e-9 * state.unit)
    unit = jnp.where(state.unit > 0, state.unit, width)
    safe = jnp.where(unit > 0, unit, 1.0)
    anchor = jnp.where(jnp.isfinite(last), last, middle)
    features = jnp.concatenate([medians - anchor, recent, safe[None]]) / safe
    return mean, middle, jnp.clip(features, -CLIP, CLIP), safe, width


def _medians(q: Array, levels: Array) -> Array:
    """Medians (M,) by interpolation between the two levels around ½; a single level is taken for it."""
    if levels.shape[0] == 1:
        return q[:, 0]
    right = jnp.clip(jnp.searchsorted(levels, 0.5), 1, levels.shape[0] - 1)
    gap = levels[right] - levels[right - 1]
    t = jnp.clip((0.5 - levels[right - 1]) / gap, 0.0, 1.0)
    return q[:, right - 1] * (1 - t) + q[:, right] * t


def law(state: State, q: Array, awake: Array, levels: Array | np.ndarray = LEVELS, last: Array | None = None) -> Array:
    """Quantiles (K,) of the stack given the experts' ``q`` (M, K), of which ``awake`` (M,) count.

    ``last`` () is the newest value when they were made; the newest outcome learned unless given.
    """
    levels = jnp.asarray(levels, q.dtype)
    newest = state.last if last is None else last
    mean, middle, x, unit, width = _parts(state, q, awake, levels, newest, state.recent)
    centre = middle + unit * (state.fit.coef @ x)
    place = (jnp.arange(SIZE, dtype=q.dtype) + 0.5) / SIZE
    shape = jnp.interp(levels, place, state.errors.value)
    return jnp.where(state.count >= WARM, centre + state.ratio * width * shape, mean)


def update(
    state: State,
    q: Array,
    awake: Array,
    y: Array,
    levels: Array | np.ndarray = LEVELS,
    last: Array | None = None,
    recent: Array | None = None,
) -> State:
    """Learn from the outcome ``y`` () of the experts' stored quantiles ``q`` (M, K).

    ``last`` and ``recent`` (N_ERRORS,) are what they were when the quantiles were made; outcomes that come more than
    one step later need them, for the state has moved on.
    """
    levels = jnp.asarray(levels, q.dtype)
    newest = state.last if last is None else last
    _, middle, x, unit, width = _parts(state, q, awake, levels, newest, state.recent if recent is None else recent)
    error = y - middle - unit * (state.fit.coef @ x)
    safe = jnp.where(width > 0, width, 1.0)
    now = jnp.abs(error) / safe
    n = state.count.astype(q.dtype)
    warm = (n * state.ratio + now) / (n + 1)
    slow = state.ratio + RATIO_RATE * (jnp.minimum(now, 5 * state.ratio + 0.05) - state.ratio)
    ratio = jnp.maximum(jnp.where(state.count < RATIO_WARM, warm, slow), 1e-6)
    return State(
        fit=regression.update(state.fit, x, (y - middle) / unit, TUNING),
        errors=insert(state.errors, jnp.clip(error / (safe * state.ratio), -CLIP, CLIP), state.count),
        recent=jnp.concatenate([error[None], state.recent[:-1]]),
        unit=jnp.where(state.unit > 0, state.unit + UNIT_RATE * (width - state.unit), width),
        ratio=ratio,
        last=y,
        count=state.count + 1,
    )
