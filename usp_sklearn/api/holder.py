"""HolderTransformer: how rough each window is, as columns."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from .. import runtime
from ..core.identification import AUTO_LENGTH, Identification, identify_rows
from ..io.magnitude import within

_ROWS = 64
_VALUES = 2**14
_SHORTEST = 16


class HolderTransformer(TransformerMixin, BaseEstimator):
    """Hölder exponent, spectrum width and quadratic variation of windows.

    Each row of X is read on its own, so nothing is learned from data; ``fit`` checks the parameters.

    Parameters
    ----------
    width : int, optional
        The window is the last ``width`` columns of X, oldest value first. Default: all columns.
    method : {"auto", "wtmm", "structure"}
        Wavelet transform modulus maxima, or structure functions (scaling of mean absolute increments).
        ``"auto"`` takes structure functions below 1,024 values. From there it takes the maxima, with the exponent
        made more precise by moments of increments where the series looks monofractal.
    backend : {"jax", "pywavelets"}
        Who computes the wavelet transform. The results agree to 1e-6.
    cone : float
        A maxima line moves by at most ``cone`` times the scale from one scale to the next.
    n_scales : int
        Number of scales from 2 to 64 samples; those above an eighth of the window are left out.

    Attributes
    ----------
    width_ : int
        Width of the windows.
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    Output columns: ``holder``, its standard error ``holder_se``, ``spectrum_width`` (range of the exponents),
    ``quadratic_variation`` (sum of squared increments) and ``local`` (exponent at the window's end). A window
    that never moves reports the exponent 0.5 with the error 1.

    References
    ----------
    Muzy, Bacry & Arneodo (1993), Multifractal formalism for fractal signals. Jaffard (1997).

    Examples
    --------
    >>> import numpy as np
    >>> walks = np.cumsum(np.random.default_rng(0).normal(size=(3, 128)), axis=1)
    >>> HolderTransformer().fit_transform(walks).shape
    (3, 5)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "width": [Interval(Integral, 1, None, closed="left"), None],
        "method": [StrOptions({"auto", "wtmm", "structure"})],
        "backend": [StrOptions({"jax", "pywavelets"})],
        "cone": [Interval(Real, 0, None, closed="neither")],
        "n_scales": [Interval(Integral, 8, None, closed="left")],
    }

    def __init__(
        self,
        *,
        width: int | None = None,
        method: str = "auto",
        backend: str = "jax",
        cone: float = 1.5,
        n_scales: int = 40,
    ) -> None:
        self.width = width
        self.method = method
        self.backend = backend
        self.cone = cone
        self.n_scales = n_scales

    def fit(self, X: ArrayLike, y: Any = None) -> "HolderTransformer":
        """Check the parameters against X (n, n_features); ``y`` is ignored."""
        self._validate_params()
        values: NDArray[np.float64] = within(validate_data(self, X, dtype=np.float64), "X")
        n_columns = values.shape[1]
        width = n_columns if self.width is None else self.width
        if width > n_columns:
            raise ValueError(
                f"The 'width' parameter of {type(self).__name__} must be at most the number of columns of X, "
                f"{n_columns}. Got {width} instead."
            )
        self.width_ = int(width)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Identify each row: (n, 5), columns as in :meth:`get_feature_names_out`."""
        check_is_fitted(self)
        values: NDArray[np.float64] = within(validate_data(self, X, dtype=np.float64, reset=False), "X")
        n, n_columns = values.shape
        width = self.width_
        # Few shapes reach the compiler: widths go up to a power of two, rows go through in equal chunks.
        length = max(_SHORTEST, 1 << (width - 1).bit_length())
        rows = int(np.clip(_VALUES // length, 1, _ROWS))
        windows = np.pad(values[:, n_columns - width :], ((0, -n % rows), (length - width, 0)), mode="edge")
        if self.method == "auto":
            method = "auto" if width >= AUTO_LENGTH else "structure"
        else:
            method = self.method
        # Options the method doesn't use must not make new programs.
        options: dict[str, Any] = {"n_scales": self.n_scales, "backend": self.backend}
        static = {} if method == "structure" else options
        with runtime.precision():
            chunks = [
                np.stack(identify_rows(chunk, float(width), float(self.cone), method=method, **static), axis=1)
                for chunk in windows.reshape(-1, rows, length)
            ]
        return np.concatenate(chunks)[:n]

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the output columns; ``input_features`` is only checked."""
        check_is_fitted(self, "n_features_in_")
        _check_feature_names_in(self, input_features)
        return np.asarray(Identification._fields, dtype=object)
