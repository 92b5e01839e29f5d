"""Streams under dirty input: flags, widening, recovery; what is clean is untouched by the policies."""

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, QuantileRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from usp_sklearn import JKOEnsemble, JKOPredictor, LevyPredictor, Stream, datasets, sliding_window

LEVELS = [0.01, 0.1, 0.5, 0.9, 0.99]
KNOWN = 400
SERIES = datasets.make_ou(1400, random_state=3)


@pytest.fixture(scope="module")
def model():
    X, y = sliding_window(SERIES[:KNOWN], width=16, averages=None, season=None)
    return LevyPredictor(width=16).fit(X, y)


def stream(model, **options):
    return Stream(model, SERIES[:KNOWN], **options)


def follow(stream, values, **more):
    return np.array([stream.push(v, **more).ppf(LEVELS) for v in values])


def test_policies_change_nothing_for_clean_input(model):
    plain = follow(stream(model), SERIES[KNOWN : KNOWN + 60])
    index = pd.date_range("2024-01-01", periods=KNOWN, freq="h")
    guarded = Stream(
        model, pd.Series(SERIES[:KNOWN], index=index), missing="hold", outliers="reject", order="skip", max_age=3
    )
    later = pd.date_range(index[-1], periods=61, freq="h")[1:]
    laws = [guarded.push(v, at=t).ppf(LEVELS) for v, t in zip(SERIES[KNOWN : KNOWN + 60], later, strict=True)]
    np.testing.assert_array_equal(laws, plain)
    record = guarded.telemetry_
    assert not any(record[f] for f in ("missing", "rejected", "clipped", "stale", "skipped")) and record["late"] == 0


def test_laws_widen_with_the_time_since_the_last_value(model):
    one = stream(model, missing="hold", max_age=4)
    one.push(SERIES[KNOWN])
    spread, stale = [], []
    for _ in range(9):
        low, high = one.push(None).ppf([0.1, 0.9])
        spread.append(high - low)
        stale.append(one.telemetry_["stale"])
        assert one.telemetry_["missing"]
    assert (np.diff(spread) > 0).all()
    assert spread[8] / spread[0] == pytest.approx(np.sqrt(10 / 2), rel=0.2)
    assert stale == [False] * 4 + [True] * 5
    one.push(SERIES[KNOWN + 10])
    one.push(SERIES[KNOWN + 11])
    assert not one.telemetry_["stale"] and one.telemetry_["age"] == 1


def test_coverage_holds_where_values_are_missing():
    """A random walk of which every third value is lost: widened laws cover what they say."""
    walk = np.random.default_rng(5).normal(size=2600).cumsum()
    X, y = sliding_window(walk[:KNOWN], width=16, averages=None, season=None)
    one = Stream(LevyPredictor(width=16).fit(X, y), walk[:KNOWN], missing="hold")
    inside = {True: [], False: []}
    for t in range(KNOWN, len(walk) - 1):
        lost = t % 3 == 0
        low, high = one.push(None if lost else walk[t]).ppf([0.1, 0.9])
        inside[lost].append(low <= walk[t + 1] <= high)
    # 733 and 1,466 outcomes: three standard errors are .044 and .031.
    assert np.mean(inside[True]) == pytest.approx(0.8, abs=0.044)
    assert np.mean(inside[False]) == pytest.approx(0.8, abs=0.031)


def test_a_gap_in_time_is_a_run_of_missing_values(model):
    by_time, by_hand = (stream(model, missing="hold", interval=1.0) for _ in range(2))
    by_time.push(SERIES[KNOWN], at=0.0)
    by_hand.push(SERIES[KNOWN])
    law = by_time.push(SERIES[KNOWN + 6], at=6.0)
    for _ in range(5):
        by_hand.push(None)
    np.testing.assert_array_equal(law.ppf(LEVELS), by_hand.push(SERIES[KNOWN + 6]).ppf(LEVELS))
    assert by_time.telemetry_["gap"] == 5 and by_hand.telemetry_["age"] == 6


def test_a_gap_of_any_length_costs_no_more_than_a_window(model):
    one = stream(model, missing="hold", interval=1.0)
    one.push(SERIES[KNOWN], at=0.0)
    law = one.push(SERIES[KNOWN + 1], at=1e5)
    assert np.isfinite(law.ppf(LEVELS)).all() and one.telemetry_["gap"] == 99_999
    assert one.engine_.stored == 1


def test_a_spike_leaves_no_trace_and_a_jump_is_followed(model):
    scale = np.abs(np.diff(SERIES[:KNOWN])).mean()
    clean, spiked = stream(model, missing="hold"), stream(model, missing="hold", outliers="reject")
    follow(clean, [*SERIES[KNOWN : KNOWN + 20], None])
    follow(spiked, [*SERIES[KNOWN : KNOWN + 20], SERIES[KNOWN + 20] + 500 * scale])
    assert spiked.telemetry_["rejected"] and spiked.telemetry_["outlier"]
    rest = SERIES[KNOWN + 21 : KNOWN + 40]
    np.testing.assert_array_equal(follow(spiked, rest), follow(clean, rest))
    jumped = follow(spiked, SERIES[KNOWN + 40 : KNOWN + 44] + 500 * scale)
    # The series returns to its mean, hence a model of it expects a part of the jump to go again.
    assert (np.abs(jumped[1:, 2] - SERIES[KNOWN + 41 : KNOWN + 44] - 500 * scale) < 60 * scale).all()


