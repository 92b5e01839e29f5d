"""Scores of intervals and of point forecasts: coverage, interval score, mean absolute scaled error.

References: Winkler (1972), *Journal of the American Statistical Association*; Hyndman & Koehler (2006), *International
Journal of Forecasting*.
"""

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array

from .metrics_input import Array, average, checked_coverage, checked_forecasts, checked_outcomes


def coverage_score(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Share of outcomes inside their interval; compare it with the nominal coverage.

    Parameters
    ----------
    y_true : (n,) or (n, H) outcomes.
    y_pred : (n, 2) or (n, H, 2) lower and upper ends.
    sample_weight : (n,) weights of rows.

    >>> coverage_score([1.0, 5.0], [[0.0, 2.0], [0.0, 2.0]])
    0.5
    """
    y = checked_outcomes(y_true)
    ends = checked_forecasts(y, y_pred, 2, "lower and upper end")
    return average(((ends[..., 0] <= y) & (y <= ends[..., 1])).astype(np.float64), sample_weight)


def interval_score(
    y_true: ArrayLike, y_pred: ArrayLike, coverage: float = 0.9, sample_weight: ArrayLike | None = None
) -> float:
    """Mean Winkler score: width plus 2/(1 − coverage) times the distance by which an outcome is missed.

    Parameters
    ----------
    y_true : (n,) or (n, H) outcomes.
    y_pred : (n, 2) or (n, H, 2) lower and upper ends of the central interval.
    coverage : its nominal coverage, in (0, 1).
    sample_weight : (n,) weights of rows.

    >>> round(interval_score([3.0], [[0.0, 2.0]], coverage=0.8), 9)
    12.0
    """
    coverage = checked_coverage(coverage)
    y = checked_outcomes(y_true)
    ends = checked_forecasts(y, y_pred, 2, "lower and upper end")
    miss = np.maximum(ends[..., 0] - y, 0) + np.maximum(y - ends[..., 1], 0)
    return average(ends[..., 1] - ends[..., 0] + 2 / (1 - coverage) * miss, sample_weight)


def mase_score(
    y_true: ArrayLike, y_pred: ArrayLike, y_train: ArrayLike, m: int = 1, sample_weight: ArrayLike | None = None
) -> float:
    """Mean absolute scaled error: mean \\|y − ŷ\\| over the training part's mean \\|y_t − y_{t−m}\\|.

    The scale is the one-step error of the naive forecast in the training part (for m > 1 of the seasonal naive one),
    whatever the horizon of ŷ. Below 1 is better than that.

    Parameters
    ----------
    y_true : (n,) or (n, H) outcomes.
    y_pred : point forecasts of the same shape.
    y_train : (t,) the series of the training part in time order, t > m.
    m : samples per season; 1 for none.
    sample_weight : (n,) weights of rows.

    >>> round(mase_score([3, -0.5, 2, 7, 2], [2.5, 0.5, 2, 8, 2.25], y_train=[5, 0.5, 4, 6, 3, 5, 2]), 4)
    0.1833
    """
    return absolute_error(y_true, y_pred, sample_weight) / naive_error(y_train, m)


def absolute_error(y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean \\|y − ŷ\\| over everything, in the unit of the series."""
    y = checked_outcomes(y_true)
    point = checked_forecasts(y, y_pred, 1, "one value per outcome")[..., 0]
    return average(np.abs(y - point), sample_weight)


def naive_error(y_train: ArrayLike, m: int = 1) -> float:
    """Mean \\|y_t − y_{t−m}\\| of a series (t,), the scale of :func:`mase_score`; in the unit of the series."""
    if not isinstance(m, Integral) or isinstance(m, bool) or m < 1:
        raise ValueError(f"The 'm' parameter must be an int of at least 1. Got {m!r} instead.")
    series: Array = check_array(y_train, dtype=np.float64, ensure_2d=False, input_name="y_train")
    if series.ndim != 1 or len(series) <= m:
        raise ValueError(f"y_train must be 1-D and longer than m={m}. Got the shape {series.shape} instead.")
    scale = float(np.abs(series[m:] - series[:-m]).mean())
    if scale == 0:
        raise ValueError(f"y_train must not repeat itself every m={m} values: there is no scale then.")
    return scale
