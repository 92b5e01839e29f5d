"""JsonLines: one risk record a line, in files that are rotated by size."""

import errno
import itertools
import json
import os
import time
from contextlib import suppress
from numbers import Integral
from typing import Any

from .names import Admitted, Record, admitted


class JsonLines:
    """Appends records to a file as JSON, a line each: ``{"time": …, "stream": …, "step": …, "kurtosis": …, …}``.

    ``time`` is seconds since 1970 in UTC, ``step`` counts from this sink's first record; what is not a finite number is
    null; flags come last. When a line would make the file longer than ``max_bytes``, it becomes ``path.1``, the one
    before ``path.2``, and so on. A line is handed to the system as soon as it is written, and not synced to the disk: a
    loss of power may cost the newest ones.

    Parameters
    ----------
    path : where the newest records are; the folder must be there.
    max_bytes : int
        Size of a file.
    keep : int
        Older files that stay.
    stream : str
        Name of the stream.

    Examples
    --------
    >>> import tempfile
    >>> sink = JsonLines(tempfile.mkdtemp() + "/risk.jsonl", stream="wti")
    >>> sink.write({"kurtosis": 3.0, "outlier": False})
    >>> sink.close()
    >>> record = json.loads(open(sink.path).read())
    >>> record["stream"], record["step"], record["kurtosis"]
    ('wti', 1, 3.0)
    """

    def __init__(
        self, path: str | os.PathLike[str], *, max_bytes: Any = 10_000_000, keep: Any = 5, stream: str = ""
    ) -> None:
        for name, value, least in (("max_bytes", max_bytes, 1), ("keep", keep, 1)):
            if not isinstance(value, Integral) or value < least:
                raise ValueError(
                    f"The '{name}' parameter of JsonLines must be an int of at least {least}. Got {value!r} instead."
                )
        self.path = os.fspath(path)
        self.max_bytes, self.keep = int(max_bytes), int(keep)
        self.stream = stream
        self._name = json.dumps(stream)
        self._step = 0
        self._flags: dict[str, bool] = {}
        self._said = ""
        self._size = 0
        self._file: int | None = None

    def write(self, record: Record) -> None:
        """Append one record."""
        self._step += 1
        data = self._line(admitted(record)).encode()
        if self._file is None:
            self._file = self._open()
        if self._size + len(data) > self.max_bytes and self._size:
            self._rotate()
        # One call, so that a line is there whole or not at all: what did not fit on the disk is taken back.
        written = os.write(self._file, data)
        if written < len(data):
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
        self._size += written

    def _line(self, known: Admitted) -> str:
        """One line, by hand: between two steps json's encoder takes three times as long. Flags seldom change."""
        if known.flags != self._flags:
            self._flags = known.flags
            self._said = "".join(f", {json.dumps(name)}: {str(on).lower()}" for name, on in known.flags.items())
        parts = [f'{{"time": {time.time():.6f}, "stream": {self._name}, "step": {self._step}']
        for name, value in known.items():
            if type(value) is float:
                parts.append(f', "{name}": {_number(value)}')
            elif type(value) is list:
                parts.append(f', "{name}": [{", ".join(map(_number, value))}]')
            elif type(value) is str:
                parts.append(f', "{name}": "{value}"')
        return "".join((*parts, self._said, "}\n"))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        self._size = os.fstat(file).st_size
        return file

    def _rotate(self) -> None:
        """The file becomes ``path.1``, ``path.1`` becomes ``path.2``, …, what was ``path.keep`` goes."""
        names = [self.path, *(f"{self.path}.{i}" for i in range(1, self.keep + 1))]
        for old, new in reversed(list(itertools.pairwise(names))):
            with suppress(FileNotFoundError):
                os.replace(old, new)
        self.close()
        self._file = self._open()


def _number(value: float) -> str:
    return repr(value) if value - value == 0.0 else "null"
