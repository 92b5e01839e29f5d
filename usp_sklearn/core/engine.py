"""Host side of the pipeline: buckets, padding and chunks, so that few programs serve every shape.

Rows, widths and context columns are padded to buckets; hyper-parameters travel as arrays. Five folds of a
search therefore share the programs of one fit.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ..kernels.contract import Config
from ..kernels.law import Law
from ..kernels.window import Raw
from . import pipeline
from .orchestrator import Params, params
from .pipeline import Spec, State
from .telemetry import Telemetry

WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
LEVEL_COLUMNS = (0, 8, 16, 32, 64, 128)
EXOG_COLUMNS = (0, 4, 16, 64, 256)
QUEUES = (1, 8, 32, 128, 512)
FIT_ROWS = (128, 1024)
CHUNK = 64

__all__ = ["Engine", "Layout", "Params", "advance", "fit", "padded", "params", "predict", "walk"]

Array = NDArray[Any]


class Layout(NamedTuple):
    """How columns and outcomes are laid out, and the static choices of one model."""

    width: int
    n_level: int
    n_exog: int
    horizon: int
    branches: tuple[str, ...]
    depth: int
    geometry: str
    pooling: str


@jax.tree_util.register_static
class Shape(NamedTuple):
    """Layout as a static leaf, so an Engine is a pytree of arrays and nothing else."""

    layout: Layout


class Engine(NamedTuple):
    """A trained model for one horizon: its state, and outcomes (< horizon of them) known but not yet due."""

    shape: Shape
    state: State
    waiting: Array


def bucket(n: int, buckets: tuple[int, ...]) -> int:
    """Smallest bucket that holds ``n``; beyond the last one, the next power of two."""
    for size in buckets:
        if n <= size:
            return size
    return 1 << (n - 1).bit_length()


def spec(layout: Layout) -> Spec:
    """Static part of the programs for a layout."""
    config = Config(
        bucket(layout.width, WIDTHS),
        bucket(layout.n_level, LEVEL_COLUMNS),
        bucket(layout.n_exog, EXOG_COLUMNS),
        layout.depth,
    )
    return Spec(config, layout.branches, bucket(layout.horizon, QUEUES), layout.geometry, layout.pooling)


def raw(layout: Layout, X: Array, rows: int) -> Raw:
    """Columns of ``X`` padded to their buckets, rows to ``rows`` by repeating the last one."""
    config = spec(layout).config
    n = len(X)
    index = np.minimum(np.arange(rows), n - 1)
    exog, level, window = np.split(X, [layout.n_exog, layout.n_exog + layout.n_level], axis=1)
    exog = np.pad(exog, ((0, 0), (0, config.n_exog - layout.n_exog)))
    # An absent level column equals the newest value: its gap is zero and no model can lean on it.
    spare = np.repeat(window[:, -1:], config.n_level - layout.n_level, axis=1)
    edge = np.repeat(window[:, :1], config.width - layout.width, axis=1)
    return Raw(
        exog[index],
        np.concatenate([level, spare], axis=1)[index],
        np.concatenate([edge, window], axis=1)[index],
        np.full(rows, layout.width, np.int32),
    )


def fit(layout: Layout, params: Params, X: Array, y: Array, seed: int) -> tuple[Engine, Telemetry]:
    """Train on the first half, then walk all rows prequentially."""
    n = len(X)
    head = max(min(n, 64), n // 2)
    head = slice(max(0, head - FIT_ROWS[-1]), head)
    rows = bucket(head.stop - head.start, FIT_ROWS)
    mask = np.arange(rows) < head.stop - head.start
    target = np.resize(y[head], rows)
    state = pipeline.fit(spec(layout), params, raw(layout, X[head], rows), target, mask, jax.random.key(seed))
    engine, _, telemetry = walk(Engine(Shape(layout), state, np.empty(0)), params, X, y)
    return engine, telemetry


def walk(engine: Engine, params: Params, X: Array, y: Array) -> tuple[Engine, Law, Telemetry]:
    """Issue the law of every row and learn each outcome as soon as it is due: laws and records (n, …)."""
    n, h = len(X), engine.shape.layout.horizon
    known = np.concatenate([engine.waiting, y])
    # After row j is issued, the outcome at place ``due[j]`` of ``known`` is due; the next step learns it.
    due = len(engine.waiting) + np.arange(n) + 1 - h
    rows = np.minimum(np.arange(n + 1), n - 1)
    learns = np.concatenate([[False], due >= 0])
    outcome = np.concatenate([[0.0], known[np.maximum(due, 0)]])
    state, law, telemetry = _steps(engine, params, X[rows], outcome, learns, np.arange(n + 1) < n)
    waiting = known[max(0, len(known) - (h - 1)) :]
    cut = (jax.tree.map(lambda x: x[:n], law), jax.tree.map(lambda x: x[1:], telemetry))
    return Engine(engine.shape, state, waiting), *cut


def advance(engine: Engine, params: Params, x: Array, y: float) -> tuple[Engine, Law, Telemetry]:
    """One step of a stream: ``y`` is the newest value, ``x`` the row that ends with it."""
    pending = engine.state.pending
    due = int(pending.head) - int(pending.tail) >= engine.shape.layout.horizon
    one = np.ones(1, bool)
    state, law, telemetry = _steps(engine, params, x[None], np.array([y]), one & due, one)
    return Engine(engine.shape, state, engine.waiting), *jax.tree.map(lambda v: v[0], (law, telemetry))


def _steps(
    engine: Engine, params: Params, X: Array, y: Array, learns: Array, issues: Array
) -> tuple[State, Law, Telemetry]:
    """Steps of :func:`pipeline.walk` in chunks of ``CHUNK``."""
    layout, state, pieces = engine.shape.layout, engine.state, []
    for start in range(0, len(X), CHUNK):
        part = slice(start, start + CHUNK)
        count = len(X[part])
        y_, learns_, issues_ = (np.resize(v[part], CHUNK) for v in (y, learns, issues))
        args = raw(layout, X[part], CHUNK), y_, learns_, issues_, np.int32(count)
        state, out = pipeline.walk(spec(layout), params, state, *args)
        pieces.append(jax.tree.map(lambda x, count=count: np.asarray(x)[:count], out))
    out = jax.tree.map(lambda *x: np.concatenate(x), *pieces)
    return state, out.law, out.telemetry


def predict(engine: Engine, params: Params, X: Array) -> Law:
    """Laws of independent rows from the frozen state."""
    layout = engine.shape.layout
    size = 1 if len(X) == 1 else CHUNK
    pieces = []
    for start in range(0, len(X), size):
        part = X[start : start + size]
        issued = pipeline.predict(spec(layout), params, engine.state, raw(layout, part, size))
        count = len(part)
        pieces.append(jax.tree.map(lambda x, count=count: np.asarray(x)[:count], issued.law))
    return jax.tree.map(lambda *x: np.concatenate(x), *pieces)


def padded(function: Any, law: Law, *args: Array) -> Array:
    """Apply a vectorised law function to rows padded to a power of two, so that shapes repeat."""
    n = len(law.q)
    size = max(64, 1 << (n - 1).bit_length())
    index = np.minimum(np.arange(size), n - 1)
    return np.asarray(function(*jax.tree.map(lambda x: jnp.asarray(x[index]), (law, *args))))[:n]
