"""Columns of a file, from text or Parquet, and which of them are the series and its index."""

import io
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .cells import BadCell, decimal_mark, is_missing, is_number, numbers
from .table import LIMIT, table
from .timestamps import is_stamp, is_time, times

VALUE_NAMES = ("value", "values", "y", "target", "price", "close", "x", "series")
"""Names that decide between several numeric columns, the first one that is there."""

TIME_NAMES = frozenset(
    {"date", "day", "time", "datetime", "timestamp", "ts", "epoch", "unix", "month", "year", "quarter", "period", "ds"}
)
COUNT_NAMES = frozenset({"", "index", "t", "step", "i", "n", "no", "row", "id", "unnamed: 0", "__index_level_0__"})

_SAMPLE = 25


class Columns(NamedTuple):
    """Names and columns: lists of text cells, or typed arrays of Parquet; and the line each row ends on."""

    names: list[str]
    cells: list[Any]
    lines: Sequence[int]
    comma: bool
    """whether a comma delimits cells"""
    word: str
    """what a row is called in messages"""


def text_columns(text: str, delimiter: str | None, decimal: str | None) -> Columns:
    """Columns of delimited text; the first row holds their names unless it looks like data."""
    found = table(text, delimiter, decimal)
    rows, lines = found.rows, found.lines
    if _headed(rows):
        names, rows, lines = rows[0], rows[1:], lines[1:]
    else:
        names = [f"column {i + 1}" for i in range(len(rows[0]))]
    if not rows:
        raise ValueError("The file has a header and no rows.")
    return Columns(names, [list(column) for column in zip(*rows, strict=True)], lines, found.delimiter == ",", "Line")


def _headed(rows: list[list[str]]) -> bool:
    """Whether the first row names columns: in a column of data below, it is none."""

    def data(cell: str) -> bool:
        return is_missing(cell) or is_number(cell) or is_time(cell)

    below = rows[1 : 1 + _SAMPLE]
    odd = [j for j, cell in enumerate(rows[0]) if not data(cell)]
    return not below or any(2 * sum(data(row[j]) for row in below) >= len(below) for j in odd)


