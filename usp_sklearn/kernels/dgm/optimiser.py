"""Adam with the guard rails of the Deep Galerkin method: clipped gradients, and a step that learns to shrink.

g ← g·min(1, 10/‖g‖);   after more than 5 clipped iterations in a row the step is halved and the count restarts
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

MAX_NORM = 10.0
PATIENCE = 5


class Guarded(NamedTuple):
    """Optimiser state: optax Adam's, the run of clipped iterations, the step factor and two counters."""

    adam: Any
    streak: Array
    factor: Array
    clipped: Array
    halvings: Array


def start(params: Any) -> Guarded:
    """Fresh state for ``params``, any pytree of floating arrays."""
    dtype = jnp.result_type(*jax.tree.leaves(params))
    zero = jnp.zeros((), jnp.int32)
    return Guarded(optax.scale_by_adam().init(params), zero, jnp.ones((), dtype), zero, zero)


def descend(params: Any, state: Guarded, grads: Any, rate: Array | float) -> tuple[Any, Guarded]:
    """One guarded Adam step of size ``rate``·factor. A gradient that is not finite moves nothing.

    >>> params, state = jnp.array([3.0]), start(jnp.array([3.0]))
    >>> for _ in range(6): params, state = descend(params, state, jnp.array([1e3]), 0.1)
    >>> int(state.clipped), int(state.halvings)
    (6, 1)
    """
    norm = optax.tree.norm(grads)
    fine = jnp.isfinite(norm)
    over = ~(norm <= MAX_NORM)
    shrink = jnp.where(fine, jnp.minimum(1.0, MAX_NORM / jnp.maximum(norm, 1e-300)), 0.0)
    grads = jax.tree.map(lambda g: jnp.where(fine, g, 0.0) * shrink, grads)
    streak = jnp.where(over, state.streak + 1, 0)
    halve = streak > PATIENCE
    factor = jnp.where(halve, state.factor * 0.5, state.factor)
    direction, adam = optax.scale_by_adam().update(grads, state.adam)
    params = jax.tree.map(lambda p, d: p - jnp.asarray(rate, p.dtype) * factor * d, params, direction)
    streak = jnp.where(halve, 0, streak)
    return params, Guarded(adam, streak, factor, state.clipped + over, state.halvings + halve)
