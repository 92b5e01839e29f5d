"""JKOAggregator: online weights for any experts' quantiles."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import runtime
from ..core import aggregate
from ..core.calibration import RATE
from ..io.magnitude import within
from ..kernels.law import LEVELS
from .experts import columns_of
from .metrics_quantiles import pinball_score
from .reading import labelled

ArrayF = NDArray[np.float64]


class JKOAggregator(BaseEstimator):
    """Online combination of experts' quantile forecasts by Wasserstein gradient flows.

    Every expert forecasts the same quantile levels of the next outcome. Weights, one simplex per level, follow
    the JKO scheme ρ⁺ = argmin D(ρ, ρ_t)²/(2τ) + ⟨ρ, ℓ⟩ + λ KL(ρ | π) on the pinball losses of the stored
    forecasts; five flows of different rates run side by side and Bernstein aggregation combines them, so there
    is no rate to tune. A *stack* of the experts (their medians regressed on the outcome, their width rescaled
    by experience) joins them as one member more. The mix is calibrated online and, where the outcomes live on
    a grid, rounded to it. Each step has constant cost.

    Rows are given as one table of the experts' quantiles after the other, which a DataFrame says in its columns:
    ``pd.concat({"a": a.predict_quantiles(X, levels), "b": …}, axis=1)``.

    Parameters
    ----------
    quantiles : array-like (levels,), optional
        Increasing levels in (0, 1) the experts forecast. Default: the 25 levels of ``kernels.law.LEVELS``. A single
        one, [0.5] for medians, makes a column an expert; it has no width, so that stack and calibration are off.
    geometry : {"graph", "sinkhorn"}
        Metric D between weights: the discrete Wasserstein metric on the graph of experts, or entropic transport.
    tau : float
        Step length; multiplies the rates of the flows.
    lam : float
        Price λ of leaving equal weights.
    epsilon : float
        Entropic regularisation of ``geometry="sinkhorn"``, relative to the mean W2² between experts.
    share : float
        Multiplies the pull towards equal weights in ``geometry="graph"``; 0 lets experts fade for good.
    stack : bool
        Whether the stack takes part.
    calibration : bool or float
        Rate of the online calibration; True is 0.003, False and 0 switch it off.
    adaptive_calibration : bool
        Raise a level's rate while its recent hits are off by more than chance.
    grid : bool
        Round quantiles where the series' recent increments are multiples of their smallest.

    Attributes
    ----------
    weights_ : (experts + 1, levels)
        Weights of the next combination; the last row is the stack's.
    weights_path_ : (n, experts + 1)
        Weights, averaged over levels, that the rows last learned were combined with.
    n_experts_ : int
    quantiles_ : (levels,)
    n_features_in_ : int
        Columns of a row, experts times levels.
    feature_names_in_ : (n_features,)
        Names of the columns, if they are text.

    Notes
    -----
    Rows come oldest first; an expert with a NaN in a row sleeps for that row. References:
    Jordan, Kinderlehrer & Otto (1998), Maas (2011), Wintenberger (2017), Berrisch & Ziel (2021).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(size=300)
    >>> levels = np.array([0.1, 0.5, 0.9])
    >>> good = np.array([-1.28, 0.0, 1.28])
    >>> E = np.broadcast_to(np.stack([good, good + 3.0]), (300, 2, 3))
    >>> model = JKOAggregator(quantiles=levels, stack=False).fit(E[:200], y[:200])
    >>> model.update_predict(E[200:], y[200:]).shape
    (100, 3)
    >>> bool((model.weights_[0] > 0.9).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "quantiles": ["array-like", None],
        "geometry": [StrOptions({"graph", "sinkhorn"})],
        "tau": [Interval(Real, 0, None, closed="neither")],
        "lam": [Interval(Real, 0, None, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "share": [Interval(Real, 0, None, closed="left")],
        "stack": [Options(bool, {True, False})],
        "calibration": [Interval(Real, 0, 1, closed="left"), Options(bool, {True, False})],
        "adaptive_calibration": [Options(bool, {True, False})],
        "grid": [Options(bool, {True, False})],
    }

    def __init__(
        self,
        *,
        quantiles: ArrayLike | None = None,
        geometry: str = "graph",
        tau: float = 1.0,
        lam: float = 0.1,
        epsilon: float = 0.05,
        share: float = 1.0,
        stack: bool = True,
        calibration: bool | float = True,
        adaptive_calibration: bool = False,
        grid: bool = True,
    ) -> None:
        self.quantiles = quantiles
        self.geometry = geometry
        self.tau = tau
        self.lam = lam
        self.epsilon = epsilon
        self.share = share
        self.stack = stack
        self.calibration = calibration
        self.adaptive_calibration = adaptive_calibration
        self.grid = grid

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> "JKOAggregator":
        """Start from equal weights and learn rows in time order.

        Parameters
        ----------
        X : (n, experts · levels), or (n, experts, levels)
            Quantiles every expert forecast for the outcome of each row, at ``quantiles``; sorted here. Columns are
            those of the first expert, of the second, and so on. Columns (expert, level) of a DataFrame are checked.
        y : (n,)
            Outcomes.

        Returns
        -------
        self
        """
        levels = self._levels()
        experts, outcomes = self._checked(X, y, levels, reset=True)
        with runtime.precision():
            state = aggregate.init(experts.shape[1], len(levels), self._params(levels), np.dtype(np.float64))
        self._walk(state, experts, outcomes, levels)
        self.quantiles_, self.n_experts_ = levels, experts.shape[1]
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> "JKOAggregator":
        """Learn further rows, which continue the ones before; the first call fits."""
        if not hasattr(self, "state_"):
            return self.fit(X, y)
        self.update_predict(X, y)
        return self

    def update_predict(self, X: ArrayLike, y: ArrayLike) -> Any:
        """Prequential combination (n, levels): row i is issued before ``y[i]`` is learned.

        Of a DataFrame: a DataFrame with its index, whose columns are the levels.
        """
        check_is_fitted(self)
        self._validate_params()
        experts, outcomes = self._checked(X, y, self.quantiles_, reset=False)
        return self._table(self._walk(self.state_, experts, outcomes, self.quantiles_), X)

    def predict(self, X: ArrayLike) -> Any:
        """Combination (n, levels) of rows, each as if it came next; nothing is learned.

        Of a DataFrame: a DataFrame with its index, whose columns are the levels.
        """
        check_is_fitted(self)
        experts, _ = self._checked(X, None, self.quantiles_, reset=False)
        with runtime.precision():
            q = aggregate.predict(self.state_, experts, self.quantiles_, self._params(self.quantiles_))
        return self._table(q, X)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The negated mean pinball loss of what :meth:`predict` gives for rows ``X`` with outcomes ``y`` (n,)."""
        q = np.asarray(self.predict(X))
        return -pinball_score(y, q, self.quantiles_, sample_weight=sample_weight)

    @property
    def weights_(self) -> ArrayF:
        """Weights (experts + 1, levels) of the next combination."""
        check_is_fitted(self)
        with runtime.precision():
            return aggregate.weights(self.state_)

    # ------------------------------------------------------------------ plumbing

    def _walk(self, state: aggregate.State, experts: ArrayF, y: ArrayF, levels: ArrayF) -> ArrayF:
        with runtime.precision():
            walked = aggregate.walk(state, experts, y, levels, self._params(levels), self.geometry)
        self.state_, q, self.weights_path_ = walked
        return q

    def _params(self, levels: ArrayF) -> aggregate.Params:
        rate = (RATE if self.calibration else 0.0) if isinstance(self.calibration, bool) else self.calibration
        numbers = [np.float64(v) for v in (self.tau, self.lam, self.epsilon, self.share, rate)]
        flags = [np.bool_(v) for v in (self.adaptive_calibration, self.stack and len(levels) > 1, self.grid)]
        return aggregate.Params(*numbers, *flags)

    def _levels(self) -> ArrayF:
        if self.quantiles is None:
            return LEVELS
        levels = np.asarray(self.quantiles, dtype=np.float64)
        if levels.ndim != 1 or not len(levels) or levels[0] <= 0 or levels[-1] >= 1 or (np.diff(levels) <= 0).any():
            raise ValueError(
                "The 'quantiles' parameter of JKOAggregator must be strictly increasing levels in (0, 1). "
                f"Got {self.quantiles!r} instead."
            )
        return levels

    def _checked(self, X: Any, y: Any, levels: ArrayF, *, reset: bool) -> tuple[ArrayF, ArrayF]:
        """Sorted tables (n, experts, levels) and outcomes; anything wrong is an error that says what was expected."""
        given = columns_of(X, levels)
        if y is None and not reset:
            table, outcomes = self._validated(given, reset=False), np.empty(0)
        else:
            table, outcomes = self._validated(given, y, y_numeric=True, reset=reset)
        if table.shape[1] % len(levels):
            raise ValueError(
                f"X must hold the {len(levels)} levels of 'quantiles' for each expert. "
                f"Got n_features = {table.shape[1]} instead."
            )
        experts = table.reshape(len(table), -1, len(levels))
        if np.isinf(experts).any():
            raise ValueError("X contains infinity; a missing forecast is NaN.")
        asleep = np.isnan(experts).any(2).all(1)
        if asleep.any():
            raise ValueError(
                f"X must hold at least one complete expert in each row. Row {int(asleep.argmax())} has none."
            )
        outcomes = within(np.asarray(outcomes, np.float64), "y")
        return np.sort(within(experts, "X"), axis=2), outcomes

    def _validated(self, *given: Any, **how: Any) -> Any:
        return validate_data(self, *given, dtype=np.float64, ensure_all_finite="allow-nan", **how)

    def _table(self, q: ArrayF, X: Any) -> Any:
        return labelled(q, X, pd.Index(self.quantiles_, name="quantile"))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags
