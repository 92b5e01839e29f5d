"""usp_sklearn: online probabilistic forecasting of streams, scikit-learn native.

>>> from usp_sklearn import JKOPredictor, sliding_window
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.aggregator import JKOAggregator
    from .api.cusum import CUSUMDetector
    from .api.displays import (
        FanChartDisplay,
        PITDisplay,
        ReliabilityDisplay,
        SpectrumDisplay,
        TelemetryDisplay,
        WeightsDisplay,
    )
    from .api.distribution import PredictiveDistribution
    from .api.ensemble import JKOEnsemble
    from .api.holder import HolderTransformer
    from .api.metrics import (
        DieboldMariano,
        WISComponents,
        coverage_score,
        coverage_scorer,
        crps_score,
        crps_scorer,
        diebold_mariano,
        get_scorer,
        interval_score,
        interval_scorer,
        mase_score,
        mase_scorer,
        pinball_score,
        pinball_scorer,
        pit_values,
        scaled_crps_score,
        scorer_names,
        weighted_interval_components,
        weighted_interval_score,
    )
    from .api.narrow import NarrowWindow
    from .api.persistence import load, save
    from .api.predictor import DGMPredictor, JKOPredictor, JumpDiffusionPredictor, LevyPredictor, SignaturePredictor
    from .api.seasons import find_seasons
    from .api.signature import LogSignatureTransformer
    from .api.space import default_space
    from .api.splitter import WalkForwardSplit
    from .api.stream import Stream
    from .api.tuning import Tuned, tune
    from .api.walkforward import WalkForward, walk_forward
    from .api.warmup import warm_up
    from .api.windows import SlidingWindow, WindowBuffer, sliding_window
    from .io import datasets, telemetry
    from .io.regular import sanitise
    from .io.schema import SnapshotError
    from .io.series import read_series
    from .runtime import configure

__version__ = "0.1.0"

__all__ = [
    "CUSUMDetector",
    "DGMPredictor",
    "DieboldMariano",
    "FanChartDisplay",
    "HolderTransformer",
    "JKOAggregator",
    "JKOEnsemble",
    "JKOPredictor",
    "JumpDiffusionPredictor",
    "LevyPredictor",
    "LogSignatureTransformer",
    "NarrowWindow",
    "PITDisplay",
    "PredictiveDistribution",
    "ReliabilityDisplay",
    "SignaturePredictor",
    "SlidingWindow",
    "SnapshotError",
    "SpectrumDisplay",
    "Stream",
    "TelemetryDisplay",
    "Tuned",
    "WISComponents",
    "WalkForward",
    "WalkForwardSplit",
    "WeightsDisplay",
    "WindowBuffer",
    "configure",
    "coverage_score",
    "coverage_scorer",
    "crps_score",
    "crps_scorer",
    "datasets",
    "default_space",
    "diebold_mariano",
    "find_seasons",
    "get_scorer",
    "interval_score",
    "interval_scorer",
    "load",
    "mase_score",
    "mase_scorer",
    "pinball_score",
    "pinball_scorer",
    "pit_values",
    "read_series",
    "sanitise",
    "save",
    "scaled_crps_score",
    "scorer_names",
    "sliding_window",
    "telemetry",
    "tune",
    "walk_forward",
    "warm_up",
    "weighted_interval_components",
    "weighted_interval_score",
]

# Names are looked up when they are first asked for: importing the package loads no numerical library.
_HOMES = {
    "api.aggregator": ("JKOAggregator",),
    "api.cusum": ("CUSUMDetector",),
    "api.displays": (
        "FanChartDisplay",
        "PITDisplay",
        "ReliabilityDisplay",
        "SpectrumDisplay",
        "TelemetryDisplay",
        "WeightsDisplay",
    ),
    "api.distribution": ("PredictiveDistribution",),
    "api.ensemble": ("JKOEnsemble",),
    "api.holder": ("HolderTransformer",),
    "api.metrics": (
        "DieboldMariano",
        "WISComponents",
        "coverage_score",
        "coverage_scorer",
        "crps_score",
        "crps_scorer",
        "diebold_mariano",
        "get_scorer",
        "interval_score",
        "interval_scorer",
        "mase_score",
        "mase_scorer",
        "pinball_score",
        "pinball_scorer",
        "pit_values",
        "scaled_crps_score",
        "scorer_names",
        "weighted_interval_components",
        "weighted_interval_score",
    ),
    "api.narrow": ("NarrowWindow",),
    "api.persistence": ("load", "save"),
    "api.predictor": ("DGMPredictor", "JKOPredictor", "JumpDiffusionPredictor", "LevyPredictor", "SignaturePredictor"),
    "api.seasons": ("find_seasons",),
    "api.signature": ("LogSignatureTransformer",),
    "api.space": ("default_space",),
    "api.splitter": ("WalkForwardSplit",),
    "api.stream": ("Stream",),
    "api.tuning": ("Tuned", "tune"),
    "api.walkforward": ("WalkForward", "walk_forward"),
    "api.warmup": ("warm_up",),
    "api.windows": ("SlidingWindow", "WindowBuffer", "sliding_window"),
    "io": ("datasets", "telemetry"),
    "io.regular": ("sanitise",),
    "io.schema": ("SnapshotError",),
    "io.series": ("read_series",),
    "runtime": ("configure",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f".{_HOME[name]}", __name__)
    # A name is an attribute of its module, or a module of its own.
    value = getattr(home, name) if hasattr(home, name) else import_module(f".{_HOME[name]}.{name}", __name__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
