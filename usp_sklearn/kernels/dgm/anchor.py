"""The state both members share: the level of the series, standardised by what the training part looked like."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ..contract import Row

_Z90 = 3.29
"""Distance between the 5 % and 95 % points of a standard normal law."""


class Anchor(NamedTuple):
    """What the training levels looked like, in the series' units.

    ``centre`` and ``spread`` () of the levels; ``ready`` () is false until they are known; ``low`` and ``high`` () are
    the range of everything seen so far, the only part that moves later.
    """

    centre: Array
    spread: Array
    ready: Array
    low: Array
    high: Array


def unknown(dtype: object) -> Anchor:
    """No anchor yet: the first row seen will serve."""
    zero = jnp.zeros((), dtype)
    return Anchor(zero, jnp.ones((), dtype), jnp.zeros((), bool), zero, zero)


def anchored(anchor: Anchor, row: Row) -> Anchor:
    """``anchor`` with the row's level in its range, or one around the row itself while there is none."""
    return Anchor(
        jnp.where(anchor.ready, anchor.centre, row.last),
        jnp.where(anchor.ready, anchor.spread, 5 * row.scale),
        jnp.ones((), bool),
        jnp.minimum(jnp.where(anchor.ready, anchor.low, row.last), row.last),
        jnp.maximum(jnp.where(anchor.ready, anchor.high, row.last), row.last),
    )


def within(anchor: Anchor, row: Row, q: Array) -> Array:
    """Quantiles ``q`` (…, 25) kept to the range seen so far, widened by a tenth of it and four units of the row.

    A law that extrapolates far outside anything seen can cost an ensemble more than it ever gains.
    """
    margin = 0.1 * (anchor.high - anchor.low) + 4 * row.scale
    return jnp.clip(q, anchor.low - margin, anchor.high + margin)


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
    centre = jnp.where(ready, (low + high) / 2, 0.0)
    bottom, top = (jnp.where(ready, v, 0.0) for v in (ordered[0], jnp.where(mask, rows.last, -jnp.inf).max()))
    return Anchor(centre, jnp.where(ready & (spread > 0), spread, 1.0), ready, bottom, top)
