"""A dirty history on a regular grid."""

import numpy as np
import pandas as pd
import pytest

from usp_sklearn.io.regular import sanitise


def test_a_clean_series_is_itself():
    index = pd.date_range("2024-03-30", periods=50, freq="30min", tz="Europe/Berlin")
    series = pd.Series(np.random.default_rng(0).normal(size=50).cumsum(), index=index)
    clean = sanitise(series, outliers="reject", max_age=3)
    np.testing.assert_array_equal(clean["value"], series)
    # A clock change lies within: the grid goes on in real time.
    assert (clean.index == index).all()
    assert not clean[["missing", "rejected", "clipped", "stale"]].to_numpy().any() and (clean["age"] == 1).all()


def test_gaps_repeats_and_disorder():
    times = np.array([0, 1, 2, 2, 1, 5, 6, 7.3, 8.1, 9])
    values = np.arange(10.0)
    clean = sanitise(values, times, interval=1)
    assert clean.index.tolist() == list(range(10))
    assert clean["value"].tolist() == [0, 1, 2, 2, 2, 5, 6, 7, 8, 9]
    assert clean["missing"].tolist() == [False] * 3 + [True] * 2 + [False] * 5
    assert clean["age"].tolist() == [1, 1, 1, 1, 2, 3, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="after the last observation"):
        sanitise(values, times, order="error")


def test_nothing_looks_ahead():
    rng = np.random.default_rng(1)
    values = rng.normal(size=200).cumsum()
    values[rng.random(200) < 0.2] = np.nan
    values[0] = 0.0
    values[60], values[120:] = 500.0, values[120:] + 300
    whole = sanitise(values, outliers="reject", max_age=2)
    for n in (50, 61, 121, 150):
        pd.testing.assert_frame_equal(sanitise(values[:n], outliers="reject", max_age=2), whole.iloc[:n])
    assert whole["rejected"].sum() == 2  # the spike, and the first value after the jump


@pytest.mark.parametrize(
    "bad", [([], {}), ([np.nan, 1.0], {}), ([[1.0]], {}), ([1.0, 2.0], {"at": [1]}), ([1.0, np.inf], {})]
)
def test_what_is_no_series_is_refused(bad):
    with pytest.raises(ValueError):
        sanitise(bad[0], **bad[1])
