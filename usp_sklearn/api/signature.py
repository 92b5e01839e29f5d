"""LogSignatureTransformer: the shape of each window, as log-signature columns."""

from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from .. import runtime
from ..kernels.lifts import LEVEL, LIFTS, lift, names
from ..kernels.logsignature import log_signature, words

_ROWS = 64
_VALUES = 2**14
_TERMS = 2**21
_LARGEST = 2**23
_SHORTEST = 16


@partial(jax.jit, static_argnames=("lifts", "depth"))
def _rows(
    windows: Array, width: Array, scale: Array, bound: float | None, *, lifts: tuple[str, ...], depth: int
) -> Array:
    """Log-signatures (n, S) of windows (n, L, C), padded on the left beyond ``width``, in units ``scale`` (n, C)."""
    real = jnp.arange(windows.shape[1]) >= windows.shape[1] - width
    if not LEVEL & set(lifts):
        # The same path from where it ends: large levels cost no digits.
        windows = windows - windows[:, -1:]
    windows = windows / scale[:, None]
    return jax.vmap(lambda window: log_signature(lift(window, real, lifts), depth, bound))(windows)


class LogSignatureTransformer(TransformerMixin, BaseEstimator):
    """Log-signature of windows: what a path does, up to how fast it does it.

    Each row of X is a window, scaled, lifted to a path and described by the coefficients of its log-signature at the
    Lyndon words of its channels. A linear model on them is a polynomial of degree ``depth`` in iterated integrals.

    Parameters
    ----------
    width : int, optional
        The window is the last ``width * n_channels`` columns of X, oldest values first. Default: all columns.
    n_channels : int
        Channels C per time; a row holds the window (width, C) flattened, time by time.
    depth : int
        Words up to this length, 1 to 8.
    lifts : sequence of {"time", "leadlag", "basepoint", "reset"}
        What is added to the path before its signature is taken; see the notes. Their order has no meaning.
    scaling : {"window", "train"} or None
        Unit of each channel: its range (largest minus smallest value) in that very window, the root mean square of
        the ranges of the training windows, or 1. A range of 0 counts as 1.
    bound : float, optional
        Depth control for large increments. Rows whose vector of coefficients is longer than ``bound`` are dilated:
        words of length k are multiplied by λᵏ with λ < 1 such that the length stays below √2 times ``bound``, so high
        orders give way first. Shorter rows are exact, as those of windows of walks are under the default: their length
        is 1 to 3 with ``scaling="window"``. ``None``: never.

    Attributes
    ----------
    width_ : int
        Width of the windows.
    scale_ : ndarray of shape (n_channels,)
        Root mean square of the ranges of the training windows.
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    Output columns are named after their words: ``logsig(time|lead|lag)``, without characters that boosting libraries
    refuse. Lifts: ``"time"`` adds a clock from 0 to 1, ``"leadlag"`` replaces each channel by a leading and a lagging
    copy, whose area is half the quadratic variation, ``"basepoint"`` starts the path in 0, and ``"reset"`` adds a
    visibility channel and ends the path in 0. The last two make the columns see the level of the window; without them
    they don't change with shifts. With ``lifts=()`` and several channels the columns don't depend on how the path is
    sampled in time; a single channel has to be lifted, as its bare log-signature is its increment.

    References
    ----------
    Chevyrev & Kormilitzin (2016), A primer on the signature method in machine learning. Chevyrev & Oberhauser (2022),
    Signature moments to characterize laws of stochastic processes.

    Examples
    --------
    >>> import numpy as np
    >>> walks = np.cumsum(np.random.default_rng(0).normal(size=(3, 32)), axis=1)
    >>> LogSignatureTransformer(depth=2).fit(walks).get_feature_names_out().tolist()
    ['logsig(time)', 'logsig(lead)', 'logsig(lag)', 'logsig(time|lead)', 'logsig(time|lag)', 'logsig(lead|lag)']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "width": [Interval(Integral, 1, None, closed="left"), None],
        "n_channels": [Interval(Integral, 1, None, closed="left")],
        "depth": [Interval(Integral, 1, 8, closed="both")],
        "lifts": ["array-like"],
        "scaling": [StrOptions({"window", "train"}), None],
        "bound": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        *,
        width: int | None = None,
        n_channels: int = 1,
        depth: int = 3,
        lifts: Sequence[str] = ("time", "leadlag"),
        scaling: str | None = "window",
        bound: float | None = 10.0,
    ) -> None:
        self.width = width
        self.n_channels = n_channels
        self.depth = depth
        self.lifts = lifts
        self.scaling = scaling
        self.bound = bound

    def fit(self, X: ArrayLike, y: Any = None) -> "LogSignatureTransformer":
        """Check the parameters against X (n, n_features) and learn the channels' ranges; ``y`` is ignored."""
        self._validate_params()
        owner = type(self).__name__
        if any(name not in LIFTS for name in self.lifts):
            raise ValueError(
                f"The 'lifts' parameter of {owner} must be a sequence of names among {list(LIFTS)}. "
                f"Got {self.lifts!r} instead."
            )
        terms = len(names(self.n_channels, self.lifts)) ** self.depth
        if terms > _LARGEST:
            raise ValueError(
                f"The 'depth' parameter of {owner} must leave the signature's last level at most {_LARGEST} terms. "
                f"Got {self.depth} instead, which makes {terms}."
            )
        values: NDArray[np.float64] = validate_data(self, X, dtype=np.float64)
        n_columns = values.shape[1]
        width = n_columns // self.n_channels if self.width is None else self.width
        if self.width is None and n_columns % self.n_channels:
            raise ValueError(
                f"The 'n_channels' parameter of {owner} must divide the number of columns of X, {n_columns}, if no "
                f"width is given. Got {self.n_channels} instead."
            )
        if width * self.n_channels > n_columns:
            raise ValueError(
                f"The 'width' parameter of {owner} times n_channels must be at most the number of columns of X, "
                f"{n_columns}. Got {width} times {self.n_channels} instead."
            )
        self.width_ = int(width)
        self.scale_ = _one_for_zero(np.sqrt((np.ptp(self._windows(values), axis=1) ** 2).mean(0)))
        return self

    def _windows(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, width, C) windows of rows."""
        columns = self.width_ * self.n_channels
        return values[:, values.shape[1] - columns :].reshape(len(values), self.width_, self.n_channels)

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log-signature of each row: (n, S), columns as in :meth:`get_feature_names_out`."""
        check_is_fitted(self)
        windows = self._windows(validate_data(self, X, dtype=np.float64, reset=False))
        n, width, channels = windows.shape
        scale = np.ones((n, channels))
        if self.scaling == "window":
            scale = _one_for_zero(np.ptp(windows, axis=1))
        elif self.scaling == "train":
            scale = np.tile(self.scale_, (n, 1))
        # Few shapes reach the compiler: widths go up to a power of two, rows go through in equal chunks.
        lifts = tuple(name for name in LIFTS if name in set(self.lifts))
        length = max(_SHORTEST, 1 << (width - 1).bit_length())
        terms = len(names(channels, lifts)) ** self.depth
        rows = int(np.clip(min(_VALUES // (length * channels), _TERMS // terms), 1, _ROWS))
        extra = (0, -n % rows)
        windows = np.pad(windows, (extra, (length - width, 0), (0, 0)), mode="edge")
        scale = np.pad(scale, (extra, (0, 0)), mode="edge")
        bound = None if self.bound is None else float(self.bound)
        with runtime.precision():
            chunks = [
                np.asarray(_rows(chunk, width, unit, bound, lifts=lifts, depth=self.depth))
                for chunk, unit in zip(
                    windows.reshape(-1, rows, length, channels), scale.reshape(-1, rows, channels), strict=True
                )
            ]
        return np.concatenate(chunks)[:n]

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the output columns, one Lyndon word each; ``input_features`` is only checked."""
        check_is_fitted(self, "n_features_in_")
        _check_feature_names_in(self, input_features)
        letters = names(self.n_channels, self.lifts)
        found = [f"logsig({'|'.join(letters[i] for i in word)})" for word in words(len(letters), self.depth)]
        return np.asarray(found, dtype=object)


def _one_for_zero(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(unit > 0, unit, 1.0)
