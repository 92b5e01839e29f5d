"""Observations as they come: lines of stdin or of a growing file, and what a line says."""

import json
import os
import select
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..io.cells import is_missing, numbers

BLOCK, LONGEST = 1 << 12, 1 << 20
FLOAT_MAX = sys.float_info.max
PATIENCE = 0.2
"""Seconds between looks at a file that may have grown."""


class Observation(NamedTuple):
    """A value and its time, as it was written, None for none; exogenous values."""

    time: str | None
    value: float
    exog: tuple[float, ...] = ()


class Wake:
    """A pipe that ends waiting: :meth:`ring` may be called from a signal handler or another thread."""

    def __init__(self) -> None:
        self.out, self._into = os.pipe()
        self.rung = False

    def ring(self) -> None:
        """End all waiting, now and later."""
        self.rung = True
        os.write(self._into, b"\0")

    def close(self) -> None:
        """Nobody waits and nobody rings any more."""
        os.close(self.out)
        os.close(self._into)


def lines(source: Path | None, follow: bool, wake: Wake) -> Iterator[str]:
    """Lines of a file, or of stdin for None, until its end or until ``wake`` rings.

    With ``follow`` the end of a file is not the end: it may grow. Whole lines that were taken from stdin when ``wake``
    rang are still given.

    Raises
    ------
    ValueError
        If a line has more than a million bytes, or the file becomes shorter.
    """
    descriptor = 0 if source is None else os.open(source, os.O_RDONLY)
    try:
        rest = b""
        while (block := _block(descriptor, source, follow, wake)) is not None:
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace")
                # A file can be read again; what was taken from stdin must be learned now.
                if wake.rung and source is not None:
                    return
            if len(rest) > LONGEST:
                raise ValueError(f"A line must have at most {LONGEST} bytes. Got more instead.")
        if rest and not wake.rung:
            yield rest.decode("utf-8", "replace")
    finally:
        if source is not None:
            os.close(descriptor)


def _block(descriptor: int, source: Path | None, follow: bool, wake: Wake) -> bytes | None:
    """What can be read, after waiting for it; None at the end."""
    while not wake.rung:
        if source is None:
            ready, _, _ = select.select([descriptor, wake.out], [], [])
            if descriptor not in ready:
                return None
        block = os.read(descriptor, BLOCK)
        if block:
            return block
        if source is None or not follow:
            return None
        if os.fstat(descriptor).st_size < os.lseek(descriptor, 0, os.SEEK_CUR):
            raise ValueError(f"{source} has become shorter while it was read.")
        select.select([wake.out], [], [], PATIENCE)
    return None


def observation(line: str, decimal: str | None = None, exog: Sequence[str] = ()) -> Observation | None:
    """What a line says; None for a blank line, a comment or a header.

    A number; a time and a number between a comma, semicolon, tab or blank (of several cells the first and the last
    count); or a JSON object with "value" and, if it has one, "time". Where there are exogenous values they come after
    the number, and no other cells do; an object has them by the names ``exog``.

    Raises
    ------
    ValueError
        If the line says no number, or not all of them.

    >>> observation("2024-01-01 10:00,1.5")
    Observation(time='2024-01-01 10:00', value=1.5, exog=())
    >>> observation('{"value": 2, "time": "noon"}').value, observation("time,value")
    (2.0, None)
    >>> observation("noon;2;21.5", exog=["heat"])
    Observation(time='noon', value=2.0, exog=(21.5,))
    >>> observation('{"heat": 21.5, "value": 2}', exog=["heat"]).exog
    (21.5,)
    """
    text = _stripped(line)
    if not text or text.startswith("#"):
        return None
    if text.startswith("{"):
        return _object(text, exog)
    cells, wanted = _cells(text, decimal), 1 + len(exog)
    if not exog and is_missing(cells[-1]):
        raise ValueError("there is no value")
    if not any(c.isdigit() for c in text):
        return None
    if exog and len(cells) not in (wanted, 1 + wanted):
        raise ValueError(f"there must be {wanted} numbers, the value and {', '.join(exog)}")
    if any(map(is_missing, cells[-wanted:])):
        raise ValueError("a value is missing")
    value, *others = map(float, numbers(cells[-wanted:], decimal or "."))
    return Observation(cells[0] if len(cells) > wanted else None, value, tuple(others))


def misplaced(line: str, decimal: str | None, exog: Sequence[str]) -> bool:
    """Whether a header names the exogenous columns in other places than :func:`observation` takes them from.

    >>> misplaced("day,heat,load", None, ["heat"]), misplaced("day,load,heat", None, ["heat"])
    (True, False)
    """
    cells = _cells(_stripped(line), decimal)
    return set(exog) <= set(cells) and cells[len(cells) - len(exog) :] != list(exog)


def _stripped(line: str) -> str:
    return line.strip().lstrip("\ufeff")


def _cells(text: str, decimal: str | None) -> list[str]:
    for delimiter in (";", "\t", ",", " "):
        if delimiter in text and delimiter != decimal:
            return [cell.strip().strip('"') for cell in text.split(delimiter)]
    return [text]


def _object(text: str, exog: Sequence[str]) -> Observation:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not valid JSON") from None
    for name in ("value", *exog):
        value = said.get(name)
        # A whole number may be beyond the largest float.
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= FLOAT_MAX:
            raise ValueError(f'"{name}" is not a number')
    time = said.get("time")
    return Observation(None if time is None else str(time), float(said["value"]), tuple(float(said[n]) for n in exog))
