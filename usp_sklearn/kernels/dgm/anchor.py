"""The state both members share: the level of the series, standardised by what the training part looked like."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ..contract import Row

_Z90 = 3.29
"""Distance between the 5 % and 95 % points of a standard normal law."""


class Anchor(NamedTuple):
    """Centre () and spread () of the training levels, in the series' units; ``ready`` () is false until one is known."""

    centre: Array
    spread: Array
    ready: Array


def unknown(dtype: object) -> Anchor:
    """No anchor yet: the first row seen will serve."""
    return Anchor(jnp.zeros((), dtype), jnp.ones((), dtype), jnp.zeros((), bool))


def anchored(anchor: Anchor, row: Row) -> Anchor:
    """``anchor``, or one around the row itself while there is none."""
    return Anchor(
        jnp.where(anchor.ready, anchor.centre, row.last),
        jnp.where(anchor.ready, anchor.spread, 5 * row.scale),
        jnp.ones((), bool),
    )


def settle(rows: Row, mask: Array) -> Anchor:
    """Mid-point and width of the central 90 % of the levels ``rows.last`` (n,) where ``mask``; width in normal sd."""
    n = mask.sum()
    ordered = jnp.sort(jnp.where(mask, rows.last, jnp.inf))

    def at(u: float) -> Array:
        return ordered[jnp.clip(jnp.round(u * (n - 1)).astype(int), 0, ordered.shape[0] - 1)]

    low, high = at(0.05), at(0.95)
    unit = jnp.where(mask, rows.scale, 0.0).sum() / jnp.maximum(n, 1)
    ready = n > 0
    spread = jnp.maximum((high - low) / _Z90, unit)
    return Anchor(jnp.where(ready, (low + high) / 2, 0.0), jnp.where(ready & (spread > 0), spread, 1.0), ready)
