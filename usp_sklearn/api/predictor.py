"""The public predictors: each branch on its own, and the ensemble."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ..core import engine
from ..core.telemetry import BRANCH_ORDER
from .base import BasePredictor

NAMES = {"A": "Lévy", "B": "Deep-Galerkin PDE", "C": "jump diffusion", "D": "log-signature"}


class LevyPredictor(BasePredictor):
    """Branch A: linear projection, filtered scale and α-stable innovations.

    ``y_{t+h} = y_t + s_u w·x_t + s_t Z``, with Z α-stable in the S0 parametrisation. Parameters as in
    :class:`JKOPredictor`; the branch's own members are weighed by the same flow.

    Examples
    --------
    >>> from usp_sklearn import LevyPredictor, datasets, sliding_window
    >>> X, y = sliding_window(datasets.make_ou(300, random_state=0), width=16)
    >>> LevyPredictor(width=16, n_level=X.shape[1] - 16).fit(X, y).predict(X[-2:]).shape
    (2,)
    """

    _branches = ("A",)


class DGMPredictor(BasePredictor):
    """Branch B: a Deep Galerkin net solves the Kolmogorov backward equation for the predictive CDF.

    Drift μ and volatility σ of the level are learned; V(τ, x; k) = P(X_τ ≤ k) solves
    ``V_τ = μ V_x + ½ σ² V_xx`` for every k at once. Parameters as in :class:`JKOPredictor`.
    """

    _branches = ("B",)


class JumpDiffusionPredictor(BasePredictor):
    """Branch C: jump diffusion ``dX = b dt + σ dW + dJ`` with neural drift and volatility.

    The density comes from an IMEX solver of the Fokker–Planck equation; drift and volatility nets are
    calibrated by back-propagation through diffrax. Parameters as in :class:`JKOPredictor`.
    """

    _branches = ("C",)


class SignaturePredictor(BasePredictor):
    """Branch D: a linear functional of log-signatures of the time-augmented lead–lag window.

    Parameters as in :class:`JKOPredictor`; ``signature_depth`` is the truncation depth.
    """

    _branches = ("D",)


class JKOPredictor(BasePredictor):
    """Four predictive laws, weighed online by a Wasserstein gradient flow (JKO scheme) and kept calibrated.

    Every step issues and stores the law of the next value; when the outcome arrives, the stored laws are
    scored by CRPS, the weights ρ of the members move along
    ``ρ⁺ = argmin D(ρ, ρ_t)²/(2τ) + ⟨ρ, ℓ⟩ + λ KL(ρ | π)``, and every member learns.

    Parameters
    ----------
    width : int or None
        Values in a window, the last columns of X (default: all columns).
    n_level : int
        Level-context columns before the window, in the series' units: seasonal lags, slow averages.
    n_exog : int
        Exogenous columns before those, in any units.
    n_ahead : int
        With 2-D y, level columns at the end of the level context that belong to one horizon, as many for each:
        ``[common | those of step 1 | those of step 2 | …]``, as ``SlidingWindow(multi=True).layout`` says.
    horizon : int
        Steps ahead of a 1-D y. With 2-D y column j is j + 1 steps ahead and this is ignored.
    branches : sequence of {"A", "B", "C", "D"}
        Models that take part.
    members : sequence of str, or None
        Their members that take part, as "A.long" (all names: ``JKOPredictor.MEMBERS``). Default: all, and with 2-D y
        those that cost little enough to be learned for every horizon (``JKOPredictor.MEMBERS_AHEAD``).
    stack : bool
        Whether a regression on all members' medians is one member more.
    tau : float
        Step of the flow; multiplies every learning rate.
    epsilon : float
        Entropic regularisation of the Sinkhorn geometry, relative to the cost's scale.
    lam : float
        Weight λ of the divergence from the prior.
    geometry : {"graph", "sinkhorn"}
        Metric of the flow: discrete Wasserstein on the graph of members, or entropic transport.
    pooling : {"barycentre", "linear"}
        Mix quantile functions (W2 barycentre) or distribution functions.
    signature_depth : int
        Truncation depth of the log-signature, 2 to 5.
    cone : float
        Cone C of the modulus-maxima chains, ``|Δb| ≤ C·a``.
    cusum_h, cusum_k : float
        Threshold and slack of the change detector, in standard deviations.
    grace_period : int
        Steps after an alarm during which further alarms are held.
    holder_threshold : float
        Emergency when the Hölder exponent is significantly below.
    emergency : {"off", "tilt", "force"}
        Then do nothing, move the prior towards branch D, or put all weight on it.
    calibration : bool or float
        Online quantile tracking of the issued law; a float is its rate (True: 0.003).
    point : {"median", "mean"}
        What ``predict`` returns.
    random_state : int, RandomState or None
        Seed of the nets' initial weights and of their training.

    Attributes
    ----------
    weights_ : dict
        Weight of each branch in the newest law.
    telemetry_ : dict
        Newest risk record.
    telemetry_frame_ : DataFrame
        Recent risk records.

    References
    ----------
    Jordan, Kinderlehrer & Otto (1998); Maas (2011); Chow, Huang, Li & Zhou (2012).

    Examples
    --------
    >>> from usp_sklearn import JKOPredictor, datasets, sliding_window
    >>> X, y = sliding_window(datasets.make_ou(300, random_state=0), width=16)
    >>> model = JKOPredictor(width=16, n_level=X.shape[1] - 16, random_state=0).fit(X[:-20], y[:-20])
    >>> model.update_predict(X[-20:], y[-20:], quantiles=[0.1, 0.5, 0.9]).shape
    (20, 3)
    """

    MEMBERS: ClassVar[tuple[str, ...]] = tuple(f"{b}.{m}" for b, m in engine.every_member(BRANCH_ORDER))
    MEMBERS_AHEAD: ClassVar[tuple[str, ...]] = ("A.long", "A.stable", "A.gaps", "B.kernel", "C.garch", "D.ridge")

    _parameter_constraints: dict[str, list[Any]] = {
        **BasePredictor._parameter_constraints,
        "branches": ["array-like"],
        "members": ["array-like", None],
        "stack": ["boolean"],
    }

    def __init__(
        self,
        *,
        width: int | None = None,
        n_level: int = 0,
        n_exog: int = 0,
        n_ahead: int = 0,
        horizon: int = 1,
        branches: Sequence[str] = BRANCH_ORDER,
        members: Sequence[str] | None = None,
        stack: bool = True,
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
        super().__init__(
            width=width,
            n_level=n_level,
            n_exog=n_exog,
            n_ahead=n_ahead,
            horizon=horizon,
            tau=tau,
            epsilon=epsilon,
            lam=lam,
            geometry=geometry,
            pooling=pooling,
            signature_depth=signature_depth,
            cone=cone,
            cusum_h=cusum_h,
            cusum_k=cusum_k,
            grace_period=grace_period,
            holder_threshold=holder_threshold,
            emergency=emergency,
            calibration=calibration,
            point=point,
            random_state=random_state,
        )
        self.branches = branches
        self.members = members
        self.stack = stack

    def _sk_visual_block_(self) -> Any:
        """What scikit-learn draws in notebooks: the branches side by side, each with its members."""
        from sklearn.utils._repr_html.estimator import _VisualBlock

        members = self._members(multi=False)
        blocks = [
            _VisualBlock(
                "single",
                name,
                names=f"{branch} · {name}",
                name_details=", ".join(m for b, m in members if b == branch),
            )
            for branch, name in NAMES.items()
            if branch in self._branch_set()
        ]
        return _VisualBlock("parallel", blocks, names=[""] * len(blocks), name_details=[""] * len(blocks))

    def _branch_set(self) -> tuple[str, ...]:
        chosen = tuple(self.branches)
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(BRANCH_ORDER):
            raise ValueError(
                "The 'branches' parameter of JKOPredictor must be a non-empty selection of 'A', 'B', 'C', 'D' without "
                f"repetition. Got {self.branches!r} instead."
            )
        return tuple(b for b in BRANCH_ORDER if b in chosen)

    def _members(self, multi: bool) -> tuple[tuple[str, str], ...]:
        of_branches = [f"{b}.{m}" for b, m in engine.every_member(self._branch_set())]
        chosen = list(self.members) if self.members is not None else list(self.MEMBERS_AHEAD if multi else self.MEMBERS)
        if self.members is not None and not (chosen and set(chosen) <= set(of_branches)):
            raise ValueError(
                "The 'members' parameter of JKOPredictor must be a non-empty selection of "
                f"{', '.join(of_branches)}. Got {self.members!r} instead."
            )
        return tuple((m[0], m[2:]) for m in of_branches if m in chosen)

    def _layout(self, width: int, horizon: int, multi: bool = False) -> engine.Layout:
        layout = super()._layout(width, horizon, multi)
        return layout._replace(stack=bool(self.stack) and len(layout.members) > 1 and not multi)
