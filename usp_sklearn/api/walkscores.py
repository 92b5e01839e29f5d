"""Scores of a walk's folds, and over them."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .folds import Fold
from .foldstore import Forecast
from .metrics_points import absolute_error, coverage_score, interval_score, naive_error
from .metrics_quantiles import crps_score, pinball_score

Array = NDArray[np.float64]
SIZES = ("train", "rows", "seconds")


def outcomes(y: Any) -> Array:
    """Outcomes (n,) or (n, H) as numbers, from an array, Series or DataFrame."""
    return np.asarray(y, np.float64)


def fold_scores(fold: Fold, y: Any, forecast: Forecast, known: Array, levels: Array) -> dict[str, float]:
    """Scores of one fold's forecasts at the levels ``known``, of which ``levels`` count."""
    values = outcomes(y)
    true = values[fold.test]
    q = forecast.quantiles[..., np.isin(known, levels)]
    out = {
        "train": len(fold.train),
        "rows": len(fold.test),
        "crps": crps_score(true, q, levels),
        "pinball": pinball_score(true, q, levels),
        **_interval(true, q, levels),
        "mae": absolute_error(true, forecast.quantiles[..., int(np.searchsorted(known, 0.5))]),
    }
    return out | {"mase": out["mae"] / _scale(values[fold.train]), "seconds": forecast.seconds}


def pooled(scores: pd.DataFrame) -> pd.DataFrame:
    """Every score over all rows, and its mean, standard deviation and worst value over folds."""
    names = [c for c in scores.columns if c not in SIZES]
    weights = scores["rows"] / scores["rows"].sum()
    out = pd.DataFrame(index=pd.Index(names, name="score"))
    out["all"] = [float((scores[name] * weights).sum(skipna=False)) for name in names]
    out["mean"] = scores[names].mean()
    out["std"] = scores[names].std(ddof=0)
    distance = (scores["coverage"] - scores["nominal"]).abs()
    worst = scores[names].max()
    worst["coverage"] = scores["coverage"].iloc[int(distance.argmax())] if distance.notna().all() else np.nan
    out["worst"] = worst
    return out


def _interval(true: Array, q: Array, levels: Array) -> dict[str, float]:
    """Scores of the widest central interval whose both ends are among the levels; NaN if there is none."""
    for i, u in enumerate(levels[levels < 0.5]):
        other = np.flatnonzero(np.isclose(levels, 1 - u, rtol=0, atol=1e-12))
        if len(other):
            ends, nominal = q[..., [i, int(other[0])]], float(1 - 2 * u)
            return {
                "coverage": coverage_score(true, ends),
                "nominal": nominal,
                "interval_score": interval_score(true, ends, nominal),
            }
    return dict.fromkeys(("coverage", "nominal", "interval_score"), float("nan"))


def _scale(train: Array) -> float:
    """Naive error of the training part, NaN where it has none."""
    series = train.reshape(len(train), -1)[:, 0]
    try:
        return naive_error(series)
    except ValueError:
        return float("nan")
