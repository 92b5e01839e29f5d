"""Every public function under arguments drawn at random: an error that is documented, or a result that makes sense.

The other properties of the package are where their subject is tested; the last test here looks that no public name is
without any.
"""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.linear_model import QuantileRegressor

import usp_sklearn as usp
from usp_sklearn.io.telemetry.names import admitted

ROOT = Path(__file__).resolve().parents[2]
COVERED: set[str] = set()
ELSEWHERE = {
    "tests/api/test_stream_policies.py": {"Stream"},
    "tests/io/test_sanitise.py": {"sanitise"},
    "tests/io/test_series.py": {"read_series"},
}
"""Names whose properties are tested in these files."""

reals = st.floats(-1e6, 1e6, allow_subnormal=False)
anything = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 60), st.just(10**30), reals, st.floats(), st.text(max_size=4),
    st.lists(st.floats(0, 1), max_size=3), st.sampled_from(["auto", "graph", "sinkhorn", "A", "10**30"]),
)  # fmt: skip


def mostly(usual):
    """What is usual, and now and then anything."""
    return st.integers(0, 9).flatmap(lambda i: usual if i else anything)


some = st.integers(1, 5)
clean = arrays.arrays(float, st.integers(8, 60), elements=reals)
dirty = st.one_of(reals, st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0]))


def drawn(examples, **strategies):
    """A property: examples that are the same in every run, failing ones as they were found."""

    def wrap(test):
        bounded = settings(
            max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate]
        )
        return bounded(given(**strategies)(test))

    return wrap


def about(*names):
    """These public names are what the test is about."""
    COVERED.update(names)
    return lambda test: test


def answered(call):
    """What the call gives; None if it refuses with an error that says something."""
    try:
        return call()
    except (ValueError, TypeError) as error:
        assert len(str(error)) > 10, repr(error)
        return None


def finite(x):
    assert np.isfinite(np.asarray(x, dtype=float)).all(), x
    return np.asarray(x, dtype=float)


# ------------------------------------------------------------------ scores

forecasts = st.integers(1, 6).flatmap(
    lambda n: st.integers(1, 5).flatmap(
        lambda k: st.tuples(
            st.one_of(arrays.arrays(float, n, elements=reals), arrays.arrays(float, n, elements=dirty)),
            arrays.arrays(float, (n, k), elements=reals).map(lambda q: np.sort(q, axis=1)),
            st.lists(st.floats(0.001, 0.999), min_size=k, max_size=k, unique=True).map(sorted),
        )
    )
)


@about("crps_score", "pinball_score", "pit_values", "scaled_crps_score", "weighted_interval_score")
@drawn(60, case=forecasts)
def test_scores_of_quantiles(case):
    y, q, levels = case
    scores = [usp.crps_score, usp.pinball_score, usp.weighted_interval_score]
    for score in scores:
        given = answered(lambda score=score: score(y, q, quantiles=levels))
        if given is not None:
            assert np.isfinite(y).all() and finite(given) >= 0
    scaled = answered(lambda: usp.scaled_crps_score(y, q, quantiles=levels, y_train=np.arange(5.0)))
    assert scaled is None or finite(scaled) >= 0
    pit = answered(lambda: usp.pit_values(y, q, quantiles=levels))
    assert pit is None or ((finite(pit) >= 0) & (pit <= 1)).all()
    if not np.isfinite(y).all():
        assert pit is None


@about("coverage_score", "interval_score", "WISComponents", "weighted_interval_components")
@drawn(60, case=forecasts, coverage=mostly(st.floats(-0.1, 1.1)))
def test_scores_of_intervals(case, coverage):
    y, q, levels = case
    ends = q[:, [0, -1]]
    inside = answered(lambda: usp.coverage_score(y, ends))
    assert inside is None or 0 <= inside <= 1
    width = answered(lambda: usp.interval_score(y, ends, coverage=coverage))
    assert width is None or (0 < coverage < 1 and finite(width) >= 0)
    parts = answered(lambda: usp.weighted_interval_components(y, q, quantiles=levels))
    if parts is not None:
        assert (finite(parts) >= 0).all()
        whole = usp.weighted_interval_score(y, q, quantiles=levels)
        assert sum(parts) == pytest.approx(whole, rel=1e-9, abs=1e-9)


@about("mase_score", "diebold_mariano", "DieboldMariano")
@drawn(60, y=mostly(clean), p=mostly(clean), m=mostly(some), n=st.integers(8, 60))
def test_scores_of_points_and_their_difference(y, p, m, n):
    y, p = (x[:n] if isinstance(x, np.ndarray) else x for x in (y, p))
    error = answered(lambda: usp.mase_score(y, p, y_train=y, m=m))
    assert error is None or finite(error) >= 0
    test = answered(lambda: usp.diebold_mariano(y, p, horizon=m))
    assert test is None or 0 <= test.p_value <= 1


