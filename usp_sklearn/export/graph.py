"""The shared entry of every format: a trained model as pure functions over bare arrays.

    predict   rows (batch, F)          -> quantiles, mean, tails, weights, telemetry
    step      state (N,), y (1 + E,)   -> state, quantiles, mean, tails, weights, telemetry

``predict`` has the trained state inside and never changes. ``step`` learns the newest value, y[0] (y[1:] are its
exogenous values), and issues the law of the next; its state is one float64 vector: everything the model and the
window buffer hold, integers and single precision included, which double precision carries exactly. With several
horizons every output but the telemetry gets an axis for them.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..api.affine import scaled
from ..api.base import BasePredictor
from ..api.stream import Stream
from ..api.windows import SlidingWindow
from ..core import engine, orchestrator
from ..core.engine import laws
from ..core.packing import Packing
from ..core.telemetry import BRANCH_ORDER, Telemetry
from . import feed
from .handover import handover

DTYPES = ("float64", "float32")
LEAST = 8192
"""Arrays of fewer numbers share a piece of the state: each tensor of a call costs TensorFlow several microseconds."""
GOLDEN = 16
"""Rows, and steps in a row, that are stored with what they must give."""


class Port(NamedTuple):
    """One input or output; "batch" in a shape is the symbolic axis."""

    name: str
    shape: tuple[int | str, ...]
    unit: str
    dtype: str


class Signature(NamedTuple):
    """A function over bare arrays; trace it inside :func:`usp_sklearn.runtime.precision`."""

    call: Callable[..., tuple[Array, ...]]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Pieces(NamedTuple):
    """``step`` on a state that comes and goes in pieces, which lie in the vector from ``offsets`` on.

    A runtime that passes pointers needs no packing then: large arrays are used where they lie.
    """

    step: Signature
    offsets: tuple[int, ...]


class Graph(NamedTuple):
    """What is exported."""

    name: str
    predict: Signature
    step: Signature | None
    state: NDArray[np.float64] | None
    """(N,) what the first ``step`` takes"""
    levels: tuple[float, ...]
    horizons: tuple[int, ...]
    telemetry: tuple[str, ...]
    dtype: str
    typical: tuple[NDArray[np.float64], NDArray[np.float64]]
    """rows (GOLDEN, F) and values (GOLDEN, 1 + E) like those the model has seen: inputs of the golden vectors"""
    pieces: Pieces | None = None
    snapshot: dict[str, Any] | None = None
    """how a snapshot of a stream becomes a state, see :mod:`usp_sklearn.export.handover`"""
    exact: Mapping[str, Signature] = MappingProxyType({})
    """of a graph in single precision: its signatures in double precision"""

    @property
    def signatures(self) -> dict[str, Signature]:
        """By name."""
        return {"predict": self.predict} | ({"step": self.step} if self.step is not None else {})


PREDICTED = ("quantiles", "mean", "tails", "weights", "telemetry")
"""Outputs of ``predict``, and of ``step`` after the state."""
TELEMETRY: tuple[str, ...] = tuple(
    name
    for field in Telemetry._fields
    for name in ([f"weight_{b}" for b in BRANCH_ORDER] if field == "kernel_weights" else [field])
)
"""Names of the telemetry vector's entries; flags are 0 or 1."""


