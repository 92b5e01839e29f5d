"""The estimator all predictors share: validate, convert, call the core, keep ``state_``."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import runtime
from ..core import engine
from ..io.magnitude import within
from ..kernels.law import Law
from .distribution import PredictiveDistribution
from .reading import Readings
from .records import recent

STRETCH = 512
"""Rows that fit walks between two reports to callbacks."""


class BasePredictor(CallbackSupportMixin, Readings, RegressorMixin, BaseEstimator):
    """Online probabilistic predictor over windows; see :class:`JKOPredictor` for the parameters."""

    _branches: tuple[str, ...] = ()

    _parameter_constraints: dict[str, list[Any]] = {
        "width": [Interval(Integral, 1, None, closed="left"), None],
        "n_level": [Interval(Integral, 0, None, closed="left")],
        "n_exog": [Interval(Integral, 0, None, closed="left")],
        "n_ahead": [Interval(Integral, 0, None, closed="left")],
        "horizon": [Interval(Integral, 1, None, closed="left")],
        "tau": [Interval(Real, 0, None, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "lam": [Interval(Real, 0, None, closed="neither")],
        "geometry": [StrOptions({"graph", "sinkhorn"})],
        "pooling": [StrOptions({"barycentre", "linear"})],
        "signature_depth": [Interval(Integral, 2, 5, closed="both")],
        "cone": [Interval(Real, 0, None, closed="neither")],
        "cusum_h": [Interval(Real, 0, None, closed="neither")],
        "cusum_k": [Interval(Real, 0, None, closed="left")],
        "grace_period": [Interval(Integral, 0, None, closed="left")],
        "holder_threshold": [Interval(Real, 0, None, closed="left")],
        "emergency": [StrOptions({"force", "tilt", "off"})],
        "calibration": [Interval(Real, 0, 1, closed="left"), Options(bool, {True, False})],
        "point": [StrOptions({"median", "mean"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        width: int | None = None,
        n_level: int = 0,
        n_exog: int = 0,
        n_ahead: int = 0,
        horizon: int = 1,
        tau: float = 1.0,
        epsilon: float = 0.05,
        lam: float = 0.1,
        geometry: str = "graph",
        pooling: str = "barycentre",
        signature_depth: int = 3,
        cone: float = 1.5,
        cusum_h: float = 5.0,
        cusum_k: float = 0.5,
        grace_period: int = 20,
        holder_threshold: float = 0.4,
        emergency: str = "off",
        calibration: float | bool = True,
        point: str = "median",
        random_state: Any = None,
    ) -> None:
        self.width = width
        self.n_level = n_level
        self.n_exog = n_exog
        self.n_ahead = n_ahead
        self.horizon = horizon
        self.tau = tau
        self.epsilon = epsilon
        self.lam = lam
        self.geometry = geometry
        self.pooling = pooling
        self.signature_depth = signature_depth
        self.cone = cone
        self.cusum_h = cusum_h
        self.cusum_k = cusum_k
        self.grace_period = grace_period
        self.holder_threshold = holder_threshold
        self.emergency = emergency
        self.calibration = calibration
        self.point = point
        self.random_state = random_state

    # ------------------------------------------------------------------ learning

    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike) -> "BasePredictor":
        """Train on time-ordered rows. Callbacks (``set_callbacks``, :mod:`sklearn.callback`) see its parts.

        Parameters
        ----------
        X : (n, n_features)
            Rows ``[exogenous… | level context… | window]``, the window oldest value first.
        y : (n,) or (n, H)
            Outcome ``horizon`` steps after the window's end; with two dimensions column j is the value
            j + 1 steps ahead.

        Returns
        -------
        self
        """
        self._validate_params()
        X, y = self._check_X_y(X, y, reset=True)
        width = self._check_layout(X)
        horizon = self.horizon if y.ndim == 1 else y.shape[1]
        if y.ndim == 2 and self.n_ahead * horizon > self.n_level:
            raise ValueError(
                f"The 'n_ahead' parameter of {type(self).__name__} must leave n_ahead times {horizon} horizons within "
                f"n_level. Got n_ahead={self.n_ahead}, n_level={self.n_level} instead."
            )
        tasks = self._init_callback_context(max_subtasks=1 + -(-len(X) // STRETCH))
        tasks.call_on_fit_task_begin(estimator=self, X=X, y=y)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        # A single column is the one-step model; its answers keep the column.
        self._column = y.shape[1:] == (1,)
        y = y[:, 0] if self._column else y
        layout, params, records = self._layout(width, horizon, multi=y.ndim == 2), self._params(), []
        with runtime.precision():
            with self._told(tasks, "train"):
                state = engine.train(layout, params, X, y, seed)
            for start in range(0, len(X), STRETCH):
                rows = slice(start, start + STRETCH)
                with self._told(tasks, "walk"):
                    state, _, record = engine.walk(state, params, X[rows], y[rows])
                records.append(record)
        self.state_, self.width_, self._history = state, width, recent(*records)
        tasks.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    @contextmanager
    def _told(self, tasks: Any, name: str) -> Iterator[None]:
        """A part of fit that callbacks are told about; what they answer ends nothing, as every row is to be learned."""
        task = tasks.subcontext(task_name=name).call_on_fit_task_begin(estimator=self)
        yield
        task.call_on_fit_task_end(estimator=self)

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> "BasePredictor":
        """Learn further rows, which continue the ones before; the first call fits.

        A refused call leaves the model as it was.
        """
        if not hasattr(self, "state_"):
            return self.fit(X, y)
        self._walk(X, y)
        return self

    def _walk(self, X: ArrayLike, y: ArrayLike) -> PredictiveDistribution:
        check_is_fitted(self)
        X, y = self._check_X_y(X, y, reset=False)
        layout = self.state_.shape.layout
        columns = layout.multi or self._column
        if y.shape[1:] != ((layout.horizon,) if columns else ()):
            shown = f"(n, {layout.horizon})" if columns else "(n,)"
            raise ValueError(f"y must have the shape it had in fit, {shown}. Got {y.shape} instead.")
        y = y[:, 0] if self._column else y
        with runtime.precision():
            state, law, record = engine.walk(self.state_, self._params(), X, y)
        # Only now, with every step done, does the new state become the model's: a reader sees old or new.
        self._history = recent(self._history, record)
        self.state_ = state
        return self._distribution(state, law)

    # ------------------------------------------------------------------ reading

    def predict_distribution(self, X: ArrayLike) -> PredictiveDistribution:
        """The laws of all rows, with ``cdf``, ``ppf``, ``mean``, ``std``, ``sample`` and ``crps``."""
        check_is_fitted(self)
        X = within(validate_data(self, X, dtype=np.float64, reset=False), "X")
        with runtime.precision():
            # Read once: another thread may learn meanwhile.
            state = self.state_
            return self._distribution(state, engine.predict(state, self._params(), X))

    # ------------------------------------------------------------------ plumbing

    def _branch_set(self) -> tuple[str, ...]:
        return self._branches

    def _point(self) -> str:
        return self.point

    def _members(self, multi: bool) -> tuple[tuple[str, str], ...]:
        return engine.every_member(self._branch_set())

    def _layout(self, width: int, horizon: int, multi: bool = False) -> engine.Layout:
        return engine.Layout(
            width=width,
            n_level=self.n_level,
            n_exog=self.n_exog,
            horizon=horizon,
            members=self._members(multi),
            depth=self.signature_depth,
            geometry=self.geometry,
            pooling=self.pooling,
            multi=multi,
            n_ahead=self.n_ahead if multi else 0,
        )

    def _params(self) -> engine.Params:
        rate = self.calibration if not isinstance(self.calibration, bool) else (0.003 if self.calibration else 0.0)
        return engine.params(
            tau=self.tau,
            epsilon=self.epsilon,
            lam=self.lam,
            cone=self.cone,
            cusum_h=self.cusum_h,
            cusum_k=self.cusum_k,
            grace=self.grace_period,
            holder_threshold=self.holder_threshold,
            emergency=self.emergency,
            calibration=rate,
        )

    def _check_layout(self, X: NDArray[Any]) -> int:
        """The window's width, if the columns of ``X`` add up."""
        width = X.shape[1] - self.n_level - self.n_exog if self.width is None else self.width
        if width < 1 or width + self.n_level + self.n_exog != X.shape[1]:
            raise ValueError(
                f"The 'width' parameter of {type(self).__name__} must be such that n_exog + n_level + width equals the "
                f"number of columns of X. Got width={self.width}, n_level={self.n_level}, n_exog={self.n_exog} with "
                f"{X.shape[1]} columns instead."
            )
        if X.shape[0] < 2:
            raise ValueError(f"{type(self).__name__} needs at least 2 rows to fit. Got n_samples={X.shape[0]} instead.")
        return width

    def _distribution(self, trained: engine.Engine, law: Law) -> PredictiveDistribution:
        law = jax.tree.map(lambda x: x[:, None], law) if self._column else law
        return PredictiveDistribution(law, engine.correlation(trained))

    def _check_X_y(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, reset=reset)
        return within(X, "X"), within(np.asarray(y, np.float64), "y")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "state_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        # Rows are windows of the target's own series; on unrelated features no skill is promised.
        tags.regressor_tags.poor_score = True
        return tags
