"""Scalers in front of a predictor, read as one affine map of the columns."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

Vector = NDArray[np.float64]


def scaled(estimator: BaseEstimator) -> tuple[Any, Vector | None, Vector | None]:
    """The predictor at the end of ``estimator``, and slope and shift (F,) of what stands before it; None for nothing.

    Steps may be any that map each column by itself and linearly: StandardScaler, MinMaxScaler, MaxAbsScaler,
    RobustScaler, "passthrough". That is checked by what they do to three rows, not by their names.

    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X = np.array([[0.0, 2.0], [2.0, 6.0], [4.0, 4.0]])
    >>> scaled(make_pipeline(StandardScaler(), Ridge()).fit(X, X[:, 0]))[1].round(3)
    array([0.612, 0.612])
    """
    if not isinstance(estimator, Pipeline):
        return estimator, None, None
    check_is_fitted(estimator)
    before, model = estimator[:-1], estimator[-1]
    n = estimator.n_features_in_
    probe = np.random.default_rng(0).normal(size=n)
    rows = np.array([np.zeros(n), np.ones(n), probe])
    at = np.asarray(_transformed(before, rows), dtype=np.float64)
    if at.shape == rows.shape:
        shift, slope = at[0], at[1] - at[0]
        if np.allclose(at[2], shift + slope * probe, rtol=1e-9, atol=1e-9):
            return model, slope, shift
    raise ValueError(
        "The steps before the predictor must scale each column by itself, as StandardScaler does. "
        f"Got {[name for name, _ in estimator.steps[:-1]]} instead."
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
