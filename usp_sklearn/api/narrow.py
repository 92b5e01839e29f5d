"""NarrowWindow: rows as a shorter window would have made them."""

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data


class NarrowWindow(TransformerMixin, BaseEstimator):
    """Keep the last ``width`` values of the window in rows ``[exogenous… | level context… | window]``.

    The level context doesn't depend on the width, so what comes out is what :func:`sliding_window` gives for the
    shorter width at the same times.

    Parameters
    ----------
    width : int
        Values that stay.
    window : int
        Values the window has, the last columns of X.

    Examples
    --------
    >>> import numpy as np
    >>> from usp_sklearn import sliding_window
    >>> series = np.arange(30.0) ** 1.5
    >>> X, _ = sliding_window(series, width=8, season=None)
    >>> narrow, _ = sliding_window(series, width=3, season=None)
    >>> bool((NarrowWindow(width=3, window=8).fit_transform(X) == narrow[-len(X) :]).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "width": [Interval(Integral, 1, None, closed="left")],
        "window": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, width: int = 16, window: int = 32) -> None:
        self.width = width
        self.window = window

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Remember the columns of ``X`` (n, n_features)."""
        X = validate_data(self, X, ensure_all_finite="allow-nan", dtype=np.float64)
        if not self.width <= self.window <= X.shape[1]:
            raise ValueError(
                "The 'window' parameter of NarrowWindow must be at least width and at most the number of columns of X. "
                f"Got width={self.width}, window={self.window} with {X.shape[1]} columns instead."
            )
        self.kept_ = np.r_[0 : X.shape[1] - self.window, X.shape[1] - self.width : X.shape[1]]
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Rows (n, n_features − window + width)."""
        check_is_fitted(self)
        X = validate_data(self, X, ensure_all_finite="allow-nan", dtype=np.float64, reset=False)
        return X[:, self.kept_]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns that stay."""
        check_is_fitted(self)
        return np.asarray(_check_feature_names_in(self, input_features), dtype=object)[self.kept_]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
