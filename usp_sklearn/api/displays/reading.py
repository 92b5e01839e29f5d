"""What pictures are drawn from: laws and risk records of an estimator, quantiles with their levels, an index."""

from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted

from ..distribution import PredictiveDistribution, check_levels

Array = NDArray[np.float64]


def predictor_of(estimator: Any, X: Any) -> tuple[Any, Any]:
    """The predictor inside a pipeline or a finished search, and X as it sees it (None stays None)."""
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    if isinstance(estimator, Pipeline):
        head, estimator = estimator[:-1], estimator[-1]
        X = head.transform(X) if len(head) and X is not None else X
    return estimator, X


def walked(estimator: Any, X: Any, y: Any) -> tuple[PredictiveDistribution, pd.DataFrame]:
    """Laws of all rows, each issued before its outcome is learned, and the risk records; the estimator stays as it is.

    Records beyond a bound are forgotten, so that there may be fewer than rows.
    """
    if y is None:
        raise ValueError(
            "The 'y' parameter of from_estimator must be given for outcomes to be learned. Got None instead."
        )
    model, rows = predictor_of(estimator, X)
    model = deepcopy(model)
    law = model._walk(rows, y)
    return law, model.telemetry_frame_.tail(len(rows)).reset_index(drop=True)


def laws_of(estimator: Any, X: Any, y: Any, online: bool) -> PredictiveDistribution:
    """Laws of all rows, from the state as it is, or ``online`` as :func:`walked`."""
    if online:
        return walked(estimator, X, y)[0]
    model, rows = predictor_of(estimator, X)
    law: PredictiveDistribution = model.predict_distribution(rows)
    return law


def record_of(estimator: Any, X: Any, y: Any, index: Any = None) -> pd.DataFrame:
    """Risk records, oldest first: the estimator's recent ones, or with rows those of a copy that learns them."""
    if X is None:
        recent: pd.DataFrame = predictor_of(estimator, None)[0].telemetry_frame_
        return recent
    record = walked(estimator, X, y)[1]
    return record.set_axis(index_of(len(X), index, y, X)[len(X) - len(record) :], axis=0)


def index_of(n: int, index: Any, *sources: Any) -> pd.Index:
    """The index given, or that of the first pandas object among ``sources``, or a count."""
    if index is not None:
        found = pd.Index(index)
        if len(found) != n:
            raise ValueError(f"The 'index' parameter must have {n} entries, one per row. Got {len(found)} instead.")
        return found
    for source in sources:
        if isinstance(source, (pd.Series, pd.DataFrame)) and len(source) == n:
            return source.index
    return pd.RangeIndex(n)


def outcomes(y: ArrayLike) -> Array:
    """Outcomes (n,) or (n, H) as floats, or an error that says so."""
    out: Array = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y_true")
    return out


def quantile_table(y_pred: Any, quantiles: ArrayLike | None) -> tuple[Array, Array]:
    """Quantiles (n, q) or (n, H, q) with increasing levels (q,).

    ``y_pred`` is a predictive distribution, read at ``quantiles`` or at its own 25 levels, or an array of quantiles at
    ``quantiles``, or a DataFrame whose columns are the levels.
    """
    if hasattr(y_pred, "ppf"):
        from ...kernels.law import LEVELS

        levels = np.asarray(LEVELS) if quantiles is None else check_levels(quantiles)
        table = np.asarray(y_pred.ppf(levels))
    else:
        if quantiles is None and isinstance(y_pred, pd.DataFrame):
            quantiles = list(y_pred.columns)
        if quantiles is None:
            raise ValueError(
                "The 'quantiles' parameter must be given when y_pred is neither a predictive distribution nor a "
                f"DataFrame whose columns are levels. Got y_pred of type {type(y_pred).__name__} and quantiles=None "
                "instead."
            )
        levels = check_levels(quantiles)
        table = check_array(y_pred, dtype=np.float64, allow_nd=True, input_name="y_pred")
        if table.shape[-1] != len(levels):
            raise ValueError(f"y_pred must hold {len(levels)} quantiles a row. Got {table.shape[-1]} instead.")
    order = np.argsort(levels)
    return table[..., order], levels[order]


def paired(y_true: ArrayLike, table: Array) -> Array:
    """Outcomes of the shape ``table`` has without its last axis."""
    y = outcomes(y_true)
    check_consistent_length(y, table)
    if y.shape != table.shape[:-1]:
        raise ValueError(f"y_true must have shape {table.shape[:-1]}. Got {y.shape} instead.")
    return y
