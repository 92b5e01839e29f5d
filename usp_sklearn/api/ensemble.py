"""JKOEnsemble: any scikit-learn quantile regressors beside our branches, refitted on a schedule, weighed online."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any, ClassVar

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import runtime
from ..core import engine
from ..io.magnitude import within
from ..kernels.law import N_LEVELS
from .base import BasePredictor
from .distribution import PredictiveDistribution, check_levels
from .predictor import JKOPredictor
from .reading import Readings
from .records import recent
from .regressors import Block
from .routing import routed, router_of
from .told import Told

Array = NDArray[np.float64]
LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
FEWEST = 50
"""Rows a regressor is fitted on at least; until then it is silent."""


class JKOEnsemble(Readings, RegressorMixin, _BaseComposition):
    """A :class:`JKOPredictor` with quantile regressors as further members of its flow.

    Each regressor is cloned for every level, sees rows in scale-free coordinates and is fitted afresh every
    ``refit_every`` rows on the newest ``history`` of them. Between refits it forecasts; the flow weighs its stored
    forecasts by their losses like those of the predictor's own members, the stack may use it, and what is issued is
    calibrated. While fitting, a regressor forecasts only rows that came after those it was fitted on.

    Metadata given to ``fit``, ``partial_fit`` and ``update_predict`` reaches the ``fit`` of the regressors that request
    it (``set_fit_request``, with scikit-learn's metadata routing enabled; without, ``sample_weight`` reaches all of
    them). The flow itself learns every row once, in order: there a weight has no meaning.

    Parameters
    ----------
    predictor : JKOPredictor, optional
        Holds the layout of X and all settings of the flow. Default: ``JKOPredictor()``.
    regressors : list of (str, regressor), optional
        Regressors with a parameter ``quantile`` or ``alpha`` (scikit-learn's HistGradientBoosting-, GradientBoosting-
        and QuantileRegressor, LightGBM's and others). Default: histogram gradient boosting.
    quantiles : array-like
        Levels the regressors are fitted at, at least two.
    refit_every : int
        Rows between two refits.
    history : int
        Rows a refit uses at most.
    n_jobs : int, optional
        Levels fitted side by side (joblib).
    random_state : int, RandomState or None
        Seed of the regressors that take one; the predictor has its own.

    Attributes
    ----------
    weights_ : dict
        Weight of each branch, and of all regressors together under ``"regressors"``, in the newest law.
    telemetry_, telemetry_frame_
        Risk records, as in :class:`JKOPredictor`.

    Examples
    --------
    >>> from sklearn.linear_model import QuantileRegressor
    >>> from usp_sklearn import JKOEnsemble, JKOPredictor, datasets, sliding_window
    >>> X, y = sliding_window(datasets.make_ou(300, random_state=0), width=8)
    >>> model = JKOEnsemble(
    ...     JKOPredictor(width=8, n_level=X.shape[1] - 8, branches=["A"], random_state=0),
    ...     [("linear", QuantileRegressor(alpha=0.01))],
    ...     quantiles=[0.1, 0.5, 0.9],
    ... ).fit(X[:250], y[:250])
    >>> model.update_predict(X[250:], y[250:], quantiles=[0.1, 0.5, 0.9]).shape
    (42, 3)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "predictor": [HasMethods(["fit", "update_predict"]), None],
        "regressors": [list, None],
        "quantiles": ["array-like"],
        "refit_every": [Interval(Integral, 1, None, closed="left")],
        "history": [Interval(Integral, FEWEST, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        predictor: Any = None,
        regressors: list[tuple[str, Any]] | None = None,
        *,
        quantiles: ArrayLike = LEVELS,
        refit_every: int = 300,
        history: int = 3000,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.predictor = predictor
        self.regressors = regressors
        self.quantiles = quantiles
        self.refit_every = refit_every
        self.history = history
        self.n_jobs = n_jobs
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters, with ``deep`` also those of the predictor and of each regressor by its name."""
        return dict(self._get_params("regressors", deep=deep))

    def set_params(self, **params: Any) -> "JKOEnsemble":
        """Set parameters; ``name__parameter`` reaches into a regressor, ``predictor__parameter`` into the predictor."""
        self._set_params("regressors", **params)
        return self

    # ------------------------------------------------------------------ learning

    def fit(self, X: ArrayLike, y: ArrayLike, **metadata: Any) -> "JKOEnsemble":
        """Train on time-ordered rows, laid out as for the predictor.

        Parameters
        ----------
        X : (n, n_features)
        y : (n,)
            Outcome ``horizon`` steps after each row's window.
        **metadata
            For the regressors' ``fit``; arrays of n values go along with the rows.

        Returns
        -------
        self
        """
        self._validate_params()
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        X, y = within(X, "X"), within(np.asarray(y, np.float64), "y")
        predictor = JKOPredictor() if self.predictor is None else clone(self.predictor)
        if not isinstance(predictor, BasePredictor):
            raise TypeError(
                f"The 'predictor' parameter of JKOEnsemble must be one of this package's. Got {predictor!r} instead."
            )
        predictor._validate_params()
        width = predictor._check_layout(X)
        self._levels = check_levels(self.quantiles)
        if len(self._levels) < 2 or (np.diff(self._levels) <= 0).any():
            raise ValueError(
                "The 'quantiles' parameter of JKOEnsemble must be at least two increasing levels. "
                f"Got {self.quantiles!r} instead."
            )
        chosen = self._chosen(check_random_state(self.random_state))
        layout = predictor._layout(width, predictor.horizon)._replace(experts=len(chosen))
        told = Told.of(X, y, routed(self, self._named(), "fit", metadata))
        self._templates, self._layout, self._predictor = dict(chosen), layout, predictor
        self.blocks_: list[Block] = []
        experts = np.full((len(X), len(chosen), N_LEVELS), np.nan)
        first = len(X) // 2
        self._past, self._since = told.part(slice(max(0, first - self.history), first)), 0
        for part in self._schedule(told, first):
            experts[part] = self._experts(X[part])
        self.blocks_, self._since = self._refitted(self._past), 0
        seed = int(check_random_state(predictor.random_state).randint(np.iinfo(np.int32).max))
        with runtime.precision():
            self.state_, record = engine.fit(layout, predictor._params(), X, y, seed, experts)
        self.width_, self._history = width, recent(record)
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike, **metadata: Any) -> "JKOEnsemble":
        """Learn further rows, which continue the ones before; the first call fits."""
        if not hasattr(self, "state_"):
            return self.fit(X, y, **metadata)
        self._walk(X, y, **metadata)
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Which metadata goes where: to the ``fit`` of each regressor, from every method that learns."""
        return router_of(self, self._named())

    def update_predict(self, X: ArrayLike, y: ArrayLike, quantiles: ArrayLike | None = None, **metadata: Any) -> Any:
        """Prequential pass, as :meth:`JKOPredictor.update_predict`; ``metadata`` is what ``partial_fit`` takes."""
        levels = None if quantiles is None else check_levels(quantiles)
        return self._answer(self._walk(X, y, **metadata), X, levels)

    def predict_distribution(self, X: ArrayLike) -> PredictiveDistribution:
        """The laws of all rows, from the present state."""
        check_is_fitted(self)
        X = within(validate_data(self, X, dtype=np.float64, reset=False), "X")
        with runtime.precision():
            return PredictiveDistribution(engine.predict(self.state_, self._predictor._params(), X, self._experts(X)))

    @property
    def weights_(self) -> dict[str, float]:
        """Weight of each branch, and of all regressors together, in the newest law."""
        own = super().weights_
        return {**own, "regressors": max(0.0, 1.0 - sum(own.values()))}

    # ------------------------------------------------------------------ plumbing

    def _named(self) -> list[tuple[str, Any]]:
        """The regressors as given, by their names."""
        default = HistGradientBoostingRegressor(
            loss="quantile", learning_rate=0.06, max_iter=100, max_leaf_nodes=8, min_samples_leaf=25,
            l2_regularization=1.0, early_stopping=False,
        )  # fmt: skip
        return [("boosting", default)] if self.regressors is None else list(self.regressors)

    def _chosen(self, rng: np.random.RandomState) -> list[tuple[str, Any]]:
        chosen = self._named()
        if not chosen:
            raise ValueError(
                "The 'regressors' parameter of JKOEnsemble must name at least one regressor. Got [] instead."
            )
        self._validate_names([name for name, _ in chosen])
        out = []
        for name, regressor in chosen:
            copy = clone(regressor)
            if copy.get_params().get("random_state", 0) is None:
                copy.set_params(random_state=int(rng.randint(np.iinfo(np.int32).max)))
            out.append((name, copy))
        return out

    def _walk(self, X: ArrayLike, y: ArrayLike, **metadata: Any) -> PredictiveDistribution:
        check_is_fitted(self)
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, reset=False)
        X, y, parts = within(X, "X"), within(np.asarray(y, np.float64), "y"), []
        told = Told.of(X, y, routed(self, self._named(), "partial_fit", metadata))
        saved = self.blocks_, self._past, self._since
        state, history = self.state_, self._history
        try:
            for part in self._schedule(told, 0):
                experts = self._experts(X[part])
                with runtime.precision():
                    state, law, record = engine.walk(state, self._predictor._params(), X[part], y[part], experts)
                history = recent(history, record)
                parts.append(law)
        except BaseException:
            # A refused or interrupted call leaves the model as it was.
            self.blocks_, self._past, self._since = saved
            raise
        self.state_, self._history = state, history
        return PredictiveDistribution(jax.tree.map(lambda *x: np.concatenate(x), *parts))

    def _schedule(self, told: Told, start: int) -> Iterator[slice]:
        """Stretches of rows between refits, from ``start`` on; refits before a stretch where one is due.

        A refit before row i knows the outcomes of rows up to i − horizon.
        """
        late, n = self._layout.horizon - 1, len(told.X)
        while start < n:
            if not self.blocks_ or self._since >= self.refit_every:
                self.blocks_ = self._refitted(self._past.part(slice(0, max(0, len(self._past.X) - late))))
                self._since = 0
            stop = min(n, start + self.refit_every - self._since)
            part = slice(start, stop)
            yield part
            self._past = self._past.then(told.part(part), self.history)
            self._since += stop - start
            start = stop

    def _refitted(self, told: Told) -> list[Block]:
        if len(told.X) < FEWEST:
            return []
        return [
            Block(regressor, self._levels, self._layout, self.n_jobs).fit(told.X, told.y, told.metadata_of(name))
            for name, regressor in self._templates.items()
        ]

    def _experts(self, X: Array) -> Array:
        """(n, experts, 25) forecasts of the regressors as they are; NaN while there are none."""
        if not self.blocks_:
            return np.full((len(X), len(self._templates), N_LEVELS), np.nan)
        return np.stack([block.predict(X) for block in self.blocks_], axis=1)

    def _branch_set(self) -> tuple[str, ...]:
        return self._predictor._branch_set()

    def _point(self) -> str:
        return self._predictor.point

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "state_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags
