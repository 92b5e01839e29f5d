"""The compiled programs: fit, walk and predict. The only place that jits.

What crosses between the host and a program is few arrays (:mod:`usp_sklearn.core.packing`): calls with a model's two
hundred small ones cost more than a step itself.
"""

from functools import cached_property, partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..kernels import law as laws
from ..kernels.law import Law
from ..kernels.window import Raw
from . import horizons, pipeline
from .orchestrator import Params
from .packing import Packing, Rows
from .pipeline import Output, Spec
from .telemetry import Telemetry

CHUNK = 64
"""Rows of a table."""

_FLAGS = {"sinkhorn_converged", "regime_changed", "emergency", "degraded", "mode_collapse", "frozen_signal", "outlier"}


class Turn(NamedTuple):
    """What one step is given: learn ``y``, the outcome of the oldest stored law, if ``learns``, then issue the law of
    ``raw`` if ``issues``."""

    raw: Raw
    y: Array
    learns: Array
    issues: Array


class Form:
    """What shapes a compiled program, and how its arguments are packed; its hash is computed once."""

    def __init__(self, spec: Spec, steps: int, state: Packing) -> None:
        self.spec, self.steps, self.state = spec, steps, state
        self._key = hash((spec, steps, state))

    def __hash__(self) -> int:
        return self._key

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Form) and (self.spec, self.steps, self.state) == (other.spec, other.steps, other.state)
        )

    @property
    def module(self) -> ModuleType:
        """Whose ``train``, ``step`` and ``predict`` it runs; ``steps`` is 0 for a model of one horizon."""
        return horizons if self.steps else pipeline

    @cached_property
    def turn(self) -> Rows:
        """Packing of a step's input."""
        config, lead = self.spec.config, (self.steps,) if self.steps else ()
        experts = np.zeros((self.spec.experts, laws.N_LEVELS)) if self.spec.experts else None
        level = np.zeros((*lead, config.n_level))
        raw = Raw(np.zeros(config.n_exog), level, np.zeros(config.width), np.int32(0), experts)
        return Rows.of(Turn(raw, np.zeros(lead), np.False_, np.False_))

    @cached_property
    def law(self) -> Rows:
        """Packing of the law of a row, or the laws of its horizons."""
        return Rows.of(self._law())

    @cached_property
    def output(self) -> Rows:
        """Packing of a step's output."""
        lead = (self.steps,) if self.steps else ()
        blank = {name: np.zeros(lead, bool if name in _FLAGS else float) for name in Telemetry._fields}
        blank |= {"kernel_weights": np.zeros((*lead, 4)), "mode": np.zeros(lead, np.int32)}
        return Rows.of(Output(self._law(), Telemetry(**blank)))

    @cached_property
    def record(self) -> tuple[tuple[str, int, int, Any], ...]:
        """Where a row of that holds the record, or that of its first horizon: name, column, width, Python's type."""
        places = zip(Telemetry._fields, self.output.leaves[len(Law._fields) :], strict=True)
        types = {"bool": bool, "int32": int, "float64": float}
        lead = 1 if self.steps else 0
        return tuple((name, at, int(np.prod(shape[lead:])), types[dtype]) for name, (at, _, shape, dtype) in places)

    def _law(self) -> Law:
        lead = (self.steps,) if self.steps else ()
        return Law(np.zeros((*lead, laws.N_LEVELS)), np.zeros((*lead, 2)), np.zeros((*lead, 2)))


@partial(jax.jit, static_argnums=(0, 1))
def fit(
    module: ModuleType, spec: Spec, params: Params, raw: Raw, y: Array, mask: Array, seed: Array, ahead: Array
) -> Any:
    """``train`` of :mod:`~usp_sklearn.core.pipeline` or :mod:`~usp_sklearn.core.horizons`."""
    return module.train(spec, params, raw, y, mask, jax.random.key(seed), ahead)


@partial(jax.jit, static_argnums=0)
def walk(form: Form, params: Array, pieces: tuple[Array, ...], table: Array, n: Array) -> tuple[Any, Array]:
    """``n`` steps, each in the order of a live stream: learn an outcome, then issue the law of a new row.

    Row j of ``table`` (CHUNK, …) packs the :class:`Turn` of step j, row j of what is returned beside the state its
    :class:`~usp_sklearn.core.pipeline.Output`. Batch and stream run this same program, so they agree to the last bit.
    """
    settings, turns = Params(*params), form.turn.tree(table)

    def body(j: Array, carry: tuple[Any, Array]) -> tuple[Any, Array]:
        state, out = carry
        turn = jax.tree.map(lambda x: x[j], turns)
        state, new = form.module.step(form.spec, settings, state, turn.raw, turn.y, turn.learns, turn.issues)
        if Rows.of(new) != form.output:
            raise TypeError(f"A step yields {Rows.of(new)}, not {form.output}.")
        return state, out.at[j].set(form.output.table(new))

    out = jnp.zeros((len(table), form.output.size))
    state, out = jax.lax.fori_loop(0, n, body, (form.state.tree(pieces), out))
    return form.state.pieces(state), out


@partial(jax.jit, static_argnums=0)
def predict(form: Form, params: Array, pieces: tuple[Array, ...], table: Array) -> Array:
    """Laws of independent rows, a :class:`Turn` each, from a frozen state: a table of them."""
    rows = form.turn.tree(table).raw
    issued = form.module.predict(form.spec, Params(*params), form.state.tree(pieces), rows)
    return form.law.table(issued.law)
