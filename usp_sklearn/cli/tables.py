"""Forecasts as tables, and tables as files."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..io.durable import replace
from .passes import Pass

Array = NDArray[np.float64]

FORMAT = "%.12g"
"""More digits would be rounding errors."""


def names(levels: Any) -> list[str]:
    """Names of quantile columns.

    >>> names([0.05, 0.5])
    ['q0.05', 'q0.5']
    """
    return [f"q{level:g}" for level in levels]


def ahead(index: pd.Index, quantiles: Array, levels: Any) -> pd.DataFrame:
    """Forecasts of the next values: quantiles (H, q) by their places."""
    name = "time" if index.name is None else index.name
    table = pd.DataFrame(quantiles, index=index.rename(name), columns=names(levels))
    table.insert(0, "step", np.arange(1, len(table) + 1))
    return table


def behind(run: Pass, levels: Any) -> pd.DataFrame:
    """Forecasts of a pass beside their outcomes, a row each; with several horizons origin and step say which."""
    rows, horizon = run.rows, run.rows.horizon
    index, name = rows.series.index, "time" if rows.series.index.name is None else rows.series.index.name
    quantiles = run.at(levels).reshape(-1, len(levels))
    steps = np.tile(np.arange(1, horizon + 1), len(rows.origins))
    origins = np.repeat(rows.origins, horizon)
    table = pd.DataFrame(quantiles, index=index[origins + steps].rename(name), columns=names(levels))
    table.insert(0, "outcome", run.outcomes.ravel())
    if horizon > 1:
        table.insert(0, "step", steps)
        table.insert(0, "origin", index[origins])
    return table


def deliver(table: pd.DataFrame, path: Path | None) -> None:
    """Write a table to a file, by its ending CSV or Parquet, or as CSV to stdout."""
    if path is None:
        table.to_csv(sys.stdout, float_format=FORMAT)
    elif path.suffix.lower() in (".parquet", ".pq"):
        buffer = io.BytesIO()
        try:
            table.to_parquet(buffer)
        except ImportError as error:
            raise ImportError("Writing Parquet needs pyarrow: pip install 'usp-sklearn[cli]'.") from error
        put(path, buffer.getvalue())
    else:
        put(path, table.to_csv(float_format=FORMAT).encode())


def put(path: Path, data: bytes) -> None:
    """Write a file in one step: whoever reads finds the old one or the new one, whole."""
    replace(path, data)
