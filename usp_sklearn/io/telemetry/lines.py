"""JsonLines: one risk record a line, in files that are rotated by size."""

import json
import logging
import math
import os
import time
from logging.handlers import RotatingFileHandler
from numbers import Integral
from typing import Any

from .names import Record, admitted


class JsonLines:
    """Appends records to a file as JSON, a line each: ``{"time": …, "stream": …, "step": …, "kurtosis": …, …}``.

    ``time`` is seconds since 1970 in UTC, ``step`` counts from this sink's first record; what is not a finite number is
    null. When a line would make the file longer than ``max_bytes``, it becomes ``path.1``, the one before ``path.2``,
    and so on. A line is handed to the system as soon as it is written, and not synced to the disk: a loss of power may
    cost the newest ones.

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
        self.stream = stream
        self._step = 0
        self._file = _Raising(self.path, maxBytes=int(max_bytes), backupCount=int(keep), encoding="utf-8", delay=True)

    def write(self, record: Record) -> None:
        """Append one record."""
        self._step += 1
        line = {"time": round(time.time(), 6), "stream": self.stream, "step": self._step}
        text = json.dumps(line | {k: _finite(v) for k, v in admitted(record).items()}, allow_nan=False)
        self._file.handle(logging.makeLogRecord({"msg": text}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Raising(RotatingFileHandler):
    """Errors belong to the caller, not to standard error."""

    def handleError(self, record: logging.LogRecord) -> None:
        # Called while the error is being handled.
        raise


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
