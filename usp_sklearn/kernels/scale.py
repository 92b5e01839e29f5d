"""Log-scale head: the size of the next error, learned online.

    log s = b + v·F,  b = log EWMA₀.₀₀₅|e|

F holds log EWMAs of |e| at five rates, the newest increment and the window's own roughness, all relative to
b. The recursion follows the natural gradient of a Student likelihood with ν = 4 (score-driven models,
Creal, Koopman & Lucas 2013):  v ← v + P F/(λ + F'PF)·g·(ν+3)/(2ν),  g = (ν+1)z²/(ν+z²) − 1,  z = e/s.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from . import information
from .contract import Row

RATES = (0.5, 0.2, 0.08, 0.03, 0.01)
SLOW = 0.005
FREEDOM = 4.0
FORGET = 0.999
RIDGE = 30.0
Memo = tuple[Array, Array]
N_FEATURES = 1 + len(RATES) + 1 + 4 + 1


class Scale(NamedTuple):
    """Averages (6,) of |e| (slow one first), head weights (F,) and their inverse information, steps seen."""

    averages: Array
    coef: Array
    cov: Array
    count: Array


def init(unit: Array, ahead: Array | float = 1.0) -> Scale:
    """Head that starts as the mean of its EWMAs; ``unit`` () is the first guess of |e|, series units.

    Errors ``ahead`` steps away overlap: the prior weighs so many times as much, and an average shorter than the
    overlap, which holds one error in many guises, starts with less.
    """
    dtype = unit.dtype
    start = 0.9 / len(RATES) / (1 + (ahead - 1) * jnp.asarray(RATES, dtype))
    coef = jnp.zeros(N_FEATURES, dtype).at[1 : 1 + len(RATES)].set(start)
    cov = jnp.eye(N_FEATURES, dtype=dtype) / (RIDGE * ahead)
    return Scale(jnp.full(1 + len(RATES), unit, dtype), coef, cov, jnp.zeros((), dtype))


def features(state: Scale, row: Row) -> tuple[Array, Array]:
    """b () and F (N_FEATURES,): what the size forecast for the row rests on besides the weights."""
    floor = 1e-6 * row.scale
    logs = jnp.log(jnp.maximum(state.averages, floor))
    base = logs[0]
    unit = jnp.log(row.scale) - base
    newest = jnp.log(jnp.maximum(jnp.abs(row.increments[0]), 1e-2)) + unit
    relative = jnp.concatenate([logs[1:] - base, newest[None], row.volatility + unit])
    signed = jnp.clip(row.increments[0] / 3, -2, 2)
    one = jnp.ones(1, row.scale.dtype)
    return base, jnp.concatenate([one, jnp.clip(relative, -4, 4), signed[None]])


def predict(state: Scale, row: Row, memo: Memo | None = None) -> Array:
    """Size of the next error, series units; ``memo`` holds the features when they are older than the state."""
    base, x = features(state, row) if memo is None else memo
    return jnp.exp(base + jnp.clip(state.coef @ x, -5, 5))


def update(state: Scale, row: Row, error: Array, memo: Memo | None = None) -> Scale:
    """One observed error, series units."""
    base, x = features(state, row) if memo is None else memo
    z = error / jnp.exp(base + jnp.clip(state.coef @ x, -5, 5))
    score = (FREEDOM + 1) * z * z / (FREEDOM + z * z) - 1
    pf = state.cov @ x
    forget = 1 - (1 - FORGET) / row.steps
    known = forget + x @ pf
    gain = pf / known
    cov = information.after(state.cov, pf / jnp.sqrt(known), forget, information.GROWTH / (RIDGE * row.steps))
    rates = jnp.asarray((SLOW, *RATES), error.dtype)
    # A young average is a plain mean: it must not wait 1/rate steps to forget its first guess.
    rates = jnp.maximum(rates, 1 / (state.count + 2))
    averages = state.averages + rates * (jnp.abs(error) - state.averages)
    return Scale(averages, state.coef + gain * score * (FREEDOM + 3) / (2 * FREEDOM), cov, state.count + 1)
