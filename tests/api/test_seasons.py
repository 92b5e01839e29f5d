"""Seasons of simulated series with known periods; false alarms of series without; invariance; the law of the test."""

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.stats import gamma, kstest, levy_stable

from usp_sklearn import find_seasons
from usp_sklearn.api import seasons


def sine(rng, n, m):
    return np.sqrt(2) * np.sin(2 * np.pi * (np.arange(n) + rng.uniform(0, m)) / m)


def profile(rng, n, m):
    shape = rng.normal(size=m)
    return (shape / shape.std())[np.arange(n) % m]


def peak(rng, n, m):
    """One sample of each cycle is high; half of all samples of short cycles would be no peak."""
    return np.sqrt(m) * (np.arange(n) % m == rng.integers(m))


def white(rng, n):
    return rng.normal(size=n)


def red(rng, n):
    return 0.6 * lfilter([1], [1, -0.9], rng.normal(size=n))


def walk(rng, n):
    return 0.5 * rng.normal(size=n).cumsum()


def heavy(rng, n):
    return 0.7 * rng.standard_t(2, size=n)


@pytest.mark.parametrize("noise", [white, red, walk, heavy])
@pytest.mark.parametrize("shape", [sine, profile, peak])
def test_the_period_is_found(shape, noise):
    """As much variance as the noise's own (or its steps'), and all but one of 20 periods are found to the sample."""
    found = []
    for i, m in enumerate((5, 7, 12, 15, 20, 24, 30, 36, 48, 52) * 2):
        rng = np.random.default_rng(i)
        n = 20 * m + 400
        found.append(find_seasons(shape(rng, n, m) + noise(rng, n))[:1] == (m,))
    assert np.sum(found) >= 19


@pytest.mark.parametrize("trend", [lambda t: 3 * t, lambda t: np.exp(3 * t), lambda t: 4.0 * (t > 0.6), np.sqrt])
def test_trends_do_not_hide_a_season(trend):
    rng = np.random.default_rng(1)
    y = trend(np.arange(700) / 700) + 0.3 * profile(rng, 700, 24) + 0.3 * rng.normal(size=700)
    assert find_seasons(y) == (24,)


