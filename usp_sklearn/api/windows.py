"""From a series to rows of X: ``[exogenous | level context | window]``, everything causal.

    X, y = sliding_window(series, width=32)

A row ends at time t and its target is y_{t+horizon}. The window is the last ``width`` columns, oldest first; the level
context (slow averages, seasonal lags, phase profiles; see :mod:`usp_sklearn.api.context`) is in the series' own units,
so rows move with the series under shifts and positive scaling.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions, validate_params
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from .context import ContextState, Plan, Vector, checked_plan, context
from .seasons import settled

AVERAGES = (0.3, 0.1, 0.03, 0.01, 0.002)
_CONSTRAINTS: dict[str, list[Any]] = {
    "width": [Interval(Integral, 2, None, closed="left")],
    "horizon": [Interval(Integral, 1, None, closed="left")],
    "season": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left"), None],
    "second_season": [Interval(Integral, 1, None, closed="left"), None],
    "averages": ["array-like", None],
    "profile": ["boolean", "array-like"],
    "multi": ["boolean"],
}
_TRAIN = [Interval(RealNotInt, 0, 1, closed="right"), Interval(Integral, 1, None, closed="left")]


def _windows(y: Vector, width: int) -> NDArray[np.float64]:
    """(n, width) windows ending at every t; before the start the first value is repeated."""
    padded = np.concatenate([np.full(width - 1, y[0]), y])
    return np.lib.stride_tricks.sliding_window_view(padded, width)


def _layout(plan: Plan, width: int, n_exog: int) -> dict[str, int]:
    """How the columns divide; for several targets with the columns per target (counted in n_level as well)."""
    layout = {"width": int(width), "n_level": len(plan.names), "n_exog": int(n_exog)}
    return layout | {"n_ahead": plan.ahead} if plan.blocks else layout


def _names(plan: Plan, width: int, exog: Sequence[str]) -> list[str]:
    return [*exog, *plan.names, *(f"lag_{k}" for k in range(width - 1, -1, -1))]


def _split(series: Any, exog: Any) -> tuple[Vector, NDArray[np.float64], list[str], Any]:
    """Series (n,), exogenous columns (n, E), their names, and the pandas index if there is one."""
    index = series.index if isinstance(series, (pd.Series, pd.DataFrame)) else None
    names = [str(c) for c in series.columns[1:]] if isinstance(series, pd.DataFrame) else []
    values = check_array(series, dtype=np.float64, ensure_2d=False, ensure_min_features=1, input_name="series")
    if values.ndim > 2:
        raise ValueError(f"series must be 1-D or 2-D. Got {values.ndim} dimensions instead.")
    table = values.reshape(len(values), -1)
    names = names or [f"exog_{i}" for i in range(table.shape[1] - 1)]
    extra = table[:, 1:]
    if exog is not None:
        columns = list(exog.columns) if isinstance(exog, pd.DataFrame) else getattr(exog, "name", None)
        more = check_array(exog, dtype=np.float64, ensure_2d=False, input_name="exog")
        more = more.reshape(len(more), -1)
        if len(more) != len(table):
            raise ValueError(f"exog must have {len(table)} rows, one per value of the series. Got {len(more)} instead.")
        if columns is None:
            columns = [f"exog_{len(names) + i}" for i in range(more.shape[1])]
        names += [str(c) for c in ([columns] if isinstance(columns, str) else columns)]
        extra = np.hstack([extra, more])
    return table[:, 0], extra, names, index


@validate_params(_CONSTRAINTS | {"train": _TRAIN}, prefer_skip_nested_validation=True)
def sliding_window(
    series: Any,
    width: int = 32,
    horizon: int = 1,
    season: int | str | None = "auto",
    second_season: int | None = None,
    averages: Sequence[float] | None = AVERAGES,
    profile: bool | Sequence[float] = True,
    exog: Any = None,
    multi: bool = False,
    train: float | int = 0.5,
) -> tuple[Any, Any]:
    """Rows and targets for supervised online forecasting of a series.

    Parameters
    ----------
    series : (n,) array or Series, or (n, 1 + E) array or DataFrame whose first column is the series and whose other
        columns are exogenous.
    width : values in the window.
    horizon : steps ahead, h.
    season, second_season : samples per cycle (24 for hourly data with a daily cycle); None or 1 for none. Besides the
        cycle itself, lags of seven cycles are taken. With "auto" :func:`find_seasons` looks for the season and, unless
        ``second_season`` is given, for a second one.
    averages : rates of the slow averages.
    profile : whether (or with which rates over cycles) phase profiles are added.
    exog : (n,) or (n, E) covariates; row t must be known at time t. Shift covariates of the future forward yourself.
    multi : y gets all steps 1 … h as columns, and X, for each of them, the seasonal columns of a single target at that
        step: ``[exog | averages | block of step 1 | block of step 2 | … | window]``, blocks of equal size and order.

    train : the first share of the series (float) or number of its values (int) in which "auto" may look; what comes
        later never decides which columns there are. Keep it within what you fit on.

    Returns
    -------
    X : (n − width − h + 1, E + n_level + width). Row i ends at t = i + width − 1 and holds
        ``[exog_t | context_t | y_{t−width+1} … y_t]``.
    y : (rows,) with y[i] = series[t + h]; with ``multi`` (rows, h) with y[i, j] = series[t + j + 1].

    pandas in, pandas out: both carry the index of t.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = sliding_window(np.arange(10.0), width=4, averages=None)
    >>> X[0], y[0]
    (array([0., 1., 2., 3.]), np.float64(4.0))
    >>> sliding_window(np.arange(10.0), width=4, horizon=2, averages=None, multi=True)[1][0]
    array([4., 5.])
    """
    values, extra, exog_names, index = _split(series, exog)
    n, first = len(values), width - 1
    rows = n - first - horizon
    if rows < 1:
        raise ValueError(f"series must have at least width + horizon = {width + horizon} values. Got {n} instead.")
    known = values[: train if isinstance(train, Integral) else max(1, int(train * n))]
    plan = checked_plan("sliding_window", horizon, *settled(season, second_season, known), averages, profile, multi)
    keep = slice(first, first + rows)
    X = np.hstack([extra[keep], context(values, plan)[keep], _windows(values, width)[keep]])
    if multi:
        y = np.lib.stride_tricks.sliding_window_view(values[first + 1 :], horizon)[:rows].copy()
    else:
        y = values[first + horizon :].copy()
    if index is None:
        return X, y
    stem = str(series.name if isinstance(series, pd.Series) else series.columns[0])
    frame = pd.DataFrame(X, index=index[keep], columns=_names(plan, width, exog_names))
    if multi:
        return frame, pd.DataFrame(y, index=index[keep], columns=[f"{stem}_t+{h + 1}" for h in range(horizon)])
    return frame, pd.Series(y, index=index[keep], name=f"{stem}_t+{horizon}")


class SlidingWindow(TransformerMixin, BaseEstimator):
    """:func:`sliding_window` as a transformer: one row for every time of the series, the newest one included.

    The input is a series as one column, further columns are exogenous; rows are read in time order, so each output row
    depends on the rows before it (never on later ones). While fewer than ``width`` values are there, the window is
    extended by the first one. Row i of the output belongs to time i: pair it with ``series[i + horizon]``, or take the
    last row to forecast what comes next.

    Parameters are those of :func:`sliding_window`; with ``season="auto"`` the whole series given to ``fit`` decides.

    Attributes
    ----------
    season_, second_season_ : samples per cycle, found or given; None for none.
    n_exog_ : exogenous columns.

    >>> import numpy as np
    >>> windows = SlidingWindow(width=3, season=4, averages=(0.1,), profile=False)
    >>> windows.fit_transform(np.arange(30.0).reshape(-1, 1)).shape
    (30, 11)
    >>> windows.layout
    {'width': 3, 'n_level': 8, 'n_exog': 0}
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = _CONSTRAINTS

    def __init__(
        self,
        width: int = 32,
        horizon: int = 1,
        season: int | str | None = "auto",
        second_season: int | None = None,
        averages: Sequence[float] | None = AVERAGES,
        profile: bool | Sequence[float] = True,
        multi: bool = False,
    ):
        self.width = width
        self.horizon = horizon
        self.season = season
        self.second_season = second_season
        self.averages = averages
        self.profile = profile
        self.multi = multi

    def _options(self) -> Plan:
        seasons = self.season_, self.second_season_
        return checked_plan("SlidingWindow", self.horizon, *seasons, self.averages, self.profile, self.multi)

    def _series(self, X: Any, reset: bool) -> NDArray[np.float64]:
        if isinstance(X, pd.Series):
            X = X.to_frame() if X.name is not None else X.to_numpy()[:, None]
        return validate_data(self, X, dtype=np.float64, reset=reset)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Find the season if it is "auto" and remember the number of columns. ``X`` is (n, 1 + E), or a Series."""
        table = self._series(X, reset=True)
        self.season_, self.second_season_ = settled(self.season, self.second_season, table[:, 0])
        self._options()
        self.n_exog_ = table.shape[1] - 1
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Rows (n, E + n_level + width), one per time; ``X`` is a whole series from its first value."""
        check_is_fitted(self)
        table = self._series(X, reset=False)
        y = np.ascontiguousarray(table[:, 0])
        return np.hstack([table[:, 1:], context(y, self._options()), _windows(y, self.width)])

    @property
    def layout(self) -> dict[str, int]:
        """How the columns divide: keyword arguments for the predictors.

        With ``multi`` also ``n_ahead``, the seasonal columns of each step (0 without season); n_level counts all.
        """
        check_is_fitted(self)
        return _layout(self._options(), self.width, self.n_exog_)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the output columns; exogenous ones keep theirs."""
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        return np.asarray(_names(self._options(), self.width, [str(c) for c in names[1:]]), dtype=object)

    def buffer(self, n_exog: int = 0) -> "WindowBuffer":
        """The streaming twin with the same options; before ``fit`` the season of "auto" is not known, and none."""
        seasons = (self.season_, self.second_season_) if hasattr(self, "season_") else (self.season, self.second_season)
        given = dict(zip(("season", "second_season"), seasons, strict=True))
        if given["season"] == "auto":
            given["season"] = None
        return WindowBuffer(n_exog=n_exog, **(self.get_params(deep=False) | given))


class WindowBuffer:
    """Rows of :func:`sliding_window` one value at a time, at constant cost and memory.

    ``push(y_t)`` returns the row that ends at t, equal to the batch row to rounding (1e-12). Options are those of
    :func:`sliding_window`, with seasons as numbers; ``n_exog`` is how many exogenous values each push brings.

    >>> buffer = WindowBuffer(width=3, averages=(0.5,))
    >>> [buffer.push(v) for v in (1.0, 3.0, 4.0)][-1]
    array([3., 1., 3., 4.])
    """

    def __init__(
        self,
        width: int = 32,
        horizon: int = 1,
        season: int | None = None,
        second_season: int | None = None,
        averages: Sequence[float] | None = AVERAGES,
        profile: bool | Sequence[float] = True,
        multi: bool = False,
        n_exog: int = 0,
    ):
        plan = checked_plan("WindowBuffer", horizon, season, second_season, averages, profile, multi)
        self.layout = _layout(plan, width, n_exog)
        self.context = ContextState(plan, int(width))

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return self.layout["n_exog"] + self.layout["n_level"] + self.layout["width"]

    @property
    def count(self) -> int:
        """Values seen so far; the window is complete once this reaches ``width``."""
        return self.context.count

    def push(self, value: float, exog: ArrayLike | None = None) -> NDArray[np.float64]:
        """Learn y_t and return the row (n_exog + n_level + width,) ending with it; bad input leaves the state alone."""
        extra = self.exogenous(exog)
        if not np.isfinite(value) or not np.isfinite(extra).all():
            raise ValueError(f"value and exog must be finite. Got value={value!r}, exog={exog!r} instead.")
        window, level = self.context.push(float(value))
        return np.concatenate([extra, level, window])

    def exogenous(self, exog: ArrayLike | None) -> NDArray[np.float64]:
        """The exogenous values of one push as (n_exog,), or an error that says how many there must be."""
        extra = np.asarray(() if exog is None else exog, dtype=np.float64).ravel()
        if len(extra) != self.layout["n_exog"]:
            raise ValueError(f"exog must hold n_exog={self.layout['n_exog']} values. Got {len(extra)} instead.")
        return extra

    def extend(self, series: ArrayLike, exog: ArrayLike | None = None) -> NDArray[np.float64]:
        """Push every value of ``series`` (n,), ``exog`` (n, E) beside it; returns the last row."""
        values = check_array(series, dtype=np.float64, ensure_2d=False, input_name="series").ravel()
        rows = [None] * len(values) if exog is None else list(np.asarray(exog, dtype=np.float64))
        if len(rows) != len(values):
            raise ValueError(
                f"exog must have {len(values)} rows, one per value of the series. Got {len(rows)} instead."
            )
        return [self.push(v, e) for v, e in zip(values, rows, strict=True)][-1]
