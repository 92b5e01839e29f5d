"""The shape of a sink, and one that passes records on to several."""

import logging
from typing import Protocol

from .names import Record, admitted

LOGGER = logging.getLogger("usp_sklearn")


class Sink(Protocol):
    """Takes risk records, one after each step."""

    def write(self, record: Record) -> None:
        """Take one record. A sink keeps no reference to it."""

    def close(self) -> None:
        """Finish; nothing is written afterwards."""


class Tee:
    """Passes every record on to several sinks, and keeps what is wrong with one from the others and from the caller.

    A sink that raises is named in the log (logger ``usp_sklearn``, level ERROR) when it starts to fail and when it
    works again (INFO), not at every record between.

    Parameters
    ----------
    *sinks : Sink

    >>> class Kept(list):
    ...     def write(self, record): self.append(record["kurtosis"])
    ...     def close(self): pass
    >>> one, other = Kept(), Kept()
    >>> Tee(one, other).write({"kurtosis": 3.0})
    >>> one, other
    ([3.0], [3.0])
    """

    def __init__(self, *sinks: Sink) -> None:
        self.sinks = sinks
        self._failing: set[int] = set()

    def write(self, record: Record) -> None:
        """Pass on what may leave of ``record``."""
        record = admitted(record)
        for i, sink in enumerate(self.sinks):
            try:
                sink.write(record)
            except Exception as error:
                if i not in self._failing:
                    self._failing.add(i)
                    LOGGER.error("Telemetry sink %s fails: %s: %s", type(sink).__name__, type(error).__name__, error)
            else:
                if i in self._failing:
                    self._failing.discard(i)
                    LOGGER.info("Telemetry sink %s works again", type(sink).__name__)

    def close(self) -> None:
        """Close every sink; the first error is raised when all are closed."""
        errors = []
        for sink in self.sinks:
            try:
                sink.close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
