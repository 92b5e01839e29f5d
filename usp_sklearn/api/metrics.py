"""Scores of probabilistic forecasts, and scorers for scikit-learn's model selection.

Losses (CRPS, pinball, interval score) are in the units of the series and lower is better; the scorers return them
negated. References: Gneiting & Raftery (2007); Matheson & Winkler (1976).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted

Array = NDArray[np.float64]


def _levels(quantiles: ArrayLike) -> Array:
    levels = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(
            f"The 'quantiles' parameter must be levels strictly between 0 and 1. Got {quantiles!r} instead."
        )
    return levels


def _outcomes(y_true: ArrayLike) -> Array:
    return check_array(y_true, dtype=np.float64, ensure_2d=False, input_name="y_true")


def _forecasts(y_true: Array, y_pred: ArrayLike, last: int, what: str) -> Array:
    """``y_pred`` as an array of shape y_true.shape + (last,), or an error that says so."""
    out = check_array(y_pred, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name="y_pred")
    if out.ndim == y_true.ndim and last == 1:
        out = out[..., None]
    check_consistent_length(y_true, out)
    if out.shape != (*y_true.shape, last):
        raise ValueError(f"y_pred must have shape {(*y_true.shape, last)}, {what}. Got {out.shape} instead.")
    return out


def _average(losses: Array, sample_weight: ArrayLike | None) -> float:
    """Mean over everything, rows weighted."""
    by_row = losses.reshape(len(losses), -1).mean(axis=1)
    return float(np.average(by_row, weights=None if sample_weight is None else np.asarray(sample_weight, np.float64)))


def _pinball(y: Array, q: Array, levels: Array) -> Array:
    e = y[..., None] - q
    return np.maximum(levels * e, (levels - 1) * e)


def pinball_score(
    y_true: ArrayLike, y_pred: ArrayLike, quantiles: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """Mean pinball loss max(u·e, (u − 1)·e), e = y − q_u, over rows and levels.

    Parameters
    ----------
    y_true : (n,) or (n, H) outcomes.
    y_pred : (n, q) or (n, H, q) quantiles; (n,) for a single level.
    quantiles : (q,) their levels.
    sample_weight : (n,) weights of rows.

    >>> pinball_score([1.0, 2.0], [[0.0, 1.0], [2.0, 4.0]], quantiles=[0.5, 0.9])
    0.175
    """
    y, levels = _outcomes(y_true), _levels(quantiles)
    q = _forecasts(y, y_pred, len(levels), "one quantile per level")
    return _average(_pinball(y, q, levels), sample_weight)


def crps_score(
    y_true: ArrayLike, y_pred: Any, quantiles: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> float:
    """Mean continuous ranked probability score.

    Parameters
    ----------
    y_true : (n,) or (n, H) outcomes.
    y_pred : what ``predict_distribution`` returns (exact), or quantiles (n, q) or (n, H, q) at ``quantiles``, for
        which CRPS = 2 ∫ pinball_u du is taken over the cells around the levels.
    quantiles : (q,) levels, when ``y_pred`` holds quantiles.
    sample_weight : (n,) weights of rows.

    >>> crps_score([0.0], [[-1.0, 0.0, 1.0]], quantiles=[0.25, 0.5, 0.75])
    0.375
    """
    y = _outcomes(y_true)
    if quantiles is None:
        if not hasattr(y_pred, "crps"):
            raise ValueError(
                "The 'quantiles' parameter must be given when y_pred is not a predictive distribution. "
                f"Got y_pred of type {type(y_pred).__name__} and quantiles=None instead."
            )
        return _average(np.asarray(y_pred.crps(y)), sample_weight)
    levels = _levels(quantiles)
    q = _forecasts(y, y_pred, len(levels), "one quantile per level")
    order = np.argsort(levels)
    levels, q = levels[order], q[..., order]
    cells = np.diff(np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]]))
    return _average(2 * (_pinball(y, q, levels) * cells).sum(-1), sample_weight)


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
    y = _outcomes(y_true)
    ends = _forecasts(y, y_pred, 2, "lower and upper end")
    return _average(((ends[..., 0] <= y) & (y <= ends[..., 1])).astype(np.float64), sample_weight)


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
    if not 0 < coverage < 1:
        raise ValueError(f"The 'coverage' parameter must be a float in (0, 1). Got {coverage!r} instead.")
    y = _outcomes(y_true)
    ends = _forecasts(y, y_pred, 2, "lower and upper end")
    miss = np.maximum(ends[..., 0] - y, 0) + np.maximum(y - ends[..., 1], 0)
    return _average(ends[..., 1] - ends[..., 0] + 2 / (1 - coverage) * miss, sample_weight)


def _distribution(estimator: Any, X: Any) -> Any:
    """Laws of a predictor, or of the predictor at the end of a pipeline or inside a search.

    scikit-learn's pipelines and searches hand on the methods they know, which ``predict_distribution`` is not.
    """
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    if isinstance(estimator, Pipeline):
        head, estimator = estimator[:-1], estimator[-1]
        X = head.transform(X) if len(head) else X
    return estimator.predict_distribution(X)


def crps_scorer(estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Scorer for ``scoring=``: the negated mean CRPS of the laws an estimator predicts (higher is better).

    >>> from sklearn.model_selection import GridSearchCV
    >>> from usp_sklearn.api.predictor import LevyPredictor
    >>> search = GridSearchCV(LevyPredictor(), {"tau": [0.5, 1.0]}, scoring=crps_scorer)
    """
    return -crps_score(y, _distribution(estimator, X), sample_weight=sample_weight)


class PinballScorer:
    """Scorer for ``scoring=``: the negated mean pinball loss at chosen levels (higher is better)."""

    def __init__(self, quantiles: ArrayLike):
        self.quantiles = tuple(_levels(quantiles).tolist())

    def __call__(self, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        law = _distribution(estimator, X)
        return -pinball_score(y, law.ppf(list(self.quantiles)), self.quantiles, sample_weight=sample_weight)

    def __repr__(self) -> str:
        return f"pinball_scorer({list(self.quantiles)})"


def pinball_scorer(quantiles: ArrayLike = (0.1, 0.5, 0.9)) -> PinballScorer:
    """A scorer of the pinball loss at ``quantiles``.

    >>> pinball_scorer([0.05, 0.95])
    pinball_scorer([0.05, 0.95])
    """
    return PinballScorer(quantiles)
