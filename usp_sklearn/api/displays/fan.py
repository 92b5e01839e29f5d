"""FanChartDisplay: quantiles as bands over time."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import style as look
from .reading import index_of, laws_of, paired, quantile_table, walked

FAN = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
"""Levels of the three bands and the median."""

_MANY = 200
_NAMED = 4


class FanChartDisplay:
    """Fan chart: bands between mirrored quantiles, the median, and the outcomes on top.

    Best made by :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    quantiles : (n, q) array
        Quantiles of each outcome, in the unit of the series.
    levels : (q,) array
        Their levels, increasing. A band needs a level u and its mirror 1 − u; other levels are not shown.
    index : (n,) index
        Where the outcomes stand: dates, or numbers.
    y_true : (n,) array, optional
        Outcomes.
    history : Series, optional
        Values before the forecasts, drawn as a line with its own index.
    alarms : (n,) array of bool, optional
        Where the change detector raised an alarm.
    name : str, optional
        Title.
    unit : str, optional
        Label of the y axis.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
        What was drawn on.

    Examples
    --------
    >>> from usp_sklearn import LevyPredictor, datasets, sliding_window
    >>> from usp_sklearn.api.displays import FanChartDisplay
    >>> X, y = sliding_window(datasets.load_wti().iloc[-400:], width=16)
    >>> model = LevyPredictor(width=16, n_level=X.shape[1] - 16).fit(X[:300], y[:300])
    >>> display = FanChartDisplay.from_estimator(model, X[300:], y[300:], online=True, unit="US $ a barrel")
    >>> display.ax_.get_ylabel()
    'US $ a barrel'
    """

    def __init__(
        self,
        *,
        quantiles: ArrayLike,
        levels: ArrayLike,
        index: Any,
        y_true: ArrayLike | None = None,
        history: pd.Series | None = None,
        alarms: ArrayLike | None = None,
        name: str | None = None,
        unit: str | None = None,
    ) -> None:
        self.quantiles = quantiles
        self.levels = levels
        self.index = index
        self.y_true = y_true
        self.history = history
        self.alarms = alarms
        self.name = name
        self.unit = unit

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        quantiles: ArrayLike = FAN,
        online: bool = False,
        step: int | None = 1,
        index: Any = None,
        history: pd.Series | None = None,
        name: str | None = None,
        unit: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the laws an estimator issues for rows.

        Parameters
        ----------
        estimator : fitted predictor, or a pipeline or search that ends in one
            It is not changed.
        X : (n, n_features)
            Rows.
        y : (n,) or (n, H), optional
            Their outcomes.
        quantiles : (q,)
            Levels.
        online : bool
            Whether each outcome is learned, by a copy of the estimator, once it would be known, as in
            ``update_predict``; alarms are then shown. By default all laws come from the present state.
        step : int or None
            With several horizons (2-D y in fit): the one that is shown, of every row. None shows all horizons of the
            last row as one path.
        index : (n,) or with ``step=None`` (H,), optional
            Where the outcomes stand. Default: the index of y or X, or a count. (Rows of ``sliding_window`` carry the
            time they end at, outcomes come ``horizon`` later.)
        history, name, unit
            As in :class:`FanChartDisplay`.
        ax : Axes, optional
            Default: a new figure.
        **kwargs
            For :meth:`plot`.
        """
        alarms = None
        if online:
            law, record = walked(estimator, X, y)
            # Records beyond a bound are forgotten.
            known = record["regime_changed"].to_numpy(bool)
            alarms = np.concatenate([np.zeros(law.shape[0] - len(known), dtype=bool), known])
        else:
            law = laws_of(estimator, X, y, online=False)
        if step is not None:
            index = index_of(law.shape[0], index, y, X)
        return cls.from_predictions(
            y, law, quantiles, step=step, index=index, history=history, alarms=alarms if step is not None else None,
            name=name, unit=unit, ax=ax, **kwargs,
        )  # fmt: skip

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        quantiles: ArrayLike | None = None,
        *,
        step: int | None = 1,
        index: Any = None,
        history: pd.Series | None = None,
        alarms: ArrayLike | None = None,
        name: str | None = None,
        unit: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw forecasts that are there already.

        Parameters
        ----------
        y_true : (n,) or (n, H), or None
            Outcomes, if they are known.
        y_pred : predictive distribution, quantiles (n, q) or (n, H, q), or DataFrame with levels as columns
            Forecasts.
        quantiles : (q,), optional
            Levels of ``y_pred``, or those at which a distribution is read (default: 1, 10, 25, 50 … 99 %).
        step, index, history, alarms, name, unit, ax, **kwargs
            As in :meth:`from_estimator` and :class:`FanChartDisplay`.
        """
        quantiles = FAN if quantiles is None and hasattr(y_pred, "ppf") else quantiles
        table, levels = quantile_table(y_pred, quantiles)
        y = None if y_true is None else paired(y_true, table)
        if table.ndim == 3:
            if step is not None and not 1 <= step <= table.shape[1]:
                raise ValueError(f"The 'step' parameter must be None or in [1, {table.shape[1]}]. Got {step} instead.")
            pick: Any = -1 if step is None else (slice(None), step - 1)
            table, y = table[pick], None if y is None else y[pick]
        elif step is None:
            raise ValueError("step=None needs forecasts of several horizons. Got those of one instead.")
        sources = (y_true, y_pred) if step is not None else ()
        if step is None and index is None:
            index = pd.RangeIndex(1, len(table) + 1, name="steps ahead")
        display = cls(
            quantiles=table, levels=levels, index=index_of(len(table), index, *sources), y_true=y, history=history,
            alarms=alarms, name=name, unit=unit,
        )  # fmt: skip
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, *, outcome: str = "auto", mark_outside: float | None = 0.8) -> Self:
        """Draw.

        Parameters
        ----------
        ax : Axes, optional
            Default: a new figure.
        outcome : {"auto", "line", "points"}
            How outcomes are drawn: "auto" gives points up to 200 outcomes.
        mark_outside : float or None
            Points outside the band of the nearest coverage are marked.

        Returns
        -------
        self
        """
        if outcome not in ("auto", "line", "points"):
            raise ValueError(
                f"The 'outcome' parameter of plot must be 'auto', 'line' or 'points'. Got {outcome!r} instead."
            )
        q, levels = np.asarray(self.quantiles, np.float64), np.asarray(self.levels, np.float64)
        bands = _bands(levels)
        x = look.positions(self.index)
        history = self.history if self.history is not None else pd.Series(dtype=np.float64, index=x[:0])
        past = look.positions(history.index)
        if isinstance(past, pd.DatetimeIndex) != isinstance(x, pd.DatetimeIndex):
            raise ValueError(
                "The 'history' parameter must have dates where the forecasts have dates. Got "
                f"a {type(past).__name__} beside a {type(x).__name__} instead."
            )
        with look.style(f"{type(self).__name__}.plot") as plt:
            self.ax_ = look.axes_for(plt, ax, (8.0, 3.6))[0]
            self.figure_ = self.ax_.figure
            if len(past):
                # The fan opens at the last value that is known.
                start = np.full((1, len(levels)), history.iloc[-1])
                self._fan(past[-1:].append(x), np.vstack([start, q]), levels, bands)
                self.ax_.plot(past, history.to_numpy(np.float64), color=look.INK, linewidth=0.9, label="history")
            else:
                self._fan(x, q, levels, bands)
            if self.y_true is not None:
                self._outcomes(x, q, bands, outcome, mark_outside)
            if self.alarms is not None:
                look.alarm_lines(self.ax_, x, self.alarms)
            look.time_axis(self.ax_, past.append(x), pd.Index(self.index).name)
            if self.unit is not None:
                self.ax_.set_ylabel(self.unit)
            look.heading(self.ax_, self.name)
        return self

    def _fan(self, x: Any, q: Any, levels: Any, bands: dict[float, tuple[int, int]]) -> None:
        named, alone = _named(list(bands)), len(x) == 1
        for (coverage, (i, j)), colour in zip(bands.items(), look.shades(len(bands)), strict=True):
            label = f"{100 * coverage:.3g} %" if coverage in named else None
            if alone:
                self.ax_.vlines(x, q[:, i], q[:, j], color=colour, linewidth=8, label=label)
            else:
                self.ax_.fill_between(x, q[:, i], q[:, j], color=colour, linewidth=0, label=label)
        if (middle := np.flatnonzero(np.isclose(levels, 0.5))).size:
            marker = {"marker": "_", "markersize": 9} if alone else {}
            self.ax_.plot(x, q[:, middle[0]], color=look.MEDIAN, linewidth=1.0, label="median", **marker)

    def _outcomes(self, x: Any, q: Any, bands: dict[float, tuple[int, int]], outcome: str, mark: float | None) -> None:
        y = np.asarray(self.y_true, np.float64)
        if outcome == "line" or (outcome == "auto" and len(y) > _MANY):
            self.ax_.plot(x, y, color=look.INK, linewidth=0.9, label="outcome")
            return
        outside = np.zeros(len(y), dtype=bool)
        coverage = None if mark is None else min(bands, key=lambda c: abs(c - mark))
        if coverage is not None:
            i, j = bands[coverage]
            outside = (y < q[:, i]) | (y > q[:, j])
        # Filled and hollow, not only black and red: readers without red cones see both alike.
        self.ax_.plot(x[~outside], y[~outside], "o", color=look.INK, markersize=3, label="outcome")
        if outside.any():
            label = f"outside {100 * (coverage or 0):.3g} %"
            self.ax_.plot(
                x[outside], y[outside], "D", color=look.ALARM, markersize=4, mfc="white", mew=1.2, label=label
            )


def _bands(levels: NDArray[np.float64]) -> dict[float, tuple[int, int]]:
    """Positions of mirrored levels by the coverage of their band, the widest first."""
    pairs = {}
    for i, u in enumerate(levels[levels < 0.5 - 1e-9]):
        mirror = np.flatnonzero(np.isclose(levels, 1 - u, atol=1e-9))
        if mirror.size:
            pairs[round(1 - 2 * float(u), 9)] = (i, int(mirror[0]))
    if not pairs:
        raise ValueError(
            f"The 'quantiles' parameter must hold a level and its mirror, such as 0.1 and 0.9. Got {levels} instead."
        )
    return pairs


def _named(coverages: list[float]) -> set[float]:
    """Which bands the legend names: all of a few; of many the widest and those nearest to 80 and 50 %."""
    if len(coverages) <= _NAMED:
        return set(coverages)
    return {coverages[0], *(min(coverages, key=lambda c: abs(c - wanted)) for wanted in (0.8, 0.5))}
