"""What every predictor lets users read: points, quantiles, intervals, draws, weights, risk records."""

from abc import ABC, abstractmethod
from numbers import Real
from typing import Any

import jax
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ..core.telemetry import BRANCH_ORDER, Telemetry
from .distribution import PredictiveDistribution, check_levels
from .records import frame, on_host, plain


class Readings(ABC):
    """All of it follows from the laws of rows and from the recent risk records."""

    _history: Telemetry

    @abstractmethod
    def predict_distribution(self, X: ArrayLike) -> PredictiveDistribution:
        """The laws of all rows."""

    @abstractmethod
    def _walk(self, X: ArrayLike, y: ArrayLike) -> PredictiveDistribution:
        """Prequential laws of all rows, whose outcomes are learned."""

    @abstractmethod
    def _branch_set(self) -> tuple[str, ...]:
        """Branches that take part."""

    @abstractmethod
    def _point(self) -> str:
        """The point of a law that ``predict`` gives, "median" or "mean"."""

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return state | {"state_": on_host(state["state_"])} if "state_" in state else state

    def update_predict(self, X: ArrayLike, y: ArrayLike, quantiles: ArrayLike | None = None) -> Any:
        """Prequential pass: row i's law is issued before ``y[i]`` is learned.

        With horizon h the outcome of a row is learned h − 1 rows later, when it would be known.

        Returns
        -------
        (n,) point predictions, or (n, q) quantiles when ``quantiles`` are given; with 2-D y an axis H follows n.
        Quantiles of a DataFrame are a DataFrame, as :meth:`predict_quantiles` gives it.
        """
        levels = None if quantiles is None else check_levels(quantiles)
        return self._answer(self._walk(X, y), X, levels)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Median (or mean, ``point``) of each row's law: (n,) or (n, H). Never changes the model."""
        return self._points(self.predict_distribution(X))

    def predict_quantiles(self, X: ArrayLike, quantiles: ArrayLike = (0.1, 0.5, 0.9)) -> Any:
        """Quantiles (n, q), or (n, H, q) with 2-D y.

        Of a DataFrame: a DataFrame with its index, whose columns are the levels, under the steps with 2-D y.
        """
        levels = check_levels(quantiles)
        return self._answer(self.predict_distribution(X), X, levels)

    def predict_interval(self, X: ArrayLike, coverage: float = 0.9) -> Any:
        """Central interval (n, 2), or (n, H, 2): lower and upper end; of a DataFrame one with these columns."""
        if not isinstance(coverage, Real) or not 0 < coverage < 1:
            raise ValueError(f"The 'coverage' parameter must be a float in (0, 1). Got {coverage!r} instead.")
        ends = self.predict_distribution(X).ppf([(1 - coverage) / 2, (1 + coverage) / 2])
        return labelled(ends, X, pd.Index(["lower", "upper"], name="interval"))

    def sample(
        self, X: ArrayLike, n: int = 100, *, paths: bool = False, random_state: Any = None
    ) -> NDArray[np.float64]:
        """``n`` draws from each row's law: (rows, n), or (rows, H, n) with 2-D y.

        With 2-D y and ``paths`` draw k of a row is one path through all horizons.
        """
        return self.predict_distribution(X).sample(n, paths=paths, random_state=random_state)

    @property
    def weights_(self) -> dict[str, float]:
        """Weight of each branch in the newest law."""
        check_is_fitted(self)
        last = self._history.kernel_weights[-1]
        return {b: float(w) for b, w in zip(BRANCH_ORDER, last, strict=True) if b in self._branch_set()}

    @property
    def telemetry_(self) -> dict[str, Any]:
        """The newest risk record, as plain Python values."""
        check_is_fitted(self)
        return plain(jax.tree.map(lambda x: x[-1], self._history))

    @property
    def telemetry_frame_(self) -> pd.DataFrame:
        """Recent risk records, a row a step, newest last."""
        check_is_fitted(self)
        return frame(self._history)

    def _answer(self, law: PredictiveDistribution, X: Any, levels: NDArray[np.float64] | None) -> Any:
        """Points, or quantiles of rows ``X``."""
        return self._points(law) if levels is None else labelled(law.ppf(levels), X, pd.Index(levels, name="quantile"))

    def _points(self, law: PredictiveDistribution) -> NDArray[np.float64]:
        return law.mean() if self._point() == "mean" else law.median()


def labelled(values: NDArray[np.float64], X: Any, columns: pd.Index) -> Any:
    """``values`` (n, q) or (n, H, q) as they are, or as a table with the index of ``X`` if that is one.

    >>> labelled(np.zeros((1, 2, 1)), pd.DataFrame({"a": [5.0]}, index=["t"]), pd.Index(["low"])).columns.tolist()
    [(1, 'low'), (2, 'low')]
    """
    if not isinstance(X, pd.DataFrame):
        return values
    if values.ndim == 3:
        columns = pd.MultiIndex.from_product([range(1, values.shape[1] + 1), columns], names=["step", columns.name])
    return pd.DataFrame(values.reshape(len(values), -1), index=X.index, columns=columns)
