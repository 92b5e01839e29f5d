"""Scorers for ``scoring=`` in scikit-learn's model selection: higher is better, so losses come negated.

They read the laws an estimator predicts, also from behind a pipeline or a search. By name: :func:`get_scorer`.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as of_sklearn

from .metrics_input import Array, checked_coverage, checked_levels, checked_outcomes
from .metrics_points import absolute_error, coverage_score, interval_score, naive_error
from .metrics_quantiles import crps_score, pinball_score
from .unwrap import unwrapped


def _quantiles(estimator: Any, X: Any, levels: list[float]) -> Array:
    """Quantiles (n, q) or (n, H, q) that an estimator predicts."""
    model, rows = unwrapped(estimator, X)
    if hasattr(model, "predict_distribution"):
        return np.asarray(model.predict_distribution(rows).ppf(levels))
    if hasattr(model, "predict_quantiles"):
        return np.asarray(model.predict_quantiles(rows, levels))
    raise TypeError(f"{type(model).__name__} has neither predict_distribution nor predict_quantiles to be scored by.")


def crps_scorer(estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """The negated mean CRPS of the laws an estimator predicts, in the unit of the series.

    >>> from sklearn.model_selection import GridSearchCV
    >>> from usp_sklearn.api.predictor import LevyPredictor
    >>> search = GridSearchCV(LevyPredictor(), {"tau": [0.5, 1.0]}, scoring=crps_scorer)
    """
    model, rows = unwrapped(estimator, X)
    return -crps_score(y, model.predict_distribution(rows), sample_weight=sample_weight)


class PinballScorer:
    """The negated mean pinball loss at chosen levels; made by :func:`pinball_scorer`."""

    def __init__(self, quantiles: ArrayLike):
        self.quantiles = tuple(checked_levels(quantiles).tolist())

    def __call__(self, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        levels = list(self.quantiles)
        return -pinball_score(y, _quantiles(estimator, X, levels), levels, sample_weight=sample_weight)

    def __repr__(self) -> str:
        return f"pinball_scorer({list(self.quantiles)})"


class IntervalScorer:
    """The negated mean interval score of central intervals; made by :func:`interval_scorer`."""

    def __init__(self, coverage: float):
        self.coverage = checked_coverage(coverage)

    def __call__(self, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        return -interval_score(y, _quantiles(estimator, X, _ends(self.coverage)), self.coverage, sample_weight)

    def __repr__(self) -> str:
        return f"interval_scorer({self.coverage})"


class CoverageScorer:
    """Minus the distance of coverage from its nominal value; made by :func:`coverage_scorer`."""

    def __init__(self, coverage: float):
        self.coverage = checked_coverage(coverage)

    def __call__(self, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        inside = coverage_score(y, _quantiles(estimator, X, _ends(self.coverage)), sample_weight)
        return -abs(inside - self.coverage)

    def __repr__(self) -> str:
        return f"coverage_scorer({self.coverage})"


class MASEScorer:
    """The negated mean absolute scaled error of ``predict``; made by :func:`mase_scorer`."""

    def __init__(self, m: int, y_train: ArrayLike | None):
        self.m = m
        self.scale = None if y_train is None else naive_error(y_train, m)

    def __call__(self, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        outcomes = checked_outcomes(y)
        scale = naive_error(outcomes.reshape(len(outcomes), -1)[:, 0], self.m) if self.scale is None else self.scale
        return -absolute_error(outcomes, estimator.predict(X), sample_weight) / scale

    def __repr__(self) -> str:
        return f"mase_scorer({self.m})" if self.scale is None else f"mase_scorer({self.m}, y_train=…)"


def pinball_scorer(quantiles: ArrayLike = (0.1, 0.5, 0.9)) -> PinballScorer:
    """A scorer of the pinball loss at ``quantiles``.

    >>> pinball_scorer([0.05, 0.95])
    pinball_scorer([0.05, 0.95])
    """
    return PinballScorer(quantiles)


def interval_scorer(coverage: float = 0.9) -> IntervalScorer:
    """A scorer of the interval score of central intervals that should hold a share ``coverage`` of outcomes.

    >>> interval_scorer(0.8)
    interval_scorer(0.8)
    """
    return IntervalScorer(coverage)


def coverage_scorer(coverage: float = 0.9) -> CoverageScorer:
    """A scorer of minus the distance between the share of outcomes inside central intervals and ``coverage``.

    Best is 0. It says nothing of widths: use it beside another score, not alone.

    >>> coverage_scorer()
    coverage_scorer(0.9)
    """
    return CoverageScorer(coverage)


def mase_scorer(m: int = 1, y_train: ArrayLike | None = None) -> MASEScorer:
    """A scorer of the mean absolute scaled error of ``predict``.

    Parameters
    ----------
    m : samples per season; 1 for none.
    y_train : (t,) series whose naive error is the scale. A scorer does not see what an estimator was fitted on, so
        without it the scale is that of the outcomes scored (of their first column), which is the same for all
        candidates of a search.

    >>> mase_scorer(24)
    mase_scorer(24)
    """
    return MASEScorer(m, y_train)


_NAMED: dict[str, Any] = {
    "neg_crps": crps_scorer,
    "neg_pinball": pinball_scorer(),
    "neg_interval_score": interval_scorer(),
    "coverage": coverage_scorer(),
    "neg_mase": mase_scorer(),
}


def scorer_names() -> list[str]:
    """Names that :func:`get_scorer` knows besides scikit-learn's own.

    >>> scorer_names()
    ['neg_crps', 'neg_pinball', 'neg_interval_score', 'coverage', 'neg_mase']
    """
    return list(_NAMED)


def get_scorer(name: Any) -> Any:
    """The scorer of a name, for ``scoring=`` in GridSearchCV, cross_validate and the like.

    Parameters
    ----------
    name : str or callable
        "neg_crps"; "neg_pinball" at the levels 0.1, 0.5 and 0.9; "neg_interval_score" of 90 % intervals; "coverage",
        which is minus the distance of their coverage from 0.9; "neg_mase" without season; or one of scikit-learn's
        names. A callable is returned as it is.

    >>> from sklearn.model_selection import cross_validate
    >>> from usp_sklearn import LevyPredictor, datasets, sliding_window
    >>> X, y = sliding_window(datasets.make_ou(400, random_state=0), width=16)
    >>> model = LevyPredictor(width=16, n_level=X.shape[1] - 16)
    >>> several = {name: get_scorer(name) for name in ("neg_crps", "coverage")}
    >>> found = cross_validate(model, X, y, scoring=several, cv=[(range(300), range(300, 380))])
    >>> found["test_neg_crps"].shape, found["test_coverage"].shape
    ((1,), (1,))
    """
    if isinstance(name, str) and name not in _NAMED and name not in of_sklearn.get_scorer_names():
        known = ", ".join(map(repr, _NAMED))
        raise ValueError(
            f"The 'name' parameter of get_scorer must be one of {known} or a name of scikit-learn's. "
            f"Got {name!r} instead."
        )
    return _NAMED[name] if isinstance(name, str) and name in _NAMED else of_sklearn.get_scorer(name)


def _ends(coverage: float) -> list[float]:
    """Levels of a central interval."""
    return [(1 - coverage) / 2, (1 + coverage) / 2]