@about(
    "get_scorer", "scorer_names", "crps_scorer", "coverage_scorer", "interval_scorer", "mase_scorer", "pinball_scorer"
)
@drawn(60, name=mostly(st.sampled_from(usp.scorer_names())), value=mostly(st.floats(0.01, 0.99) | some))
def test_scorers(name, value):
    found = answered(lambda: usp.get_scorer(name))
    assert (found is not None) == ((isinstance(name, str) and name in usp.scorer_names()) or callable(name))
    X = np.arange(40.0).reshape(10, 4) ** 1.5
    model = QuantileRegressor(alpha=0.0, solver="highs").fit(X, X[:, -1])
    for make in (usp.coverage_scorer, usp.interval_scorer, usp.mase_scorer, usp.pinball_scorer):
        scorer = answered(lambda make=make: make(value))
        if scorer is not None:
            score = answered(lambda scorer=scorer: scorer(model, X, X[:, -1]))
            assert score is None or np.ndim(score) == 0
    assert answered(lambda: usp.crps_scorer(value, X, X[:, -1])) is None


# ------------------------------------------------------------------ series and rows


@about("sliding_window", "SlidingWindow", "WindowBuffer", "NarrowWindow")
@drawn(
    100, series=mostly(st.lists(reals, max_size=30)), width=mostly(some), horizon=mostly(some),
    season=mostly(st.none() | some), averages=mostly(st.none() | st.lists(st.floats(0.01, 1), max_size=2)),
    multi=st.booleans(), narrow=mostly(some),
)  # fmt: skip
def test_rows_of_a_series(series, width, horizon, season, averages, multi, narrow):
    options = {"width": width, "horizon": horizon, "season": season, "averages": averages, "multi": multi}
    rows = answered(lambda: usp.sliding_window(series, **options))
    if rows is None:
        return
    (X, y), values = map(finite, rows), np.asarray(series)
    assert len(X) == len(y) == len(series) - width - horizon + 1
    expected = np.lib.stride_tricks.sliding_window_view(values, width)[: len(X)]
    assert (X[:, -width:] == expected).all()
    ahead = y[:, -1] if multi else y
    assert (ahead == values[width + horizon - 1 :]).all()
    cut = answered(lambda: usp.NarrowWindow(width=narrow, window=width).fit_transform(X))
    if cut is not None and len(cut):
        assert (cut[:, -narrow:] == X[:, -narrow:]).all()


@about("find_seasons")
@drawn(60, series=mostly(clean), longest=mostly(st.none() | st.integers(2, 20)))
def test_seasons_are_no_longer_than_half_of_the_series(series, longest):
    found = answered(lambda: usp.find_seasons(series, max_season=longest))
    for season in found or ():
        assert season is None or 2 <= season <= len(series) / 2


@about("WalkForwardSplit")
@drawn(
    100, n=st.integers(0, 40), splits=mostly(some), horizon=mostly(some), gap=mostly(st.none() | some),
    size=mostly(st.none() | some), longest=mostly(st.none() | some), rolling=st.booleans(),
)  # fmt: skip
def test_folds_never_look_ahead(n, splits, horizon, gap, size, longest, rolling):
    options = {"horizon": horizon, "gap": gap, "test_size": size, "max_train_size": longest, "rolling": rolling}
    folds = answered(lambda: list(usp.WalkForwardSplit(splits, **options).split(np.zeros((n, 1)))))
    if folds is None:
        return
    assert len(folds) == splits
    seen = -1
    for train, test in folds:
        assert len(train) and len(test) and (np.diff(train) == 1).all() and (np.diff(test) == 1).all()
        assert test[0] - train[-1] - 1 >= (horizon - 1 if gap is None else gap) and train[0] >= 0 and test[-1] < n
        assert test[0] > seen
        seen = test[-1]


# ------------------------------------------------------------------ detectors, transformers, aggregation


@about("CUSUMDetector")
@drawn(40, residuals=clean | arrays.arrays(float, 9, elements=dirty), h=mostly(st.floats(0.1, 9)),
       k=mostly(st.floats(0, 2)), grace=mostly(some))  # fmt: skip
def test_alarms(residuals, h, k, grace):
    X = residuals[:, None]
    detector = usp.CUSUMDetector(h=h, k=k, grace_period=grace)
    path = answered(lambda: detector.fit_transform(X))
    if path is not None:
        assert np.isfinite(X).all() and (finite(path)[:, :2] >= 0).all()
        assert usp.CUSUMDetector(h=h, k=k, grace_period=grace).fit(X).predict(X).shape == (len(X),)


