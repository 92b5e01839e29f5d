"""Frozen signals: five equal values in a row, until two steps are live again. Not where ties are common."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

RUN, RELEASE = 5, 2
"""Equal values that freeze, and live steps that release."""
COMMON = 0.05
"""Share of ties in the training rows from which on they are no fault."""


class State(NamedTuple):
    """Steps without a change in a row, and live steps that are still needed; () int32 each."""

    still: Array
    needed: Array


def init() -> State:
    """A live signal."""
    zero = jnp.zeros((), jnp.int32)
    return State(zero, zero)


def update(state: State, increment: Array, ties: Array) -> State:
    """After a step of size ``increment`` (), in a series with that share of ``ties``."""
    stopped = increment == 0
    still = jnp.where(stopped, state.still + 1, 0)
    needed = jnp.where(stopped, state.needed, jnp.maximum(state.needed - 1, 0))
    return State(still, jnp.where((still >= RUN - 1) & (ties < COMMON), RELEASE, needed))


def held(state: State) -> Array:
    """Whether what learns from paths, and the weights, are held."""
    return state.needed > 0
