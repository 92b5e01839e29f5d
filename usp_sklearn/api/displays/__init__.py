"""Pictures of forecasts and models, in scikit-learn's display form. They need matplotlib: the extra "plot"."""

from .fan import FanChartDisplay
from .pit import PITDisplay
from .reliability import ReliabilityDisplay
from .spectrum import SpectrumDisplay
from .telemetry import TelemetryDisplay
from .weights import WeightsDisplay

__all__ = [
    "FanChartDisplay",
    "PITDisplay",
    "ReliabilityDisplay",
    "SpectrumDisplay",
    "TelemetryDisplay",
    "WeightsDisplay",
]
