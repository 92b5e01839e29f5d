"""All horizons of one model in lockstep: the pipeline with a leading axis of H, and the copula that joins them.

Rows are shared but for the seasonal columns, which look at each horizon's own phase. At every step each horizon
learns the outcome that has just become known, of the law it stored h steps ago, and issues the next law. Members,
weights, calibration and alarms are each horizon's own. Learning starts once the longest horizon has an outcome, so
that all take the same turns.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ..kernels import law as laws
from ..kernels.window import Raw
from . import copula, pipeline
from .copula import Copula
from .pipeline import Issued, Output, Params, Pending, Spec, State


class Ladder(NamedTuple):
    """States of the horizons (leading axis H; the queue's counters are common), and what joins them."""

    horizons: State
    copula: Copula

    @property
    def pending(self) -> Pending:
        """Stored laws of all horizons."""
        return self.horizons.pending


_STATE: Any = State(0, 0, 0, Pending(0, 0, 0, 0, 0, 0, 0, None, None), 0)
_RAW: Any = Raw(None, 0, None, None, 0)
_ROWS: Any = Raw(None, 1, None, None, 1)


def train(spec: Spec, params: Params, raw: Raw, y: Array, mask: Array, key: Array, longest: Array) -> Ladder:
    """:func:`pipeline.train` of horizons 1 … ``longest``; ``y`` is (n, H), level columns of ``raw`` are (n, H, …)."""
    n = y.shape[1]
    train = jax.vmap(partial(pipeline.train, spec, params), in_axes=(_ROWS, 1, None, 0, 0), out_axes=_STATE)
    ahead = longest - n + 1 + jnp.arange(n)
    return Ladder(train(raw, y, mask, jax.random.split(key, n), ahead), copula.init(n, spec.queue, y.dtype))


def step(
    spec: Spec, params: Params, state: Ladder, raw: Raw, y: Array, learns: Array | bool, issues: Array | bool
) -> tuple[Ladder, Output]:
    """:func:`pipeline.step` for all horizons; ``y`` (H,) holds the outcomes that become known."""
    count = len(y)
    ahead = count - 1 - jnp.arange(count, dtype=jnp.int32)
    each = jax.vmap(
        partial(pipeline.step, spec, params), in_axes=(_STATE, _RAW, 0, None, None, 0), out_axes=(_STATE, 0)
    )
    joint = jax.lax.cond(learns, lambda s: _join(spec, s, y, ahead), lambda s: s.copula, state)
    horizons, new = each(state.horizons, raw, y, learns, issues, ahead)
    return Ladder(horizons, joint), new


def _join(spec: Spec, state: Ladder, y: Array, ahead: Array) -> Copula:
    """Teach the copula what the stored laws make of the outcomes ``y`` (H,)."""
    each = jax.vmap(partial(pipeline.stored, spec), in_axes=(_STATE, 0))(state.horizons, ahead)
    return copula.learn(state.copula, laws.cdf(each.issued, y), state.pending.tail + ahead)


def predict(spec: Spec, params: Params, state: Ladder, raw: Raw) -> Issued:
    """Laws (n, H) for independent rows from a frozen state."""
    every = jax.vmap(partial(pipeline.law_anywhere, spec, params), in_axes=(_STATE, _RAW))
    return jax.vmap(lambda row: every(state.horizons, row))(raw)
