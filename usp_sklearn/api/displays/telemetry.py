"""TelemetryDisplay: what the risk records say, a panel per question."""

from typing import Any, Self

import numpy as np
import pandas as pd

from . import style as look
from .reading import index_of, predictor_of, record_of

PANELS = ("holder", "cusum", "coverage", "flags")
"""Panels there are, in their usual order."""

_FLAGS = {
    "regime_changed": "change alarm",
    "emergency": "emergency",
    "outlier": "outlier",
    "frozen_signal": "frozen signal",
    "degraded": "degraded",
    "mode_collapse": "mode collapse",
    "stale": "stale",
}
_COLUMNS = {
    "holder": ("holder_exponent", "holder_se", "regime_changed"),
    "cusum": ("cusum_up", "cusum_down", "adaptive_threshold", "regime_changed"),
    "coverage": ("coverage_error", "regime_changed"),
    "flags": (),
}
"""Of a record that a panel shows; flags that are not there are not on."""
_TITLES = {
    "holder": "Local Hölder exponent (0.5: a Brownian path)",
    "cusum": "Change detector",
    "coverage": "Running coverage of the 80 % interval",
    "flags": "Flags",
}


class TelemetryDisplay:
    """Risk records over time: roughness, change detector, coverage, flags.

    Best made by :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    record : DataFrame
        Risk records, a row a step, as ``telemetry_frame_`` has them; its index goes on the x axis.
    panels : sequence of {"holder", "cusum", "coverage", "flags"}
        "holder": local Hölder exponent with two standard errors to each side, and the emergency threshold. "cusum":
        G⁺ upwards and G⁻ downwards, in standard deviations, between their thresholds. "coverage": running share of
        outcomes inside the 80 % interval. "flags": steps at which a flag was up.
    holder_threshold : float
        Emergency when the exponent is significantly below.

    Attributes
    ----------
    ax_ : array of Axes
        One per panel.
    figure_ : Figure
        What was drawn on.

    Examples
    --------
    >>> from usp_sklearn import LevyPredictor, datasets, sliding_window
    >>> from usp_sklearn.api.displays import TelemetryDisplay
    >>> X, y = sliding_window(datasets.load_wti().iloc[-400:], width=16)
    >>> model = LevyPredictor(width=16, n_level=X.shape[1] - 16).fit(X, y)
    >>> display = TelemetryDisplay.from_estimator(model, panels=["holder", "cusum"])
    >>> display.ax_.shape
    (2,)
    """

    def __init__(self, *, record: pd.DataFrame, panels: Any = PANELS, holder_threshold: float = 0.4) -> None:
        self.record = record
        self.panels = panels
        self.holder_threshold = holder_threshold

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        panels: Any = PANELS,
        index: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw an estimator's risk records.

        Parameters
        ----------
        estimator : fitted predictor, or a pipeline or search that ends in one
            It is not changed.
        X, y : rows and their outcomes, optional
            Steps that are shown: a copy of the estimator learns them. Default: the steps it learned last.
        panels, ax
            As in :class:`TelemetryDisplay` and :meth:`plot`.
        index : (n,), optional
            Where the rows stand. Default: the index of y or X, or a count.
        **kwargs
            For :meth:`plot`.
        """
        model, _ = predictor_of(estimator, None)
        threshold = getattr(getattr(model, "_predictor", model), "holder_threshold", 0.4)
        record = record_of(estimator, X, y, index)
        return cls.from_predictions(record, panels=panels, holder_threshold=threshold, ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        record: pd.DataFrame,
        *,
        panels: Any = PANELS,
        holder_threshold: float = 0.4,
        index: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw risk records that are there already, as ``telemetry_frame_`` has them."""
        record = record.set_axis(index_of(len(record), index, record), axis=0)
        return cls(record=record, panels=panels, holder_threshold=holder_threshold).plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None) -> Self:
        """Draw on ``ax``, one axes per panel (default: a new figure); returns self."""
        panels = [self.panels] if isinstance(self.panels, str) else list(self.panels)
        if not panels or not set(panels) <= set(PANELS):
            raise ValueError(
                f"The 'panels' parameter of {type(self).__name__} must be a selection of {', '.join(PANELS)}. "
                f"Got {self.panels!r} instead."
            )
        needed = dict.fromkeys(name for panel in panels for name in _COLUMNS[panel])
        if missing := [name for name in needed if name not in self.record]:
            raise ValueError(
                f"The 'record' parameter of {type(self).__name__} must have the columns {', '.join(missing)} for these "
                f"panels. Got {', '.join(map(str, self.record.columns))} instead."
            )
        x = look.positions(self.record.index)
        with look.style(f"{type(self).__name__}.plot") as plt:
            self.ax_ = look.axes_for(plt, ax, (8.0, 0.4 + 1.9 * len(panels)), (len(panels), 1), sharex=True)
            self.figure_ = self.ax_[0].figure
            for panel, axes in zip(panels, self.ax_, strict=True):
                getattr(self, f"_{panel}")(axes, x)
                if panel != "flags":
                    first = axes is self.ax_[0]
                    look.alarm_lines(axes, x, self.record["regime_changed"], alpha=0.6, named=first)
                look.time_axis(axes, x, self.record.index.name)
                if ax is None and axes is not self.ax_[-1]:
                    axes.set_xlabel("")
                look.heading(axes, _TITLES[panel])
        return self

    def _holder(self, axes: Any, x: Any) -> None:
        value, error = (self.record[name].to_numpy(np.float64) for name in ("holder_exponent", "holder_se"))
        low, high = value - 2 * error, value + 2 * error
        axes.fill_between(x, low, high, color=look.SHADE, linewidth=0, label="± 2 s.e.")
        axes.plot(x, value, color=look.INK, linewidth=0.9, label="exponent")
        axes.axhline(0.5, color=look.QUIET, linewidth=0.8, linestyle=":")
        axes.axhline(
            self.holder_threshold, color=look.ALARM, linewidth=1.0, linestyle=look.DOTS, label="emergency threshold"
        )
        reach = np.nanquantile(np.r_[low, high], [0.01, 0.99])
        axes.set_ylim(min(0.2, reach[0]), max(0.8, reach[1]))

    def _cusum(self, axes: Any, x: Any) -> None:
        up, down, threshold = (
            self.record[name].to_numpy(np.float64) for name in ("cusum_up", "cusum_down", "adaptive_threshold")
        )
        axes.plot(x, threshold, color=look.ALARM, linewidth=1.0, linestyle=look.DOTS, label="threshold")
        axes.plot(x, -threshold, color=look.ALARM, linewidth=1.0, linestyle=look.DOTS)
        axes.fill_between(x, 0, up, color=look.BLUES[2], linewidth=0, label="G⁺, upwards")
        axes.fill_between(x, 0, -down, color=look.BRANCHES["C"][1], linewidth=0, label="G⁻, downwards")
        axes.axhline(0, color=look.QUIET, linewidth=0.8)
        axes.set_ylabel("std. deviations")

    def _coverage(self, axes: Any, x: Any) -> None:
        value = 80 + 100 * self.record["coverage_error"].to_numpy(np.float64)
        axes.plot(x, value, color=look.INK, linewidth=0.9, label="coverage")
        axes.axhline(80, color=look.MEDIAN, linewidth=1.0, linestyle=look.DOTS, label="nominal")
        reach = max(5.0, 1.1 * float(np.nanmax(np.abs(value - 80), initial=0.0)))
        axes.set_ylim(80 - reach, min(80 + reach, 101))
        axes.set_ylabel("%")

    def _flags(self, axes: Any, x: Any) -> None:
        shown = [flag for flag in _FLAGS if flag in self.record]
        for i, flag in enumerate(shown):
            at = x[self.record[flag].to_numpy(bool)]
            axes.plot(at, np.full(len(at), i), "|", color=look.ALARM, markersize=8, markeredgewidth=1.3)
        axes.set_yticks(range(len(shown)), [_FLAGS[flag] for flag in shown], fontsize=8)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(x[0], x[-1])
