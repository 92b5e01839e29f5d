"""Mode-collapse watch: has V flattened over the domain against its terminal condition?

Two numbers, both invariant to the scale of V: the differential entropy of the values of V over the domain minus that
of the terminal condition's on the same bins (so the bin width cancels), and the ratio of their variances. A net that
has collapsed to a constant has a strongly negative difference and a ratio near zero.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

BINS = 50
RATIO_MIN, RATIO_MAX = 0.3, 1.2


class Watch(NamedTuple):
    """Entropy difference () in nats, variance ratio (), and whether the pair says that V has collapsed, bool ()."""

    entropy: Array
    ratio: Array
    collapsed: Array


def entropy_difference(values: Array, terminal: Array, bins: int = BINS) -> Array:
    """H[V] − H[V(T)] in nats over common bins; both arrays (n,) hold values at the same points of the domain.

    >>> spread = jnp.linspace(0.0, 1.0, 200)
    >>> float(entropy_difference(spread, spread)), bool(entropy_difference(0.0 * spread, spread) < -3)
    (0.0, True)
    """
    low = jnp.minimum(values.min(), terminal.min())
    width = (jnp.maximum(values.max(), terminal.max()) - low) / bins
    edges = jnp.arange(1, bins, dtype=values.dtype)

    def entropy(v: Array) -> Array:
        rank = (v - low) / jnp.where(width > 0, width, 1.0)
        below = (rank[:, None] < edges).astype(v.dtype).mean(0)
        p = jnp.diff(below, prepend=0.0, append=1.0)
        return -(p * jnp.log(jnp.where(p > 0, p, 1.0))).sum()

    return entropy(values) - entropy(terminal)


def variance_ratio(values: Array, terminal: Array) -> Array:
    """Var[V] / Var[V(T)] over the domain; one where both are constant."""
    top, bottom = values.var(), terminal.var()
    return jnp.where(bottom > 0, top / jnp.where(bottom > 0, bottom, 1.0), jnp.where(top > 0, jnp.inf, 1.0))


def watch(values: Array, terminal: Array) -> Watch:
    """Both numbers for values (n,) of V and of the terminal condition at the same points."""
    entropy, ratio = entropy_difference(values, terminal), variance_ratio(values, terminal)
    outside = ~((ratio >= RATIO_MIN) & (ratio <= RATIO_MAX))
    return Watch(entropy, ratio, outside | ~jnp.isfinite(entropy))
