"""Windows and context against a brute-force loop; causality; equivariance; stream equals batch."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone

from tests.api.checks import estimator_checks
from usp_sklearn.api.context import context, make_plan
from usp_sklearn.api.windows import SlidingWindow, WindowBuffer, sliding_window

RNG = np.random.default_rng(7)
SERIES = RNG.normal(size=400).cumsum() + 3 * np.sin(np.arange(400) * 2 * np.pi / 12) + 50
COLUMN = SERIES[:, None]


def brute_row(y, t, width, horizon, season, averages, rates):
    """One row by the definitions of the documentation, with plain loops over the past."""
    level = []
    for a in averages:
        e = 0.0
        for s in range(t + 1):
            e += max(a, 1 / (s + 1)) * (y[s] - e)
        level.append(e)
    for k in (season - 1, season, season + 1, 2 * season, 7 * season - 1, 7 * season, 7 * season + 1):
        while k < horizon:
            k += season
        level.append(y[t + horizon - k] if t + horizon - k >= 0 else y[t])
    k = season
    while k < horizon:
        k += season
    for a in rates:
        for steps in (False, True):
            if t + horizon - k < 0:
                level.append(y[t])
                continue
            e = 0.0
            for seen, s in enumerate(range((t + horizon) % season, t + 1, season), 1):
                new = (y[s] - y[s - horizon] if s >= horizon else 0.0) if steps else y[s]
                e += max(a, 1 / seen) * (new - e)
            level.append(y[t] + e if steps else e)
    return np.array([*level, *y[t - width + 1 : t + 1]])


@pytest.mark.parametrize(("season", "horizon"), [(12, 1), (12, 5), (5, 8), (2, 1)])
def test_rows_equal_a_brute_force_loop(season, horizon):
    X, y = sliding_window(SERIES, width=8, horizon=horizon, season=season)
    assert X.shape == (400 - 8 - horizon + 1, 5 + 7 + 4 + 8)
    for i in (0, 1, 3, 40, 150, len(X) - 1):
        t = i + 7
        expected = brute_row(SERIES, t, 8, horizon, season, (0.3, 0.1, 0.03, 0.01, 0.002), (0.3, 0.1))
        np.testing.assert_allclose(X[i], expected, rtol=1e-12, atol=1e-11)
        assert y[i] == SERIES[t + horizon]


@pytest.mark.parametrize(("season", "horizon"), [(12, 4), (5, 8), (2, 1)])
def test_all_horizons_at_once(season, horizon):
    """Each block is what a single target at that horizon has, by the loop and by sliding_window itself."""
    averages, rates = (0.3, 0.01), (0.3, 0.1)
    X, y = sliding_window(SERIES, width=6, horizon=horizon, season=season, averages=averages, multi=True)
    assert y.shape == (400 - 6 - horizon + 1, horizon)
    assert X.shape[1] == 2 + 11 * horizon + 6
    for i in (0, 3, 60, 150, len(X) - 1):
        t = i + 5
        np.testing.assert_array_equal(y[i], SERIES[t + 1 : t + 1 + horizon])
        for h in range(1, horizon + 1):
            row = brute_row(SERIES, t, 6, h, season, averages, rates)
            block = X[i, 2 + 11 * (h - 1) : 2 + 11 * h]
            np.testing.assert_allclose(block, row[2:13], rtol=1e-12, atol=1e-11)
        np.testing.assert_array_equal(X[i, -6:], row[-6:])


def test_blocks_of_two_seasons_equal_single_targets():
    options = {"width": 6, "season": 12, "second_season": 30, "averages": (0.1,)}
    X, _ = sliding_window(SERIES, horizon=7, multi=True, **options)
    assert X.shape[1] == 1 + 7 * 22 + 6
    for h in range(1, 8):
        single, _ = sliding_window(SERIES, horizon=h, **options)
        np.testing.assert_array_equal(X[:, 1 + 22 * (h - 1) : 1 + 22 * h], single[: len(X), 1:23])


def test_layout_counts_columns_per_step_only_with_multi():
    for season, second, columns in ((12, None, 11), (12, 30, 22), (None, None, 0)):
        options = {"width": 6, "horizon": 4, "season": season, "second_season": second, "averages": (0.1,)}
        many = SlidingWindow(multi=True, **options).fit(COLUMN)
        assert many.layout == {"width": 6, "n_level": 1 + 4 * columns, "n_exog": 0, "n_ahead": columns}
        buffer = many.buffer()
        assert buffer.layout == many.layout
        assert buffer.n_features == len(buffer.push(1.0)) == 7 + 4 * columns
        assert "n_ahead" not in SlidingWindow(**options).fit(COLUMN).layout
        assert make_plan(4, tuple(filter(None, (season, second))), (0.1,), (0.3, 0.1), True).ahead == columns
    assert make_plan(4, (12,), (0.1,), (0.3,), False).ahead == 0
    assert make_plan(1, (12,), (0.1,), (0.3,), True).ahead == 9


def test_names_of_blocks_say_the_step():
    names = SlidingWindow(width=2, horizon=3, season=24, averages=(0.1,), profile=(0.3,), multi=True).fit(COLUMN)
    names = list(names.get_feature_names_out())
    block = [*(f"lag{k}" for k in (23, 24, 25, 48, 167, 168, 169)), "profile_0.3", "step_0.3"]
    expected = [f"season24_{column}_ahead{h}" for h in (1, 2, 3) for column in block]
    assert names == ["average_0.1", *expected, "lag_1", "lag_0"]


@pytest.mark.parametrize("multi", [False, True])
def test_no_row_sees_the_future(multi):
    plan = make_plan(15, (12, 30), (0.3, 0.01), (0.3, 0.1), multi)
    poisoned = SERIES.copy()
    poisoned[250:] = np.nan
    whole, part = context(SERIES, plan), context(poisoned, plan)
    np.testing.assert_array_equal(part[:250], whole[:250])
    assert np.isfinite(part[:250]).all()
    assert np.isnan(part[250:, 0]).all()
    huge = np.where(np.arange(400) < 250, SERIES, 1e30)
    windows = SlidingWindow(width=16, season=12).fit(COLUMN)
    np.testing.assert_array_equal(windows.transform(huge[:, None])[:250], windows.transform(COLUMN)[:250])


@pytest.mark.parametrize(("a", "b"), [(1.0, -40.0), (1e-3, 7.0), (250.0, 0.0), (3.7, 1e4)])
def test_rows_move_with_the_series(a, b):
    X, y = sliding_window(SERIES, width=16, season=12, second_season=30)
    Xt, yt = sliding_window(a * SERIES + b, width=16, season=12, second_season=30)
    np.testing.assert_allclose(Xt, a * X + b, rtol=1e-12, atol=1e-9 * a)
    np.testing.assert_allclose(yt, a * y + b, rtol=1e-15)


@pytest.mark.parametrize(
    "options",
    [
        {"season": None},
        {"season": "auto"},
        {"season": "auto", "second_season": 30, "horizon": 3, "multi": True},
        {"season": 12},
        {"season": 12, "second_season": 30, "horizon": 5},
        {"season": 4, "horizon": 9},
        {"season": 12, "horizon": 6, "multi": True},
        {"season": 5, "second_season": 35, "horizon": 13, "multi": True},
        {"season": None, "horizon": 3, "multi": True},
        {"averages": None, "profile": False, "season": 24},
        {"season": 12, "profile": (0.5,), "averages": (0.2,)},
    ],
)
def test_stream_equals_batch(options):
    windows = SlidingWindow(width=10, **options).fit(COLUMN)
    rows, buffer = windows.transform(COLUMN), windows.buffer()
    pushed = np.stack([buffer.push(v) for v in SERIES])
    assert buffer.layout["n_level"] + 10 == rows.shape[1]
    np.testing.assert_allclose(pushed, rows, rtol=1e-12, atol=1e-12)
    assert np.isfinite(rows).all()


def test_exogenous_columns_come_first_and_stream_too():
    exog = RNG.normal(size=(400, 2))
    X, _ = sliding_window(SERIES, width=8, season=12, exog=exog)
    np.testing.assert_array_equal(X[:, :2], exog[7:-1])
    windows = SlidingWindow(width=8, season=12).fit(np.c_[SERIES, exog])
    assert windows.layout == {"width": 8, "n_level": 16, "n_exog": 2}
    np.testing.assert_array_equal(windows.transform(np.c_[SERIES, exog])[7:-1], X)
    buffer = windows.buffer(n_exog=2)
    np.testing.assert_allclose(buffer.extend(SERIES[:-1], exog[:-1]), X[-1], rtol=1e-12)


def test_pandas_keep_index_and_names():
    index = pd.date_range("2024-01-01", periods=400, freq="h")
    X, y = sliding_window(pd.Series(SERIES, index, name="load"), width=4, season=24, averages=(0.1,), profile=False)
    assert list(X.columns) == [
        "average_0.1",
        *(f"season24_lag{k}" for k in (23, 24, 25, 48, 167, 168, 169)),
        *(f"lag_{k}" for k in (3, 2, 1, 0)),
    ]
    assert X.index[0] == index[3] and y.index.equals(X.index) and y.name == "load_t+1"
    frame = pd.DataFrame({"load": SERIES, "heat": SERIES**2}, index=index)
    X2, y2 = sliding_window(frame, width=4, horizon=2, season=None, averages=None, multi=True)
    assert list(X2.columns) == ["heat", "lag_3", "lag_2", "lag_1", "lag_0"]
    assert list(y2.columns) == ["load_t+1", "load_t+2"]
    out = SlidingWindow(width=4, season=None, averages=None).set_output(transform="pandas").fit_transform(frame)
    assert list(out.columns) == list(X2.columns) and out.index.equals(index)


def test_short_windows_repeat_the_first_value():
    rows = SlidingWindow(width=5, averages=None).fit_transform(np.arange(1.0, 7.0).reshape(-1, 1))
    np.testing.assert_array_equal(rows[1], [1, 1, 1, 1, 2])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sliding_window(SERIES, width=1), "'width' parameter of sliding_window must be an int in the range"),
        (lambda: sliding_window(SERIES, season=0), "'season' parameter of sliding_window must be"),
        (lambda: sliding_window(SERIES, season="week"), "'season' parameter of sliding_window must be a str among"),
        (lambda: sliding_window(SERIES, train=0), "'train' parameter of sliding_window must be"),
        (lambda: sliding_window(SERIES, train=1.5), "'train' parameter of sliding_window must be"),
        (lambda: SlidingWindow(second_season="auto").fit(COLUMN), "'second_season' parameter of SlidingWindow"),
        (lambda: sliding_window(SERIES, horizon=0), "'horizon' parameter of sliding_window"),
        (lambda: sliding_window(SERIES, averages=(2.0,)), r"'averages' parameter of sliding_window .* Got 2.0"),
        (lambda: sliding_window(SERIES[:20], width=32), r"at least width \+ horizon = 33 values\. Got 20"),
        (lambda: sliding_window(np.r_[SERIES, np.nan]), "Input series contains NaN"),
        (lambda: sliding_window(np.r_[SERIES, np.inf]), "Input series contains infinity"),
        (lambda: sliding_window(SERIES, exog=np.ones(3)), "exog must have 400 rows, .* Got 3"),
        (lambda: sliding_window(np.ones((4, 4, 4))), "dim"),
        (lambda: SlidingWindow().fit(SERIES), "Reshape your data"),
        (lambda: SlidingWindow(width=0).fit(COLUMN), "'width' parameter of SlidingWindow must be"),
        (lambda: SlidingWindow(profile=(0.0,)).fit(COLUMN), "'profile' parameter of SlidingWindow .* Got 0.0"),
        (lambda: WindowBuffer().push(float("nan")), "must be finite"),
        (lambda: WindowBuffer(n_exog=2).push(1.0), "n_exog=2 values. Got 0"),
    ],
)
def test_bad_input_names_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()


DAYS = np.arange(2000)
LOAD = np.sin(DAYS * 2 * np.pi / 24) + (DAYS // 24 % 7 > 4) + 0.3 * RNG.normal(size=2000)


def names(**options):
    """Columns that sliding_window makes of the load."""
    return list(sliding_window(pd.Series(LOAD, name="load"), width=2, averages=None, **options)[0].columns)


def test_the_season_is_found_unless_given():
    assert names() == names(season="auto") == names(season=24, second_season=168)
    assert names(second_season=100) == names(season=24, second_season=100)
    assert names(season=12) != names() and names(season=None) == ["lag_1", "lag_0"]
    # Two weeks can't show a week.
    assert names(train=336) == names(train=0.168) == names(season=24)
    windows = SlidingWindow(width=2, averages=None).fit(LOAD[:, None])
    assert (windows.season_, windows.second_season_) == (24, 168)
    assert list(windows.get_feature_names_out()) == names() and windows.layout["n_level"] == 22
    early = SlidingWindow(width=2, averages=None).fit(LOAD[:336, None])
    assert (early.season_, early.second_season_) == (24, None)
    assert early.transform(LOAD[:, None]).shape == (2000, 13) and early.buffer().n_features == 13
    given = SlidingWindow(season=7, second_season=None).fit(LOAD[:, None])
    assert (given.season_, given.second_season_) == (7, None)


def test_what_comes_after_the_training_part_never_decides_the_season():
    walk = RNG.normal(size=1000).cumsum()
    for first, second in ((LOAD[:1000], walk), (walk, LOAD[:1000])):
        seasons = SlidingWindow().fit(first[:, None])
        options = {"season": seasons.season_, "second_season": seasons.second_season_}
        for later in (second, np.full(1000, 1e30), np.full(1000, np.nan)):
            series = np.concatenate([first, later])
            # NaN is refused at the door; past it, it must not matter either.
            with config_context(assume_finite=True):
                found, given = sliding_window(series)[0], sliding_window(series, **options)[0]
            np.testing.assert_array_equal(found, given)


def test_a_buffer_of_unfitted_windows_has_no_season():
    assert SlidingWindow(width=3).buffer().layout == {"width": 3, "n_level": 5, "n_exog": 0}
    assert SlidingWindow(width=3, season=4).buffer().layout["n_level"] == 16


def test_a_refused_push_leaves_the_buffer_alone():
    one, two = WindowBuffer(width=4, season=3), WindowBuffer(width=4, season=3)
    for v in SERIES[:20]:
        one.push(v)
        two.push(v)
    with pytest.raises(ValueError, match="finite"):
        two.push(float("inf"))
    np.testing.assert_array_equal(one.push(1.0), two.push(1.0))


# ------------------------------------------------------------------ scikit-learn's checks, and the two that can't hold

ALONE = {
    "check_methods_sample_order_invariance": "not invariant when applied to a dataset",
    "check_methods_subset_invariance": "not invariant when applied to a subset",
}
"""Checks that rows stand alone, and what they say of a transformer whose rows don't."""


