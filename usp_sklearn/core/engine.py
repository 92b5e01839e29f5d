"""A trained model on the host: fit, walk, advance and predict in chunks of rows.

Rows and columns are padded to buckets (:mod:`usp_sklearn.core.layout`); hyper-parameters travel as arrays. Five folds
of a search therefore share the programs of one fit.
"""

from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from ..kernels import law as laws
from ..kernels.law import Law
from . import programs
from .horizons import Ladder
from .layout import Layout, bucket, every_member, functions, raw, spec
from .orchestrator import Params, params
from .packing import Packing
from .pipeline import Output, State
from .programs import CHUNK, Form, Turn
from .telemetry import Telemetry

FIT_ROWS = (128, 1024)

__all__ = [
    "Engine", "Layout", "Params", "advance", "bucket", "correlation", "every_member", "fit", "functions", "held",
    "issued", "issued_law", "issued_record", "laws", "padded", "params", "predict", "raw", "spec", "train", "walk",
    "widened",
]  # fmt: skip

Array = NDArray[Any]


@jax.tree_util.register_static
class Shape:
    """Layout and packing as a static leaf, so an Engine is a pytree of arrays and nothing else."""

    def __init__(self, layout: Layout, state: Packing) -> None:
        self.layout = layout
        self.form = Form(spec(layout), layout.horizon if layout.multi else 0, state)

    def __hash__(self) -> int:
        return hash(self.form)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and (self.layout, self.form) == (other.layout, other.form)

    @cached_property
    def ends(self) -> tuple[int, int]:
        """Where the queue's head and tail stand in the state's last piece."""
        packing = self.form.state
        pending = jax.tree.unflatten(packing.structure, range(len(packing.leaves))).pending
        return packing.place(pending.head), packing.place(pending.tail)


class Engine(NamedTuple):
    """A trained model: its state in pieces, and outcomes of the last rows (< horizon), known but not yet due."""

    shape: Shape
    pieces: tuple[Array, ...]
    waiting: Array

    @property
    def state(self) -> State | Ladder:
        """The state as it is inside the programs, in NumPy's arrays."""
        return self.shape.form.state.tree([np.asarray(x) for x in self.pieces])

    @property
    def stored(self) -> int:
        """Laws issued whose outcome is still to come."""
        rest, (head, tail) = np.asarray(self.pieces[-1]), self.shape.ends
        return int(rest[head] - rest[tail])

    @property
    def saved(self) -> "Saved":
        """All of it, unpacked."""
        return Saved(self.shape.layout, self.state, self.waiting)

    def __reduce__(self) -> Any:
        return held, tuple(self.saved)


class Saved(NamedTuple):
    """An engine as it is written down; ``held(*saved)`` is the engine."""

    layout: Layout
    state: State | Ladder
    waiting: Array


def held(layout: Layout, state: State | Ladder, waiting: Array) -> Engine:
    """The engine of a state.

    Raises
    ------
    ValueError
        If the state has another structure, other shapes or types than packing gives back.
    """
    state = jax.tree.map(np.asarray, state)
    packing = Packing.of(state)
    return Engine(Shape(layout, packing), packing.pieces(state, np), np.asarray(waiting))


def fit(
    layout: Layout, params: Params, X: Array, y: Array, seed: int, experts: Array | None = None
) -> tuple[Engine, Telemetry]:
    """Train on the first half, then walk all rows prequentially. ``y`` is (n,), with ``multi`` (n, horizon)."""
    engine, _, telemetry = walk(train(layout, params, X, y, seed, experts), params, X, y, experts)
    return engine, telemetry


