"""Forecasts anybody can make, to compare with: persistence and seasonal naive, with quantiles of their past errors."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

MEMORY = 500
FEWEST = 10


def naive(series: Array, origins: NDArray[np.int64], horizon: int, levels: Array, season: int | None = None) -> Array:
    """Quantiles (m, q) of the value ``horizon`` steps after each origin: the last value, or the last of its season.

    Around the point y_t (with a season y_{t + h − ⌈h/m⌉ m}) lie the quantiles of the errors that such points made, the
    last 500 that were known at the origin. Nothing later is looked at.

    Parameters
    ----------
    series : (n,)
    origins : (m,) positions t at which forecasts are made
    levels : (q,)
    season : samples per cycle m; None for persistence

    >>> walk = np.arange(40.0)
    >>> naive(walk, np.array([30]), 2, np.array([0.5])).tolist()
    [[32.0]]
    """
    lag = horizon if season is None else season * -(-horizon // season)
    points = np.full(len(series) + horizon, np.nan)
    points[lag:] = series[: len(points) - lag]
    errors = pd.Series(series - points[: len(series)])
    past = errors.rolling(MEMORY, min_periods=FEWEST)
    spread = np.stack([past.quantile(u).to_numpy() for u in levels], axis=1)
    return points[origins + horizon, None] + spread[origins]
