"""What every score does first: levels, outcomes and forecasts as checked arrays; and last: the mean over rows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length

Array = NDArray[np.float64]


def checked_levels(quantiles: ArrayLike) -> Array:
    """Quantile levels (q,) strictly between 0 and 1."""
    levels = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(
            f"The 'quantiles' parameter must be levels strictly between 0 and 1. Got {quantiles!r} instead."
        )
    return levels


def checked_outcomes(y_true: ArrayLike) -> Array:
    """Outcomes (n,) or (n, H), finite."""
    return np.asarray(check_array(y_true, dtype=np.float64, ensure_2d=False, input_name="y_true"))


def checked_forecasts(y_true: Array, y_pred: ArrayLike, last: int, what: str) -> Array:
    """``y_pred`` as an array of shape y_true.shape + (last,), or an error that says so."""
    out = check_array(y_pred, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name="y_pred")
    if out.ndim == y_true.ndim and last == 1:
        out = out[..., None]
    check_consistent_length(y_true, out)
    if out.shape != (*y_true.shape, last):
        raise ValueError(f"y_pred must have shape {(*y_true.shape, last)}, {what}. Got {out.shape} instead.")
    return np.asarray(out)


def checked_coverage(coverage: float) -> float:
    """A nominal coverage in (0, 1)."""
    if not 0 < coverage < 1:
        raise ValueError(f"The 'coverage' parameter must be a float in (0, 1). Got {coverage!r} instead.")
    return float(coverage)


def average(losses: Array, sample_weight: ArrayLike | None) -> float:
    """Mean over everything, rows weighted."""
    by_row = losses.reshape(len(losses), -1).mean(axis=1)
    return float(np.average(by_row, weights=None if sample_weight is None else np.asarray(sample_weight, np.float64)))
