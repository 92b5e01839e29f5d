"""ReliabilityDisplay: whether quantiles keep what their levels promise."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from . import style as look
from .reading import laws_of, paired, quantile_table

LEVELS = (0.01, 0.05, *(round(0.1 * k, 1) for k in range(1, 10)), 0.95, 0.99)
"""Levels at which an estimator is read."""


class ReliabilityDisplay:
    """How often outcomes fell below each quantile, against its level: on the diagonal where the laws are right.

    Where outcomes equal quantiles (counts, prices with few digits) a bar spans from the share below to the share not
    above; right laws have their level inside it. The grey band holds 95 % of the frequencies that independent outcomes
    of right laws would give.

    Parameters
    ----------
    levels : (q,) array
        Levels, increasing.
    below, at_most : (q,) arrays
        Shares of outcomes below the quantile, and not above it.
    n : int
        Number of outcomes.
    name : str, optional
        Title.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
        What was drawn on.

    References
    ----------
    Gneiting, Wolffram, Resin, Kraus, Bracher, Dimitriadis, Hagenmeyer, Jordan, Lerch, Phipps & Schienle (2023).

    Examples
    --------
    >>> from usp_sklearn.api.displays import ReliabilityDisplay
    >>> display = ReliabilityDisplay.from_predictions([1.0, 2.0, 3.0, 4.0], [[2.0, 3.5]] * 4, [0.5, 0.9])
    >>> display.below.tolist(), display.at_most.tolist()
    ([0.25, 0.75], [0.5, 0.75])
    """

    def __init__(
        self, *, levels: ArrayLike, below: ArrayLike, at_most: ArrayLike, n: int, name: str | None = None
    ) -> None:
        self.levels = levels
        self.below = below
        self.at_most = at_most
        self.n = n
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        quantiles: ArrayLike = LEVELS,
        online: bool = False,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the reliability of an estimator's laws of rows.

        Parameters
        ----------
        estimator : fitted predictor, or a pipeline or search that ends in one
            It is not changed.
        X, y : rows and their outcomes, (n,) or (n, H)
            All horizons are counted together.
        quantiles : (q,)
            Levels.
        online : bool
            Whether each outcome is learned, by a copy of the estimator, once it would be known, as in
            ``update_predict``. By default all laws come from the present state.
        name, ax, **kwargs
            As in :meth:`from_predictions`.
        """
        return cls.from_predictions(y, laws_of(estimator, X, y, online), quantiles, name=name, ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: Any,
        quantiles: ArrayLike | None = None,
        *,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the reliability of forecasts that are there already.

        Parameters
        ----------
        y_true : (n,) or (n, H)
            Outcomes.
        y_pred : predictive distribution, quantiles (n, q) or (n, H, q), or DataFrame with levels as columns
            Forecasts.
        quantiles : (q,), optional
            Levels of ``y_pred``, or those at which a distribution is read.
        name : str, optional
            Title.
        ax : Axes, optional
            Default: a new figure.
        **kwargs
            For :meth:`plot`.
        """
        table, levels = quantile_table(y_pred, quantiles)
        y = paired(y_true, table)[..., None]
        axes = tuple(range(table.ndim - 1))
        below, at_most = (y < table).mean(axis=axes), (y <= table).mean(axis=axes)
        return cls(levels=levels, below=below, at_most=at_most, n=y.size, name=name).plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None) -> Self:
        """Draw on ``ax`` (default: a new figure); returns self."""
        levels, below, at_most = (np.asarray(v, np.float64) for v in (self.levels, self.below, self.at_most))
        fine = np.linspace(0.0, 1.0, 201)
        low, high = look.chance_band(self.n, fine)
        with look.style(f"{type(self).__name__}.plot") as plt:
            self.ax_ = look.axes_for(plt, ax, (4.6, 4.7))[0]
            self.figure_ = self.ax_.figure
            self.ax_.fill_between(fine, low, high, color=look.QUIET, alpha=0.22, linewidth=0, label="95 % by chance")
            self.ax_.plot([0, 1], [0, 1], color=look.INK, linewidth=1.0, linestyle=look.DASHES, label="right laws")
            middle = (below + at_most) / 2
            if (at_most > below).any():
                self.ax_.vlines(levels, below, at_most, color=look.BLUES[2], linewidth=3.0)
            self.ax_.plot(levels, middle, "o-", color=look.MEDIAN, markersize=3.5, linewidth=1.0)
            self.ax_.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
            self.ax_.set_xlabel("level of the quantile")
            self.ax_.set_ylabel("share of outcomes below it")
            look.grid(self.ax_)
            look.heading(self.ax_, self.name)
        return self
