"""A series from a CSV or Parquet file: floats with their index, or an error that names the row."""

import os
from collections.abc import Sequence
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
    exog: Sequence[str | int] = (),
    index: str | int | bool | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    dayfirst: bool | None = None,
    timezone: str | None = None,
    encoding: str | None = None,
    missing: str = "error",
    limit: int = LIMIT,
) -> pd.Series | pd.DataFrame:
    """Read one series and its index, and exogenous columns beside it.

    Delimited text (gzip or not) and Parquet are told apart by their first bytes. Of text, the delimiter, the encoding
    (byte order mark, UTF-8, Windows-1252), a header, comment lines that start with ``#``, the decimal mark and the form
    of times are found out. Nothing in a file is executed.

    Parameters
    ----------
    source : path, or the bytes of a file
    column : name or position of the series. Default: the only column of numbers, or the one that is called "value",
        "y", "target", "price", "close", …
    exog : names or positions of exogenous columns, in the order they are to have
    index : name or position of the index; False for none. Default: the first column of times, or a first column that
        counts rows ("", "index", "t", …).
    delimiter : one character that separates cells
    decimal : "." or ","
    dayfirst : whether ``03/04/2024`` is in April, where the file leaves that open
    timezone : zone of times that say none, such as "Europe/Berlin"; times that say theirs are converted
    encoding : of the text
    missing : {"error", "drop", "keep"}
        What becomes of empty cells, "NA", "nan" and the like: an error, no row, or nan; of exogenous cells too.
    limit : int
        Bytes the file may have, unpacked.

    Returns
    -------
    Series (n,) of float64, oldest value first: a file whose newest row comes first is turned round. Its index holds
    times, numbers, or a count where the file has neither. With ``exog`` a DataFrame (n, 1 + E), the series first, as
    :func:`sliding_window` takes it.

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
    beside_it = [pick(columns, name, "exog") for name in exog]
    if index is False:
        place = None
    elif index is None or index is True:
        place = guess_index(columns, at)
    else:
        place = pick(columns, index, "index")
    at = guess_series(columns, [place, *beside_it]) if at is None else at
    _apart(columns, at, place, beside_it)
    values = np.column_stack([values_of(columns, i, decimal) for i in (at, *beside_it)])
    where = pd.RangeIndex(len(values)) if place is None else index_of(columns, place, dayfirst, timezone)
    table = pd.DataFrame(values, index=where, columns=[columns.names[i] for i in (at, *beside_it)])
    if place is not None:
        table, columns = _ordered(table, columns)
    table = _present(table, columns, missing)
    return table if beside_it else table.iloc[:, 0]


def _apart(columns: Columns, at: int, place: int | None, beside_it: Sequence[int]) -> None:
    """The series, its index and exogenous columns are different ones."""
    used = [at, *([] if place is None else [place]), *beside_it]
    for i in used:
        if used.count(i) > 1:
            raise ValueError(
                "The series, its index and exogenous columns must be different columns. "
                f"Got {columns.names[i]!r} for two of them instead."
            )


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


def _ordered(table: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, Columns]:
    """Oldest value first, if the file has it that way or the other way round."""
    order = table.index
    if len(order) > 1 and order.is_monotonic_decreasing and order.is_unique:
        return table[::-1], columns._replace(lines=list(columns.lines)[::-1])
    earlier = np.flatnonzero(np.asarray(order[1:] <= order[:-1]))
    if earlier.size:
        row = int(earlier[0]) + 1
        what = "comes twice" if order[row] == order[row - 1] else f"comes after {order[row - 1]}"
        raise ValueError(
            f"{columns.word} {columns.lines[row]}: {order[row]} {what}. Rows must be in the order of time, each once."
        )
    return table, columns


def _present(table: pd.DataFrame, columns: Columns, missing: str) -> pd.DataFrame:
    absent = table.isna()
    for name in table.columns[absent.all()]:
        raise ValueError(f"Column {name!r} holds no numbers.")
    rows = absent.any(axis=1).to_numpy()
    if missing == "error" and rows.any():
        row = int(rows.argmax())
        raise ValueError(
            f"{columns.word} {columns.lines[row]}, column {table.columns[absent.iloc[row].argmax()]!r}: there is no "
            "value. missing='drop' leaves such rows out, missing='keep' keeps them as nan."
        )
    return table[~rows] if missing == "drop" else table
