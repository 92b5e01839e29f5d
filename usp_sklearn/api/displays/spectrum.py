"""SpectrumDisplay: the singularity spectrum of a window."""

from functools import partial
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from ... import runtime
from ...kernels import wtmm
from . import style as look

Array = NDArray[np.float64]

_SHORTEST = 64


@partial(jax.jit, static_argnames=("n_scales", "backend"))
def _exponents(window: Any, width: Any, cone: Any, *, n_scales: int, backend: str) -> Any:
    scales = wtmm.grid(window.shape[0], n_scales)
    lines = wtmm.skeleton(wtmm.moduli(window, width, scales.scales, backend), width, scales, cone)
    return wtmm.tau(lines, width, scales)


class SpectrumDisplay:
    """Scaling exponents τ(q) of a window and their Legendre transform, the singularity spectrum D(h).

    D(h) = min_q (q h − τ(q)) is the dimension of the set of times at which the path's Hölder exponent is h. One point,
    and a straight τ(q) = q h − 1, is a monofractal such as Brownian motion; an arch is a multifractal.

    Parameters
    ----------
    exponents : (Q,) array
        τ(q).
    orders : (Q,) array
        Orders q, increasing.
    name : str, optional
        Title of the left panel.

    Attributes
    ----------
    ax_ : (2,) array of Axes
        τ(q), D(h).
    figure_ : Figure
        What was drawn on.
    singularities_, dimensions_ : (Q − 1,) arrays
        The spectrum's points: exponents h = Δτ/Δq, falling with q, and D at each.

    References
    ----------
    Muzy, Bacry & Arneodo (1993), Multifractal formalism for fractal signals.

    Examples
    --------
    >>> import numpy as np
    >>> from usp_sklearn import HolderTransformer
    >>> from usp_sklearn.api.displays import SpectrumDisplay
    >>> walk = np.cumsum(np.random.default_rng(0).normal(size=(1, 1024)), axis=1)
    >>> display = SpectrumDisplay.from_estimator(HolderTransformer(method="wtmm").fit(walk), walk)
    >>> bool(abs(display.singularities_[5] - 0.5) < 0.15)
    True
    """

    def __init__(self, *, exponents: ArrayLike, orders: ArrayLike = wtmm.ORDERS, name: str | None = None) -> None:
        self.exponents = exponents
        self.orders = orders
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, row: int = -1, name: str | None = None, ax: Any = None
    ) -> Self:
        """Draw the spectrum of a window, by the wavelet maxima of a HolderTransformer.

        Parameters
        ----------
        estimator : fitted HolderTransformer
            Its ``width``, ``cone``, ``n_scales`` and ``backend`` are used; ``method`` is always the maxima.
        X : (n, n_features)
            Rows; the window is the last ``width`` columns.
        y : ignored
        row : int
            Which row.
        name : str, optional
            Title of the left panel.
        ax : two Axes, optional
            Default: a new figure.
        """
        check_is_fitted(estimator)
        rows = check_array(X, dtype=np.float64, input_name="X")
        if rows.shape[1] != estimator.n_features_in_:
            raise ValueError(f"X must have {estimator.n_features_in_} columns. Got {rows.shape[1]} instead.")
        window, width = rows[row, rows.shape[1] - estimator.width_ :], estimator.width_
        if width < _SHORTEST:
            raise ValueError(f"A spectrum needs windows of at least {_SHORTEST} values. Got {width} instead.")
        padded = np.pad(window, ((1 << (width - 1).bit_length()) - width, 0), mode="edge")
        with runtime.precision():
            exponents = _exponents(
                padded, float(width), float(estimator.cone), n_scales=estimator.n_scales, backend=estimator.backend
            )
        return cls.from_predictions(np.asarray(exponents), name=name, ax=ax)

    @classmethod
    def from_predictions(
        cls, exponents: ArrayLike, orders: ArrayLike = wtmm.ORDERS, *, name: str | None = None, ax: Any = None
    ) -> Self:
        """Draw exponents τ(q) (Q,) at ``orders`` (Q,) that are there already."""
        tau, q = (check_array(v, dtype=np.float64, ensure_2d=False) for v in (exponents, orders))
        if tau.shape != q.shape or tau.ndim != 1 or len(q) < 3 or (np.diff(q) <= 0).any():
            raise ValueError(
                "The 'exponents' and 'orders' parameters must be equally many numbers, at least three, and the orders "
                f"increasing. Got shapes {tau.shape} and {q.shape} instead."
            )
        return cls(exponents=tau, orders=q, name=name).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw on ``ax``, two axes (default: a new figure); returns self."""
        tau, q = np.asarray(self.exponents, np.float64), np.asarray(self.orders, np.float64)
        # Estimates need not be concave; their Legendre transform is, whatever the order of the points.
        self.singularities_ = np.sort(np.diff(tau) / np.diff(q))[::-1]
        self.dimensions_ = (q * self.singularities_[:, None] - tau).min(axis=1)
        zero = int(np.clip(np.abs(q).argmin(), 1, len(q) - 2))
        slope = (tau[zero + 1] - tau[zero - 1]) / (q[zero + 1] - q[zero - 1])
        straight = tau[zero] + slope * (q - q[zero])
        with look.style(f"{type(self).__name__}.plot") as plt:
            self.ax_ = look.axes_for(plt, ax, (8.0, 3.4), (1, 2))
            self.figure_ = self.ax_[0].figure
            left, right = self.ax_
            dashed = {"color": look.QUIET, "linewidth": 1.0, "linestyle": look.DASHES}
            left.plot(q, straight, **dashed, label=f"one exponent, h = {slope:.2f}")
            left.plot(q, tau, "o-", color=look.MEDIAN, markersize=3.5, linewidth=1.0, label="τ(q)")
            left.set_xlabel("order q")
            left.set_ylabel("scaling exponent τ(q)")
            right.plot(self.singularities_, self.dimensions_, "o-", color=look.MEDIAN, markersize=3.5, linewidth=1.0)
            right.axvline(slope, **dashed)
            right.axvline(0.5, color=look.ALARM, linewidth=1.0, linestyle=look.DOTS, label="Brownian path, h = 0.5")
            right.set_xlabel("Hölder exponent h")
            right.set_ylabel("dimension D(h)")
            low, high = self.singularities_.min(), self.singularities_.max()
            right.set_xlim(min(low - 0.1, 0.3), max(high + 0.1, 0.7))
            right.set_ylim(
                min(0.0, 1.05 * float(self.dimensions_.min())), max(1.1, 1.05 * float(self.dimensions_.max()))
            )
            for axes in self.ax_:
                look.grid(axes)
            look.heading(left, self.name or "Scaling of the wavelet maxima")
            look.heading(right, "Singularity spectrum")
        return self
