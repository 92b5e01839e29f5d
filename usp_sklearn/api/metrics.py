"""Scores of probabilistic forecasts, tests between forecasters, and scorers for scikit-learn's model selection.

Losses (CRPS, pinball, interval scores) are in the units of the series and lower is better; the scorers return them
negated. References are in the modules that hold them.
"""

from .metrics_comparison import DieboldMariano, diebold_mariano
from .metrics_points import coverage_score, interval_score, mase_score
from .metrics_quantiles import (
    WISComponents,
    crps_score,
    pinball_score,
    pit_values,
    scaled_crps_score,
    weighted_interval_components,
    weighted_interval_score,
)
from .metrics_scorers import (
    CoverageScorer,
    IntervalScorer,
    MASEScorer,
    PinballScorer,
    coverage_scorer,
    crps_scorer,
    get_scorer,
    interval_scorer,
    mase_scorer,
    pinball_scorer,
    scorer_names,
)

__all__ = [
    "CoverageScorer",
    "DieboldMariano",
    "IntervalScorer",
    "MASEScorer",
    "PinballScorer",
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
]
