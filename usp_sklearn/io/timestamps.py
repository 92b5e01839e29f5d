"""Text cells as times: ISO 8601, the usual national forms, counts of seconds since 1970, offsets from UTC."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from .cells import BadCell

_DATES = (
    "%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y",
    "%m-%d-%Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%b %Y", "%B %Y",
    "%b-%Y", "%b-%y", "%m/%Y", "%m.%Y",
)  # fmt: skip
_CLOCKS = ("", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
_FORMATS = [f"{date}{gap}{clock}" for date in _DATES for clock in _CLOCKS for gap in ([" ", "T"] if clock else [""])]
_SWAPPED = {"%d/%m": "%m/%d", "%d-%m": "%m-%d", "%m/%d": "%d/%m", "%m-%d": "%d-%m"}
_DIGITS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}([-T ].*)?")
_OFFSET = re.compile(r"(.*:[0-9]{2}(?:\.[0-9]+)?(?: [AaPp][Mm])?) ?(Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})", re.DOTALL)
_ZULU = re.compile(r" ?(?:UTC|GMT)$")
_WEEKDAY = re.compile(r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +(?=[0-9])")
_QUARTER = re.compile(r"(?:([0-9]{4})[ -]?Q([1-4])|Q([1-4])[ -/]?([0-9]{4}))")
_COUNT = re.compile(r"-?[0-9]{9,19}(?:\.[0-9]{1,9})?")
_UNITS = (("s", 1e11), ("ms", 1e14), ("us", 1e17), ("ns", np.inf))
"""Counts since 1970 below these sizes are in that unit: seconds until the year 5138."""


def is_time(cell: str) -> bool:
    """Whether a cell has the form of a time; plain numbers do not.

    >>> is_time("2024-02-29 12:00Z"), is_time("31.12.2024"), is_time("20240229")
    (True, True, False)
    """
    cell = _WEEKDAY.sub("", cell)
    if len(cell) > 60 or not any(c.isdigit() for c in cell):
        return False
    return bool(_ISO.fullmatch(cell) or _QUARTER.fullmatch(cell)) or _matching(_without_offset(cell)) != []


def is_stamp(cell: str) -> bool:
    """Whether a cell of digits can be a time: a year, ``YYYYMM``, ``YYYYMMDD`` and so on, a count since 1970.

    >>> is_stamp("20240229"), is_stamp("1709164800"), is_stamp("12345")
    (True, True, False)
    """
    if cell.isascii() and cell.isdigit() and len(cell) in _DIGITS:
        return 1500 <= int(cell[:4]) <= 2500
    return _COUNT.fullmatch(cell) is not None


def times(cells: Sequence[str], *, dayfirst: bool | None = None, timezone: str | None = None) -> pd.DatetimeIndex:
    """Cells (n,) as times, all in one form.

    Parameters
    ----------
    cells : text without surrounding blanks
    dayfirst : whether ``03/04/2024`` is in April. None: whichever reads all cells; where both do, whichever puts them
        in order.
    timezone : zone of times that say none, such as "Europe/Berlin". Times with offsets become UTC where the offsets
        differ.

    Raises
    ------
    BadCell
        At the first cell that has not the form of the first one.
    ValueError
        If the day and the month cannot be told apart, or the zone is unknown.

    >>> times(["31/12/2024 23:00", "01/01/2025 00:00"]).tolist()
    [Timestamp('2024-12-31 23:00:00'), Timestamp('2025-01-01 00:00:00')]
    """
    out = _parsed([_ZULU.sub("Z", _WEEKDAY.sub("", cell)) for cell in cells], dayfirst)
    if timezone is None:
        return out
    if out.tz is not None:
        return out.tz_convert(_zone(timezone))
    try:
        return out.tz_localize(_zone(timezone), ambiguous="infer")
    except ValueError as error:
        raise ValueError(f"The times are not all times of {timezone}: {error}.") from error


def _zone(name: str) -> Any:
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"The 'timezone' parameter must be the name of a zone, such as 'Europe/Berlin'. Got {name!r} instead."
        ) from error


def _parsed(cells: list[str], dayfirst: bool | None) -> pd.DatetimeIndex:
    first = cells[0]
    if is_stamp(first):
        return _stamps(cells)
    if _QUARTER.fullmatch(first):
        return _each(cells, _quarter)
    if _ISO.fullmatch(first):
        return _converted(cells, "ISO8601")
    aware = _OFFSET.fullmatch(first) is not None
    bare = [_without_offset(cell) for cell in cells] if aware else cells
    tried = [f for f in _matching(bare[0]) if dayfirst is None or _day_leads(f) in (None, dayfirst)]
    if not tried:
        raise BadCell(f"{first[:40]!r} is not a time in any form that is known", 0)
    read = [found for f in tried if (found := _attempt(bare, f)) is not None]
    if not read:
        return _converted(bare, tried[0])
    ordered = [found for found in read if found.is_monotonic_increasing or found.is_monotonic_decreasing]
    if len(read) > 1 and len(ordered) != 1:
        raise ValueError(
            f"In {first!r} either number may be the day: the 'dayfirst' parameter must be True or False. "
            "Got None instead."
        )
    out = (ordered or read)[0]
    if not aware:
        return out
    shifts = _each(cells, lambda cell: _shift(cell))
    return (out - (shifts - pd.Timestamp(0))).tz_localize("UTC")


def _matching(cell: str) -> list[str]:
    """Formats that read ``cell``: the first one, and the one with day and month swapped if that reads it too."""
    for form in _FORMATS:
        try:
            datetime.strptime(cell, form)
        except ValueError:
            continue
        swapped = _SWAPPED.get(form[:5])
        return [form] if swapped is None else [form, swapped + form[5:]]
    return []


def _day_leads(form: str) -> bool | None:
    return form.startswith("%d") if form[:5] in _SWAPPED else None


def _attempt(cells: list[str], form: str, utc: bool = False) -> pd.DatetimeIndex | None:
    try:
        out = pd.DatetimeIndex(pd.to_datetime(cells, format=form, utc=utc))
    except (ValueError, OverflowError, TypeError):
        return None
    return None if out.hasnans else out


def _converted(cells: list[str], form: str) -> pd.DatetimeIndex:
    """All cells by one form; with different offsets as UTC."""
    found = _attempt(cells, form)
    aware = _OFFSET.fullmatch(cells[0]) is not None
    if found is None and aware:
        found = _attempt(cells, form, utc=True)
    odd = next((i for i, cell in enumerate(cells) if (_OFFSET.fullmatch(cell) is not None) != aware), None)
    if found is not None and odd is None:
        return found
    # The longest beginning that can be read ends before the first bad cell.
    good, bad = 0, len(cells) + 1
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (good, middle) if _attempt(cells[:middle], form, aware) is None else (middle, bad)
    position = min(good, len(cells) - 1) if odd is None else min(good, odd)
    raise _unlike(cells, position)


def _unlike(cells: list[str], position: int) -> BadCell:
    return BadCell(f"{cells[position][:40]!r} is not a time of the form of {cells[0][:40]!r}", position)


def _stamps(cells: list[str]) -> pd.DatetimeIndex:
    """Digits: of one length dates, else counts since 1970."""
    form = _DIGITS.get(len(cells[0]))
    for i, cell in enumerate(cells):
        if not is_stamp(cell) or (form is not None and len(cell) != len(cells[0])):
            raise _unlike(cells, i)
    if form is not None:
        return _converted(cells, form)
    largest = max(abs(float(cell)) for cell in cells)
    unit = next(name for name, below in _UNITS if largest < below)
    exact = all("." not in cell for cell in cells)
    counts: Any = [int(cell) if exact else float(cell) for cell in cells]
    try:
        return pd.DatetimeIndex(pd.to_datetime(counts, unit=unit))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"The counts of time are out of range: {error}.") from error


def _each(cells: list[str], read: Any) -> pd.DatetimeIndex:
    out = []
    for i, cell in enumerate(cells):
        found = read(cell)
        if found is None:
            raise _unlike(cells, i)
        out.append(found)
    return pd.DatetimeIndex(out)


def _quarter(cell: str) -> pd.Timestamp | None:
    match = _QUARTER.fullmatch(cell)
    if match is None:
        return None
    year, quarter = (match[1], match[2]) if match[1] else (match[4], match[3])
    return pd.Timestamp(year=int(year), month=3 * int(quarter) - 2, day=1) if int(year) >= 1678 else None


def _without_offset(cell: str) -> str:
    match = _OFFSET.fullmatch(cell)
    return match[1] if match else cell


def _shift(cell: str) -> pd.Timestamp | None:
    """The offset of a cell from UTC, as a time after 1970."""
    match = _OFFSET.fullmatch(cell)
    if match is None:
        return None
    if match[2][0] not in "+-":
        return pd.Timestamp(0)
    hours, minutes = int(match[2][:3]), int(match[2][0] + match[2][-2:])
    return pd.Timestamp(0) + pd.Timedelta(hours=hours, minutes=minutes)
