"""Where risk records go: files of JSON lines, metrics for Prometheus, events for ``logging``.

>>> import logging
>>> sink = Tee(Metrics(stream="wti"), Events(stream="wti"))
>>> sink.write({"kurtosis": 3.2, "regime_changed": False, "mode": "standard"})

A sink has ``write(record)`` and ``close()``; a record is what ``Stream.telemetry_`` gives, one after each push. Sinks
pass on documented numbers and flags and nothing else (:func:`usp_sklearn.io.telemetry.names.admitted`): neither
outcomes nor features leave through them, whatever a record holds.
"""

from .background import Background
from .events import Events
from .lines import JsonLines
from .metrics import Metrics
from .sinks import Sink, Tee

__all__ = ["Background", "Events", "JsonLines", "Metrics", "Sink", "Tee"]
