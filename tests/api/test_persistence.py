"""save and load: a model from a file goes on to the last bit like the one that was never stopped."""

import copy
import json
import os
import pickle
import subprocess
import sys
import warnings

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import QuantileRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from usp_sklearn import (
    JKOAggregator,
    JKOEnsemble,
    JKOPredictor,
    LevyPredictor,
    SignaturePredictor,
    SlidingWindow,
    Stream,
    datasets,
    sliding_window,
)
from usp_sklearn.api import persistence
from usp_sklearn.api.persistence import checkpoint, load, restore, save
from usp_sklearn.io import snapshot
from usp_sklearn.io.schema import SnapshotError
from usp_sklearn.io.store import SnapshotWarning

WIDTH = 16
STEPS = 1000


@pytest.fixture(scope="module")
def series():
    return 100 + np.random.default_rng(0).standard_t(4, size=1500).cumsum()


@pytest.fixture(scope="module")
def fitted(series):
    X, y = sliding_window(series[:300], width=WIDTH, averages=None, season=None)
    return LevyPredictor(random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def kept(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "levy.usp"
    save(fitted, path)
    return path


def same(one, other):
    """Two pytrees: the same structure, and leaves of the same type of number with the same bits."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


# ------------------------------------------------------------------ estimators


def test_all_of_an_estimator_comes_back(fitted, kept):
    loaded = load(kept)
    assert type(loaded) is LevyPredictor and loaded.get_params() == fitted.get_params()
    assert set(vars(loaded)) == set(vars(fitted))
    assert (loaded.n_features_in_, loaded.width_) == (fitted.n_features_in_, fitted.width_)
    same(fitted.state_, loaded.state_)
    assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(loaded.state_))
    pd.testing.assert_frame_equal(loaded.telemetry_frame_, fitted.telemetry_frame_)
    assert loaded.telemetry_ == fitted.telemetry_ and loaded.weights_ == fitted.weights_
    clone(loaded), pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)


def test_loaded_is_uninterrupted_over_a_thousand_steps(series, fitted, kept):
    X, y = sliding_window(series[300 - WIDTH :], width=WIDTH, averages=None, season=None)
    X, y = X[:STEPS], y[:STEPS]
    loaded, uninterrupted = load(kept), copy.deepcopy(fitted)
    levels = [0.001, 0.1, 0.5, 0.9, 0.999]
    np.testing.assert_array_equal(
        loaded.update_predict(X, y, levels), uninterrupted.update_predict(X, y, levels), strict=True
    )
    same(uninterrupted.state_, loaded.state_)
    same(uninterrupted._history, loaded._history)


def test_the_whole_ensemble_is_uninterrupted(tmp_path):
    # The model of the class's own example, whose programs the suite compiles anyway.
    series = datasets.make_ou(300 + STEPS + WIDTH, random_state=0)
    X, y = sliding_window(series[:300], width=WIDTH, season=None)
    model = JKOPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH, random_state=0).fit(X[:-20], y[:-20])
    save(model, tmp_path / "jko.usp")
    loaded = load(tmp_path / "jko.usp")
    same(model.state_, loaded.state_)
    later = slice(len(X) - 20, len(X) - 20 + STEPS)
    X, y = sliding_window(series, width=WIDTH, season=None)
    np.testing.assert_array_equal(
        loaded.update_predict(X[later], y[later], [0.1, 0.5, 0.9]),
        model.update_predict(X[later], y[later], [0.1, 0.5, 0.9]),
    )
    same(model.state_, loaded.state_)
    save(loaded, tmp_path / "again.usp")
    same(load(tmp_path / "again.usp").state_, model.state_)


def test_callbacks_are_no_part_of_a_model(series, tmp_path):
    X, y = sliding_window(series[:300], width=WIDTH, averages=None, season=None)
    model = LevyPredictor(random_state=0).set_callbacks(ProgressBar()).fit(X, y)
    save(model, tmp_path / "watched.usp")
    np.testing.assert_array_equal(load(tmp_path / "watched.usp").predict(X), model.predict(X))


CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
CHILD = """
import json, sys
import numpy as np
from usp_sklearn.api.persistence import load
model, rows = load(sys.argv[1]), np.load(sys.argv[2])
q = model.update_predict(rows[:, :-1], rows[:, -1], [0.1, 0.5, 0.9])
print(json.dumps([v.hex() for v in q.ravel().tolist()]))
"""


def test_another_process_goes_on_to_the_last_bit(series, fitted, kept, tmp_path):
    X, y = sliding_window(series[300 - WIDTH : 400], width=WIDTH, averages=None, season=None)
    np.save(tmp_path / "rows.npy", np.column_stack([X, y]))
    command = [sys.executable, "-c", CHILD, str(kept), str(tmp_path / "rows.npy")]
    cache = {name.upper(): str(getattr(jax.config, name)) for name in CACHE}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | cache)
    expected = copy.deepcopy(fitted).update_predict(X, y, [0.1, 0.5, 0.9])
    assert json.loads(done.stdout) == [v.hex() for v in expected.ravel().tolist()]


def test_horizons_frames_and_odd_parameters(series, tmp_path):
    X, y = sliding_window(
        pd.Series(series[:260], name="p"), width=WIDTH, horizon=3, multi=True, averages=None, season=None
    )
    model = JKOPredictor(branches=("A",), members=["A.long", "A.gaps"], random_state=np.int64(3), tau=np.float32(0.5))
    model.fit(X[:200], y[:200])
    save(model, tmp_path / "a.usp")
    loaded = load(tmp_path / "a.usp")
    params = loaded.get_params()
    assert params == model.get_params() and type(params["tau"]) is np.float32 and type(params["branches"]) is tuple
    np.testing.assert_array_equal(loaded.feature_names_in_, model.feature_names_in_, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(
            loaded.update_predict(X[200:], y[200:], [0.1, 0.9]), model.update_predict(X[200:], y[200:], [0.1, 0.9])
        )
    np.testing.assert_array_equal(
        loaded.sample(X[-1:], 20, paths=True, random_state=0), model.sample(X[-1:], 20, paths=True, random_state=0)
    )


def test_signature_predictor_and_aggregator(series, tmp_path):
    X, y = sliding_window(series[:300], width=WIDTH, averages=None, season=None)
    model = SignaturePredictor(random_state=0).fit(X[:200], y[:200])
    save(model, tmp_path / "d.usp")
    loaded = load(tmp_path / "d.usp")
    np.testing.assert_array_equal(loaded.update_predict(X[200:], y[200:]), model.update_predict(X[200:], y[200:]))
    same(model.state_, loaded.state_)

    rng = np.random.default_rng(0)
    outcomes = rng.normal(size=300)
    experts = np.array([[-1.3, 0.0, 1.3], [-1.0, 0.5, 2.0]]) + 0.1 * rng.normal(size=(300, 2, 1))
    aggregator = JKOAggregator(quantiles=np.array([0.1, 0.5, 0.9])).fit(experts[:200], outcomes[:200])
    save(aggregator, tmp_path / "g.usp")
    again = load(tmp_path / "g.usp")
    np.testing.assert_array_equal(again.weights_path_, aggregator.weights_path_, strict=True)
    np.testing.assert_array_equal(
        again.update_predict(experts[200:], outcomes[200:]), aggregator.update_predict(experts[200:], outcomes[200:])
    )
    same(again.state_, aggregator.state_)


# ------------------------------------------------------------------ streams


@pytest.fixture(scope="module")
def stream(series):
    windows = SlidingWindow(width=WIDTH, season=24, averages=(0.1, 0.01)).fit(series[:300, None])
    X, y = sliding_window(series[:300], width=WIDTH, season=24, averages=(0.1, 0.01))
    pipeline = make_pipeline(StandardScaler(), LevyPredictor(**windows.layout, random_state=0)).fit(X, y)
    return Stream(pipeline, series[:300], windows)


def test_a_stream_goes_on_for_a_thousand_steps(series, stream, tmp_path):
    uninterrupted = pickle.loads(pickle.dumps(stream))
    checkpoint(uninterrupted, tmp_path)
    loaded = restore(tmp_path)
    assert loaded.telemetry_ == uninterrupted.telemetry_ and loaded.buffer.count == 300
    np.testing.assert_array_equal(loaded.law.ppf([0.1, 0.9]), uninterrupted.law.ppf([0.1, 0.9]))
    for i, value in enumerate(series[300 : 300 + STEPS]):
        law, expected = loaded.push(value), uninterrupted.push(value)
        assert law.law.q.tobytes() == expected.law.q.tobytes()
        if i == STEPS // 2:
            checkpoint(loaded, tmp_path)
            loaded = restore(tmp_path)
    same(uninterrupted.engine_, loaded.engine_)
    assert loaded.telemetry_ == uninterrupted.telemetry_


def test_a_restored_stream_owns_its_memory(series, stream, tmp_path):
    save(stream, tmp_path / "s.usp")
    one, other = load(tmp_path / "s.usp"), load(tmp_path / "s.usp")
    before = other.law.ppf(0.5)
    one.push(series[300] + 50.0)
    assert other.law.ppf(0.5) == before == stream.law.ppf(0.5)
    assert other.buffer.count == stream.buffer.count == 300


def test_all_attributes_of_a_stream_are_known(stream):
    """What a stream comes to hold later must get its place in a snapshot."""
    assert set(vars(stream)) - {"_now"} | set(stream._now._fields) == {*persistence.STREAM, "buffer"}


def test_checkpoints_are_five_and_the_newest_valid_one_counts(series, stream, tmp_path):
    moving = pickle.loads(pickle.dumps(stream))
    laws = []
    for value in series[300:307]:
        laws.append(moving.push(value).law.q)
        checkpoint(moving, tmp_path)
    assert len(list(tmp_path.iterdir())) == 5
    newest = tmp_path / "snapshot-00000007.usp"
    newest.write_bytes(newest.read_bytes()[:5000])
    with pytest.warns(SnapshotWarning, match=r"00000006.usp is loaded.*00000007.usp: it is "):
        loaded = restore(tmp_path)
    assert loaded.law.law.q.tobytes() == laws[5].tobytes()
    with pytest.raises(SnapshotError, match="holds no valid snapshot"):
        restore(tmp_path / "absent")


# ------------------------------------------------------------------ what can't be saved or loaded


def test_what_cannot_be_saved_says_what_to_do(fitted, tmp_path):
    path = tmp_path / "x.usp"
    ensemble = JKOEnsemble(JKOPredictor(branches=["A"]), [("linear", QuantileRegressor())])
    for model, message in [
        (
            ensemble,
            "'model' parameter of save must be one of LevyPredictor, .* Got JKOEnsemble instead. Its regressors",
        ),
        (make_pipeline(StandardScaler(), fitted), "Got Pipeline instead. Save the predictor at its end, or a Stream"),
        (LevyPredictor, "Got LevyPredictor instead"),
        (3, "Got int instead"),
        (type("LevyPredictor", (LevyPredictor,), {})(), "Got LevyPredictor instead"),
    ]:
        with pytest.raises(TypeError, match=message):
            save(model, path)
    with pytest.raises(NotFittedError):
        save(LevyPredictor(), path)
    drawn = copy.deepcopy(fitted).set_params(random_state=np.random.RandomState(0))
    with pytest.raises(TypeError, match=r"'random_state' parameter of LevyPredictor must be an int .*set_params"):
        save(drawn, path)
    save(drawn.set_params(random_state=None), path)
    tagged = copy.deepcopy(fitted)
    tagged.note_ = "mine"
    with pytest.raises(TypeError, match=r"no place for its attributes \['note_'\]"):
        save(tagged, path)
    assert load(path).random_state is None


def forged(path, change):
    """The snapshot at ``path`` with its content changed, and a right digest."""
    read = snapshot.read(path)
    content, arrays = json.loads(json.dumps(read.content)), dict(read.arrays)
    change(content, arrays)
    return snapshot.encode(content, arrays)


def _plan(content):
    return content["buffer"]["plan"]["fields"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, a: c.clear(), "makes no sense"),
        (lambda c, a: c.update(estimator="Popen"), "does not know"),
        (lambda c, a: c.update(estimator=["LevyPredictor"]), "makes no sense"),
        (lambda c, a: c["params"].update(evil=1), "with the parameters"),
        (lambda c, a: c["params"].pop("tau"), "with the parameters"),
        (lambda c, a: c["fitted"].update(predict=1), "with the attributes"),
        (lambda c, a: c["fitted"].pop("state_"), "with the attributes"),
        (lambda c, a: c["fitted"].update(state_=None), "without a state"),
        (lambda c, a: c["fitted"].update(_history=None), "without a state"),
        (lambda c, a: c["fitted"].update(n_features_in_=3), "other than 3 columns"),
        (lambda c, a: c["fitted"]["state_"].update({"class": "os.system"}), "does not know"),
        (lambda c, a: c["fitted"]["state_"]["fields"].pop("waiting"), "with the fields"),
        (lambda c, a: a.pop("state_/waiting"), "no value"),
        (lambda c, a: c["fitted"]["state_"]["fields"].update(layout=None), "without a state"),
    ],
)
def test_forged_estimators_are_refused(kept, tmp_path, change, message):
    path = tmp_path / "forged.usp"
    path.write_bytes(forged(kept, change))
    with pytest.raises(SnapshotError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, a: c.pop("buffer"), "makes no sense"),
        (lambda c, a: c["stream"].pop("settings"), "with the attributes"),
        (lambda c, a: c["stream"].update(row=None), "of its state.s size"),
        (lambda c, a: c["buffer"]["layout"].update(width=17), "other than"),
        (lambda c, a: c["buffer"].update(window=1 << 60), "not of its plan's size"),
        (lambda c, a: _plan(c).update(backs={"tuple": [1 << 60]}), "not of its plan's size"),
        (lambda c, a: _plan(c)["profiles"]["tuple"][0]["fields"].update(season=1 << 60), "not of its plan's size"),
        (lambda c, a: a.update({"buffer/ring": np.zeros(3)}), "not of its plan's size"),
        (lambda c, a: _plan(c).update(profiles={"tuple": [3]}), "makes no sense"),
        (lambda c, a: c["buffer"]["context"].pop("ring"), "makes no sense"),
    ],
)
def test_forged_streams_are_refused(stream, tmp_path, change, message):
    path = tmp_path / "stream.usp"
    save(stream, path)
    path.write_bytes(forged(path, change))
    with pytest.raises(SnapshotError, match=message):
        load(path)


def test_other_versions_of_libraries_are_named(kept, tmp_path, monkeypatch):
    other = tuple((k, "0.0.1" if k == "jax" else v) for k, v in snapshot.versions())
    monkeypatch.setattr(snapshot, "versions", lambda: other)
    with pytest.warns(SnapshotWarning, match=rf"written with jax {jax.__version__} \(now 0.0.1\)"):
        load(kept)


def test_limit_and_damage_reach_the_user(kept, tmp_path):
    with pytest.raises(SnapshotError, match=r"levy.usp can't be loaded: it has .* more than the limit of 1000"):
        load(kept, limit=1000)
    bad = tmp_path / "bad.usp"
    bad.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(SnapshotError, match=r"bad.usp can't be loaded: it is damaged"):
        load(bad)
