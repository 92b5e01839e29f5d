"""Stream: one value in, one law out. Holds the window, so nobody builds rows by hand."""

from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from .. import runtime
from ..core import engine
from .affine import scaled
from .distribution import PredictiveDistribution
from .records import on_host, plain
from .windows import SlidingWindow


class Stream:
    """A fitted predictor beside its own ring buffer.

    Parameters
    ----------
    model : fitted predictor, or Pipeline of scalers that ends in one
        Its state is copied into the stream; the model itself is not changed by pushes.
    history : (n,) array, or (n, 1 + E) with exogenous columns
        The series the model was fitted on, up to its newest value, whole: slow averages and seasonal profiles
        reach back to its start.
    windows : SlidingWindow, optional
        The options X was made with, best the fitted transformer itself: one that is not fitted is fitted on the
        history, where ``season="auto"`` may find more than in a part of it. Default: the bare window.

    Examples
    --------
    >>> from usp_sklearn import LevyPredictor, SlidingWindow, Stream, datasets, sliding_window
    >>> series = datasets.make_ou(310, random_state=0)
    >>> X, y = sliding_window(series[:300], width=16)
    >>> model = LevyPredictor(width=16, n_level=X.shape[1] - 16).fit(X, y)
    >>> stream = Stream(model, series[:300], SlidingWindow(width=16))
    >>> law = stream.push(series[300])
    >>> law.ppf([0.1, 0.9]).shape
    (2,)
    """

    def __init__(self, model: BaseEstimator, history: ArrayLike, windows: SlidingWindow | None = None) -> None:
        model, self.slope, self.shift = scaled(model)
        check_is_fitted(model)
        windows = SlidingWindow(width=model.width_, averages=None, season=None) if windows is None else windows
        series = check_array(history, dtype=np.float64, ensure_2d=False, input_name="history")
        series = series.reshape(len(series), -1)
        if not hasattr(windows, "n_exog_"):
            # The season is then the one of the whole history.
            windows = clone(windows).fit(series)
        self.buffer = windows.buffer(n_exog=series.shape[1] - 1)
        columns = self.buffer.n_features
        if columns != model.n_features_in_:
            raise ValueError(
                "The 'windows' parameter of Stream must give the rows the model was fitted on, with "
                f"{model.n_features_in_} columns. Got {columns} columns instead."
            )
        longest = model.state_.shape.layout.horizon
        if len(series) < model.width_ + longest:
            raise ValueError(
                f"history must hold at least width + horizon = {model.width_ + longest} values. "
                f"Got {len(series)} instead."
            )
        self.settings = model._params()
        self.engine_, self._column = model.state_, model._column
        self._law: Any = None
        self._record: Any = None
        # Rows of fit end one horizon before the newest value: issue the laws that are still to be made.
        rows = [self.buffer.push(v[0], v[1:] if len(v) > 1 else None) for v in series]
        for row, value in zip(rows[-longest:], series[-longest:, 0], strict=True):
            self._advance(row, value)

    def push(self, y: float, exog: ArrayLike | None = None) -> PredictiveDistribution:
        """Learn the newest value and return the law of the value ``horizon`` steps ahead (of all horizons: (H,))."""
        value = float(y)
        if not np.isfinite(value):
            raise ValueError(f"The 'y' parameter of push must be a finite number. Got {y!r} instead.")
        self._advance(self.buffer.push(value, exog), value)
        return self.law

    def _advance(self, row: Any, value: float) -> None:
        row = row if self.slope is None else row * self.slope + self.shift
        with runtime.precision():
            self.engine_, self._law, self._record = engine.advance(self.engine_, self.settings, row, value)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {name: on_host(self.__dict__[name]) for name in ("engine_", "_law", "_record")}

    @property
    def law(self) -> PredictiveDistribution:
        """The law issued last."""
        law = jax.tree.map(lambda x: x[None], self._law) if self._column else self._law
        return PredictiveDistribution(law, engine.correlation(self.engine_))

    @property
    def telemetry_(self) -> dict[str, Any]:
        """Risk record of the last push."""
        return plain(self._record)
