"""A series from a CSV or Parquet file: floats with their index, or an error that names the row."""

import os
from typing import Any

import numpy as np
import pandas as pd

from .columns import (
    Columns,
    guess_index,
    guess_series,
    index_of,
    parquet_columns,
    pick,
    text_columns,
    values_of,
)
from .table import LIMIT, decoded, unpacked

MISSING = ("error", "drop", "keep")


def read_series(
    source: str | os.PathLike[str] | bytes,
    *,
    column: str | int | None = None,
    index: str | int | bool | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    dayfirst: bool | None = None,
    timezone: str | None = None,
    encoding: str | None = None,
    missing: str = "error",
    limit: int = LIMIT,
) -> pd.Series:
    """Read one series and its index.

    Delimited text (gzip or not) and Parquet are told apart by their first bytes. Of text, the delimiter, the encoding
    (byte order mark, UTF-8, Windows-1252), a header, comment lines that start with ``#``, the decimal mark and the form
    of times are found out. Nothing in a file is executed.

    Parameters
    ----------
    source : path, or the bytes of a file
    column : name or position of the series. Default: the only column of numbers, or the one that is called "value",
        "y", "target", "price", "close", …
    index : name or position of the index; False for none. Default: the first column of times, or a first column that
        counts rows ("", "index", "t", …).
    delimiter : one character that separates cells
    decimal : "." or ","
    dayfirst : whether ``03/04/2024`` is in April, where the file leaves that open
    timezone : zone of times that say none, such as "Europe/Berlin"; times that say theirs are converted
    encoding : of the text
    missing : {"error", "drop", "keep"}
        What becomes of empty cells, "NA", "nan" and the like: an error, no row, or nan.
    limit : int
        Bytes the file may have, unpacked.

    Returns
    -------
    Series (n,) of float64, oldest value first: a file whose newest row comes first is turned round. Its index holds
    times, numbers, or a count where the file has neither.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If its bytes are not such a file, a cell is not a number or not a time, or times repeat or are out of order;
        the message names the line.

    Examples
    --------
    >>> read_series(b"day;price\\n30.12.2024;1,5\\n31.12.2024;-\\n01.01.2025;2,25\\n", missing="drop")
    day
    2024-12-30    1.50
    2025-01-01    2.25
    Name: price, dtype: float64
    """
    _checked(delimiter, decimal, missing)
    data = _bytes(source, limit)
    if data[:4] == b"PAR1":
        columns = parquet_columns(data, limit)
    else:
        data = unpacked(data, limit)
        if data[:4] == b"PK\x03\x04":
            raise ValueError("The file is a ZIP archive, as spreadsheets are: save the sheet as CSV.")
        columns = text_columns(decoded(data, encoding), delimiter, decimal)
    at = None if column is None else pick(columns, column, "column")
    if index is False:
        beside = None
    elif index is None or index is True:
        beside = guess_index(columns, at)
    else:
        beside = pick(columns, index, "index")
    at = guess_series(columns, beside) if at is None else at
    if at == beside:
        raise ValueError(f"The series and its index must be two columns. Got {columns.names[at]!r} for both instead.")
    values = values_of(columns, at, decimal)
    where = pd.RangeIndex(len(values)) if beside is None else index_of(columns, beside, dayfirst, timezone)
    series = pd.Series(values, index=where, name=columns.names[at])
    if beside is not None:
        series, columns = _ordered(series, columns)
    return _present(series, columns, missing)


def _checked(delimiter: str | None, decimal: str | None, missing: str) -> None:
    if missing not in MISSING:
        raise ValueError(f"The 'missing' parameter must be 'error', 'drop' or 'keep'. Got {missing!r} instead.")
    if decimal not in (None, ".", ","):
        raise ValueError(f"The 'decimal' parameter must be '.', ',' or None. Got {decimal!r} instead.")


def _bytes(source: Any, limit: int) -> bytes:
    if isinstance(source, bytes):
        data = source
    else:
        with open(source, "rb") as file:
            data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"The file must have at most {limit} bytes. Got more instead.")
    if not data.strip(b"\x00 \t\r\n"):
        raise ValueError("The file is empty.")
    return data


def _ordered(series: pd.Series, columns: Columns) -> tuple[pd.Series, Columns]:
    """Oldest value first, if the file has it that way or the other way round."""
    order = series.index
    if len(order) > 1 and order.is_monotonic_decreasing and order.is_unique:
        return series[::-1], columns._replace(lines=list(columns.lines)[::-1])
    earlier = np.flatnonzero(np.asarray(order[1:] <= order[:-1]))
    if earlier.size:
        row = int(earlier[0]) + 1
        what = "comes twice" if order[row] == order[row - 1] else f"comes after {order[row - 1]}"
        raise ValueError(
            f"{columns.word} {columns.lines[row]}: {order[row]} {what}. Rows must be in the order of time, each once."
        )
    return series, columns


def _present(series: pd.Series, columns: Columns, missing: str) -> pd.Series:
    absent = series.isna().to_numpy()
    if absent.all():
        raise ValueError(f"Column {series.name!r} holds no numbers.")
    if missing == "error" and absent.any():
        line = columns.lines[int(absent.argmax())]
        raise ValueError(
            f"{columns.word} {line}, column {series.name!r}: there is no value. missing='drop' leaves such rows out, "
            "missing='keep' keeps them as nan."
        )
    return series[~absent] if missing == "drop" else series
