"""Experts' quantiles as columns: one expert's levels after the other's, whatever shape they were given in."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def columns_of(X: Any, levels: NDArray[np.float64]) -> Any:
    """Rows (n, experts · levels) of ``X``; what is neither 3-D nor a table of two-storey columns comes back as it is.

    Parameters
    ----------
    X : (n, experts, levels), or (n, experts · levels); a DataFrame may have columns (expert, level), as
        ``pd.concat`` with ``keys`` makes them: their names become text, so that later tables are held to them.
    levels : (levels,)

    Raises
    ------
    ValueError
        If the last axis, or the second storey of an expert's columns, is not ``levels``.

    Examples
    --------
    >>> columns_of(np.zeros((5, 2, 3)), np.array([0.1, 0.5, 0.9])).shape
    (5, 6)
    >>> law = pd.DataFrame([[1.0, 2.0]], columns=[0.1, 0.9])
    >>> columns_of(pd.concat({"a": law, "b": law + 1}, axis=1), np.array([0.1, 0.9])).columns.tolist()
    ['a 0.1', 'a 0.9', 'b 0.1', 'b 0.9']
    """
    if isinstance(X, pd.DataFrame) and X.columns.nlevels == 2:
        return _flat(X, levels)
    table = np.asarray(X) if isinstance(X, list | tuple) else X
    if getattr(table, "ndim", 2) != 3:
        return X
    if table.shape[2] != len(levels):
        raise ValueError(
            f"X must hold the {len(levels)} levels of 'quantiles' in its last axis. Got {table.shape[2]} instead."
        )
    return table.reshape(len(table), table.shape[1] * table.shape[2])


def _flat(X: pd.DataFrame, levels: NDArray[np.float64]) -> pd.DataFrame:
    experts = list(dict.fromkeys(expert for expert, _ in X.columns))
    parts = []
    for expert in experts:
        own = X.loc[:, X.columns.get_level_values(0) == expert]
        found = pd.to_numeric(own.columns.get_level_values(1), errors="coerce")
        if len(found) != len(levels) or not np.allclose(found, levels, rtol=0, atol=1e-12):
            raise ValueError(
                f"X must hold the levels {levels.tolist()} of 'quantiles' in the columns of each expert, in order. "
                f"Got {own.columns.get_level_values(1).tolist()} for {expert!r} instead."
            )
        parts.append(own.set_axis([f"{expert} {level:g}" for level in levels], axis=1))
    return pd.concat(parts, axis=1)
