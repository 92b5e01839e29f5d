"""Where the next value lies: nothing, a linear correction, or a learned drift, weighed by likelihood.

Features of a row: standardised level, three increments, three gaps to the window's averages and one to a slow
running mean. Three recursive regressions run side by side: on all features (jumps), on all features for what
the nets leave over (jumps), and on the newest increment and the running mean alone (garch: a slow level and
first-order dependence).
Each member mixes its alternatives with "no drift"; a random walk soon stays with that one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import regression
from ..contract import Row
from ..regression import Regression, Tuning
from .calibrate import Nets
from .experts import reweigh, student

N_INCREMENTS, N_GAPS = 3, 3
N_FEATURES = 1 + N_INCREMENTS + N_GAPS + 1
SLOW_RATE = 0.003
TUNING = ((0.9995, 0.9995, 0.9998), (30.0, 30.0, 10.0), (2.5, 2.5, 3.0), (1.0, 1.0, 0.0))
"""Forgetting, ridge, Huber multiple and weight exponent of the three regressions."""
ALLOWED = np.ones((3, N_FEATURES))
ALLOWED[2] = [0, 1, 0, 0, 0, 0, 0, 1]
PRIOR = np.array([[0.0, -1.0, -2.0], [0.0, -1.0, -1.0]])
USES_NETS = np.array([[False, False, True], [False, False, False]])
REACH = 10.0
"""A location lies within this many row units of the last value."""


class Place(NamedTuple):
    """Centre and spread of the level, unit of errors, slow running mean: each (), units of the series."""

    centre: Array
    spread: Array
    unit: Array
    slow: Array


def follow(place: Place, value: Array, count: Array) -> Place:
    """Running mean after one more ``value``; it starts as the centre, worth thirty values."""
    rate = jnp.maximum(1 / (count + 30), SLOW_RATE)
    return place._replace(slow=place.slow + rate * (value - place.slow))


class Drift(NamedTuple):
    """Three regressions (leading axis 3) and the log weights (2, 3) of the alternatives per member."""

    linear: Regression
    log_weight: Array


def init(dtype: jnp.dtype, ahead: Array | float = 1.0) -> Drift:
    """No drift so far. Errors of outcomes ``ahead`` steps away overlap: the prior weighs so many times as much."""
    start = jax.vmap(lambda ridge: regression.init(N_FEATURES, ridge, dtype))(ahead * jnp.asarray(TUNING[1], dtype))
    return Drift(start, jnp.asarray(PRIOR, dtype))


def _first(x: Array, n: int) -> Array:
    return jnp.concatenate([x[:n], jnp.zeros(max(n - x.shape[0], 0), x.dtype)])


def features(place: Place, row: Row, clip: float) -> Array:
    """(8,) level in spreads (±3), increments and gaps in row units (±``clip``); what is missing is zero."""
    level = jnp.clip((row.last - place.centre) / place.spread, -3, 3)
    slow = (place.slow - row.last) / row.scale
    moves = jnp.concatenate([_first(row.increments, N_INCREMENTS), _first(row.gaps, N_GAPS), slow[None]])
    return jnp.concatenate([level[None], jnp.clip(moves, -clip, clip)])


def slope(place: Place, row: Row) -> Array:
    """(8,) change of the features when the state moves by one row unit."""
    still = jnp.zeros(N_INCREMENTS, row.last.dtype)
    return jnp.concatenate([(row.scale / place.spread)[None], still, -jnp.ones(N_GAPS + 1, row.last.dtype)])


def learned(nets: Nets, place: Place, row: Row) -> tuple[Array, Array]:
    """What the nets say: mean displacement over one step, row units, and σ(x), units of the series.

    The drift is linearised in the state and integrated exactly: m = b (e^{b'} − 1)/b' (Ozaki 1992).
    """
    f, a = features(place, row, 5.0), slope(place, row)
    b, db = jax.jvp(lambda m: nets.drift(f + a * m), (jnp.zeros_like(row.last),), (jnp.ones_like(row.last),))
    db = jnp.clip(db, -20.0, 1.0)
    flat = jnp.abs(db) < 1e-6
    move = b * jnp.where(flat, 1.0, jnp.expm1(db) / jnp.where(flat, 1.0, db))
    return move, place.unit * jnp.exp(jnp.clip(nets.log_vol(f), -8.0, 8.0))


def alternatives(state: Drift, place: Place, row: Row, net: Array) -> Array:
    """(2, 3) displacement of each alternative of each member, row units."""
    x = ALLOWED * features(place, row, 50.0)
    full, rest, slow = (state.linear.coef * x).sum(-1)
    zero = jnp.zeros_like(full)
    moves = jnp.stack([jnp.stack([zero, full, net + rest]), jnp.stack([zero, slow, slow])])
    return jnp.clip(moves, -REACH, REACH)


def location(state: Drift, row: Row, moves: Array) -> Array:
    """(2,) location of each member, units of the series."""
    return row.last + row.scale * (jax.nn.softmax(state.log_weight, axis=-1) * moves).sum(-1)


def update(
    state: Drift, place: Place, row: Row, net: Array, moves: Array, sigma: Array, target: Array, honest: Array
) -> Drift:
    """One outcome; ``sigma`` (2,) scales the likelihood. Nets compete only where ``honest``."""
    seen = (target - row.last) / row.scale
    likelihood = student(seen - moves, (sigma / row.scale)[:, None])
    log_weight = jax.vmap(reweigh)(state.log_weight, likelihood / row.steps, honest | ~USES_NETS)
    x = jnp.asarray(ALLOWED, seen.dtype) * features(place, row, 50.0)
    wanted = jnp.clip(jnp.stack([seen, seen - net, seen]), -50.0, 50.0)
    tuning = Tuning(*(jnp.asarray(v, seen.dtype) for v in TUNING))
    return Drift(jax.vmap(regression.update)(state.linear, x, wanted, tuning), log_weight)