def graph(
    estimator: BaseEstimator | Stream,
    *,
    history: ArrayLike | None = None,
    windows: SlidingWindow | None = None,
    quantiles: Sequence[float] | None = None,
    dtype: str = "float64",
    name: str = "model",
) -> Graph:
    """The graphs of a fitted predictor, of a Pipeline of scalers that ends in one, or of a Stream.

    Without ``history`` there is no ``step``: nobody knows where the stream stands. ``history`` and ``windows`` are
    those of :class:`~usp_sklearn.Stream`. With ``dtype="float32"`` what crosses the border is single precision, but for
    the state; inside it is always double.
    """
    if dtype not in DTYPES:
        raise ValueError(f"The 'dtype' parameter of export_model must be one of {DTYPES}. Got {dtype!r} instead.")
    levels = laws.LEVELS if quantiles is None else np.array(quantiles, dtype=np.float64)
    if levels.ndim != 1 or not len(levels) or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(
            f"The 'quantiles' parameter of export_model must hold levels between 0 and 1. Got {quantiles!r} instead."
        )
    stream = estimator if isinstance(estimator, Stream) else None
    if stream is None and history is not None:
        stream = Stream(estimator, history, windows)
    if stream is not None:
        model = Model(stream.engine_, stream.settings, stream.slope, stream.shift)
    else:
        predictor, cut, slope, shift = scaled(estimator)
        if not isinstance(predictor, BasePredictor):
            raise TypeError(
                "The 'estimator' parameter of export_model must be a predictor of this package, a Pipeline of scalers "
                f"that ends in one, or a Stream. Got {type(predictor).__name__} instead."
            )
        check_is_fitted(predictor)
        if cut:
            raise ValueError(
                "The 'estimator' parameter of export_model must not cut windows, unless history says where its stream "
                f"stands: rows are then cut before they are made. Got a window {cut} values shorter than the rows'."
            )
        model = Model(predictor.state_, predictor._params(), slope, shift)
    report = _Report(None if quantiles is None else levels, model.engine.shape.layout)
    predict = _predict(model, report, dtype)
    layout = model.engine.shape.layout
    horizons = tuple(range(1, layout.horizon + 1)) if layout.multi else (layout.horizon,)
    inputs = _typical(model, stream)
    step, state, pieces, snapshot = (None,) * 4 if stream is None else _step(stream, model, report, dtype)
    held = tuple(map(float, levels))
    made = Graph(name, predict, step, state, held, horizons, TELEMETRY, dtype, inputs, pieces, snapshot)
    if dtype == "float64":
        return made
    exact = {"predict": _predict(model, report, "float64")}
    return made._replace(
        exact=exact if stream is None else exact | {"step": _step(stream, model, report, "float64")[0]}
    )


class Model(NamedTuple):
    """A trained engine, its hyper-parameters, and the scaling of the columns before it (None for none)."""

    engine: engine.Engine
    settings: engine.Params
    slope: NDArray[np.float64] | None
    shift: NDArray[np.float64] | None

    def raw(self, x: Array) -> Any:
        """Columns of the row ``x`` (F,), as the core takes them."""
        x = x if self.slope is None or self.shift is None else x * self.slope + self.shift
        return jax.tree.map(lambda v: v[0], engine.raw(self.engine.shape.layout, x[None], 1, xp=jnp))


class _Report(NamedTuple):
    """How a law and a record leave the graph."""

    levels: NDArray[np.float64] | None
    layout: engine.Layout

    def ports(self, lead: tuple[int | str, ...], dtype: str) -> tuple[Port, ...]:
        k = len(laws.LEVELS if self.levels is None else self.levels)
        axes = (*lead, self.layout.horizon) if self.layout.multi else lead
        return (
            Port("quantiles", (*axes, k), "series", dtype),
            Port("mean", axes, "series", dtype),
            Port("tails", (*axes, 4), "scales left and right in series units, indices left and right", dtype),
            Port("weights", (*axes, len(BRANCH_ORDER)), "share of branches A, B, C, D", dtype),
            Port("telemetry", (*lead, len(TELEMETRY)), "see telemetry", dtype),
        )

    def arrays(self, law: laws.Law, weights: Array, record: Telemetry, dtype: str) -> tuple[Array, ...]:
        q = law.q if self.levels is None else laws.ppf(law, self.levels)
        tails = jnp.concatenate([law.tail_scale, law.tail_index], -1)
        vector = jnp.concatenate([jnp.ravel(v).astype(jnp.float64) for v in record])
        return tuple(x.astype(dtype) for x in (q, laws.mean(law), tails, weights, vector))


