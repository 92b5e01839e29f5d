"""Metrics: the newest risk record and running counts, in the OpenMetrics text format.

    usp_steps_total                      records so far
    usp_last_step_timestamp_seconds      when the newest one came, seconds since 1970
    usp_<number>                         the numbers of the newest record, by their names in it
    usp_kernel_weight{branch="A"}        weight of a branch, 0 to 1
    usp_mode{usp_mode="standard"}        1 for the mode the stream is in
    usp_flag{flag="outlier"}             1 while a flag is on
    usp_flag_steps_total{flag="outlier"} steps on which it was on
    usp_step_seconds, usp_pit            histograms of what a caller adds as ``step_seconds`` and ``pit``

All carry the label ``stream``.
"""

import bisect
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from .names import BRANCHES, MODES, NUMBERS, Admitted, Record, admitted

SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PIT = tuple(i / 20 for i in range(1, 21))
BUCKETS = {"step_seconds": SECONDS, "pit": PIT}
"""Upper ends of the histograms' buckets; beyond the last one there is one more."""
WAITING = 256
"""Records that wait to be added up together; a scrape adds up what is there."""


class Metrics:
    """Keeps what Prometheus asks for. A record costs microseconds; the text is made when somebody reads it.

    Needs prometheus-client (the extra ``metrics``).

    Parameters
    ----------
    stream : str
        Value of the label ``stream``.
    beside : Metrics, optional
        Another stream's, whose exposition this one joins.

    Examples
    --------
    >>> metrics = Metrics(stream="wti")
    >>> metrics.write({"kurtosis": 3.5, "outlier": True, "mode": "standard"})
    >>> [line for line in metrics.text().splitlines() if line.startswith("usp_kurtosis")]
    ['usp_kurtosis{stream="wti"} 3.5']
    """

    def __init__(self, *, stream: str = "", beside: "Metrics | None" = None) -> None:
        self.stream = stream
        self._lock = threading.Lock()
        self._waiting: deque[tuple[float, Admitted]] = deque()
        self._newest = Admitted()
        self._when = 0.0
        self._steps = 0
        self._on: dict[str, int] = {}
        self._histograms = {name: _Histogram(ends) for name, ends in BUCKETS.items()}
        self._all: list[Metrics] = [] if beside is None else beside._all
        if any(m.stream == stream for m in self._all):
            raise ValueError(
                f"The 'stream' parameter of Metrics must differ from those it is beside. Got {stream!r} again."
            )
        self._all.append(self)

    def write(self, record: Record) -> None:
        """Take one record."""
        self._waiting.append((time.time(), admitted(record)))
        if len(self._waiting) >= WAITING:
            with self._lock:
                self._count()

    def _count(self) -> None:
        """Add up the records that came since this was last done."""
        while self._waiting:
            self._when, self._newest = self._waiting.popleft()
            self._steps += 1
            for name, on in self._newest.flags.items():
                self._on[name] = self._on.get(name, 0) + on
            for name, histogram in self._histograms.items():
                if name in self._newest:
                    histogram.add(self._newest[name])

    def close(self) -> None:
        """Leave the exposition."""
        if self in self._all:
            self._all.remove(self)

    def text(self) -> str:
        """The exposition of all streams beside this one, in the OpenMetrics text format."""
        generate = _client("openmetrics.exposition").generate_latest
        return str(generate(self.registry()).decode())

    def registry(self) -> Any:
        """A ``prometheus_client.CollectorRegistry`` that holds these metrics and nothing else."""
        registry = _client().CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def serve(self, port: int = 9464, address: str = "127.0.0.1") -> "Endpoint":
        """Answer scrapes over HTTP, in a thread of its own, until the endpoint is closed.

        Parameters
        ----------
        port : int
            0 for any that is free.
        address : str
            The default answers this machine only; there is no encryption and no password.
        """
        server, thread = _client().start_http_server(port, addr=address, registry=self.registry())
        return Endpoint(server, thread)

    def collect(self) -> Iterator[Any]:
        """What ``prometheus_client`` asks a collector for."""
        core = _client("core")
        gauge, counter = core.GaugeMetricFamily, core.CounterMetricFamily
        states = [m._state() for m in self._all]
        steps = counter("usp_steps", "Risk records so far.", labels=["stream"])
        newest_at, stamp = "When the newest record came.", "usp_last_step_timestamp_seconds"
        when = gauge(stamp, newest_at, labels=["stream"], unit="seconds")
        flag = gauge("usp_flag", "1 while the flag is on.", labels=["stream", "flag"])
        flags = counter("usp_flag_steps", "Steps on which the flag was on.", labels=["stream", "flag"])
        weight = gauge("usp_kernel_weight", "Weight of a branch, 0 to 1.", labels=["stream", "branch"])
        mode = core.StateSetMetricFamily("usp_mode", "The mode the stream is in.", labels=["stream"])
        numbers = {name: gauge(f"usp_{name}", f"{text}.", labels=["stream"]) for name, text in NUMBERS.items()}
        seconds = core.HistogramMetricFamily("usp_step_seconds", "Time a step took.", labels=["stream"], unit="seconds")
        pit = core.HistogramMetricFamily("usp_pit", "Where outcomes fall in their laws.", labels=["stream"])
        for stream, newest, last, count, on, histograms in states:
            steps.add_metric([stream], count)
            for name, total in on.items():
                flag.add_metric([stream, name], float(newest.get(name, False)))
                flags.add_metric([stream, name], total)
            for family, name in ((seconds, "step_seconds"), (pit, "pit")):
                family.add_metric([stream], *histograms[name])
            if not count:
                continue
            when.add_metric([stream], last)
            if "mode" in newest:
                mode.add_metric([stream], {m: m == newest["mode"] for m in MODES})
            for branch, value in zip(BRANCHES, newest.get("kernel_weights", ()), strict=False):
                weight.add_metric([stream, branch], value)
            for name in NUMBERS:
                if name in newest:
                    numbers[name].add_metric([stream], newest[name])
        yield from (steps, when, flag, flags, weight, mode, *numbers.values(), seconds, pit)

    def _state(self) -> tuple[Any, ...]:
        with self._lock:
            self._count()
            histograms = {name: h.read() for name, h in self._histograms.items()}
            return self.stream, self._newest, self._when, self._steps, dict(self._on), histograms


class Endpoint:
    """An HTTP server that answers scrapes at ``http://address:port/metrics``."""

    def __init__(self, server: Any, thread: threading.Thread) -> None:
        self._server, self._thread = server, thread
        self.address, self.port = server.server_address[:2]

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Histogram:
    def __init__(self, ends: tuple[float, ...]) -> None:
        self._ends = ends
        self._counts = [0] * (len(ends) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        if value == value:
            self._counts[bisect.bisect_left(self._ends, value)] += 1
            self._sum += value

    def read(self) -> tuple[list[tuple[str, float]], float]:
        total, out = 0.0, []
        for end, count in zip((*map(str, self._ends), "+Inf"), self._counts, strict=True):
            total += count
            out.append((end, total))
        return out, self._sum


def _client(part: str = "") -> Any:
    """prometheus_client or a module of it, which is needed only here."""
    from importlib import import_module

    try:
        return import_module(f"prometheus_client.{part}" if part else "prometheus_client")
    except ImportError as error:
        raise ImportError("Metrics needs prometheus-client: pip install 'usp-sklearn[metrics]'.") from error
