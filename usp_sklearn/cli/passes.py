"""One pass over a series: fit on its beginning, then issue a law and learn the outcome, step by step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..api.base import BasePredictor
from ..api.folds import Fold, walk_chain
from ..api.stream import Stream
from ..api.windows import SlidingWindow, sliding_window
from .console import Talk

Array = NDArray[np.float64]

LEVELS = np.array([0.01, *np.arange(0.05, 0.96, 0.05).round(2), 0.99])
"""Levels every pass keeps: those of the usual bands and of twenty equal cells."""

CHUNK = 256
FEWEST = 16
"""Rows to fit on, at least."""


class Rows(NamedTuple):
    """A series as rows, and where the pass begins."""

    table: pd.DataFrame
    """the series, and exogenous columns beside it"""
    windows: SlidingWindow
    X: Array
    y: Array
    """(n,) or (n, H)"""
    split: int
    """rows to fit on"""

    @property
    def series(self) -> pd.Series:
        """The series alone."""
        return self.table.iloc[:, 0]

    @property
    def horizon(self) -> int:
        """Steps ahead, H."""
        return 1 if self.y.ndim == 1 else self.y.shape[1]

    @property
    def first(self) -> int:
        """The first row of the pass: those before it end before the newest outcome that was fitted on."""
        return self.split + self.horizon - 1

    @property
    def origins(self) -> NDArray[np.int64]:
        """(m,) positions in the series at which the rows of the pass end."""
        return np.arange(self.first, len(self.X)) + self.windows.width - 1

    @property
    def places(self) -> pd.Index:
        """(m,) where the outcomes one step ahead stand."""
        return self.series.index[self.origins + 1]


class Pass(NamedTuple):
    """What a pass leaves."""

    rows: Rows
    model: BasePredictor
    """as it stands at the end"""
    levels: Array
    quantiles: Array
    """(m, q) or (m, H, q), each row issued before its outcome was learned"""
    record: pd.DataFrame
    """risk records of the last rows, by the place of their outcome"""
    seconds: dict[str, float]

    @property
    def outcomes(self) -> Array:
        """(m,) or (m, H)."""
        return self.rows.y[self.rows.first :]

    def at(self, levels: Any) -> Array:
        """Quantiles (m, …, k) at some of the levels."""
        return self.quantiles[..., np.searchsorted(self.levels, np.asarray(levels, np.float64) - 1e-9)]


def season_of(word: str) -> int | str | None:
    """The season as it was said: "auto", "none" or a number of samples."""
    if word in ("auto", "none"):
        return None if word == "none" else word
    if word.isdecimal() and int(word) >= 1:
        return int(word)
    raise ValueError(f"--season must be 'auto', 'none' or a number of samples. Got {word!r} instead.")


def rows_of(table: pd.DataFrame, *, width: int, horizon: int, season: str, train: float) -> Rows:
    """Rows of a series and its exogenous columns (n, 1 + E).

    ``train`` is the share of values to fit on, in which the season is looked for.
    """
    if not 0 < train < 1:
        raise ValueError(f"--train must be between 0 and 1. Got {train} instead.")
    n = len(table)
    known = int(train * n)
    split = known - width - horizon + 1
    if split < FEWEST or n - known <= horizon:
        raise ValueError(
            f"The series is too short: {n} values, of which {known} are to fit on; windows of {width} values and "
            f"{horizon} steps ahead leave {max(split, 0)} rows, and {FEWEST} are needed. A smaller --width may help."
        )
    values = table.to_numpy(np.float64)
    windows = SlidingWindow(width=width, horizon=horizon, season=season_of(season), multi=horizon > 1)
    windows.fit(values[:known])
    found = {"season": windows.season_, "second_season": windows.second_season_}
    X, y = sliding_window(values, width=width, horizon=horizon, multi=horizon > 1, **found)
    return Rows(table, windows, X, y, split)


def walked(rows: Rows, model: BasePredictor, levels: Any, talk: Talk, refit: int | None = None) -> Pass:
    """Fit on the first rows and walk the rest; ``levels`` are kept beside the usual ones.

    Every ``refit`` steps a new model is fitted, on all rows whose outcomes are known by then.
    """
    levels = np.union1d(LEVELS, np.asarray(levels, np.float64))
    rest, start = len(rows.X) - rows.first, time.perf_counter()
    parts: list[Array] = []
    records: list[pd.DataFrame] = []
    seconds = 0.0
    with talk.progress(f"fitting {type(model).__name__} on {rows.split:,} rows", total=rest) as bar:

        @contextmanager
        def fitting(_: Any) -> Iterator[None]:
            nonlocal seconds
            begun = time.perf_counter()
            yield
            seconds += time.perf_counter() - begun
            bar.say(f"walking through {rest:,} rows")

        for chain in _chains(rows, refit or rest):
            for done in walk_chain(model, rows.X, rows.y, chain, levels, True, None, fitting):
                parts.append(done.forecast.quantiles)
                bar.advance(len(done.forecast.quantiles))
            length = sum(len(fold.test) for fold in chain)
            record = done.model.telemetry_frame_.tail(length)
            # A model remembers only so many steps: what was kept before a gap goes.
            records = [*records, record] if len(record) == length else [record]
    record = pd.concat(records)
    record = record.set_axis(rows.places[rest - len(record) :], axis=0)
    times = {"fit": seconds, "walk": time.perf_counter() - start - seconds}
    return Pass(rows, done.model, levels, np.concatenate(parts), record, times)


def _chains(rows: Rows, length: int) -> Iterator[list[Fold]]:
    """Stretches of ``length`` rows that share a model, in pieces after which progress is shown."""
    for a in range(rows.first, len(rows.X), length):
        b = min(a + length, len(rows.X))
        train = np.arange(a - rows.horizon + 1)
        yield [Fold(i, train, np.arange(c, min(c + CHUNK, b))) for i, c in enumerate(range(a, b, CHUNK))]


def fitted_stream(rows: Rows, model: BasePredictor) -> Stream:
    """A model fitted on all rows, as a stream that stands at the newest value."""
    model.fit(rows.X, rows.y)
    return Stream(model, rows.table.to_numpy(np.float64), rows.windows)