def parquet_columns(data: bytes, limit: int = LIMIT) -> Columns:
    """Columns of a Parquet file: numbers as floats, times as an index, text as text; others are left out."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("Reading Parquet needs pyarrow: pip install 'usp-sklearn[cli]'.") from error
    names, cells, length = [], [], 0
    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        meta = file.metadata
        size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        if max(size, 8 * meta.num_rows) > limit:
            raise ValueError(f"it must unpack to at most {limit} bytes")
        read = file.read(use_threads=False)
        length = len(read)
        for field, column in zip(read.schema, read.columns, strict=True):
            typed = _typed(pa, column)
            if typed is not None:
                names.append(field.name)
                cells.append(typed)
    except (pa.ArrowException, ValueError, OSError, MemoryError, OverflowError) as error:
        raise ValueError(
            f"The file is not valid Parquet: {str(error).splitlines()[0] if str(error) else error!r}."
        ) from error
    if not length or not cells:
        raise ValueError("The file has no rows of numbers, times or text.")
    return Columns(names, cells, range(1, length + 1), False, "Row")


def _typed(pa: Any, column: Any) -> Any:
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        zone = kind.tz if pa.types.is_timestamp(kind) else None
        return pd.DatetimeIndex(column.cast(pa.timestamp("us", tz=zone), safe=False).to_pandas())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ["" if cell is None else cell.strip() for cell in column.to_pylist()]
    return None


def pick(columns: Columns, wanted: str | int, what: str) -> int:
    """Position of a column given by name or position."""
    if isinstance(wanted, str) and columns.names.count(wanted) == 1:
        return columns.names.index(wanted)
    if isinstance(wanted, int) and not isinstance(wanted, bool) and -len(columns.names) <= wanted < len(columns.names):
        return wanted % len(columns.names)
    raise ValueError(f"The '{what}' parameter must be one of the columns {_listed(columns)}. Got {wanted!r} instead.")


def guess_index(columns: Columns, series: int | None) -> int | None:
    """The first column of times; else the first one if its name says that it counts rows; else none."""
    for i, (name, cells) in enumerate(zip(columns.names, columns.cells, strict=True)):
        if i != series and _is_index(name, cells):
            return i
    if len(columns.names) > 1 and series != 0 and columns.names[0].strip().lower() in COUNT_NAMES:
        values = columns.cells[0]
        if _numeric(values) and (len(values) < 2 or isinstance(values, np.ndarray) or not any(map(is_missing, values))):
            return 0
    return None


def guess_series(columns: Columns, taken: Collection[int | None]) -> int:
    """The only column of numbers that is not ``taken``, or the one whose name says so."""
    found = [i for i, cells in enumerate(columns.cells) if i not in taken and _numeric(cells)]
    if not found:
        raise ValueError(f"None of the columns {_listed(columns)} holds numbers.")
    if len(found) == 1:
        return found[0]
    names = {columns.names[i].strip().lower(): i for i in reversed(found)}
    for name in VALUE_NAMES:
        if name in names:
            return names[name]
    shown = _listed(columns._replace(names=[columns.names[i] for i in found]))
    raise ValueError(
        f"The 'column' parameter must say which of the columns of numbers is meant, {shown}. Got None instead."
    )


def index_of(columns: Columns, at: int, dayfirst: bool | None, timezone: str | None) -> pd.Index:
    """The column at a position as index: times, or numbers."""
    cells, name = columns.cells[at], columns.names[at]
    if isinstance(cells, pd.DatetimeIndex):
        if cells.hasnans:
            raise _at(columns, at, int(np.flatnonzero(cells.isna())[0]), "has no time")
        if timezone is not None:
            cells = times([str(t) for t in cells], timezone=timezone)
        return cells.rename(name)
    if isinstance(cells, np.ndarray):
        if not np.isfinite(cells).all():
            raise _at(columns, at, int(np.flatnonzero(~np.isfinite(cells))[0]), "has no number")
        return pd.Index(
            cells.astype(np.int64) if (cells == np.round(cells)).all() and abs(cells).max() < 2**53 else cells,
            name=name,
        )
    empty = next((i for i, cell in enumerate(cells) if is_missing(cell)), None)
    if empty is not None:
        raise _at(columns, at, empty, "is empty")
    stamps = is_stamp(cells[0]) and name.strip().lower() in TIME_NAMES
    try:
        if stamps or not _numeric(cells):
            return times(cells, dayfirst=dayfirst, timezone=timezone).rename(name)
        values = numbers(cells, decimal_mark(cells, columns.comma))
    except BadCell as error:
        raise _at(columns, at, error.position, str(error)) from error
    return index_of(
        columns._replace(cells=[values if i == at else c for i, c in enumerate(columns.cells)]), at, None, None
    )


def values_of(columns: Columns, at: int, decimal: str | None) -> NDArray[np.float64]:
    """The column at a position as floats, nan where there is nothing."""
    cells = columns.cells[at]
    if isinstance(cells, pd.DatetimeIndex):
        raise ValueError(f"Column {columns.names[at]!r} holds times, not numbers.")
    if isinstance(cells, np.ndarray):
        if np.isinf(cells).any():
            raise _at(columns, at, int(np.flatnonzero(np.isinf(cells))[0]), "is infinite")
        return cells
    try:
        mark = decimal_mark(cells, columns.comma) if decimal is None else decimal
        return numbers(cells, mark)
    except BadCell as error:
        raise _at(columns, at, error.position, str(error)) from error
    except ValueError as error:
        raise ValueError(f"Column {columns.names[at]!r}: {error}") from error


def _at(columns: Columns, column: int, row: int, message: str) -> ValueError:
    return ValueError(f"{columns.word} {columns.lines[row]}, column {columns.names[column]!r}: {message}.")


def _sample(cells: Any) -> list[str]:
    kept = [cell for cell in cells[: 8 * _SAMPLE] if not is_missing(cell)]
    return kept[:_SAMPLE]


def _numeric(cells: Any) -> bool:
    if isinstance(cells, (np.ndarray, pd.DatetimeIndex)):
        return isinstance(cells, np.ndarray)
    sample = _sample(cells)
    # One bad cell among many must not hide a column: its error is to be seen.
    return bool(sample) and 2 * sum(map(is_number, sample)) >= len(sample)


def _is_index(name: str, cells: Any) -> bool:
    if isinstance(cells, pd.DatetimeIndex):
        return True
    if isinstance(cells, np.ndarray):
        return False
    sample = _sample(cells)
    if not sample:
        return False
    named = name.strip().lower() in TIME_NAMES
    return 2 * sum(is_time(cell) or (named and is_stamp(cell)) for cell in sample) >= len(sample)


def _listed(columns: Columns) -> str:
    shown = ", ".join(repr(name[:40]) for name in columns.names[:12])
    return shown + (", …" if len(columns.names) > 12 else "")