@about("HolderTransformer", "LogSignatureTransformer")
@drawn(20, X=arrays.arrays(float, (4, 32), elements=reals) | arrays.arrays(float, (4, 32), elements=dirty))
def test_features_of_windows(X):
    for transformer in (usp.HolderTransformer(), usp.LogSignatureTransformer(depth=2)):
        out = answered(lambda transformer=transformer: transformer.fit_transform(X))
        assert out is None or len(finite(out)) == 4
        assert out is not None or not np.isfinite(X).all() or np.abs(X).max() > 1e100


@about("JKOAggregator")
@drawn(20, E=arrays.arrays(float, (12, 2, 3), elements=reals) | arrays.arrays(float, (12, 2, 3), elements=dirty),
       y=arrays.arrays(float, 12, elements=reals))  # fmt: skip
def test_a_mix_of_experts_is_ordered(E, y):
    E = np.sort(E, axis=-1)
    model = answered(lambda: usp.JKOAggregator(quantiles=[0.1, 0.5, 0.9]).fit(E, y))
    if model is None:
        assert not (np.isfinite(E).all() and np.isfinite(y).all()) or max(np.abs(E).max(), np.abs(y).max()) > 1e100
        return
    mixed = finite(model.predict(E))
    assert (np.diff(mixed, axis=-1) >= 0).all()


# ------------------------------------------------------------------ predictors

PREDICTORS = (usp.LevyPredictor, usp.DGMPredictor, usp.JumpDiffusionPredictor, usp.SignaturePredictor, usp.JKOPredictor)


@about("DGMPredictor", "JumpDiffusionPredictor", "SignaturePredictor", "JKOPredictor", "JKOEnsemble")
@drawn(40, which=st.sampled_from((*PREDICTORS, usp.JKOEnsemble)), place=st.integers(0, 99), value=anything)
def test_parameters_are_refused_by_name(which, place, value):
    """Before anything is trained: what is no row at all is only looked at once the parameters are right."""
    names = sorted(usp.LevyPredictor().get_params()) if which is not usp.JKOEnsemble else ["quantiles", "regressors"]
    name = names[place % len(names)]
    with pytest.raises((ValueError, TypeError)) as caught:
        which(**{name: value}).fit(np.zeros((0, 4)), np.zeros(0))
    assert len(str(caught.value)) > 10


@about("LevyPredictor", "PredictiveDistribution", "save", "load", "SnapshotError")
@drawn(
    16,
    y=arrays.arrays(float, 40, elements=reals) | arrays.arrays(float, 40, elements=dirty),
    levels=st.lists(st.floats(0.001, 0.999), min_size=2, max_size=5),
)
def test_laws_of_any_series_are_finite_and_ordered(y, levels):
    X = np.lib.stride_tricks.sliding_window_view(y, 8)[:-1]
    model = answered(lambda: usp.LevyPredictor(width=8).fit(X, y[8:]))
    if model is None:
        assert not np.isfinite(y).all() or np.abs(y).max() > 1e100
        return
    law = model.predict_distribution(X[-3:])
    levels = sorted(levels)
    q = finite(law.ppf(levels))
    # A tail may be too heavy for a standard deviation, which is infinite then.
    assert (np.diff(q, axis=1) >= 0).all() and (law.std() >= 0).all()
    inside = finite(law.cdf(q[:, 0]))
    assert ((inside >= 0) & (inside <= 1)).all()
    path = Path(f"{_scratch()}/m.usp")
    usp.save(model, path)
    assert (usp.load(path).predict(X) == model.predict(X)).all()


@cache
def _folder():
    return TemporaryDirectory()


def _scratch():
    """One folder for all examples."""
    return _folder().name


@about("save", "load", "SnapshotError")
@drawn(60, thing=anything, data=st.binary(max_size=200))
def test_what_is_no_model_is_neither_saved_nor_loaded(thing, data):
    path = Path(f"{_scratch()}/x.usp")
    with pytest.raises(TypeError, match="must be one of"):
        usp.save(thing, path)
    path.write_bytes(data)
    with pytest.raises(usp.SnapshotError):
        usp.load(path)


@about("default_space", "tune", "Tuned", "walk_forward", "WalkForward", "warm_up")
@drawn(40, thing=anything, columns=anything, trials=anything)
def test_what_is_no_model_is_not_walked_tuned_or_warmed_up(thing, columns, trials):
    X = np.zeros((20, 4))
    space = answered(lambda: usp.default_space(usp.LevyPredictor(), columns))
    assert space is None or all(isinstance(name, str) for name in space)
    for call in (
        lambda: usp.walk_forward(thing, X, X[:, 0]),
        lambda: usp.tune(thing, X, X[:, 0], n_trials=trials),
        lambda: usp.warm_up(thing),
    ):
        assert answered(call) is None


