"""Branch B, laws that are Markov in a state: a Deep Galerkin diffusion, a kernel-conditional law, hidden regimes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ..contract import Branch, Config, Info, Row, Status
from ..law import Law
from ..window import AVERAGES
from . import diffusion, level, memory, regimes
from .anchor import Anchor, anchored, settle, unknown, within
from .diffusion import Diffusion
from .level import Level
from .regimes import Regimes
from .watch import Watch


class State(NamedTuple):
    """Anchor of the level, and the members' states."""

    anchor: Anchor
    diffusion: Diffusion
    level: Level
    regimes: Regimes


def init(config: Config, key: Array) -> State:
    """State before any data; its law is a random walk in units of the row's scale."""
    dtype = jnp.result_type(float)
    prior = memory.prior_variance(config.width - 1, len(AVERAGES) + config.n_level)
    return State(unknown(dtype), diffusion.init(key, prior, dtype), level.init(prior, dtype), regimes.init(dtype))


def _info(state: State, iterations: int | Array, residual: Array) -> Info:
    status = jnp.where(state.diffusion.watch.collapsed, Status.COLLAPSED, Status.OK)
    return Info(status.astype(jnp.int32), jnp.asarray(iterations, jnp.int32), residual)


def fit(state: State, rows: Row, targets: Array, mask: Array, key: Array) -> tuple[State, Info]:
    """Fit the members on the rows (n,) where ``mask``; ``key`` starts the net afresh."""
    anchor = settle(rows, mask)
    dtype = anchor.centre.dtype
    prior = memory.prior_variance(rows.increments.shape[-1], rows.gaps.shape[-1])
    fresh = diffusion.init(key, prior, dtype)
    solved, loss = diffusion.fit(fresh, anchor, rows, targets, mask)
    kernel = level.fit(level.init(prior, dtype), anchor, rows, targets, mask)
    fitted = State(anchor, solved, kernel, regimes.fit(anchor, rows, targets, mask))
    none = ~mask.any()
    fitted = jax.tree.map(lambda new, old: jnp.where(none, old, new), fitted, state)
    return fitted, _info(fitted, diffusion.FIT_STEPS + 2 * diffusion.REFIT_STEPS, loss)


def update(state: State, row: Row, target: Array) -> tuple[State, Info]:
    """Learn one outcome at constant cost."""
    anchor = anchored(state.anchor, row)
    state = State(
        anchor,
        diffusion.update(state.diffusion, anchor, row, target),
        level.update(state.level, anchor, row, target),
        regimes.update(state.regimes, anchor, row, target),
    )
    return state, _info(state, 1, state.diffusion.watch.ratio)


def law(state: State, row: Row) -> Law:
    """The members' laws, leading axis 4 in the order of ``branch.members``."""
    anchor = anchored(state.anchor, row)
    single = (diffusion.law(state.diffusion, anchor, row), level.law(state.level, anchor, row))
    pair = jax.tree.map(lambda *parts: jnp.stack(parts), *single)
    every = jax.tree.map(lambda *parts: jnp.concatenate(parts), pair, regimes.law(state.regimes, anchor, row))
    return every._replace(q=within(anchor, row, every.q))


def monitor(state: State) -> Watch:
    """Mode-collapse watch, refreshed at each step of the net: (entropy difference, variance ratio, collapsed)."""
    return state.diffusion.watch


branch = Branch("B", ("dgm", "kernel", "switch", "switch-ar"), init, fit, update, law)