def test_a_refused_push_leaves_the_stream_as_it_was(model):
    one, other = stream(model), stream(model)
    for bad in (None, np.nan, np.inf):
        with pytest.raises(ValueError):
            one.push(bad)
    with pytest.raises(ValueError, match="exog must hold"):
        one.push(1.0, exog=[2.0])
    np.testing.assert_array_equal(follow(one, SERIES[KNOWN:][:5]), follow(other, SERIES[KNOWN:][:5]))


def test_several_and_distant_horizons_survive_gaps():
    for multi in (False, True):
        X, y = sliding_window(SERIES[:KNOWN], width=16, horizon=3, averages=None, season=None, multi=multi)
        fitted = LevyPredictor(width=16, horizon=3).fit(X, y)
        one = Stream(fitted, SERIES[:KNOWN], missing="hold", interval=1.0)
        for k in range(60):
            lost = k % 7 in (2, 3) or 30 <= k < 38
            law = one.push(None if lost else SERIES[KNOWN + k])
            assert one.engine_.stored == 3
        q = np.asarray(law.ppf(LEVELS))
        assert np.isfinite(q).all() and (np.diff(q, axis=-1) > 0).all()


def test_exogenous_values_may_be_missing_too():
    table = np.column_stack([SERIES[:KNOWN], np.sin(np.arange(KNOWN))])
    X, y = sliding_window(table, width=16, averages=None, season=None)
    fitted = LevyPredictor(width=16, n_exog=1).fit(X, y)
    one, other = (Stream(fitted, table, missing="hold") for _ in range(2))
    one.push(SERIES[KNOWN], exog=[0.5]), other.push(SERIES[KNOWN], exog=[0.5])
    a = one.push(SERIES[KNOWN + 1], exog=[np.nan]).ppf(LEVELS)
    np.testing.assert_array_equal(a, other.push(SERIES[KNOWN + 1], exog=[0.5]).ppf(LEVELS))
    assert np.isfinite(one.push(None).ppf(LEVELS)).all()
    with pytest.raises(ValueError, match="exog"):
        one.push(1.0)


dirt = st.one_of(
    st.none(),
    st.just("freeze"),
    st.integers(1, 40),
    st.floats(-1e12, 1e12),
)


# Shrinking would take minutes: events are few and seen in the message.
@settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.lists(dirt, min_size=1, max_size=12))
def test_whatever_came_a_clean_suffix_brings_the_stream_back(model, events):
    """State stays finite, laws stay ordered; 300 clean steps later laws are those of a stream that saw no dirt, to a
    tenth of their width."""
    one = stream(model, missing="hold", outliers="reject", order="skip", interval=1.0, max_age=5)
    clean = stream(model)
    t = 0

    def take(value, at):
        q = one.push(value, at=at).ppf(LEVELS)
        assert np.isfinite(q).all() and (np.diff(q) >= 0).all()

    for event in events:
        if event == "freeze":
            stuck = SERIES[KNOWN + t]
            for _ in range(8):
                t += 1
                take(stuck, float(t))
        elif isinstance(event, int):
            t += event
        elif event is not None:
            # Garbage, then a value: garbage that stays where it is would be a jump.
            t += 1
            take(event, float(t))
        t += 1
        take(None if event is None else SERIES[KNOWN + t], float(t))
    start = KNOWN + t + 1
    follow(clean, SERIES[KNOWN:start])
    # Rings that are not yet full mark their empty places; all else is finite.
    for mine, other in zip(*(jax.tree.leaves(s.engine_.state) for s in (one, clean)), strict=True):
        assert np.isfinite(mine).all() or not np.isfinite(other).all()
    rest = SERIES[start : start + 300]
    mine = np.array([one.push(v, at=float(t + 1 + i)).ppf(LEVELS) for i, v in enumerate(rest)])
    other = follow(clean, rest)
    width = other[-1, 3] - other[-1, 1]
    assert np.abs(mine[-1, 1:4] - other[-1, 1:4]).max() < 0.1 * width


@pytest.mark.parametrize("made", [LinearRegression, lambda: make_pipeline(StandardScaler(), LinearRegression())])
def test_what_no_stream_can_hold_is_named(made):
    X, y = sliding_window(SERIES[:KNOWN], width=16, averages=None, season=None)
    with pytest.raises(TypeError, match=r"'model' parameter of Stream must be a predictor .* Got LinearRegression"):
        Stream(made().fit(X, y), SERIES[:KNOWN])


def test_an_ensemble_goes_on_by_partial_fit():
    X, y = sliding_window(SERIES[:KNOWN], width=16, averages=None, season=None)
    lines = [("line", QuantileRegressor(alpha=0.01))]
    ensemble = JKOEnsemble(JKOPredictor(width=16, branches=["A"], random_state=0), lines, quantiles=[0.1, 0.9])
    with pytest.raises(TypeError, match=r"JKOEnsemble too, go on with partial_fit .* Got JKOEnsemble"):
        Stream(ensemble.fit(X, y), SERIES[:KNOWN])
