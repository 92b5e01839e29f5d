"""The gate before a stream: what it lets in, what it flags, and that it recovers."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usp_sklearn.io.sanitise import Gate, Policy, seconds

NAN = float("nan")


def walk(n=300, seed=0):
    return np.random.default_rng(seed).normal(size=n).cumsum()


def primed(**options):
    gate = Gate(Policy(**options))
    gate.learn(walk().tolist())
    return gate


def test_by_default_nothing_unclean_is_let_in():
    gate = primed()
    before = gate.last
    for bad in (None, NAN, math.inf, -math.inf):
        with pytest.raises(ValueError, match="The 'y' parameter of push"):
            gate.admit(bad)
    assert gate.last == before and gate.age == 0


def test_missing_values_are_counted_and_age_the_series():
    gate = primed(missing="hold", max_age=3)
    seen = [gate.admit(v) for v in (None, NAN, None, None, 1.0, 1.1, 1.2)]
    assert [i.missing for i in seen] == [True] * 4 + [False] * 3
    assert [i.age for i in seen] == [1, 2, 3, 4, 5, 1, 1]
    # Older than three intervals: stale; below 2.4 of them fresh again.
    assert [i.stale for i in seen] == [False, False, False, True, True, False, False]


def test_staleness_has_hysteresis():
    gate = primed(missing="hold", max_age=5)
    ages = [gate.admit(v) for v in (*[None] * 6, 0.0, *[None] * 4, 0.0, *[None] * 3, 0.0)]
    flags = [(i.age, i.stale) for i in ages]
    assert (6, True) in flags
    # The value after six missing ones was predicted from an age of 7; the next step clears the flag.
    assert flags[6:11] == [(7, True), (1, False), (2, False), (3, False), (4, False)]
    late = Gate(Policy(missing="hold", max_age=5, interval=1.0))
    late.admit(0.0, at=0)
    # Each comes after a gap: 7 old sets it, 5 old keeps it, 4 old clears it, 5 old does not set it.
    assert [late.admit(0.0, at=t).stale for t in (7, 12, 16, 21)] == [True, True, False, False]


def test_gaps_are_measured_in_the_series_own_interval():
    gate = Gate(Policy(missing="hold"))
    for k in range(20):
        assert gate.admit(float(k % 3), at=60.0 * k).gap == 0
    assert gate.interval == 60
    # Punctual to half an interval, then three steps left out.
    assert gate.admit(0.0, at=60.0 * 20 + 20).gap == 0
    assert gate.admit(0.0, at=60.0 * 24).gap == 3
    assert gate.admit(0.0, at=60.0 * 25).age == 1


def test_dates_and_numbers_tell_the_same_time():
    assert seconds(pd.Timestamp("2024-03-01 12:00", tz="Europe/Berlin")) == seconds("2024-03-01 11:00Z")
    assert seconds(np.datetime64("1970-01-01T00:01")) == 60.0
    gate = Gate(Policy(missing="hold", interval="15min"))
    gate.admit(1.0, at="2024-01-01 00:00")
    assert gate.admit(1.0, at="2024-01-01 01:00").gap == 3
    for bad in ("soon", NAN, pd.NaT):
        with pytest.raises(ValueError):
            gate.admit(1.0, at=bad)


def test_late_and_repeated_observations():
    strict, lenient = (Gate(Policy(order=o)) for o in ("error", "skip"))
    for gate in (strict, lenient):
        gate.admit(1.0, at=10)
        gate.admit(2.0, at=20)
    for late in (20, 15, -1.0):
        with pytest.raises(ValueError, match="must be after the last observation"):
            strict.admit(3.0, at=late)
        assert lenient.admit(3.0, at=late).skipped
    assert lenient.skipped == 3 and lenient.last == 2.0 and lenient.at == 20
    # Irregular is not wrong: whatever is later is the next one.
    assert strict.admit(3.0, at=20.0 + 1e-9).gap == 0


@pytest.mark.parametrize("how", ["clip", "reject"])
def test_a_spike_is_kept_out_and_a_jump_let_in(how):
    gate = primed(outliers=how, missing="hold")
    level, scale = gate.last, np.median(gate.sizes) / 0.6745
    spike = gate.admit(level + 1000 * scale)
    assert getattr(spike, {"clip": "clipped", "reject": "rejected"}[how])
    if how == "clip":
        assert spike.value == pytest.approx(level + 20 * scale)
    back = gate.admit(level)
    assert back.value == level and not (back.clipped or back.rejected)
    # The level moves for good: from its second value on it is believed.
    first, second, third = (gate.admit(level + 1000 * scale + d) for d in (0.0, scale, -scale))
    assert first.clipped or first.rejected
    np.testing.assert_allclose([second.value, third.value], [level + 1001 * scale, level + 999 * scale])


def test_outliers_scale_with_the_series():
    values = walk()
    for factor in (1e-6, 1.0, 1e6):
        gate = Gate(Policy(outliers="reject", missing="hold"))
        gate.learn((factor * values).tolist())
        step = factor * np.median(np.abs(np.diff(values[-257:]))) / 0.6745
        assert not gate.admit(gate.last + 19 * step).rejected
        assert gate.admit(gate.last + 40 * step).rejected


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"missing": "drop"}, "missing"),
        ({"outliers": 3}, "outliers"),
        ({"order": None}, "order"),
        ({"max_age": 0}, "max_age"),
        ({"max_age": "old"}, "max_age"),
        ({"interval": -1}, "interval"),
    ],
)
def test_policies_are_checked(options, name):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of Stream must be"):
        Gate(Policy(**options))


values = st.one_of(st.none(), st.just(NAN), st.floats(allow_infinity=False, width=32))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(values, st.floats(0.01, 5.0)), max_size=60),
    st.sampled_from(["keep", "clip", "reject"]),
)
def test_whatever_comes_the_account_is_right(pushes, outliers):
    """Steps add up, ages count from the last value, flags exclude each other; what is learned is finite or absent."""
    gate = Gate(Policy(missing="hold", outliers=outliers, order="skip", interval=1.0, max_age=10))
    gate.learn(walk(50).tolist())
    gate.admit(0.0, at=0.0)
    time, steps, since, last_time = 0.0, 0, 0, 0.0
    for value, elapsed in pushes:
        time += elapsed
        intake = gate.admit(value, at=time)
        assert not intake.skipped
        steps += intake.gap + 1
        assert intake.gap + 1 == max(1, round(time - last_time))
        last_time = time
        assert intake.age == since + intake.gap + 1
        assert intake.missing + intake.rejected + intake.clipped <= 1
        assert math.isnan(intake.value) == (intake.missing or intake.rejected)
        assert not math.isinf(intake.value)
        since = since + intake.gap + 1 if math.isnan(intake.value) else 0
        assert intake.stale or intake.age <= 10
        assert not intake.stale or intake.age > 8
