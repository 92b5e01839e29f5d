"""Steps in front of a predictor, read as one affine map of the columns and a cut through the window."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

Vector = NDArray[np.float64]


class Scaled(NamedTuple):
    """A predictor and what the steps before it do to rows."""

    predictor: Any
    cut: int
    """values of the window, its oldest, that are left out; 0 for none"""
    slope: Vector | None
    """(F,) of the columns that are left, None for no scaling"""
    shift: Vector | None


def scaled(estimator: BaseEstimator) -> Scaled:
    """``estimator`` taken apart: a fitted predictor, or a Pipeline that ends in one.

    Steps may be any that map columns one by one and linearly, and may shorten the window: StandardScaler, MinMaxScaler,
    MaxAbsScaler, RobustScaler, NarrowWindow, "passthrough". That is checked by what they do to four rows, not by their
    names.

    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X = np.array([[0.0, 2.0], [2.0, 6.0], [4.0, 4.0]])
    >>> scaled(make_pipeline(StandardScaler(), Ridge()).fit(X, X[:, 0])).slope.round(3)
    array([0.612, 0.612])
    """
    if not isinstance(estimator, Pipeline):
        return Scaled(estimator, 0, None, None)
    check_is_fitted(estimator)
    before, model = estimator[:-1], estimator[-1]
    n = estimator.n_features_in_
    probe = np.random.default_rng(0).normal(size=n)
    rows = np.array([np.zeros(n), np.ones(n), np.arange(n), probe])
    at = np.asarray(_transformed(before, rows), dtype=np.float64)
    if at.ndim == 2 and len(at) == len(rows) and at.shape[1] <= n:
        cut, shift, slope = n - at.shape[1], at[0], at[1] - at[0]
        # The third row says which column each one was; one that is scaled to a constant may be any.
        place = np.divide(at[2] - shift, slope, out=np.zeros_like(slope), where=slope != 0).round()
        first = at.shape[1] - getattr(model, "width_", at.shape[1])
        kept = np.r_[0:first, first + cut : n]
        if ((place == kept) | (slope == 0)).all() and np.allclose(at[3], shift + slope * probe[kept], 1e-9, 1e-9):
            return Scaled(model, cut, slope, shift)
    raise ValueError(
        "The steps before the predictor must scale each column by itself, as StandardScaler does, or leave out the "
        f"oldest values of the window, as NarrowWindow does. Got {[name for name, _ in estimator.steps[:-1]]} instead."
    )


def _transformed(steps: Pipeline, rows: Vector) -> Any:
    for _, step in steps.steps:
        if step not in (None, "passthrough"):
            # Names of columns don't matter here: the probe has none.
            rows = step.transform(_named(step, rows))
    return rows


def _named(step: Any, rows: Vector) -> Any:
    names = getattr(step, "feature_names_in_", None)
    if names is None:
        return rows
    import pandas as pd

    return pd.DataFrame(rows, columns=names)
