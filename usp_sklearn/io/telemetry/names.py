"""What may leave as telemetry: the numbers of a risk record by name, with units, and flags."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

Record = Mapping[str, Any]

NUMBERS: dict[str, str] = {
    "holder_exponent": "local Hölder exponent of the newest window",
    "holder_se": "standard error of the Hölder exponent",
    "spectrum_width": "width of the singularity spectrum",
    "quadratic_variation": "sum of squared increments over the window, squared units of the series",
    "cusum_up": "upper CUSUM statistic of the standardised residuals",
    "cusum_down": "lower CUSUM statistic of the standardised residuals",
    "adaptive_threshold": "threshold of the CUSUM statistics",
    "distance_to_alarm": "share of the way to the threshold that is left, 1 to 0",
    "kurtosis": "kurtosis of the last 252 residuals",
    "dgm_entropy": "entropy of the PDE solution above its terminal condition's, nats",
    "free_energy": "free energy of the last step of the flow",
    "coverage_error": "running coverage of the 80 % interval minus 0.8",
    "age": "sampling intervals since the value before this one",
    "gap": "steps that went missing before this one",
    "late": "observations passed over so far, because they came late or twice",
}
"""Numbers of a record; without a unit unless said."""
MEASURES: dict[str, str] = {
    "step_seconds": "time one step took, seconds",
    "pit": "probability integral transform of the outcome, uniform if the laws are right",
}
"""Numbers a caller may add to a record; metrics keep them as histograms."""
FLAGS: dict[str, str] = {
    "sinkhorn_converged": "the transport solver converged (always, in the graph geometry)",
    "regime_changed": "the change detector raised an alarm",
    "emergency": "the Hölder exponent is significantly below its threshold",
    "degraded": "a member's law was unusable and left out",
    "mode_collapse": "the PDE solution has collapsed",
    "frozen_signal": "the series repeats one value",
    "outlier": "the outcome was more than 20 robust sigmas from the median",
    "missing": "no value came",
    "rejected": "the value was an outlier and treated as missing",
    "clipped": "the value was an outlier and moved to the edge of what is plausible",
    "stale": "the newest value was too old",
    "skipped": "the observation came late or twice and was passed over",
}
"""Flags of a record. Others are passed on too: a flag can't give away data."""
MODES = ("standard", "robust", "emergency")
BRANCHES = ("A", "B", "C", "D")
_REAL = frozenset({*NUMBERS, *MEASURES})
GOOD = frozenset({"sinkhorn_converged"})
"""Flags whose absence is the event."""


class Admitted(dict[str, Any]):
    """The part of a record that may leave: floats, flags, the mode, a list of weights; the flags once more alone."""

    flags: dict[str, bool]


def admitted(record: Record) -> Admitted:
    """The part of a record that may leave, as plain Python values; itself if it is one already.

    >>> admitted({"kurtosis": 3.0, "outlier": True, "y": 46.2, "features": [1.0], "mode": "standard"})
    {'kurtosis': 3.0, 'outlier': True, 'mode': 'standard'}
    """
    if type(record) is Admitted:
        return record
    out, flags = Admitted(), {}
    for name, value in record.items():
        if value is True or value is False:
            out[name] = flags[name] = value
        elif name in _REAL:
            if type(value) is float or isinstance(value, Real):
                out[name] = float(value)
        elif isinstance(value, np.bool_):
            out[name] = flags[name] = bool(value)
        elif name == "mode":
            if value in MODES:
                out[name] = value
        elif name == "kernel_weights" and len(value) == len(BRANCHES):
            out[name] = [float(w) for w in value]
    out.flags = flags
    return out


def prefix(stream: str) -> str:
    """How a message names the stream."""
    return f"{stream}: " if stream else ""