def train(layout: Layout, params: Params, X: Array, y: Array, seed: int, experts: Array | None = None) -> Engine:
    """What can't be learned step by step, from the first half of the rows; none of them is walked yet."""
    n = len(X)
    head = max(min(n, 64), n // 2)
    head = slice(max(0, head - FIT_ROWS[-1]), head)
    rows = bucket(head.stop - head.start, FIT_ROWS)
    mask = np.arange(rows) < head.stop - head.start
    target = y[head][np.arange(rows) % (head.stop - head.start)]
    given = raw(layout, X[head], rows, None if experts is None else experts[head])
    ahead = np.int32(layout.horizon)
    state = programs.fit(functions(layout), spec(layout), params, given, target, mask, np.int64(seed), ahead)
    return held(layout, state, y[:0])


def walk(
    engine: Engine, params: Params, X: Array, y: Array, experts: Array | None = None
) -> tuple[Engine, Law, Telemetry]:
    """Issue the law of every row and learn each outcome as soon as it is due: laws and records (n, …)."""
    n, layout = len(X), engine.shape.layout
    known, longest = np.concatenate([engine.waiting, y]), layout.horizon
    # After row j is issued, the outcome at place ``due`` of ``known`` is due at each horizon; the next step learns it.
    newest = len(engine.waiting) + np.arange(n) + 1
    if layout.multi:
        h = np.arange(longest) + 1
        outcome = known[np.maximum(newest[:, None] - h, 0), h - 1]
    else:
        outcome = known[np.maximum(newest - longest, 0)]
    rows = np.minimum(np.arange(n + 1), n - 1)
    learns = np.concatenate([[False], newest >= longest])
    outcome = np.concatenate([np.zeros_like(outcome[:1]), outcome])
    more = None if experts is None else experts[rows]
    pieces, table = _steps(engine, params, X[rows], outcome, learns, np.arange(n + 1) < n, more)
    out = issued(engine, table)
    waiting = known[max(0, len(known) - (longest - 1)) :]
    cut = (jax.tree.map(lambda x: x[:n], out.law), jax.tree.map(lambda x: x[1:], out.telemetry))
    return Engine(engine.shape, pieces, waiting), *cut


def advance(engine: Engine, params: Params, x: Array, y: float, learns: bool = True) -> tuple[Engine, Array]:
    """One step of a stream: ``y`` is the newest value, ``x`` the row that ends with it.

    Unless it ``learns``, the law that was stored for this step is dropped. What the step yields is packed; of its
    entries ``laws.MEDIAN`` is the median of the law, or of the first horizon's. :func:`issued` unpacks it.
    """
    layout, one = engine.shape.layout, np.ones(1, bool)
    due = engine.stored >= layout.horizon
    if due and not learns:
        engine = _dropped(engine)
    outcome = np.full((1, layout.horizon) if layout.multi else 1, y)
    pieces, table = _steps(engine, params, x[None], outcome, one & (due and learns), one, None)
    return Engine(engine.shape, pieces, engine.waiting), table[0]


def issued(engine: Engine, table: Array) -> Output:
    """Laws and records (n, …) of a table's rows, or those of one row; the record of several horizons is the first's."""
    out = engine.shape.form.output.tree(table)
    if engine.shape.layout.multi:
        first = (slice(None),) * (table.ndim - 1) + (0,)
        out = out._replace(telemetry=jax.tree.map(lambda x: x[first], out.telemetry))
    return out


def issued_law(engine: Engine, row: Array) -> Law:
    """The law of one row of a table."""
    form = engine.shape.form
    return form.law.tree(row[: form.law.size])


def issued_record(engine: Engine, row: Array) -> dict[str, Any]:
    """The record of one row of a table as plain Python values, those of a vector in a list."""
    values = row.tolist()
    return {
        name: kind(values[at]) if width == 1 else values[at : at + width]
        for name, at, width, kind in engine.shape.form.record
    }


def _dropped(engine: Engine) -> Engine:
    """Without the oldest stored law: its outcome never comes."""
    rest = np.array(engine.pieces[-1])
    rest[engine.shape.ends[1]] += 1
    return engine._replace(pieces=(*engine.pieces[:-1], rest))


def widened(law: Law, factor: float, centre: Law) -> Law:
    """The law with its quantiles ``factor`` times as far from the median, which is moved to that of ``centre``."""
    old, new = law.q[..., laws.MEDIAN, None], centre.q[..., laws.MEDIAN, None]
    return Law(new + factor * (law.q - old), law.tail_scale * factor, law.tail_index)


def _steps(
    engine: Engine, params: Params, X: Array, y: Array, learns: Array, issues: Array, experts: Array | None
) -> tuple[tuple[Array, ...], Array]:
    """Steps of the walk in chunks of ``CHUNK``; what they yield as a table."""
    (layout, form), pieces, tables = (engine.shape.layout, engine.shape.form), engine.pieces, []
    settings = np.array(params)
    for start in range(0, len(X), CHUNK):
        part = slice(start, start + CHUNK)
        count = len(X[part])
        given = raw(layout, X[part], count, None if experts is None else experts[part])
        table = np.zeros((CHUNK, form.turn.size))
        table[:count] = form.turn.table(Turn(given, y[part], learns[part], issues[part]), np)
        pieces, out = programs.walk(form, settings, pieces, table, np.int32(count))
        tables.append(np.asarray(out)[:count])
    return pieces, tables[0] if len(tables) == 1 else np.concatenate(tables)


def predict(engine: Engine, params: Params, X: Array, experts: Array | None = None) -> Law:
    """Laws of independent rows from the frozen state."""
    layout, form = engine.shape.layout, engine.shape.form
    size = 1 if len(X) == 1 else CHUNK
    settings, tables = np.array(params), []
    lead = (layout.horizon,) if layout.multi else ()
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        given = raw(layout, X[part], size, None if experts is None else experts[part])
        none = np.zeros(size, bool)
        table = form.turn.table(Turn(given, np.zeros((size, *lead)), none, none), np)
        tables.append(np.asarray(programs.predict(form, settings, engine.pieces, table))[: len(X[part])])
    return form.law.tree(np.concatenate(tables))


def correlation(engine: Engine) -> Array | None:
    """(H, H) how normal scores of one row's outcomes hang together; None for a model of one horizon."""
    # Unpacked only where there is one: this is asked for at every push.
    state = engine.state if engine.shape.layout.multi else None
    return np.asarray(state.copula.correlation) if isinstance(state, Ladder) else None


def padded(function: Any, law: Law, *args: Array) -> Array:
    """Apply a vectorised law function to rows padded to a power of two, so that shapes repeat."""
    n = len(law.q)
    size = max(64, 1 << (n - 1).bit_length())
    index = np.minimum(np.arange(size), n - 1)
    return np.asarray(function(*jax.tree.map(lambda x: np.asarray(x)[index], (law, *args))))[:n]
