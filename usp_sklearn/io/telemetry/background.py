"""Background: records go to a sink in a thread of its own, so that no disk and no log keeps the stream waiting."""

import threading
from collections import deque
from numbers import Integral
from typing import Any, Self

from .names import Record
from .sinks import Sink, Tee

PAUSE = 0.05
"""Seconds between two looks at what is waiting: records are passed on together, which costs least."""


class Background:
    """Queues records for a thread, which passes them on to a sink every twentieth of a second.

    ``write`` returns at once, whatever the sink does: a disk that hangs does not hang the stream. While the sink is
    slower than the records come, the newest ``size`` of them wait; older ones are dropped, and ``dropped`` counts them.
    Errors of the sink are logged as :class:`Tee` does it. Records that wait when a process is killed are lost; a
    process that ends by itself passes them on with ``close``.

    Parameters
    ----------
    sink : Sink
    size : int
        Records that may wait.

    Examples
    --------
    >>> from usp_sklearn.io.telemetry import Metrics
    >>> metrics = Metrics()
    >>> with Background(metrics) as sink:
    ...     sink.write({"kurtosis": 3.0})
    ...     sink.drain()
    ...     "usp_steps_total" in metrics.text()
    True
    True
    """

    def __init__(self, sink: Sink, size: Any = 10_000) -> None:
        if not isinstance(size, Integral) or size < 1:
            raise ValueError(f"The 'size' parameter of Background must be an int of at least 1. Got {size!r} instead.")
        self.dropped = 0
        self._sink = sink if isinstance(sink, Tee) else Tee(sink)
        self._waiting: deque[Record] = deque(maxlen=int(size))
        self._now, self._idle = threading.Event(), threading.Condition()
        self._busy = self._closed = False
        self._thread = threading.Thread(target=self._run, name="usp_sklearn telemetry", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Queue a copy of one record."""
        if self._closed:
            raise ValueError("Background is closed: nothing can be written any more.")
        self.dropped += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(dict(record))

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until everything queued so far was passed on, at most ``timeout`` seconds; whether it was."""
        self._now.set()
        with self._idle:
            return self._idle.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Pass on what is waiting, in at most ``timeout`` seconds, and close the sink."""
        self._closed = True
        self._now.set()
        self._thread.join(timeout)
        self._sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            self._now.wait(PAUSE)
            self._now.clear()
            last, self._busy = self._closed, True
            while self._waiting:
                self._sink.write(self._waiting.popleft())
            with self._idle:
                self._busy = False
                self._idle.notify_all()
            if last:
                return
