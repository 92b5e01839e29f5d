"""Branch A: linear projection, filtered scale, α-stable innovations.

    y_{t+h} = y_t + s_u w·x_t + s_t Z,   Z ~ S0(α, β, γ, δ)

Three members: ``long`` (every lag and gap, empirical body with stable tails), ``stable`` (three lags and the
slowest averages, a pure α-stable law) and ``gaps`` (averages only). α, β, γ, δ follow the members' recent
standardised errors by McCulloch's quantiles (1986), in Nolan's continuous S0 parametrisation (1997).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from . import empirical, linear, lockstep, scale, stable
from .contract import Branch, Config, Info, Memory, Row, fine
from .law import INDEX_MAX, INDEX_MIN, Law, affine
from .linear import Linear
from .regression import Tuning, overlapping

MEMBERS = ("long", "stable", "gaps")
FORGET, RIDGE, HUBER, POWER = (0.999, 0.9998, 0.9998), (30.0, 10.0, 3.0), (2.0, 3.0, 3.0), (2.0, 0.0, 1.0)
PURE = (0.0, 1.0, 0.0)
"""Share of the stable law inside the grid; the remainder is the empirical law."""


class Levy(NamedTuple):
    """Members' states (leading axis m), the features each may use (m, p), how they learn, their laws of z, outcomes
    seen."""

    members: Linear
    allowed: Array
    tuning: Tuning
    pure: Array
    """(m,) share of the stable law inside the grid"""
    innovation: Law
    steps: Array


def features(row: Row) -> Array:
    """Inputs (p,): increments newest first, gaps, exogenous columns, a constant."""
    return jnp.concatenate([row.increments, row.gaps, row.exog, jnp.ones(1, row.last.dtype)])


def init(config: Config, key: Array) -> Levy:
    """Untrained branch; ``key`` is unused, the branch is deterministic."""
    dtype = jnp.result_type(float)
    lags, gaps = config.width - 1, 3 + config.n_level
    p = lags + gaps + config.n_exog + 1
    index = jnp.arange(p)
    constant = index >= p - 1
    exog = (index >= lags + gaps) & ~constant
    gap = (index >= lags) & (index < lags + gaps)
    parsimonious = (index < 3) | (index == lags + 2)
    allowed = jnp.stack([jnp.ones(p, bool), parsimonious | exog, gap | exog | constant]).astype(dtype)
    pick = np.array([MEMBERS.index(m) for m in branch.chosen(config)])
    tuning = Tuning(*(jnp.asarray(np.array(v)[pick], dtype) for v in (FORGET, RIDGE, HUBER, POWER)))
    pure = jnp.asarray(np.array(PURE)[pick], dtype)
    members = jax.vmap(lambda ridge: linear.init(p, ridge, dtype))(tuning.ridge)
    steps = jnp.zeros((), jnp.int32)
    return Levy(members, allowed[pick], tuning, pure, _innovation(members, pure, steps), steps)


def fit(state: Levy, rows: Row, targets: Array, mask: Array, key: Array) -> tuple[Levy, Info]:
    """Set the unit of errors and the strength of the priors; everything else is learned step by step."""
    real = mask.astype(targets.dtype)
    unit = (jnp.abs(targets - rows.last) * real).sum() / jnp.maximum(real.sum(), 1)
    unit = jnp.where(unit > 0, unit, rows.scale[0])
    tuning = overlapping(state.tuning, rows)
    fresh = jax.vmap(lambda ridge: linear.init(state.allowed.shape[1], ridge, targets.dtype))(tuning.ridge)
    members = jax.vmap(linear.rescale, in_axes=(0, None, None))(fresh, unit, rows.steps[0])
    return state._replace(members=members, tuning=tuning), fine(unit)


def _innovation(members: Linear, pure: Array, steps: Array) -> Law:
    """Laws of the standardised errors: empirical or stable inside the grid, stable beyond it."""
    body = jax.vmap(empirical.quantiles, in_axes=(0, None))(members.errors, steps)
    alpha, beta, gamma, delta = jax.vmap(stable.fit_quantiles)(body)
    whole = delta[:, None] + gamma[:, None] * jax.vmap(stable.quantiles)(alpha, beta)
    share = pure[:, None]
    tail, index = jax.vmap(stable.tail)(alpha, beta)
    q = jnp.sort(share * whole + (1 - share) * body, axis=-1)
    return Law(q, gamma[:, None] * tail, jnp.clip(index, INDEX_MIN, INDEX_MAX))


def memo(state: Levy, row: Row) -> scale.Memo:
    """What the members' sizes rest on, leading axis m."""
    return jax.vmap(scale.features, in_axes=(0, None))(state.members.scale, row)


def update(state: Levy, row: Row, target: Array, memo: scale.Memo | None = None) -> tuple[Levy, Info]:
    """One outcome for all members; their laws of z follow whenever a block of errors is complete."""
    x = state.allowed * features(row)
    step = jax.vmap(linear.update, in_axes=(0, 0, None, None, 0, None, None if memo is None else 0))
    members = step(state.members, x, row, target, state.tuning, state.steps, memo)
    innovation = lockstep.cond(
        empirical.due(state.steps), lambda: _innovation(members, state.pure, state.steps), lambda: state.innovation
    )
    return state._replace(members=members, innovation=innovation, steps=state.steps + 1), fine(target)


def recall(state: Levy, row: Row) -> Memory:
    """Sizes of the members' next errors."""
    return Memory(sizes=jax.vmap(scale.predict, in_axes=(0, None))(state.members.scale, row))


def law(state: Levy, row: Row, memory: Memory | None = None) -> Law:
    """One law per member, leading axis m."""
    x = state.allowed * features(row)
    loc, size = jax.vmap(linear.predict, in_axes=(0, 0, None))(state.members, x, row)
    return affine(state.innovation, loc, size if memory is None else memory.sizes)


branch = Branch("A", MEMBERS, init, fit, update, recall, law, memo)
