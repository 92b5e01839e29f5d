"""Rows that do not come next: a search predicts whole folds from one frozen state, whose memory is of other times.

Whatever row comes next finds the members' short memory as the newest outcome left it. Any other row is given what its
own features say of that memory (:mod:`usp_sklearn.kernels.reading`), and weights that follow the newest losses less.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from ..kernels import reading
from ..kernels.contract import Memory, Row
from ..kernels.reading import Reading
from ..kernels.registry import BRANCHES
from ..kernels.window import Local
from . import orchestrator
from .spec import Spec

if TYPE_CHECKING:
    from .pipeline import Pending, State


def recall(spec: Spec, branches: tuple[Any, ...], row: Row) -> tuple[Memory, ...]:
    """The branches' own short memory, as the row that comes next meets it."""
    return tuple(BRANCHES[b].recall(s, row) for b, s in zip(spec.branches, branches, strict=True))


def begin(spec: Spec, branches: tuple[Any, ...], row: Row, roughness: Array) -> Reading:
    """Nothing learned yet of how rows like ``row`` and the memories of ``branches`` go together."""
    x, m = reading.features(row, roughness), reading.spell(recall(spec, branches, row), row.scale)
    return reading.init(len(x), len(m), x.dtype)


def learn(spec: Spec, state: "State", row: Row) -> Reading:
    """One row more that came next, with the memory it met."""
    x, m = reading.features(row, state.stats.roughness), reading.spell(recall(spec, state.branches, row), row.scale)
    return reading.update(state.reading, x, m)


def continues(spec: Spec, pending: "Pending", new: Local, width: Array) -> Array:
    """Whether a row's window of ``width`` values is that of the last issued row and one value more.

    Of a window of one value that can't be told: such a row counts as the next.
    """
    old = jax.tree.map(lambda ring: ring[(pending.head - 1) % spec.queue], pending.row.local)
    shared = jnp.arange(1, new.increments.shape[0]) < width - 1
    same = jnp.where(shared, new.increments[1:] == old.increments[:-1], True).all()
    newest = (new.increments[0] == new.last - old.last) | (width < 2)
    return (pending.head > 0) & same & newest


def meet(spec: Spec, state: "State", local: Local, row: Row, width: Array) -> tuple["State", tuple[Memory, ...]]:
    """The state and the memories that a row meets: its own if it continues the stream, read from the row if not."""
    near, own = continues(spec, state.pending, local, width), recall(spec, state.branches, row)
    m = reading.read(reading.solve(state.reading), reading.features(row, state.stats.roughness))
    met = jax.tree.map(lambda a, b: jnp.where(near, a, b), own, reading.unspell(m, own, row.scale))
    return state._replace(orchestrator=orchestrator.detached(spec, state.orchestrator, near)), met
