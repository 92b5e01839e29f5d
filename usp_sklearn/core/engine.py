"""Host side of the pipeline: buckets, padding and chunks, so that few programs serve every shape.

Rows, widths and context columns are padded to buckets; hyper-parameters travel as arrays. Five folds of a
search therefore share the programs of one fit.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ..kernels import law as laws
from ..kernels.contract import Config
from ..kernels.law import Law
from ..kernels.registry import BRANCHES
from ..kernels.window import Raw
from . import horizons, pipeline
from .horizons import Ladder
from .orchestrator import Params, params
from .pipeline import Spec, State
from .telemetry import Telemetry

WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
LEVEL_COLUMNS = (0, 8, 16, 32, 64, 128)
EXOG_COLUMNS = (0, 4, 16, 64, 256)
QUEUES = (1, 8, 32, 128, 512)
FIT_ROWS = (128, 1024)
CHUNK = 64

__all__ = ["Engine", "Layout", "Params", "advance", "correlation", "fit", "laws", "padded", "params", "predict", "walk"]

Array = NDArray[Any]


class Layout(NamedTuple):
    """How columns and outcomes are laid out, and the static choices of one model."""

    width: int
    n_level: int
    n_exog: int
    horizon: int
    """steps ahead; with ``multi`` the longest of all"""
    members: tuple[tuple[str, str], ...]
    depth: int
    geometry: str
    pooling: str
    multi: bool = False
    """whether outcomes have a column for each of 1 … horizon"""
    n_ahead: int = 0
    """level columns at the end that belong to one horizon each, as many for every horizon"""
    experts: int = 0
    stack: bool = False


@jax.tree_util.register_static
class Shape(NamedTuple):
    """Layout as a static leaf, so an Engine is a pytree of arrays and nothing else."""

    layout: Layout


class Engine(NamedTuple):
    """A trained model: its state, and outcomes of the last rows (< horizon of them), known but not yet due."""

    shape: Shape
    state: State | Ladder
    waiting: Array


def bucket(n: int, buckets: tuple[int, ...]) -> int:
    """Smallest bucket that holds ``n``; beyond the last one, the next power of two."""
    for size in buckets:
        if n <= size:
            return size
    return 1 << (n - 1).bit_length()


def every_member(branches: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """(branch, member) names of all members of ``branches``."""
    return tuple((b, m) for b in branches for m in BRANCHES[b].members)


def spec(layout: Layout) -> Spec:
    """Static part of the programs for a layout."""
    blocks = layout.horizon if layout.multi else 1
    config = Config(
        bucket(layout.width, WIDTHS),
        bucket(layout.n_level - (blocks - 1) * layout.n_ahead, LEVEL_COLUMNS),
        bucket(layout.n_exog, EXOG_COLUMNS),
        layout.depth,
    )
    queue = bucket(layout.horizon, QUEUES)
    return Spec(config, layout.members, queue, layout.geometry, layout.pooling, layout.experts, layout.stack)


def programs(layout: Layout) -> Any:
    """The module whose fit, walk and predict serve the layout."""
    return horizons if layout.multi else pipeline


def raw(layout: Layout, X: Array, rows: int, experts: Array | None = None, xp: Any = np) -> Raw:
    """Columns of ``X`` padded to their buckets, rows to ``rows`` by repeating the last one.

    With ``multi`` every horizon gets the common level columns and its own. ``xp`` is the namespace of ``X``'s arrays.
    """
    config = spec(layout).config
    n = len(X)
    index = xp.minimum(xp.arange(rows), n - 1)
    exog, level, window = xp.split(X, [layout.n_exog, layout.n_exog + layout.n_level], axis=1)
    exog = xp.pad(exog, ((0, 0), (0, config.n_exog - layout.n_exog)))
    edge = xp.repeat(window[:, :1], config.width - layout.width, axis=1)
    if layout.multi:
        common, own = xp.split(level, [layout.n_level - layout.horizon * layout.n_ahead], axis=1)
        common = xp.repeat(common[:, None], layout.horizon, axis=1)
        level = xp.concatenate([common, own.reshape(n, layout.horizon, layout.n_ahead)], axis=2)
    # An absent level column equals the newest value: its gap is zero and no model can lean on it.
    spare = xp.broadcast_to(
        window[:, -1].reshape(n, *[1] * (level.ndim - 1)), (*level.shape[:-1], config.n_level - level.shape[-1])
    )
    return Raw(
        exog[index],
        xp.concatenate([level, spare], axis=-1)[index],
        xp.concatenate([edge, window], axis=1)[index],
        xp.full(rows, layout.width, xp.int32),
        None if experts is None else experts[index],
    )


def fit(
    layout: Layout, params: Params, X: Array, y: Array, seed: int, experts: Array | None = None
) -> tuple[Engine, Telemetry]:
    """Train on the first half, then walk all rows prequentially. ``y`` is (n,), with ``multi`` (n, horizon)."""
    n = len(X)
    head = max(min(n, 64), n // 2)
    head = slice(max(0, head - FIT_ROWS[-1]), head)
    rows = bucket(head.stop - head.start, FIT_ROWS)
    mask = np.arange(rows) < head.stop - head.start
    target = y[head][np.arange(rows) % (head.stop - head.start)]
    given = raw(layout, X[head], rows, None if experts is None else experts[head])
    state = programs(layout).fit(
        spec(layout), params, given, target, mask, jax.random.key(seed), np.int32(layout.horizon)
    )
    engine, _, telemetry = walk(Engine(Shape(layout), state, y[:0]), params, X, y, experts)
    return engine, telemetry


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
    state, law, telemetry = _steps(engine, params, X[rows], outcome, learns, np.arange(n + 1) < n, more)
    waiting = known[max(0, len(known) - (longest - 1)) :]
    cut = (jax.tree.map(lambda x: x[:n], law), jax.tree.map(lambda x: x[1:], telemetry))
    return Engine(engine.shape, state, waiting), *cut


def advance(
    engine: Engine, params: Params, x: Array, y: float, experts: Array | None = None
) -> tuple[Engine, Law, Telemetry]:
    """One step of a stream: ``y`` is the newest value, ``x`` the row that ends with it."""
    layout, pending = engine.shape.layout, engine.state.pending
    due = int(pending.head) - int(pending.tail) >= layout.horizon
    one = np.ones(1, bool)
    outcome = np.full((1, layout.horizon) if layout.multi else 1, y)
    more = None if experts is None else experts[None]
    state, law, telemetry = _steps(engine, params, x[None], outcome, one & due, one, more)
    return Engine(engine.shape, state, engine.waiting), *jax.tree.map(lambda v: v[0], (law, telemetry))


def _steps(
    engine: Engine, params: Params, X: Array, y: Array, learns: Array, issues: Array, experts: Array | None
) -> tuple[State | Ladder, Law, Telemetry]:
    """Steps of the layout's ``walk`` in chunks of ``CHUNK``; the record of several horizons is the shortest's."""
    layout, state, pieces = engine.shape.layout, engine.state, []
    for start in range(0, len(X), CHUNK):
        part = slice(start, start + CHUNK)
        count = len(X[part])
        index = np.arange(CHUNK) % count
        given = raw(layout, X[part], CHUNK, None if experts is None else experts[part])
        args = given, y[part][index], learns[part][index], issues[part][index], np.int32(count)
        state, out = programs(layout).walk(spec(layout), params, state, *args)
        pieces.append(jax.tree.map(lambda x, count=count: np.asarray(x)[:count], out))
    out = jax.tree.map(lambda *x: np.concatenate(x), *pieces)
    record = jax.tree.map(lambda x: x[:, 0], out.telemetry) if layout.multi else out.telemetry
    return state, out.law, record


def predict(engine: Engine, params: Params, X: Array, experts: Array | None = None) -> Law:
    """Laws of independent rows from the frozen state."""
    layout = engine.shape.layout
    size = 1 if len(X) == 1 else CHUNK
    pieces = []
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        count = len(X[part])
        given = raw(layout, X[part], size, None if experts is None else experts[part])
        issued = programs(layout).predict(spec(layout), params, engine.state, given)
        pieces.append(jax.tree.map(lambda x, count=count: np.asarray(x)[:count], issued.law))
    return jax.tree.map(lambda *x: np.concatenate(x), *pieces)


def correlation(engine: Engine) -> Array | None:
    """(H, H) how normal scores of one row's outcomes hang together; None for a model of one horizon."""
    return np.asarray(engine.state.copula.correlation) if isinstance(engine.state, Ladder) else None


def padded(function: Any, law: Law, *args: Array) -> Array:
    """Apply a vectorised law function to rows padded to a power of two, so that shapes repeat."""
    n = len(law.q)
    size = max(64, 1 << (n - 1).bit_length())
    index = np.minimum(np.arange(size), n - 1)
    return np.asarray(function(*jax.tree.map(lambda x: jnp.asarray(x[index]), (law, *args))))[:n]
