"""Where the next values of a series will stand."""

from typing import Any

import numpy as np
import pandas as pd

RECENT = 256


def following(index: pd.Index, n: int) -> pd.Index:
    """The ``n`` places after the end of ``index``: by its calendar if it has one, else by its usual step.

    >>> following(pd.DatetimeIndex(["2024-01-31", "2024-02-29", "2024-03-31"]), 2).strftime("%d %b").tolist()
    ['30 Apr', '31 May']
    >>> following(pd.bdate_range("2024-01-01", periods=9).delete(3), 2).strftime("%a %d").tolist()
    ['Fri 12', 'Mon 15']
    >>> following(pd.RangeIndex(5), 2).tolist()
    [5, 6]
    """
    recent = index[-RECENT:]
    if not isinstance(index, pd.DatetimeIndex):
        step: Any = np.median(np.diff(recent)) if len(recent) > 1 else 1
        places = index[-1] + step * np.arange(1, n + 1)
        return pd.Index(places.astype(index.dtype) if float(step).is_integer() else places, name=index.name)
    with pd.option_context("future.infer_freq_returns_offset", True):
        frequency: Any = pd.infer_freq(recent) if len(recent) >= 3 else None
    if frequency is None and len(recent) > 1:
        gap = pd.Series(recent).diff().median()
        weekdays = gap == pd.Timedelta(days=1) and (recent.day_of_week < 5).all()
        frequency = "B" if weekdays else gap
    after = pd.date_range(index[-1], periods=n + 1, freq=frequency or "D", name=index.name)
    # A calendar may round its first place up; then that one is the first to come.
    return after[1:] if after[0] == index[-1] else after[:n]


def shown(place: Any) -> str:
    """A place of an index in words: dates without the time of day if it is midnight.

    >>> shown(pd.Timestamp("2024-02-29")), shown(7)
    ('2024-02-29', '7')
    """
    return str(place).removesuffix(" 00:00:00")
