"""Branch B, laws that are Markov in a state: a Deep Galerkin diffusion, a kernel-conditional law, hidden regimes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ..contract import Branch, Config, Info, Memory, Row, Status
from ..law import Law
from ..window import AVERAGES
from . import diffusion, level, memory, regimes, volatility
from .anchor import Anchor, anchored, settle, unknown, within
from .diffusion import Diffusion
from .level import Level
from .regimes import Regimes
from .watch import Watch

MEMBERS = ("dgm", "kernel", *regimes.AUTOREGRESSIVE)


class State(NamedTuple):
    """Anchor of the level, and the members' states; None for those that take no part."""

    anchor: Anchor
    diffusion: Diffusion | None
    level: Level | None
    regimes: Regimes | None


def init(config: Config, key: Array) -> State:
    """State before any data; its law is a random walk in units of the row's scale."""
    dtype = jnp.result_type(float)
    prior = memory.prior_variance(config.width - 1, len(AVERAGES) + config.n_level)
    chosen = branch.chosen(config)
    switching = tuple(m for m in chosen if m in regimes.AUTOREGRESSIVE)
    return State(
        unknown(dtype),
        diffusion.init(key, prior, dtype) if "dgm" in chosen else None,
        level.init(prior, dtype) if "kernel" in chosen else None,
        regimes.init(dtype, switching) if switching else None,
    )


def _info(state: State, iterations: int | Array, residual: Array) -> Info:
    status = jnp.where(monitor(state).collapsed, Status.COLLAPSED, Status.OK)
    return Info(status.astype(jnp.int32), jnp.asarray(iterations, jnp.int32), residual)


def fit(state: State, rows: Row, targets: Array, mask: Array, key: Array) -> tuple[State, Info]:
    """Fit the members on the rows (n,) where ``mask``; ``key`` starts the net afresh."""
    anchor = settle(rows, mask)
    dtype = anchor.centre.dtype
    prior = memory.prior_variance(rows.increments.shape[-1], rows.gaps.shape[-1])
    solved, kernel, switching, loss = state.diffusion, state.level, state.regimes, jnp.zeros((), dtype)
    if solved is not None:
        solved, loss = diffusion.fit(diffusion.init(key, prior, dtype), anchor, rows, targets, mask)
    if kernel is not None:
        kernel = level.fit(level.init(prior, dtype), anchor, rows, targets, mask)
    if switching is not None:
        switching = regimes.fit(switching, anchor, rows, targets, mask)
    fitted = State(anchor, solved, kernel, switching)
    none = ~mask.any()
    fitted = jax.tree.map(lambda new, old: jnp.where(none, old, new), fitted, state)
    return fitted, _info(fitted, diffusion.FIT_STEPS + 2 * diffusion.REFIT_STEPS, loss)


def memo(state: State, row: Row) -> tuple[Array | None, Array | None]:
    """Averages of the volatilities that the diffusion's and the kernel's law rest on."""
    first, second = state.diffusion, state.level
    return None if first is None else first.vol.mean, None if second is None else second.vol.mean


def update(
    state: State, row: Row, target: Array, memo: tuple[Array | None, Array | None] | None = None
) -> tuple[State, Info]:
    """Learn one outcome at constant cost."""
    anchor = anchored(state.anchor, row)
    first, second = (None, None) if memo is None else memo
    solved, kernel, switching = state.diffusion, state.level, state.regimes
    state = State(
        anchor,
        None if solved is None else diffusion.update(solved, anchor, row, target, first),
        None if kernel is None else level.update(kernel, anchor, row, target, second),
        None if switching is None else regimes.update(switching, anchor, row, target),
    )
    return state, _info(state, 1, monitor(state).ratio)


def recall(state: State, row: Row) -> Memory:
    """Local volatilities of the diffusion's and the kernel's residuals, probabilities of the hidden regimes."""
    local = [volatility.level(part.vol) for part in (state.diffusion, state.level) if part is not None]
    chances = None if state.regimes is None else state.regimes.filtered
    return Memory(factors=jnp.stack(local) if local else None, chances=chances)


def law(state: State, row: Row, met: Memory | None = None) -> Law:
    """One law per member, leading axis m, in the order of ``branch.members``; ``met`` is the memory the row meets."""
    anchor = anchored(state.anchor, row)
    met = recall(state, row) if met is None else met
    local = iter(() if met.factors is None else met.factors)
    each = [
        jax.tree.map(lambda x: x[None], one(part, anchor, row, next(local)))
        for one, part in ((diffusion.law, state.diffusion), (level.law, state.level))
        if part is not None
    ]
    if state.regimes is not None:
        each.append(regimes.law(state.regimes._replace(filtered=met.chances), anchor, row))
    every = jax.tree.map(lambda *parts: jnp.concatenate(parts), *each)
    return every._replace(q=within(anchor, row, every.q))


def monitor(state: State) -> Watch:
    """Mode-collapse watch, refreshed at each step of the net: (entropy difference, variance ratio, collapsed)."""
    if state.diffusion is not None:
        return state.diffusion.watch
    one = jnp.ones_like(state.anchor.centre)
    return Watch(0 * one, one, jnp.zeros((), bool))


branch = Branch("B", MEMBERS, init, fit, update, recall, law, memo)
