"""WalkForwardSplit: train on the past, test on what comes next, never the other way round."""

import warnings
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import indexable
from sklearn.utils.validation import _num_samples

Rows = NDArray[np.intp]


class WalkForwardSplit(BaseCrossValidator):
    """Folds of time-ordered rows for ``cv=``: the training part ends before the test part begins.

    The outcome of row i is known ``horizon`` rows later. A training part that ends just before the test part would
    hold outcomes the first test rows are asked to forecast, so at least ``horizon − 1`` rows are left out between
    them; scikit-learn's TimeSeriesSplit leaves that to its user.

    Parameters
    ----------
    n_splits : int
        Folds, at least 1.
    horizon : int
        Steps ahead of a row's outcome; with 2-D y the longest.
    gap : int, optional
        Rows between training and test part, at least ``horizon − 1``, which is the default.
    test_size : int, optional
        Rows of a test part. Default: as TimeSeriesSplit, the rows over ``n_splits + 1``. The test parts follow one
        another and the last one ends with the last row.
    max_train_size : int, optional
        Newest rows a training part keeps at most.
    rolling : bool
        Training parts of one length, that of the first fold, which move on; by default they grow from the first row.

    Notes
    -----
    HalvingGridSearchCV with ``resource="n_samples"`` draws its rows from each training part at random, which undoes
    their order; :func:`usp_sklearn.api.tuning.tune` spares candidates by leaving out folds instead.

    Examples
    --------
    >>> import numpy as np
    >>> cv = WalkForwardSplit(n_splits=2, horizon=2, test_size=3)
    >>> cv
    WalkForwardSplit(gap=None, horizon=2, max_train_size=None, n_splits=2, rolling=False, test_size=3)
    >>> for train, test in cv.split(np.zeros((12, 1))):
    ...     print(train, test)
    [0 1 2 3 4] [6 7 8]
    [0 1 2 3 4 5 6 7] [ 9 10 11]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        horizon: int = 1,
        gap: int | None = None,
        test_size: int | None = None,
        max_train_size: int | None = None,
        rolling: bool = False,
    ) -> None:
        _whole("n_splits", n_splits, 1)
        _whole("horizon", horizon, 1)
        _whole("gap", gap, horizon - 1, " (horizon − 1: later outcomes are not known when the test part begins)")
        _whole("test_size", test_size, 1)
        _whole("max_train_size", max_train_size, 1)
        if not isinstance(rolling, bool | np.bool_):
            raise ValueError(f"The 'rolling' parameter of WalkForwardSplit must be a bool. Got {rolling!r} instead.")
        self.n_splits = n_splits
        self.horizon = horizon
        self.gap = gap
        self.test_size = test_size
        self.max_train_size = max_train_size
        self.rolling = rolling

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of folds; the arguments are ignored."""
        return int(self.n_splits)

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Rows, Rows]]:
        """Row numbers of the training and of the test part, fold by fold in time order.

        Parameters
        ----------
        X : (n, n_features) rows in time order; only their number counts.
        y, groups
            Ignored.
        """
        if groups is not None:
            warnings.warn(f"The groups parameter is ignored by {type(self).__name__}", UserWarning, stacklevel=2)
        X, y = indexable(X, y)
        n, folds = _num_samples(X), int(self.n_splits)
        size = n // (folds + 1) if self.test_size is None else int(self.test_size)
        gap = self.horizon - 1 if self.gap is None else int(self.gap)
        first = n - folds * size - gap
        if size < 1 or first < 1:
            raise ValueError(
                f"Too many splits={folds} for the number of samples={n} with test_size={size} and gap={gap}: "
                "the first training part would be empty."
            )
        most = min(m for m in (n, self.max_train_size, first if self.rolling else None) if m is not None)
        return self._folds(np.arange(n), first, gap, size, int(most))

    def _folds(self, rows: Rows, first: int, gap: int, size: int, most: int) -> Iterator[tuple[Rows, Rows]]:
        for end in range(first, len(rows) - gap, size):
            yield rows[max(0, end - most) : end], rows[end + gap : end + gap + size]


def _whole(name: str, value: Any, least: int, why: str = "") -> None:
    """Refuse a parameter that is no int of at least ``least``; where None is a default it passes."""
    optional = name not in ("n_splits", "horizon")
    if optional and value is None:
        return
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        allowed = f"an int of at least {least}{why}{' or None' if optional else ''}"
        raise ValueError(f"The '{name}' parameter of WalkForwardSplit must be {allowed}. Got {value!r} instead.")