@estimator_checks(SlidingWindow(width=5, season=4), SlidingWindow(width=5))
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_checks(estimator, check):
    if check.func.__name__ in ALONE:
        with pytest.raises(AssertionError, match=ALONE[check.func.__name__]):
            check(estimator)
    else:
        check(clone(estimator))


def test_no_window_can_pass_them():
    """Two equal rows are one subset, and get one answer; as rows of a series they have different pasts."""
    series = np.array([[1.0], [2.0], [3.0], [2.0]])
    windows = SlidingWindow(width=2, season=None, averages=None).fit(series)
    rows = windows.transform(series)
    np.testing.assert_array_equal(rows, [[1, 1], [1, 2], [2, 3], [3, 2]])
    np.testing.assert_array_equal(windows.transform(series[1:2]), windows.transform(series[3:4]))
    assert (rows[1] != rows[3]).any()


@pytest.mark.parametrize("multi", [False, True])
def test_what_holds_of_subsets_is_that_beginnings_are_left_alone(multi):
    exog = RNG.normal(size=(400, 2))
    table = np.hstack([COLUMN, exog])
    windows = SlidingWindow(width=7, season=12, second_season=30, horizon=3, multi=multi).fit(table)
    rows = windows.transform(table)
    for end in (1, 2, 6, 13, 100, 399):
        np.testing.assert_array_equal(windows.transform(table[:end]), rows[:end])