# ------------------------------------------------------------------ everything around


@about("datasets")
@drawn(40, n=st.integers(-2, 50), seed=st.integers(0, 2**32 - 1), which=st.sampled_from(
    [name for name in dir(usp.datasets) if name.startswith("make_")]))  # fmt: skip
def test_simulated_series(n, seed, which):
    make = getattr(usp.datasets, which)
    series = answered(lambda: make(n, random_state=seed))
    if series is not None:
        assert finite(series).shape == (n,) and (make(n, random_state=seed) == series).all()
    assert series is not None or n < 2


@about("telemetry")
@drawn(60, record=st.dictionaries(st.one_of(st.text(max_size=5), st.sampled_from(["kurtosis", "pit", "outlier", "mode",
       "gap"])), st.one_of(anything, st.sampled_from(["standard", np.True_, np.float64(2)])), max_size=6))  # fmt: skip
def test_a_line_of_telemetry_is_json_of_what_may_leave(record):
    path = Path(f"{_scratch()}/t.jsonl")
    path.unlink(missing_ok=True)
    sink, metrics = usp.telemetry.JsonLines(path, stream='a"\n%s'), usp.telemetry.Metrics()
    usp.telemetry.Tee(sink, metrics).write(record)
    sink.close()
    (line,) = path.read_text().splitlines()
    said = json.loads(line, parse_constant=lambda name: pytest.fail(name))
    assert said.pop("stream") == 'a"\n%s' and said.pop("step") == 1 and said.pop("time") > 0
    known = dict(admitted(record))
    assert said == {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in known.items()}
    assert "usp_steps_total" in metrics.text()


@about("configure")
@drawn(20, switch=st.text(min_size=1, max_size=5))
def test_switches_that_are_not_known_are_refused(switch):
    with pytest.raises((ValueError, TypeError)):
        usp.configure(matmul_precision=switch)


@about(*(name for name in usp.__all__ if name.endswith("Display")))
@drawn(6, case=forecasts, weights=arrays.arrays(float, (5, 2), elements=st.floats(0, 1)))
def test_pictures(case, weights):
    import matplotlib.pyplot as plt

    y, q, levels = case
    names = ["holder_exponent", "holder_se", "regime_changed", "coverage_error"][: 2 + len(y)]
    record = pd.DataFrame(dict.fromkeys(names, weights[:, 0]))
    for call in (
        lambda: usp.FanChartDisplay.from_predictions(y, q, levels),
        lambda: usp.PITDisplay.from_predictions(y, q, levels),
        lambda: usp.ReliabilityDisplay.from_predictions(y, q, levels),
        lambda: usp.SpectrumDisplay.from_predictions(weights[:, 0]),
        lambda: usp.TelemetryDisplay.from_predictions(record, panels=("holder", "coverage", "flags")),
        lambda: usp.WeightsDisplay.from_predictions(weights),
    ):
        display = answered(call)
        if display is not None:
            display.figure_.canvas.draw()
        plt.close("all")


def test_values_whose_squares_are_no_numbers_are_refused_without_a_trace():
    """Found here: a series of 1e300 gave laws that were no numbers."""
    y = usp.datasets.make_ou(40, random_state=0)
    X = np.lib.stride_tricks.sliding_window_view(y, 8)[:-1]
    model = usp.LevyPredictor(width=8).fit(X, y[8:])
    stream, other = usp.Stream(model, y), usp.Stream(model, y)
    with pytest.raises(ValueError, match=r"at most 1e\+150 in absolute value\. Got 1e\+200"):
        stream.push(1e200)
    assert (stream.push(0.5).ppf([0.1, 0.9]) == other.push(0.5).ppf([0.1, 0.9])).all()
    for call in (
        lambda: model.predict(1e200 * X),
        lambda: model.partial_fit(X, 1e200 * y[8:]),
        lambda: usp.Stream(model, 1e200 * y),
        lambda: usp.HolderTransformer().fit(1e200 * X),
        lambda: usp.CUSUMDetector().fit(1e200 * X),
        lambda: usp.JKOAggregator().fit(1e200 * np.ones((5, 2, 25)), y[:5]),
    ):
        with pytest.raises(ValueError, match="at most 1e"):
            call()


def test_no_public_name_is_without_a_property():
    for path, names in ELSEWHERE.items():
        text = (ROOT / path).read_text()
        assert "@given(" in text and all(name.lower() in text.lower() for name in names)
    assert COVERED | set.union(*ELSEWHERE.values()) == set(usp.__all__)
