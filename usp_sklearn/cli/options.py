"""Options that several commands share: groups of them are fields of a class, which ``spread`` turns into options."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import pandas as pd
import typer

from ..api.base import BasePredictor
from ..api.distribution import check_levels
from ..api.windows import SlidingWindow
from ..io.series import read_series
from .calendar import shown
from .console import Talk
from .models import Model, made
from .passes import Rows, rows_of

SHARE = 0.6
"""Of a series, to fit on before a walk; a season is looked for in no more than that."""

SHOWN = "0.01,0.05,0.1,0.25,0.5,0.75,0.9,0.95,0.99"

Data = Annotated[Path, typer.Argument(help="CSV (gzip or not) or Parquet file.", show_default=False)]
Train = Annotated[float, typer.Option(help="Share of the series to fit on before the walk.")]
Levels = Annotated[str, typer.Option(help="Quantile levels, between commas.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="CSV or Parquet file.")]
Report = Annotated[Path | None, typer.Option("--report", "-r", help="HTML report, one self-contained file.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No remarks, no progress.")]

_READING, _MODEL = "Reading the file", "Model"


def _option(text: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


@dataclass
class Reading:
    """How a file is read."""

    column: Annotated[str | None, _option("Name or position of the series.", _READING)] = None
    exog: Annotated[str | None, _option("Exogenous columns, between commas.", _READING)] = None
    index: Annotated[str | None, _option("Name or position of its times, or 'none'.", _READING)] = None
    delimiter: Annotated[str | None, _option("Character between cells.", _READING)] = None
    decimal: Annotated[str | None, _option("Decimal mark, '.' or ','.", _READING)] = None
    dayfirst: Annotated[bool | None, _option("How to read 03/04/2024.", _READING, "--dayfirst/--monthfirst")] = None
    timezone: Annotated[str | None, _option("Zone of times that say none.", _READING)] = None
    encoding: Annotated[str | None, _option("Of the text.", _READING)] = None
    missing: Annotated[str, _option("Missing values: 'error', or 'drop' such rows.", _READING)] = "error"

    @property
    def others(self) -> list[str]:
        """Exogenous columns, as they were said."""
        return [] if self.exog is None else [word.strip() for word in self.exog.split(",")]

    def table(self, data: Path, talk: Talk) -> pd.DataFrame:
        """The series in a file and its exogenous columns (n, 1 + E); what was read is said."""
        if self.missing not in ("error", "drop"):
            raise ValueError(f"--missing must be 'error' or 'drop'. Got {self.missing!r} instead.")
        places = {"column": _place(self.column), "index": _place(self.index), "exog": list(map(_place, self.others))}
        table = pd.DataFrame(read_series(data, **(vars(self) | places)))
        span = f"{shown(table.index[0])} to {shown(table.index[-1])}"
        beside = f" with {', '.join(map(repr, table.columns[1:]))}" if len(table.columns) > 1 else ""
        talk.say(f"{data.name}: {len(table):,} values of {str(table.columns[0])!r}{beside}, {span}")
        return table


@dataclass
class Modelling:
    """Which model, on which rows."""

    horizon: Annotated[int, _option("Steps ahead, all of them.", _MODEL, min=1)] = 1
    model: Annotated[Model, _option("All branches weighed, or one alone.", _MODEL)] = Model.jko
    param: Annotated[list[str] | None, _option("As tau=0.5; repeatable.", _MODEL, "--param", "-p")] = None
    width: Annotated[int, _option("Values in a window.", _MODEL, min=2)] = 32
    season: Annotated[str, _option("Samples per cycle, 'auto' or 'none'.", _MODEL)] = "auto"
    seed: Annotated[int, _option("Of the nets' first weights.", _MODEL, min=0)] = 0

    def rows(self, table: pd.DataFrame, train: float) -> Rows:
        """Rows of a series and its exogenous columns, of which the first share is to fit on."""
        return rows_of(table, width=self.width, horizon=self.horizon, season=self.season, train=train)

    def estimator(self, windows: SlidingWindow) -> BasePredictor:
        """An unfitted predictor for the rows of fitted windows."""
        return made(self.model, windows.layout, self.seed, self.param or ())


def spread(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose parameters of a class of options became one option per field.

    >>> @spread
    ... def show(reading: Reading, top: int = 3):
    ...     return reading.decimal, top
    >>> show(decimal=",", top=4)
    (',', 4)
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    plain = [
        p.replace(annotation=hints[n]) for n, p in inspect.signature(command).parameters.items() if n not in groups
    ]
    for kind in groups.values():
        types = get_type_hints(kind, include_extras=True)
        plain += [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=types[f.name])
            for f in fields(kind)
        ]

    @wraps(command)
    def call(**given: Any) -> Any:
        for name, kind in groups.items():
            mine = {f.name for f in fields(kind)} & set(given)
            given[name] = kind(**{field: given.pop(field) for field in mine})
        return command(**given)

    first = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in plain]
    call.__signature__ = inspect.Signature(first)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in first}
    del call.__wrapped__
    return call


def levels_of(words: str) -> list[float]:
    """Levels said on the command line, in order.

    >>> levels_of("0.9, 0.1")
    [0.1, 0.9]
    """
    try:
        levels = [float(word) for word in words.split(",")]
    except ValueError:
        raise ValueError(f"--levels must be numbers between commas, as 0.1,0.5,0.9. Got {words!r} instead.") from None
    return sorted({float(level) for level in check_levels(levels)})


def _place(word: str | None) -> Any:
    """A column by name, or by position if it is a number; "none" is False."""
    if word is None or word.lower() == "none":
        return None if word is None else False
    return int(word) if word.removeprefix("-").isdecimal() else word