def _predict(model: Model, report: _Report, dtype: str) -> Signature:
    layout = model.engine.shape.layout
    state: Any = model.engine.state

    def one(issued: Any) -> tuple[Array, ...]:
        first = (lambda x: x[0]) if layout.multi else (lambda x: x)
        status = (state.horizons if layout.multi else state).orchestrator
        status = jax.tree.map(lambda x: jnp.asarray(first(x)), status)
        status = orchestrator.remember(status, first(issued.emergency), first(issued.weights))
        record = orchestrator.idle(model.settings, status, jax.tree.map(first, issued.identification))
        return report.arrays(issued.law, issued.weights, record, dtype)

    def call(rows: Array) -> tuple[Array, ...]:
        raws = jax.vmap(model.raw)(rows.astype(jnp.float64))
        held = jax.tree.map(jnp.asarray, state)
        issued = engine.functions(layout).predict(engine.spec(layout), model.settings, held, raws)
        return jax.vmap(one)(issued)

    width = layout.n_exog + layout.n_level + layout.width
    columns = Port("rows", ("batch", width), "exogenous, level context and window in series units", dtype)
    return Signature(call, (columns,), report.ports(("batch",), dtype))


def _step(
    stream: Stream, model: Model, report: _Report, dtype: str
) -> tuple[Signature, NDArray[np.float64], Pieces, dict[str, Any]]:
    layout = model.engine.shape.layout
    context = stream.buffer.context
    spec, functions = engine.spec(layout), engine.functions(layout)
    start = jax.tree.map(np.asarray, (model.engine.state, feed.start(context)))
    packing = Packing.of(start, LEAST)

    def learn(*given: Array) -> tuple[Array, ...]:
        *pieces, y = given
        state, buffer = packing.tree(pieces)
        y = y.astype(jnp.float64)
        buffer, columns = feed.push(context.plan, layout.width, buffer, y[0])
        due = state.pending.head - state.pending.tail >= layout.horizon
        outcome = jnp.full(layout.horizon, y[0]) if layout.multi else y[0]
        raw = model.raw(jnp.concatenate([y[1:], columns]))
        state, out = functions.step(spec, model.settings, state, raw, outcome, due, True)
        record = jax.tree.map(lambda x: x[0], out.telemetry) if layout.multi else out.telemetry
        weights = (state.horizons if layout.multi else state).orchestrator.weights
        return *packing.pieces((state, buffer)), *report.arrays(out.law, weights, record, dtype)

    def call(vector: Array, y: Array) -> tuple[Array, ...]:
        n = len(packing.offsets)
        out = learn(*packing.apart(vector), y)
        return packing.together(out[:n]), *out[n:]

    state, law = Port("state", (packing.size,), "opaque", "float64"), report.ports((), dtype)
    y = Port("y", (1 + layout.n_exog,), "newest value in series units, then its exogenous values", dtype)
    ports = tuple(Port(f"state_{i}", shape, "opaque", "float64") for i, shape in enumerate(packing.shapes))
    pieces = Pieces(Signature(learn, (*ports, y), (*ports, *law)), packing.offsets)
    vector = np.asarray(packing.together(packing.pieces(start, np), np))
    return Signature(call, (state, y), (state, *law)), vector, pieces, handover(stream, packing, start)


def _typical(model: Model, stream: Stream | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Random walks with the series' own roughness, from where it stands."""
    layout, rng = model.engine.shape.layout, np.random.default_rng(0)
    state: Any = jax.tree.map(np.asarray, model.engine.state)
    stats, pending = (state.horizons.stats, state.horizons.pending) if layout.multi else (state.stats, state.pending)
    rough, last = float(np.ravel(stats.roughness)[0]), float(np.ravel(pending.row.local.last)[0])
    walk = last + np.cumsum(rough * rng.normal(size=(GOLDEN, layout.n_level + layout.width)), axis=1)
    spread = stats.exog_scale[0] if layout.multi else stats.exog_scale
    exog = rng.normal(size=(GOLDEN, layout.n_exog)) * spread[: layout.n_exog]
    rows = np.concatenate([exog, walk], axis=1)
    if model.slope is not None:
        # Rows are what stands before the scalers.
        flat = model.slope == 0
        rows = np.where(flat, 0.0, (rows - model.shift) / np.where(flat, 1.0, model.slope))
    start = last if stream is None else float(stream.buffer.context.newest)
    values = start + np.cumsum(rough * rng.normal(size=GOLDEN))
    return rows, np.concatenate([values[:, None], exog], axis=1)
