"""How a model's columns are laid out, and their buckets: few programs serve every shape."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.contract import Config
from ..kernels.registry import BRANCHES
from ..kernels.window import Raw
from . import horizons, pipeline
from .spec import Spec

WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
LEVEL_COLUMNS = (0, 8, 16, 32, 64, 128)
EXOG_COLUMNS = (0, 4, 16, 64, 256)
QUEUES = (1, 8, 32, 128, 512)

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


def functions(layout: Layout) -> Any:
    """The module whose train, step and predict serve the layout."""
    return horizons if layout.multi else pipeline


def raw(layout: Layout, X: Array, rows: int, experts: Array | None = None, xp: Any = np) -> Raw:
    """Columns of ``X`` padded to their buckets, rows to ``rows`` by repeating the last one.

    With ``multi`` every horizon gets the common level columns and its own. ``xp`` is the namespace of ``X``'s arrays.
    """
    config = spec(layout).config
    n, first = len(X), layout.n_exog + layout.n_level
    exog, level, window = X[:, : layout.n_exog], X[:, layout.n_exog : first], X[:, first:]
    exog = xp.concatenate([exog, xp.zeros((n, config.n_exog - layout.n_exog))], axis=1)
    edge = xp.repeat(window[:, :1], config.width - layout.width, axis=1)
    if layout.multi:
        common, own = xp.split(level, [layout.n_level - layout.horizon * layout.n_ahead], axis=1)
        common = xp.repeat(common[:, None], layout.horizon, axis=1)
        level = xp.concatenate([common, own.reshape(n, layout.horizon, layout.n_ahead)], axis=2)
    # An absent level column equals the newest value: its gap is zero and no model can lean on it.
    spare = xp.broadcast_to(
        window[:, -1].reshape(n, *[1] * (level.ndim - 1)), (*level.shape[:-1], config.n_level - level.shape[-1])
    )
    level, window = xp.concatenate([level, spare], axis=-1), xp.concatenate([edge, window], axis=1)
    if rows != n:
        index = xp.minimum(xp.arange(rows), n - 1)
        exog, level, window = exog[index], level[index], window[index]
        experts = None if experts is None else experts[index]
    return Raw(exog, level, window, xp.full(rows, layout.width, xp.int32), experts)
