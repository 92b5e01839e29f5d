"""Conditions of many models in lockstep: a batched ``lax.cond`` that still skips its work.

Under ``vmap`` a condition on a batched flag becomes a select, and the rare branch (merging a buffer, training a net)
runs at every step of every model. Horizons and series that are walked together come due together, so here one flag
stands for the whole batch: the work is done when any model is due, and kept by those that are.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap


@custom_vmap
def together(flag: Array) -> Array:
    """``flag`` () itself; under ``vmap`` whether any flag of the batch is set, one for all."""
    return flag


@together.def_vmap
def _any(size: int, batched: list[bool], flag: Array) -> tuple[Array, bool]:
    # Asked again, for a batch may lie inside another one.
    return together(flag.any()), False


def cond(flag: Array, then: Callable[..., Any], otherwise: Callable[..., Any], *operands: Any) -> Any:
    """``then(*operands)`` where ``flag`` (), else ``otherwise(*operands)``, as :func:`jax.lax.cond` with one flag.

    >>> double = jax.vmap(lambda f, x: cond(f, lambda v: 2 * v, lambda v: v, x))
    >>> double(jnp.array([True, False]), jnp.ones(2)).tolist()
    [2.0, 1.0]
    """

    def some(*args: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(flag, a, b), then(*args), otherwise(*args))

    return lax.cond(together(flag), some, otherwise, *operands)
