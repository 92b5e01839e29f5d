"""Text cells as floats: decimal point or comma, grouped thousands, missing values."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", ".", "?", "missing"})
"""What stands for no value, in small letters."""

_SIGN, _EXPONENT = "[+-]?", "(?:[eE][+-]?[0-9]{1,4})?"
_PLAIN = {mark: re.compile(rf"{_SIGN}(?:[0-9]+(?:[{mark}][0-9]*)?|[{mark}][0-9]+){_EXPONENT}") for mark in ".,"}
_GROUPED = {
    mark: re.compile(rf"{_SIGN}[1-9][0-9]{{0,2}}(?:[{group}' \u00a0\u202f][0-9]{{3}})+(?:[{mark}][0-9]*)?")
    for mark, group in ((".", ","), (",", "."))
}
_GROUPS = {mark: re.compile(rf"[{group}' \u00a0\u202f]") for mark, group in ((".", ","), (",", "."))}


class BadCell(ValueError):
    """A cell that is no number; ``position`` counts cells from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def is_missing(cell: str) -> bool:
    """Whether a cell stands for no value.

    >>> is_missing("N/A"), is_missing("0")
    (True, False)
    """
    return cell.lower() in MISSING


def is_number(cell: str) -> bool:
    """Whether a cell can be read as a number, under either decimal mark."""
    return any(pattern.fullmatch(cell) for marks in (_PLAIN, _GROUPED) for pattern in marks.values())


def decimal_mark(cells: Sequence[str], comma_delimits: bool) -> str:
    """The decimal mark of a column: a point if it can be, else a comma.

    Raises
    ------
    ValueError
        If commas may group thousands as well as mark decimals, as in a column of nothing but ``1,234``.
    """
    kept = [cell for cell in cells if not is_missing(cell)]
    if all(_PLAIN["."].fullmatch(cell) for cell in kept):
        return "."
    if all(_PLAIN[","].fullmatch(cell) for cell in kept):
        if not all(_GROUPED["."].fullmatch(cell) for cell in kept if "," in cell):
            return ","
        if comma_delimits:
            return "."
        raise ValueError(
            "Its commas may mark decimals or group thousands: the 'decimal' parameter must be ',' or '.'. "
            "Got None instead."
        )
    readable = {mark: sum(_value(cell, mark) is not None for cell in kept) for mark in ".,"}
    return "," if readable[","] > readable["."] else "."


def numbers(cells: Sequence[str], mark: str = ".") -> NDArray[np.float64]:
    """Cells (n,) as floats, nan where one stands for no value.

    Parameters
    ----------
    cells : text without surrounding blanks
    mark : {".", ","}
        The decimal mark. Thousands may be grouped by the other one, blanks or apostrophes.

    Raises
    ------
    BadCell
        At the first cell that is no finite number.

    >>> numbers(["1.234,5", "-2", "NA"], ",").tolist()
    [1234.5, -2.0, nan]
    """
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        value = float("nan") if is_missing(cell) else _value(cell, mark)
        if value is None:
            shown = cell if len(cell) <= 40 else cell[:37] + "..."
            raise BadCell(f"{shown!r} is not a number", i)
        out[i] = value
    return out


def _value(cell: str, mark: str) -> float | None:
    if not _PLAIN[mark].fullmatch(cell):
        if not _GROUPED[mark].fullmatch(cell):
            return None
        cell = _GROUPS[mark].sub("", cell)
    value = float(cell.replace(",", "."))
    # Finite digits can be beyond the largest float.
    return value if np.isfinite(value) else None
