"""What regressors learn from: rows, outcomes, and metadata such as sample weights, which go along with their rows."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _is_arraylike, _num_samples

Array = NDArray[np.float64]
Key = tuple[str, str]
"""a regressor's name, and what it is told"""


class Told(NamedTuple):
    """Rows (n, p), outcomes (n,) and metadata for each regressor's ``fit``.

    >>> told = Told.of(np.zeros((3, 1)), np.arange(3.0), {"line": {"sample_weight": [1, 2, 3], "fast": True}})
    >>> told.then(told, most=4).part(slice(0, 3)).metadata_of("line")
    {'fast': True, 'sample_weight': array([3, 1, 2])}
    """

    X: Array
    y: Array
    by_row: dict[Key, NDArray[Any]]
    fixed: dict[Key, Any]

    @classmethod
    def of(cls, X: Array, y: Array, metadata: Mapping[str, Mapping[str, Any]]) -> Self:
        """With ``metadata`` by regressor; what has a value for each row is taken to belong to the rows."""
        by_row, fixed = {}, {}
        for regressor, given in metadata.items():
            for name, value in given.items():
                if _is_arraylike(value) and _num_samples(value) == len(X):
                    by_row[regressor, name] = np.asarray(value)
                else:
                    fixed[regressor, name] = value
        return cls(X, y, by_row, fixed)

    def part(self, rows: slice) -> Self:
        """Some of the rows."""
        return type(self)(self.X[rows], self.y[rows], {k: v[rows] for k, v in self.by_row.items()}, self.fixed)

    def then(self, later: Self, most: int) -> Self:
        """These rows and ``later`` ones, the newest ``most`` of them."""
        if set(self.by_row) != set(later.by_row):
            expected, found = (sorted({name for _, name in told.by_row}) for told in (self, later))
            raise ValueError(
                "Metadata of rows must be the same in each call that learns, for rows are refitted on together. "
                f"Got {found} after {expected} instead."
            )
        both = {k: np.concatenate([v, later.by_row[k]])[-most:] for k, v in self.by_row.items()}
        X, y = np.concatenate([self.X, later.X])[-most:], np.concatenate([self.y, later.y])[-most:]
        return type(self)(X, y, both, later.fixed)

    def metadata_of(self, regressor: str) -> dict[str, Any]:
        """Keyword arguments of its ``fit`` for these rows."""
        return {name: v for (whose, name), v in (*self.fixed.items(), *self.by_row.items()) if whose == regressor}
