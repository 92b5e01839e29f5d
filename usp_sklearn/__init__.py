"""usp_sklearn: online probabilistic forecasting of streams, scikit-learn native.

>>> from usp_sklearn import JKOPredictor, sliding_window
"""

from .api.aggregator import JKOAggregator
from .api.cusum import CUSUMDetector
from .api.distribution import PredictiveDistribution
from .api.ensemble import JKOEnsemble
from .api.holder import HolderTransformer
from .api.metrics import coverage_score, crps_score, crps_scorer, interval_score, pinball_score, pinball_scorer
from .api.predictor import (
    DGMPredictor,
    JKOPredictor,
    JumpDiffusionPredictor,
    LevyPredictor,
    SignaturePredictor,
)
from .api.seasons import find_seasons
from .api.signature import LogSignatureTransformer
from .api.stream import Stream
from .api.warmup import warm_up
from .api.windows import SlidingWindow, WindowBuffer, sliding_window
from .io import datasets
from .runtime import configure

__version__ = "0.1.0"

__all__ = [
    "CUSUMDetector",
    "DGMPredictor",
    "HolderTransformer",
    "JKOAggregator",
    "JKOEnsemble",
    "JKOPredictor",
    "JumpDiffusionPredictor",
    "LevyPredictor",
    "LogSignatureTransformer",
    "PredictiveDistribution",
    "SignaturePredictor",
    "SlidingWindow",
    "Stream",
    "WindowBuffer",
    "configure",
    "coverage_score",
    "crps_score",
    "crps_scorer",
    "datasets",
    "find_seasons",
    "interval_score",
    "pinball_score",
    "pinball_scorer",
    "sliding_window",
    "warm_up",
]
