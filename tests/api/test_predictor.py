"""The estimator surface: what users call, what they get, and what bad input tells them."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from usp_sklearn import JKOPredictor, LevyPredictor, SignaturePredictor, SlidingWindow, Stream, sliding_window, warm_up

WIDTH = 16
LEVELS = [0.05, 0.5, 0.95]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return sliding_window(100 + rng.standard_t(4, size=360).cumsum(), width=WIDTH, averages=None)


@pytest.fixture(scope="module")
def fitted(rows):
    X, y = rows
    return LevyPredictor(random_state=0).fit(X[:300], y[:300])


def _state(model):
    return pickle.dumps(model.__getstate__()["state_"])


def test_reading_a_model(fitted, rows):
    X, y = rows[0][300:], rows[1][300:]
    law = fitted.predict_distribution(X)
    q = fitted.predict_quantiles(X, LEVELS)
    np.testing.assert_array_equal(fitted.predict(X), q[:, 1])
    np.testing.assert_array_equal(fitted.predict_interval(X, 0.9), q[:, [0, 2]])
    assert (np.diff(q, axis=1) >= 0).all()
    np.testing.assert_allclose(law.cdf(law.ppf(0.37)), 0.37, atol=1e-9)
    assert law.shape == law.mean().shape == law.std().shape == law.crps(y).shape == y.shape
    draws = fitted.sample(X, 400, random_state=0)
    assert draws.shape == (len(X), 400)
    assert abs((draws <= q[:, 2:]).mean() - 0.95) < 0.02
    assert np.isfinite(fitted.score(X, y))
    clone(fitted).set_params(point="mean")


def test_predict_never_changes_state(fitted, rows):
    before = _state(fitted)
    fitted.predict(rows[0]), fitted.sample(rows[0][:3], random_state=0), fitted.telemetry_
    assert _state(fitted) == before


def test_rows_stand_alone(fitted, rows):
    X = rows[0][290:330]
    whole = fitted.predict_quantiles(X, LEVELS)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(fitted.predict_quantiles(X[order], LEVELS), whole[order], rtol=1e-12)
    np.testing.assert_allclose(
        [fitted.predict_quantiles(X[i : i + 1], LEVELS)[0] for i in (0, 7)], whole[[0, 7]], rtol=1e-12
    )


def test_copies_predict_the_same(fitted, rows):
    X, y = rows[0][300:], rows[1][300:]
    expected = fitted.predict_quantiles(X, LEVELS)
    for other in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(other.predict_quantiles(X, LEVELS), expected)
        assert other.telemetry_ == fitted.telemetry_
        other.partial_fit(X[:5], y[:5])
    np.testing.assert_array_equal(fitted.predict_quantiles(X, LEVELS), expected)


def test_same_seed_same_model(rows):
    X, y = rows
    first, second = (LevyPredictor(random_state=3).fit(X, y).predict(X[-5:]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_partial_fit_in_pieces_is_update_predict(rows):
    X, y = rows
    whole, pieces = (SignaturePredictor(random_state=0).fit(X[:200], y[:200]) for _ in range(2))
    whole.update_predict(X[200:], y[200:])
    for cut in np.split(np.arange(200, len(X)), [1, 3, 70]):
        pieces.partial_fit(X[cut], y[cut])
    assert _state(whole) == _state(pieces)


def test_telemetry(fitted, rows):
    record, frame = fitted.telemetry_, fitted.telemetry_frame_
    assert len(frame) == 300 and frame["mode"].iloc[-1] == record["mode"] == "standard"
    assert record["kernel_weights"] == [1.0, 0.0, 0.0, 0.0] and fitted.weights_ == {"A": 1.0}
    assert record["distance_to_alarm"] <= 1 and record["adaptive_threshold"] >= 5
    assert frame.drop(columns="mode").notna().all().all()


def test_a_shift_raises_the_alarm(rows):
    X, y = sliding_window(
        np.concatenate([np.random.default_rng(1).normal(size=500), 8 + np.zeros(40)]), width=WIDTH, averages=None
    )
    model = LevyPredictor(random_state=0).fit(X[:400], y[:400])
    model.update_predict(X[400:], y[400:])
    changed = model.telemetry_frame_["regime_changed"].to_numpy()
    first = 500 - WIDTH
    assert changed[first : first + 12].any()
    assert (model.telemetry_frame_["mode"] == "robust").iloc[-40:].any()


def test_frozen_signal_is_flagged_and_weights_held():
    rng = np.random.default_rng(2)
    series = rng.normal(size=400).cumsum()
    series[350:370] = series[349]
    X, y = sliding_window(series, width=WIDTH, averages=None)
    model = LevyPredictor(random_state=0).fit(X[:300], y[:300])
    model.update_predict(X[300:], y[300:])
    frozen = model.telemetry_frame_["frozen_signal"].to_numpy()
    assert frozen[340:352].any() and not frozen[:330].any() and not frozen[-5:].any()


def test_two_dimensional_targets(rows):
    series = np.random.default_rng(4).normal(size=300).cumsum()
    X, y = sliding_window(series, width=WIDTH, horizon=3, multi=True, averages=None)
    model = LevyPredictor(random_state=0).fit(X[:200], y[:200])
    assert model.predict(X[200:]).shape == (len(X) - 200, 3)
    assert model.predict_interval(X[200:204]).shape == (4, 3, 2)
    q = model.update_predict(X[200:], y[200:], LEVELS)
    assert q.shape == (len(X) - 200, 3, 3) and np.isfinite(q).all()
    spread = (q[..., 2] - q[..., 0]).mean(0)
    assert (np.diff(spread) > 0).all()
    # Learning starts when the longest horizon has an outcome, so that one alone is the same model.
    single = LevyPredictor(random_state=0, horizon=3).fit(X[:200], y[:200, 2])
    np.testing.assert_allclose(single.update_predict(X[200:], y[200:, 2], LEVELS), q[:, 2], rtol=1e-9)


def test_exogenous_columns_are_used():
    rng = np.random.default_rng(5)
    exog = rng.normal(size=600)
    series = np.concatenate([[0.0], 2.0 * exog[:-1]]).cumsum() + 0.1 * rng.normal(size=600)
    X, y = sliding_window(series, width=WIDTH, averages=None, exog=exog)
    model = LevyPredictor(width=WIDTH, n_exog=1, random_state=0).fit(X[:500], y[:500])
    error = np.abs(y[500:] - model.update_predict(X[500:], y[500:])).mean()
    assert error < 0.3 * np.abs(y[500:] - X[500:, -1]).mean()


def test_frames_and_searches(rows):
    X, y = pd.DataFrame(rows[0]).add_prefix("lag"), pd.Series(rows[1])
    model = LevyPredictor(random_state=0).fit(X, y)
    assert list(model.feature_names_in_) == list(X)
    search = GridSearchCV(LevyPredictor(random_state=0), {"tau": [0.5, 2.0]}, cv=TimeSeriesSplit(2), n_jobs=2)
    assert search.fit(X, y).best_params_["tau"] in (0.5, 2.0)
    make_pipeline(FunctionTransformer(), LevyPredictor(random_state=0)).fit(rows[0], rows[1]).predict(rows[0][:2])


@pytest.mark.parametrize(
    "options", [{"geometry": "sinkhorn"}, {"pooling": "linear"}, {"emergency": "force"}, {"calibration": False}]
)
def test_options_give_finite_ordered_laws(rows, options):
    X, y = rows
    model = JKOPredictor(branches=["A", "D"], random_state=0, **options).fit(X[:250], y[:250])
    q = model.update_predict(X[250:], y[250:], LEVELS)
    assert np.isfinite(q).all() and (np.diff(q, axis=1) >= 0).all()
    assert sum(model.weights_.values()) == pytest.approx(1.0, abs=1e-10)


def test_emergency_puts_all_weight_on_signatures(rows):
    X, y = rows
    model = JKOPredictor(branches=["A", "D"], emergency="force", holder_threshold=5.0, random_state=0).fit(X, y)
    assert model.weights_ == pytest.approx({"A": 0.0, "D": 1.0}) and model.telemetry_["mode"] == "emergency"


def test_constant_series_gives_a_narrow_finite_law():
    X, y = np.full((120, WIDTH), 7.0), np.full(120, 7.0)
    model = LevyPredictor(random_state=0).fit(X, y)
    q = model.predict_quantiles(X[:2], [0.001, 0.5, 0.999])
    np.testing.assert_allclose(q, 7.0, atol=1e-3)


def test_warm_up_changes_nothing(fitted):
    before = _state(fitted)
    warm_up(fitted)
    assert _state(fitted) == before


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tau": -1.0}, "'tau' parameter of LevyPredictor must be"),
        ({"pooling": "mean"}, "'pooling' parameter of LevyPredictor must be"),
        ({"signature_depth": 9}, "'signature_depth' parameter of LevyPredictor must be"),
        ({"width": 40}, "'width' parameter of LevyPredictor must be"),
        ({"n_level": WIDTH}, "'width' parameter of LevyPredictor must be"),
    ],
)
def test_bad_parameters_are_named(rows, params, message):
    with pytest.raises(ValueError, match=message):
        LevyPredictor(**params).fit(*rows)


def test_bad_branches(rows):
    with pytest.raises(ValueError, match="'branches' parameter of JKOPredictor must be"):
        JKOPredictor(branches=["A", "E"]).fit(*rows)


def test_refused_partial_fit_leaves_the_state_alone(fitted, rows):
    X, y = rows
    model = copy.deepcopy(fitted)
    before = _state(model)
    poisoned, short = X[:5].copy(), y[:4]
    poisoned[3, 2] = np.nan
    for bad in (
        (poisoned, y[:5]),
        (X[:5], short),
        (X[:5, :-1], y[:5]),
        (X[:5], np.full(5, np.inf)),
        (X[:5], np.ones((5, 2))),
    ):
        with pytest.raises(ValueError):
            model.partial_fit(*bad)
        assert _state(model) == before


def test_errors_of_reading(fitted, rows):
    X = rows[0]
    with pytest.raises(NotFittedError):
        LevyPredictor().predict(X)
    with pytest.raises(NotFittedError):
        LevyPredictor().update_predict(*rows)
    for bad in ([0.0], [1.2], [], "a", [[0.1]]):
        with pytest.raises(ValueError, match="'quantiles' parameter must be"):
            fitted.predict_quantiles(X, bad)
    for bad in (0, 1.5, "x"):
        with pytest.raises(ValueError, match="'coverage' parameter must be"):
            fitted.predict_interval(X, bad)
    with pytest.raises(ValueError, match="must be a number or an array of shape"):
        fitted.predict_distribution(X[:3]).cdf([1.0, 2.0])
    with pytest.raises(ValueError, match="at least 2 rows"):
        LevyPredictor().fit(X[:1], rows[1][:1])


def test_errors_of_a_stream(fitted, rows):
    history = np.random.default_rng(6).normal(size=50).cumsum()
    with pytest.raises(NotFittedError):
        Stream(LevyPredictor(), history)
    with pytest.raises(ValueError, match="'windows' parameter of Stream"):
        Stream(fitted, history, SlidingWindow(width=WIDTH))
    with pytest.raises(ValueError, match="history must hold at least"):
        Stream(fitted, history[:10])
    stream = Stream(fitted, history)
    before = stream.law.ppf(LEVELS)
    with pytest.raises(ValueError, match="'y' parameter of push"):
        stream.push(np.nan)
    np.testing.assert_array_equal(stream.law.ppf(LEVELS), before)
    assert stream.push(1.0).shape == () and stream.telemetry_["mode"] in ("standard", "robust")


def test_a_stream_goes_on_from_its_pickle(fitted):
    stream = Stream(fitted, np.random.default_rng(6).normal(size=50).cumsum())
    again = pickle.loads(pickle.dumps(stream))
    for value in (1.0, -2.0, 0.5):
        np.testing.assert_array_equal(again.push(value).ppf(LEVELS), stream.push(value).ppf(LEVELS))
