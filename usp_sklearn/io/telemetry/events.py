"""Events: what an operator should hear about, as log records, once when it begins and once when it is over."""

import logging
from numbers import Integral
from typing import Any

from .names import GOOD, Admitted, Record, admitted, prefix

LEVELS = {"emergency": logging.ERROR, "mode_collapse": logging.ERROR}
"""Level of a flag's event; WARNING for the others, INFO when it is over."""
SHOWN = ("distance_to_alarm", "kurtosis", "holder_exponent", "coverage_error")


class Events:
    """Logs every flag of the risk records when it turns on, and when it has been off for a while.

    A flag that turns on again before it was off for ``recovery`` steps is the same event and not logged anew, so a
    flag that comes and goes gives two messages, not hundreds. Log records carry ``usp_event`` (the flag), ``usp_state``
    ("on", "over"), ``usp_stream`` and ``usp_step``.

    Parameters
    ----------
    recovery : int
        Steps a flag must be off until its event is over.
    stream : str
        Name of the stream.
    logger : str
        Name of the logger.

    Examples
    --------
    >>> import logging, sys
    >>> logger = logging.getLogger("example")
    >>> logger.addHandler(logging.StreamHandler(sys.stdout))
    >>> logger.setLevel(logging.INFO)
    >>> events = Events(recovery=2, stream="wti", logger="example")
    >>> for outlier in (False, True, False, True, False, False, False):
    ...     events.write({"outlier": outlier, "kurtosis": 9.5})
    wti: outlier at step 2 (kurtosis 9.5)
    wti: outlier is over, off for 2 steps; on for 2 of the 5 steps since step 2
    """

    def __init__(self, *, recovery: Any = 20, stream: str = "", logger: str = "usp_sklearn") -> None:
        if not isinstance(recovery, Integral) or recovery < 1:
            raise ValueError(
                f"The 'recovery' parameter of Events must be an int of at least 1. Got {recovery!r} instead."
            )
        self.recovery = int(recovery)
        self.stream = stream
        self.logger = logging.getLogger(logger)
        self._step = 0
        self._quiet: dict[str, bool] = {}
        self._open: dict[str, list[int]] = {}
        """by flag: step of the first and of the last time it was on, and how often"""

    def write(self, record: Record) -> None:
        """Look at one record."""
        self._step += 1
        known = admitted(record)
        if known.flags == self._quiet and not self._open:
            return
        for name, value in known.flags.items():
            if value is (name not in GOOD):
                if name in self._open:
                    self._open[name][1] = self._step
                    self._open[name][2] += 1
                else:
                    self._open[name] = [self._step, self._step, 1]
                    self._begin(name, known)
            elif name in self._open and self._step - self._open[name][1] >= self.recovery:
                self._end(name, *self._open.pop(name))
        if not self._open:
            # Nothing to say as long as the flags stay as they are.
            self._quiet = known.flags

    def close(self) -> None:
        """Nothing is held."""

    def _begin(self, flag: str, known: Admitted) -> None:
        shown = ", ".join(f"{name} {known[name]:.3g}" for name in SHOWN if name in known)
        self._log(LEVELS.get(flag, logging.WARNING), flag, "on", f"at step {self._step}{f' ({shown})' * bool(shown)}")

    def _end(self, flag: str, first: int, last: int, times: int) -> None:
        since = f"on for {times} of the {self._step - first + 1} steps since step {first}"
        self._log(logging.INFO, flag, "over", f"is over, off for {self._step - last} steps; {since}")

    def _log(self, level: int, flag: str, state: str, text: str) -> None:
        extra = {"usp_event": flag, "usp_state": state, "usp_stream": self.stream, "usp_step": self._step}
        name = f"{flag} failed" if flag in GOOD else flag
        self.logger.log(level, "%s%s %s", prefix(self.stream), name, text, extra=extra)
