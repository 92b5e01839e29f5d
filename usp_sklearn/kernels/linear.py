"""One linear member: robust recursive regression, log-scale head, empirical law of its standardised errors.

Branches A and D vmapped over members share this body; they differ in features and in the law of z.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from . import empirical, lockstep, regression, scale
from .contract import Row
from .empirical import Empirical
from .regression import Regression, Tuning
from .scale import Scale

CLIP = 50.0
REACH = 30.0
"""A location may lie this many units away from the last value; extrapolation beyond is never meant."""


class Linear(NamedTuple):
    """State of one member."""

    regression: Regression
    scale: Scale
    errors: Empirical


def init(p: int, ridge: Array | float, dtype: jnp.dtype) -> Linear:
    """Untrained member with ``p`` features."""
    one = jnp.ones((), dtype)
    return Linear(regression.init(p, ridge, dtype), scale.init(one), empirical.init(dtype=dtype))


def rescale(state: Linear, unit: Array, ahead: Array | float = 1.0) -> Linear:
    """Tell an untrained member the size of the outcomes' moves, series units, and how many steps ahead they are."""
    return state._replace(scale=scale.init(unit, ahead))


def predict(state: Linear, x: Array, row: Row, memo: scale.Memo | None = None) -> tuple[Array, Array]:
    """Location and size of the next value's law, series units."""
    move = jnp.clip(state.regression.coef @ jnp.clip(x, -CLIP, CLIP), -REACH, REACH)
    return row.last + row.unit * move, scale.predict(state.scale, row, memo)


def update(
    state: Linear, x: Array, row: Row, target: Array, tuning: Tuning, steps: Array, memo: scale.Memo | None = None
) -> Linear:
    """Learn one outcome ``target``, series units; ``steps`` counts the outcomes before it."""
    loc, size = predict(state, x, row, memo)
    error = target - loc
    move = jnp.clip((target - row.last) / row.unit, -CLIP, CLIP)
    return Linear(
        regression.update(state.regression, jnp.clip(x, -CLIP, CLIP), move, tuning),
        scale.update(state.scale, row, error, memo),
        _collect(state.errors, jnp.clip(error / size, -1e3, 1e3), steps),
    )


def _collect(errors: Empirical, z: Array, steps: Array) -> Empirical:
    errors = empirical.push(errors, z, steps)
    return lockstep.cond(empirical.due(steps), lambda e: empirical.merge(e, steps), lambda e: e, errors)
