"""What a row alone says of the members' short memory: for laws of rows that do not continue the stream.

Sizes of recent errors, hidden regimes and last residuals (:class:`~usp_sklearn.kernels.contract.Memory`) are right for
the row that comes next and stale for any other. At every step a ridge regression of the memory's numbers m on features
x of the row learns how they go together,

    G ← λ G + x xᵀ,   H ← λ H + x mᵀ,   m̂ = m̄ + (x − x̄)ᵀ (G_c + δ I)⁻¹ H_c,

with weighted means x̄, m̄ (the constant in x carries them) and sums G_c, H_c about them. m̂ may then stand in for m, as
in regression calibration (Carroll, Ruppert, Stefanski & Crainiceanu 2006).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from . import linalg
from .contract import Memory, Row

FORGET = 0.999
RIDGE = 10.0
"""Strength δ of the prior, in rows whose features have unit variance."""
REACH = 3.0
"""A reading stays within this many standard deviations of the memory's mean."""
BOUND = 20.0
"""What a number of the memory may add to the sums, in size."""
LAGS = 8
"""Increments that are features by themselves."""


class Reading(NamedTuple):
    """Forgetting sums over rows: x xᵀ (p, p), x mᵀ (p, r) and m² (r,)."""

    gram: Array
    cross: Array
    square: Array


class Coefficients(NamedTuple):
    """Means of x (p,) and m (r,), slopes (p, r), largest distance of a reading from the mean (r,)."""

    x: Array
    m: Array
    slope: Array
    reach: Array


def features(row: Row, roughness: Array) -> Array:
    """x (p,): a constant, logs of sizes at several scales, increments and gaps, squashed.

    ``roughness`` () is the series' long-run mean |Δy|: over the row's unit it says how rough the row is.
    """
    size = jnp.abs(row.increments)
    mean_square = (row.increments * row.increments).mean()
    sizes = jnp.stack([roughness / row.scale, size[0], jnp.sqrt(mean_square), size[:3].mean()])
    logs = [jnp.log(jnp.maximum(sizes, 1e-3)), jnp.log(jnp.maximum(jnp.abs(row.gaps), 0.1))]
    return jnp.concatenate(
        [jnp.ones_like(size[:1]), row.volatility, *logs, _squash(row.increments[:LAGS]), _squash(row.gaps)]
    )


def _squash(x: Array) -> Array:
    return x / (1 + jnp.abs(x) / 3)


def spell(memories: tuple[Memory, ...], unit: Array) -> Array:
    """The branches' memories as numbers m (r,) that any row's may be compared with: logs, log odds, plain values.

    ``unit`` () is the row's, in which sizes are measured.

    >>> m = Memory(sizes=jnp.array([2.0]), chances=jnp.array([[0.5, 0.5]]), values=jnp.array([-1.5]))
    >>> spell((m,), jnp.array(2.0)).tolist()
    [0.0, 0.0, -1.5]
    """
    parts = [
        part
        for sizes, factors, chances, values in memories
        for part in (
            None if sizes is None else jnp.log(sizes / unit),
            None if factors is None else jnp.log(factors),
            None if chances is None else jnp.log(chances[:, 1] / chances[:, 0]),
            values,
        )
        if part is not None
    ]
    return jnp.concatenate([jnp.zeros(0, unit.dtype), *parts])


def unspell(m: Array, like: tuple[Memory, ...], unit: Array) -> tuple[Memory, ...]:
    """Memories of the shapes of ``like`` whose numbers are ``m`` (r,): the inverse of :func:`spell`."""
    start = 0

    def take(part: Array | None) -> Array | None:
        nonlocal start
        if part is None:
            return None
        start += len(part)
        return m[start - len(part) : start]

    out = []
    for memory in like:
        sizes, factors, odds, values = (take(part) for part in memory)
        out.append(
            Memory(
                None if sizes is None else unit * jnp.exp(sizes),
                None if factors is None else jnp.exp(factors),
                None if odds is None else jnp.stack([1 / (1 + jnp.exp(odds)), 1 / (1 + jnp.exp(-odds))], -1),
                values,
            )
        )
    return tuple(out)


def init(p: int, r: int, dtype: jnp.dtype) -> Reading:
    """Nothing seen yet of ``p`` features and ``r`` numbers."""
    return Reading(jnp.zeros((p, p), dtype), jnp.zeros((p, r), dtype), jnp.zeros(r, dtype))


def update(state: Reading, x: Array, m: Array) -> Reading:
    """One row's features ``x`` (p,) and the memory ``m`` (r,) it met; a row with a feature not finite is left out."""
    fine = jnp.isfinite(x).all()
    x, m = jnp.where(fine, x, 0.0), jnp.where(fine, jnp.clip(jnp.nan_to_num(m), -BOUND, BOUND), 0.0)
    return Reading(
        FORGET * state.gram + x[:, None] * x,
        FORGET * state.cross + x[:, None] * m,
        FORGET * state.square + m * m,
    )


def solve(state: Reading) -> Coefficients:
    """Coefficients of the ridge."""
    n = jnp.maximum(state.gram[0, 0], 1.0)
    x, m = state.gram[0] / n, state.cross[0] / n
    gram = state.gram - n * x[:, None] * x
    cross = state.cross - n * x[:, None] * m
    # The constant does not vary: its slope is rounding noise.
    slope = linalg.solve_definite(gram + RIDGE * jnp.eye(len(x), dtype=x.dtype), cross).at[0].set(0.0)
    return Coefficients(x, m, slope, REACH * jnp.sqrt(jnp.maximum(state.square / n - m * m, 0.0)))


def read(at: Coefficients, x: Array) -> Array:
    """m̂ (r,) of a row with features ``x`` (p,)."""
    return at.m + jnp.clip((x - at.x) @ at.slope, -at.reach, at.reach)
