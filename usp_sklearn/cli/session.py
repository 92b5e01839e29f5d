"""A stream that can be left and taken up again: its model, how much of the input it has seen, its folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..api.persistence import checkpoint, load, restore
from ..api.stream import Stream
from ..io.durable import make_folder, replace
from ..io.schema import SnapshotError
from ..io.store import Store
from .options import SHARE, Modelling
from .passes import FEWEST, fitted_stream

NOTE, WAITING = "session.json", "waiting.json"


class Session:
    """A stream and its place in the input.

    Parameters
    ----------
    modelling : how a model is made, where there is none yet
    levels : quantile levels of its laws
    warm_up : observations that are waited for before a model is fitted on them
    exog : names of exogenous columns
    folder : of the checkpoints, or None

    Attributes
    ----------
    stream : Stream, or None while values are waited for
    seen : observations of the input that were learned, or wait
    """

    def __init__(
        self, modelling: Modelling, levels: list[float], warm_up: int, folder: Path | None, exog: Sequence[str] = ()
    ) -> None:
        self.modelling, self.levels, self.warm_up, self.folder = modelling, levels, warm_up, folder
        self.names = ["value", *exog]
        self.stream: Stream | None = None
        self.waiting: list[list[float]] = []
        self._base = 0

    @property
    def seen(self) -> int:
        """Observations of the input so far."""
        return len(self.waiting) if self.stream is None else self.stream.buffer.count - self._base

    # ------------------------------------------------------------------ beginnings

    def resume(self) -> bool:
        """Take up what the folder holds; False if it holds nothing."""
        if self.folder is None:
            return False
        if Store(self.folder).paths():
            stream = restore(self.folder)
            if not isinstance(stream, Stream):
                raise SnapshotError(f"{self.folder} holds snapshots of a {type(stream).__name__}, not of a stream.")
            note = self._note(NOTE)
            self._base, self.stream = stream.buffer.count if note is None else int(note["base"]), stream
            self._ready()
            return True
        note = self._note(WAITING)
        self.waiting = [] if note is None else [np.atleast_1d(row).astype(float).tolist() for row in note["values"]]
        self._suits({len(row) - 1 for row in self.waiting})
        return note is not None

    def fit(self, table: pd.DataFrame, base: int | None = None) -> None:
        """Fit a model on a series and its exogenous columns (n, 1 + E).

        ``base`` of the values are not of the input (default: none of them is).
        """
        rows = self.modelling.rows(table, SHARE)
        stream = fitted_stream(rows, self.modelling.estimator(rows.windows))
        self._begin(stream, len(table) if base is None else base)

    def take(self, path: Path) -> None:
        """Go on with a stream that was saved."""
        stream = load(path)
        if not isinstance(stream, Stream):
            raise SnapshotError(f"{path} holds a {type(stream).__name__}, not a stream.")
        self._begin(stream, stream.buffer.count)

    def _begin(self, stream: Stream, base: int) -> None:
        self._base, self.stream = base, stream
        self._ready()
        if self.folder is not None:
            self._write(NOTE, {"base": base})

    def _ready(self) -> None:
        """Compile what a push needs before the first one."""
        assert self.stream is not None
        self._suits({self.stream.buffer.layout["n_exog"]})
        self.stream.law.ppf(self.levels)

    def _suits(self, found: set[int]) -> None:
        """The exogenous columns that were named are as many as what is gone on with has."""
        if found - {len(self.names) - 1}:
            raise ValueError(
                f"--exog must name {max(found)} exogenous columns, as many as there were before. "
                f"Got {self.names[1:]} instead."
            )

    # ------------------------------------------------------------------ steps

    def push(self, value: float, exog: Sequence[float] = ()) -> Any:
        """Learn a value; quantiles (q,) or (H, q) of what comes next, or None while values are waited for."""
        if self.stream is not None:
            return self.stream.push(value, exog).ppf(self.levels)
        self.waiting.append([value, *exog])
        return self.overdue()

    def overdue(self) -> Any:
        """Fit once enough values wait, and give the quantiles that are due then; None before."""
        if self.stream is not None or len(self.waiting) < self.warm_up:
            return None
        self.fit(pd.DataFrame(self.waiting, columns=self.names, dtype=np.float64), base=0)
        assert self.stream is not None
        return self.stream.law.ppf(self.levels)

    def save(self) -> None:
        """Keep where it stands, if there is a folder for it."""
        if self.folder is None:
            return
        if self.stream is not None:
            checkpoint(self.stream, self.folder)
        elif self.waiting:
            self._write(WAITING, {"values": self.waiting})

    # ------------------------------------------------------------------ notes

    def _note(self, name: str) -> dict[str, Any] | None:
        assert self.folder is not None
        try:
            note = json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise SnapshotError(f"{self.folder / name} is damaged: {error}.") from error
        if not isinstance(note, dict) or not {"base", "values"} & set(note):
            raise SnapshotError(f"{self.folder / name} is damaged.")
        return note

    def _write(self, name: str, note: dict[str, Any]) -> None:
        assert self.folder is not None
        make_folder(self.folder)
        replace(self.folder / name, json.dumps(note).encode())


def least(modelling: Modelling) -> int:
    """The fewest values a model can be fitted on."""
    return int(np.ceil((modelling.width + modelling.horizon - 1 + FEWEST) / SHARE)) + 1
