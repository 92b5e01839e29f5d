"""PITDisplay: where outcomes fell in their laws."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from . import style as look
from .reading import laws_of, outcomes, paired, quantile_table

Array = NDArray[np.float64]


class PITDisplay:
    """Histogram of the probability integral transform: flat where the laws are right.

    A hump says that the laws are too wide, a bowl that they are too narrow, a slope that they lean to one side. The
    grey band holds 95 % of the heights that independent outcomes of right laws would give.

    Parameters
    ----------
    counts : (b,) array
        Outcomes in each cell.
    edges : (b + 1,) array
        Ends of the cells, probabilities from 0 to 1.
    name : str, optional
        Title.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
        What was drawn on.

    References
    ----------
    Dawid (1984); Gneiting, Balabdaoui & Raftery (2007).

    Examples
    --------
    >>> from usp_sklearn.api.displays import PITDisplay
    >>> display = PITDisplay.from_predictions([0.0, 1.0, 5.0, 6.0], [[0.5, 2.0, 5.5]] * 4, [0.25, 0.5, 0.75])
    >>> display.counts.tolist(), display.edges.tolist()
    ([1.0, 1.0, 1.0, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0])
    """

    def __init__(self, *, counts: ArrayLike, edges: ArrayLike, name: str | None = None) -> None:
        self.counts = counts
        self.edges = edges
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        online: bool = False,
        bins: int = 20,
        random_state: Any = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the histogram of an estimator's laws of rows.

        Parameters
        ----------
        estimator : fitted predictor, or a pipeline or search that ends in one
            It is not changed.
        X, y : rows and their outcomes, (n,) or (n, H)
            All horizons are counted together.
        online : bool
            Whether each outcome is learned, by a copy of the estimator, once it would be known, as in
            ``update_predict``. By default all laws come from the present state.
        bins, random_state, name, ax, **kwargs
            As in :meth:`from_predictions`.
        """
        law = laws_of(estimator, X, y, online)
        return cls.from_predictions(y, law, bins=bins, random_state=random_state, name=name, ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: Any,
        quantiles: ArrayLike | None = None,
        *,
        bins: int = 20,
        random_state: Any = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the histogram of forecasts that are there already.

        Parameters
        ----------
        y_true : (n,) or (n, H)
            Outcomes.
        y_pred : predictive distribution, quantiles (n, q) or (n, H, q), or DataFrame with levels as columns
            Forecasts. Of a distribution the transform is exact. Between quantiles nothing is known, so cells then end
            at levels, those nearest to equal cells.
        quantiles : (q,), optional
            Levels of ``y_pred``; with a distribution they must be left out.
        bins : int
            Number of cells, at most.
        random_state : int, RandomState or None
            Spreads outcomes at an atom of their law, or equal to a quantile, over the cells they belong to.
        name : str, optional
            Title.
        ax : Axes, optional
            Default: a new figure.
        **kwargs
            For :meth:`plot`.
        """
        if bins < 2:
            raise ValueError(f"The 'bins' parameter must be at least 2. Got {bins!r} instead.")
        if hasattr(y_pred, "pit"):
            if quantiles is not None:
                raise ValueError("The 'quantiles' parameter must be None where y_pred is a distribution.")
            edges = np.linspace(0.0, 1.0, bins + 1)
            values = y_pred.pit(outcomes(y_true), random_state=random_state).ravel()
        else:
            table, levels = quantile_table(y_pred, quantiles)
            edges, values = _from_quantiles(paired(y_true, table), table, levels, bins, random_state)
        counts = np.histogram(values, edges)[0].astype(np.float64)
        return cls(counts=counts, edges=edges, name=name).plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None) -> Self:
        """Draw on ``ax`` (default: a new figure); returns self."""
        counts, edges = np.asarray(self.counts, np.float64), np.asarray(self.edges, np.float64)
        n, widths = int(counts.sum()), np.diff(edges)
        height = counts / max(n, 1) / widths
        low, high = (share / widths for share in look.chance_band(max(n, 1), widths))
        with look.style(f"{type(self).__name__}.plot") as plt:
            self.ax_ = look.axes_for(plt, ax, (4.4, 3.4))[0]
            self.figure_ = self.ax_.figure
            self.ax_.bar(
                edges[:-1], height, widths, align="edge", color=look.BLUES[1], edgecolor="white", linewidth=0.6
            )
            self.ax_.stairs(high, edges, baseline=low, fill=True, color=look.QUIET, alpha=0.22, label="95 % by chance")
            self.ax_.axhline(1.0, color=look.INK, linewidth=1.0, linestyle=look.DASHES, label="right laws")
            self.ax_.set_xlim(0, 1)
            self.ax_.set_ylim(0, max(1.5, 1.08 * float(max(height.max(), high.max()))))
            self.ax_.set_xlabel("probability integral transform")
            self.ax_.set_ylabel("relative frequency")
            look.grid(self.ax_, "y")
            look.heading(self.ax_, self.name)
        return self


def _from_quantiles(y: Array, table: Array, levels: Array, bins: int, random_state: Any) -> tuple[Array, Array]:
    """Edges at levels, and a transform per outcome that lies in the right cell."""
    y, q = y.ravel(), table.reshape(-1, table.shape[-1])
    ends = np.concatenate([[0.0], levels, [1.0]])
    # An outcome equal to quantiles lies anywhere between the cell below them and the one above, by their widths.
    first, last = (q < y[:, None]).sum(axis=1), (q <= y[:, None]).sum(axis=1)
    u = check_random_state(random_state).uniform(size=len(y))
    tied = ends[first] + u * (ends[last + 1] - ends[first])
    middles = (ends[1:] + ends[:-1]) / 2
    wanted = np.arange(1, bins) / bins
    kept = np.unique(np.abs(levels[:, None] - wanted).argmin(axis=0))
    return np.concatenate([[0.0], levels[kept], [1.0]]), np.where(first == last, middles[first], tied)
