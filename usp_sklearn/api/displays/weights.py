"""WeightsDisplay: who speaks for how much of the forecast, over time."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_array

from . import style as look
from .reading import index_of, predictor_of, record_of

_OTHERS = ("#4c5866", "#c25b4e", "#8fb4dd", "#c9bd62", "#5d3a6b", "#b7bec6")


class WeightsDisplay:
    """Weights of branches or experts as stacked areas, which add up to one.

    Best made by :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    weights : (n, k) array
        Weights, rows summing to one.
    labels : sequence of k str
        Names. "A" to "D" are branches and get their names and colours.
    index : (n,) index
        Where the rows stand: dates, or numbers.
    alarms : (n,) array of bool, optional
        Where the change detector raised an alarm.
    name : str, optional
        Title.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
        What was drawn on.

    Examples
    --------
    >>> from usp_sklearn.api.displays import WeightsDisplay
    >>> display = WeightsDisplay.from_predictions([[0.4, 0.6], [0.5, 0.5], [0.7, 0.3]], labels=["A", "D"])
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['A Lévy', 'D log-signature']
    """

    def __init__(
        self, *, weights: ArrayLike, labels: Any, index: Any, alarms: ArrayLike | None = None, name: str | None = None
    ) -> None:
        self.weights = weights
        self.labels = labels
        self.index = index
        self.alarms = alarms
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        index: Any = None,
        name: str | None = "Weights of the branches",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw how an estimator weighed its branches, or an aggregator its experts.

        Parameters
        ----------
        estimator : fitted predictor, JKOEnsemble or JKOAggregator, or a pipeline or search that ends in one
            It is not changed.
        X, y : rows and their outcomes, optional
            Steps that are shown: a copy of the estimator learns them. Default: the steps it learned last.
        index : (n,), optional
            Where the rows stand. Default: the index of y or X, or a count.
        name, ax
            As in :class:`WeightsDisplay` and :meth:`plot`.
        **kwargs
            For :meth:`plot`.
        """
        model, rows = predictor_of(estimator, X)
        if hasattr(model, "weights_path_"):
            return cls._of_experts(model, rows, y, index, name, ax, kwargs)
        record = record_of(estimator, X, y, index)
        table = record.filter(regex="^weight_[A-D]$").rename(columns=lambda column: column[-1])
        # What the branches of a JKOEnsemble don't hold, its regressors do.
        rest = 1.0 - table.sum(axis=1)
        if (rest > 1e-6).any():
            table = table.assign(regressors=rest.clip(lower=0.0))
        table = table.loc[:, (table != 0).any()]
        return cls.from_predictions(table, alarms=record["regime_changed"], name=name, ax=ax, **kwargs)

    @classmethod
    def _of_experts(cls, model: Any, X: Any, y: Any, index: Any, name: str | None, ax: Any, kwargs: Any) -> Self:
        from copy import deepcopy

        if X is not None:
            model = deepcopy(model)
            model.update_predict(X, y)
        path = np.asarray(model.weights_path_)
        labels = [f"expert {i + 1}" for i in range(model.n_experts_)] + ["stack"] * (path.shape[1] - model.n_experts_)
        index = index_of(len(path), index, y) if X is not None else index
        return cls.from_predictions(path, labels=labels, index=index, name=name, ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        weights: Any,
        *,
        labels: Any = None,
        index: Any = None,
        alarms: ArrayLike | None = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw weights that are there already: (n, k) or a DataFrame, whose columns and index are then the defaults."""
        table = check_array(weights, dtype=np.float64, input_name="weights")
        if labels is None:
            labels = list(weights.columns) if isinstance(weights, pd.DataFrame) else range(1, table.shape[1] + 1)
        labels = [str(label) for label in labels]
        if len(labels) != table.shape[1]:
            raise ValueError(
                f"The 'labels' parameter must hold {table.shape[1]} names, one per column. Got {len(labels)} instead."
            )
        index = index_of(len(table), index, weights)
        return cls(weights=table, labels=labels, index=index, alarms=alarms, name=name).plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None) -> Self:
        """Draw on ``ax`` (default: a new figure); returns self."""
        table, x = np.asarray(self.weights, np.float64), look.positions(self.index)
        with look.style(f"{type(self).__name__}.plot") as plt:
            self.ax_ = look.axes_for(plt, ax, (8.0, 2.4))[0]
            self.figure_ = self.ax_.figure
            others = iter(_OTHERS * (1 + table.shape[1] // len(_OTHERS)))
            names, colours = [], []
            for label in self.labels:
                known = look.BRANCHES.get(label)
                names.append(f"{label} {known[0]}" if known else label)
                colours.append(known[1] if known else next(others))
            self.ax_.stackplot(x, *table.T, colors=colours, labels=names, edgecolor="white", linewidth=0.4)
            if self.alarms is not None:
                look.alarm_lines(self.ax_, x, self.alarms)
            self.ax_.set_ylim(0, 1)
            look.time_axis(self.ax_, x, pd.Index(self.index).name)
            self.ax_.set_ylabel("weight")
            look.heading(self.ax_, self.name)
        return self