@pytest.mark.parametrize("amplitude", [0.3, 0.7, 1.5])
def test_a_day_within_a_week(amplitude):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        hours = np.arange(1500)
        y = amplitude * sine(rng, 1500, 24) + (hours // 24 % 7 > 4) + 0.3 * rng.normal(size=1500)
        assert find_seasons(y) == (24, 168)
        assert find_seasons(y, n=1) == (24,)


def test_two_cycles_of_their_own():
    rng = np.random.default_rng(0)
    y = profile(rng, 1500, 12) + 0.6 * profile(rng, 1500, 30) + 0.7 * rng.normal(size=1500)
    assert find_seasons(y) == (12, 30)


@pytest.mark.parametrize("weak", [0.25, 0.5, 1.0])
def test_overtones_belong_to_their_fundamental(weak):
    """The cycle of 12 is stronger, yet every other one differs: the season is 24, and never 48."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        y = sine(rng, 1000, 12) + weak * sine(rng, 1000, 24) + 0.5 * rng.normal(size=1000)
        assert find_seasons(y) == (24,)
        assert find_seasons(sine(rng, 1000, 12) + 0.5 * rng.normal(size=1000)) == (12,)


def test_noiseless_cycles_have_no_further_seasons():
    rng = np.random.default_rng(3)
    for m in (3, 4, 7, 24, 48):
        assert find_seasons(profile(rng, 30 * m + 5, m)) == (m,)
        assert find_seasons(sine(rng, 30 * m + 5, m)) == (m,)


@pytest.mark.parametrize(("period", "whole"), [(24.3, 24), (52.18, 52), (30.44, 30), (6.95, 7)])
def test_periods_between_whole_numbers_are_rounded(period, whole):
    rng = np.random.default_rng(5)
    assert find_seasons(sine(rng, 1800, period) + 0.7 * rng.normal(size=1800)) == (whole,)


def test_a_season_must_be_seen_three_times():
    y = sine(np.random.default_rng(0), 400, 24) + 0.7 * np.random.default_rng(1).normal(size=400)
    assert find_seasons(y[:60]) == ()
    assert find_seasons(y[:120]) == (24,)
    assert find_seasons(y, max_season=23) == ()
    assert find_seasons(y, max_season=24) == (24,)


def fractional(rng, n, d):
    k = np.arange(1, n)
    return lfilter(np.cumprod(np.r_[1.0, (k - 1 + d) / k]), [1.0], rng.normal(size=n))


def pseudo(rng, n, radius, period):
    """AR(2) whose spectrum has a hill at ``period``; its cycles lose their phase within 1 / (1 − radius) samples."""
    poles = [1.0, -2 * radius * np.cos(2 * np.pi / period), radius**2]
    return lfilter([1.0], poles, rng.normal(size=n + 500))[500:]


def garch(rng, n):
    y, variance = np.empty(n), 1.0
    for i, e in enumerate(rng.normal(size=n)):
        y[i] = np.sqrt(variance) * e
        variance = 0.02 + 0.1 * y[i] ** 2 + 0.88 * variance
    return y


WITHOUT = [
    white,
    red,
    walk,
    lambda rng, n: lfilter([1.0], [1.0, 0.7], rng.normal(size=n)),
    lambda rng, n: fractional(rng, n, 0.2),
    lambda rng, n: fractional(rng, n, 0.4),
    lambda rng, n: fractional(rng, n, -0.3).cumsum(),
    lambda rng, n: fractional(rng, n, 0.3).cumsum(),
    lambda rng, n: pseudo(rng, n, 0.9, 12),
    lambda rng, n: pseudo(rng, n, 0.95, 24),
    lambda rng, n: pseudo(rng, n, 0.97, 40),
    lambda rng, n: levy_stable.rvs(1.5, 0.0, size=n, random_state=rng),
    lambda rng, n: levy_stable.rvs(1.7, 0.0, size=n, random_state=rng).cumsum(),
    garch,
    lambda rng, n: garch(rng, n).cumsum(),
    lambda rng, n: 4 * (np.cumsum(rng.random(n) < 0.03) % 2) + rng.normal(size=n),
    lambda rng, n: rng.poisson(0.4, size=n).astype(float),
    lambda rng, n: np.arange(n) * 0.05 + rng.normal(size=n),
    lambda rng, n: 5.0 * (np.arange(n) > 0.6 * n) + rng.normal(size=n),
    lambda rng, n: rng.normal(size=n).cumsum().cumsum(),
]


def test_series_without_season_rarely_have_one():
    alarms = [
        find_seasons(make(np.random.default_rng(100 + 20 * j + i), 400 + 80 * i)) != ()
        for i, make in enumerate(WITHOUT)
        for j in range(10)
    ]
    assert len(alarms) == 200
    assert np.mean(alarms) <= 0.05


@pytest.mark.parametrize(("a", "b"), [(1.0, 1e4), (-1.0, 0.0), (1e-7, 3.0), (1e9, -1e9), (-250.0, 1.0)])
def test_units_do_not_matter(a, b):
    rng = np.random.default_rng(8)
    for y in (
        profile(rng, 500, 14) + red(rng, 500),
        sine(rng, 900, 24) + sine(rng, 900, 110) + white(rng, 900),
        peak(rng, 600, 30) + heavy(rng, 600),
        walk(rng, 500),
    ):
        assert find_seasons(a * y + b) == find_seasons(y)


def test_nothing_moves_or_hardly_anything_is_there():
    assert find_seasons(np.full(100, 3.0)) == ()
    assert find_seasons([1.0]) == find_seasons(np.arange(8.0)) == find_seasons(np.arange(300.0)) == ()
    assert find_seasons(np.eye(1, 300, 150).ravel()) == ()


def test_only_the_newest_values_are_read(monkeypatch):
    monkeypatch.setattr(seasons, "NEWEST", 500)
    rng = np.random.default_rng(0)
    new = sine(rng, 500, 24) + white(rng, 500)
    assert find_seasons(np.r_[sine(rng, 5000, 7), new]) == find_seasons(new) == (24,)


def test_series_frames_and_columns_are_series():
    rng = np.random.default_rng(0)
    y = sine(rng, 400, 24) + white(rng, 400)
    assert find_seasons(y[:, None]) == find_seasons(pd.Series(y)) == find_seasons(list(y)) == (24,)
    assert all(type(m) is int for m in find_seasons(y))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"y": [1.0, np.nan, 2.0]}, "Input y contains NaN"),
        ({"y": np.ones((9, 2))}, "y should be a 1d array"),
        ({"y": np.ones(9), "n": 0}, "'n' parameter of find_seasons must be"),
        ({"y": np.ones(9), "max_season": 0}, "'max_season' parameter of find_seasons must be"),
    ],
)
def test_bad_input_names_what_is_wrong(arguments, words):
    with pytest.raises(ValueError, match=words):
        find_seasons(**arguments)


def test_surprises_of_lines_are_exponential_without_a_season():
    """Lines of white noise against the bins beside them: the law that the threshold rests on."""
    surprises = []
    for seed in range(60):
        view = seasons._views(np.random.default_rng(seed).normal(size=800).cumsum())[1]
        comb = seasons._comb(view, np.array([799 / 31]), ())
        surprises.append(comb.surprise[comb.usable])
    surprises = np.concatenate(surprises)
    assert len(surprises) > 600
    assert kstest(surprises, "expon").pvalue > 0.01


def test_evidence_bounds_the_tail_of_gamma_closely():
    """One comb with lines of equal surprise; the exact tail is scipy's."""
    for lines in (1, 2, 6, 24):
        for each in (3.0, 8.0, 25.0):
            comb = seasons._Comb(np.full((1, lines), each), np.zeros((1, lines)), np.ones((1, lines), dtype=bool))
            evidence = seasons._evidence(comb)[0][0] + np.log(len(seasons.LADDER))
            exact = max(-gamma.logsf(each * k, k) for k in range(1, lines + 1))
            assert exact - 0.5 < evidence <= exact + 1e-9
