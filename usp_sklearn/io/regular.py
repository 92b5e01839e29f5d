"""A dirty history made fit to learn from: one value per sampling interval, and flags that say which are real."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .sanitise import Gate, Policy, seconds


def sanitise(
    series: ArrayLike,
    at: Sequence[Any] | None = None,
    *,
    missing: str = "hold",
    outliers: str = "keep",
    order: str = "skip",
    max_age: float | None = None,
    interval: Any = None,
) -> pd.DataFrame:
    """The series on a regular grid; what is missing keeps the last value.

    The same gate as before a :class:`~usp_sklearn.Stream`, so nothing looks ahead: the first rows of the result are
    those of the first rows of the input.

    Parameters
    ----------
    series : (n,) array or Series
        NaN where there is no value. The first must be there.
    at : (n,) dates or numbers, optional
        Times; default: the index of a Series if it holds dates, else one interval apart.
    missing, outliers, order, max_age, interval
        As for :class:`~usp_sklearn.Stream`.

    Returns
    -------
    DataFrame with the column ``value``, the flags ``missing`` (also where a gap was filled), ``rejected``, ``clipped``
    and ``stale``, and ``age`` in intervals since the last value; indexed by time where there are times.

    Examples
    --------
    >>> times = pd.to_datetime(["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 05:00"])
    >>> clean = sanitise(pd.Series([1.0, 2.0, np.nan, 3.0], index=times))
    >>> clean["value"].tolist(), int(clean["missing"].sum())
    ([1.0, 2.0, 2.0, 2.0, 2.0, 3.0], 3)
    """
    index = getattr(series, "index", None)
    if at is None and isinstance(index, pd.DatetimeIndex):
        at = index
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 1 or not len(values) or np.isnan(values[0]):
        raise ValueError("The 'series' parameter of sanitise must be 1-D and begin with a value.")
    times = None if at is None else list(at)
    if times is not None and len(times) != len(values):
        raise ValueError(f"The 'at' parameter of sanitise must hold {len(values)} times. Got {len(times)} instead.")
    if interval is None and times is not None and len(times) > 1:
        steps = np.diff([seconds(t) for t in times])
        interval = float(np.median(steps[steps > 0])) if (steps > 0).any() else None
    gate = Gate(Policy(missing, outliers, order, max_age, interval), "sanitise")
    rows: list[tuple[float, bool, bool, bool, bool, float]] = []
    for i, value in enumerate(values):
        got = gate.admit(value, None if times is None else times[i])
        if got.skipped:
            continue
        last = rows[-1][0] if rows else got.value
        rows += [(last, True, False, False, got.stale, got.age - got.gap - 1 + k + 1) for k in range(got.gap)]
        absent = np.isnan(got.value)
        rows.append((last if absent else got.value, got.missing, got.rejected, got.clipped, got.stale, got.age))
    table = pd.DataFrame(rows, columns=["value", "missing", "rejected", "clipped", "stale", "age"])
    if times is None:
        return table
    if isinstance(times[0], (str, pd.Timestamp, np.datetime64)) or hasattr(times[0], "isoformat"):
        start = pd.Timestamp(times[0])
        table.index = start + pd.to_timedelta(np.arange(len(table)) * (interval or 0.0), unit="s")
    else:
        table.index = pd.Index(float(times[0]) + np.arange(len(table)) * (interval or 0.0))
    return table
