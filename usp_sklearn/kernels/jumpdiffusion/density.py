"""From a density on cells to a law: quantiles by cumulating and interpolating, tails by two quantiles beyond."""

import jax.numpy as jnp
from jax import Array

from ..law import EDGE, INDEX_MAX, INDEX_MIN, LEVELS, Law

_REACH = 4.0
"""The tail is fitted through the quantiles at u₀/4 and u₀/16."""


def density_quantiles(edges: Array, mass: Array, levels: Array) -> Array:
    """Quantiles (n,) at ``levels`` (n,) of the law with cell masses ``mass`` (N,) on ``edges`` (N+1,).

    >>> density_quantiles(jnp.array([0.0, 1.0, 3.0]), jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75])).tolist()
    [0.5, 2.0]
    """
    total = jnp.concatenate([jnp.zeros_like(mass[:1]), jnp.cumsum(mass)])
    return jnp.interp(levels, total / total[-1], edges)


def pareto_tail(edge: Array, near: Array, far: Array) -> tuple[Array, Array]:
    """Scale and index of the generalised Pareto tail through the quantiles at u₀, u₀/4 and u₀/16.

    With excesses d₁ < d₂ over the quantile at u₀: d₂/d₁ = 4^ξ + 1 and d₁ = b(4^ξ − 1)/ξ. Any shape.
    """
    first, second = jnp.abs(near - edge), jnp.abs(far - edge)
    ratio = jnp.where(first > 0, second / jnp.where(first > 0, first, 1.0), 2.0)
    index = jnp.clip(jnp.log(jnp.maximum(ratio - 1, 1e-3)) / jnp.log(_REACH), INDEX_MIN, INDEX_MAX)
    return first * index / jnp.expm1(index * jnp.log(_REACH)), index


def density_law(edges: Array, mass: Array) -> Law:
    """The :class:`Law` of a density on cells: 25 quantiles and two Pareto tails.

    >>> law = density_law(jnp.linspace(-1.0, 1.0, 9), jnp.full(8, 0.125))
    >>> float(law.q[12].round(9))
    0.0
    """
    beyond = jnp.array([EDGE / _REACH**2, EDGE / _REACH], edges.dtype)
    levels = jnp.concatenate([beyond, jnp.asarray(LEVELS, edges.dtype), 1 - beyond[::-1]])
    q = density_quantiles(edges, mass, levels)
    outer = jnp.stack([q[2], q[-3]]), jnp.stack([q[1], q[-2]]), jnp.stack([q[0], q[-1]])
    scale, index = pareto_tail(*outer)
    return Law(q[2:-2], scale, index)
