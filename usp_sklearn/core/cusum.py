"""Two-sided CUSUM on standardised prequential residuals, with a threshold that follows their kurtosis.

    G± ← max(0, G± ± e − k),   alarm when max(G±) > h_t = h (1 + ln(max(κ, 3)/3))

κ is the kurtosis of the last 252 residuals, 3 until there are as many. A second pair of sums watches the scale
through Hawkins' (1981) variable (√|x| − 0.822)/0.349, nearly standard normal for a standard normal x, taken
of the normal score of the outcome's PIT, so that laws of any shape give a fair null. Its threshold is wider,
so that it adds little to the false alarms. After an alarm the sums restart at zero and further alarms are
held for ``grace`` steps; sums then go on, capped at the threshold.

With κ = 3, h = 5, k = ½ the two-sided average run length is 465 without and 10.4 after a shift by one sigma
(Hawkins & Olwell 1998).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtri

MEMORY = 252
SCALE_MEAN, SCALE_STD = 0.822, 0.349
SCALE_FACTOR = 1.6
"""The scale statistic's threshold over the drift statistic's."""
SCALE_CAP = 3.0
"""One increment of the scale statistic is kept below this: a single outlier is not a change of variance."""
PIT_EDGE = 1e-4


class State(NamedTuple):
    """Running sums and the residuals behind the kurtosis."""

    up: Array
    down: Array
    scale_up: Array
    scale_down: Array
    residuals: Array
    """(MEMORY,) ring buffer of standardised residuals"""
    count: Array
    """() int32 residuals seen"""
    grace: Array
    """() int32 steps for which alarms are still held"""


class Record(NamedTuple):
    """What one step says; every field a scalar."""

    up: Array
    """G⁺ before any restart"""
    down: Array
    """G⁻"""
    scale_up: Array
    scale_down: Array
    threshold: Array
    """h_t of the drift statistic"""
    alarm: Array
    """a change of location or of scale"""
    drift: Array
    """a change of location"""
    scale: Array
    """a change of scale"""
    kurtosis: Array
    distance: Array
    """1 − max(G±)/h_t, share of the way that is left; negative past the threshold"""
    grace: Array
    """steps for which alarms are still held"""


def init(dtype: jnp.dtype | None = None) -> State:
    """Sums at zero, nothing seen."""
    zero = jnp.zeros((), dtype)
    none = jnp.zeros((), jnp.int32)
    return State(zero, zero, zero, zero, jnp.zeros(MEMORY, dtype), none, none)


def kurtosis(state: State) -> Array:
    """Kurtosis E[(e − ē)⁴]/Var² of the stored residuals; 3 until the buffer is full."""
    centred = state.residuals - state.residuals.mean()
    second = (centred**2).mean()
    safe = jnp.where(second > 0, second, 1.0)
    return jnp.where((state.count >= MEMORY) & (second > 0), ((centred**2 / safe) ** 2).mean(), 3.0)


def threshold(kappa: Array, h: Array | float) -> Array:
    """h_t = h (1 + ln(max(κ, 3)/3)).

    >>> float(threshold(jnp.asarray(2.0), 5.0))
    5.0
    """
    return h * (1 + jnp.log(jnp.maximum(kappa, 3.0) / 3.0))


def step(
    state: State,
    residual: Array,
    pit: Array,
    h: Array | float = 5.0,
    k: Array | float = 0.5,
    grace: Array | int = 20,
    adaptive: Array | bool = True,
) -> tuple[State, Record]:
    """One signed residual in sigmas and the PIT F(y) of its outcome, both () and made from a stored law.

    ``adaptive=False`` holds κ at 3.

    >>> state, record = step(init(), jnp.asarray(7.0), jnp.asarray(0.5))
    >>> bool(record.alarm), float(state.up)
    (True, 0.0)
    """
    residual = jnp.where(jnp.isfinite(residual), residual, 0.0)
    buffer = state.residuals.at[state.count % MEMORY].set(residual)
    # The counter must not overflow; only its place in the ring and whether the ring is full matter.
    count = jnp.where(state.count + 1 >= 2 * MEMORY, MEMORY, state.count + 1)
    score = ndtri(jnp.clip(pit, PIT_EDGE, 1 - PIT_EDGE)).astype(residual.dtype)
    wide = jnp.minimum((jnp.sqrt(jnp.abs(score)) - SCALE_MEAN) / SCALE_STD, SCALE_CAP)
    moved = state._replace(
        up=jnp.maximum(0.0, state.up + residual - k),
        down=jnp.maximum(0.0, state.down - residual - k),
        scale_up=jnp.maximum(0.0, state.scale_up + wide - k),
        scale_down=jnp.maximum(0.0, state.scale_down - wide - k),
        residuals=buffer,
        count=count,
    )
    record = _record(moved, h, adaptive)
    held = state.grace > 0
    drift, scale = record.drift & ~held, record.scale & ~held
    alarm = drift | scale
    left = jnp.where(alarm, jnp.asarray(grace, jnp.int32), jnp.maximum(state.grace - 1, 0))

    def restart(total: Array, limit: Array) -> Array:
        return jnp.where(alarm, 0.0, jnp.where(held, jnp.minimum(total, limit), total))

    wider = SCALE_FACTOR * record.threshold
    moved = moved._replace(
        up=restart(moved.up, record.threshold),
        down=restart(moved.down, record.threshold),
        scale_up=restart(moved.scale_up, wider),
        scale_down=restart(moved.scale_down, wider),
        grace=left,
    )
    return moved, record._replace(alarm=alarm, drift=drift, scale=scale, grace=left)


def peek(state: State, h: Array | float = 5.0, adaptive: Array | bool = True) -> Record:
    """The record of a step that brought no residual: the sums as they stand, no alarm."""
    off = jnp.zeros((), bool)
    return _record(state, h, adaptive)._replace(alarm=off, drift=off, scale=off)


def _record(state: State, h: Array | float, adaptive: Array | bool) -> Record:
    kappa = jnp.where(adaptive, kurtosis(state), 3.0)
    limit = threshold(kappa, h)
    largest = jnp.maximum(state.up, state.down)
    drift = largest > limit
    scale = jnp.maximum(state.scale_up, state.scale_down) > SCALE_FACTOR * limit
    return Record(
        up=state.up,
        down=state.down,
        scale_up=state.scale_up,
        scale_down=state.scale_down,
        threshold=limit,
        alarm=drift | scale,
        drift=drift,
        scale=scale,
        kurtosis=kappa,
        distance=1 - largest / limit,
        grace=state.grace,
    )
