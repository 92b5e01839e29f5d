"""Exported graphs against the estimator they were made from: laws of rows, and a stream that goes on learning."""

import copy
import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
import tensorflow as tf
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler

from usp_sklearn import LevyPredictor, SignaturePredictor, SlidingWindow, Stream, datasets, sliding_window
from usp_sklearn.export import ArtefactError, check, export_model, load_model
from usp_sklearn.export.graph import TELEMETRY, graph
from usp_sklearn.kernels.law import LEVELS
from usp_sklearn.runtime import precision

SEEN, STEPS = 240, 500
SERIES = 20 + datasets.make_ou(SEEN + STEPS, random_state=0)
BARE = SlidingWindow(width=16, averages=None, season=None)


def rows(series=SERIES, **options):
    return sliding_window(series, **({"width": 16, "averages": None, "season": None} | options))


@pytest.fixture(scope="module")
def model():
    X, y = rows(SERIES[:SEEN])
    return LevyPredictor(width=16, random_state=0).fit(X, y)


@pytest.fixture(scope="module", params=["stablehlo", "savedmodel"])
def artefact(request, model, tmp_path_factory):
    return export_model(
        model, tmp_path_factory.mktemp("model") / "levy", request.param, history=SERIES[:SEEN], windows=BARE
    )


def same(ours, theirs, tolerance=1e-9):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def standing(model, stream):
    """The model where its stream stands: what is exported."""
    twin = copy.copy(model)
    twin.state_ = stream.engine_
    return twin


def test_laws_of_rows(artefact, model):
    X, _ = rows()
    loaded, model = load_model(artefact), standing(model, Stream(model, SERIES[:SEEN], BARE))
    # The one that comes next, some that are long past, many.
    for batch in (X[SEEN - 16 : SEEN - 15], X[:3], X[-70:]):
        out = loaded.predict(batch)
        law = model.predict_distribution(batch)
        same(out["quantiles"], law.ppf(LEVELS))
        same(out["mean"], law.mean())
        same(out["weights"], np.tile([1.0, 0, 0, 0], (len(batch), 1)))
        assert out["telemetry"].shape == (len(batch), len(TELEMETRY))


def test_a_stream_that_learns(artefact, model):
    loaded, stream = load_model(artefact), Stream(model, SERIES[:SEEN], BARE)
    state = loaded.state
    for value in SERIES[SEEN:]:
        out = loaded.step(state, [value])
        state, law = out["state"], stream.push(value)
        same(out["quantiles"], law.ppf(LEVELS))
    expected = stream.telemetry_
    for name, given in zip(TELEMETRY, out["telemetry"], strict=True):
        if name in expected and np.isscalar(expected[name]) and not isinstance(expected[name], str):
            assert given == pytest.approx(float(expected[name]), rel=1e-9, abs=1e-12), name


def test_a_state_in_pieces_is_the_same_state():
    X, y = rows(SERIES[:SEEN])
    model = SignaturePredictor(width=16, random_state=0).fit(X, y)
    exported = graph(model, history=SERIES[:SEEN], windows=BARE)
    learn, offsets = exported.pieces
    shapes = [p.shape for p in learn.inputs[:-1]]
    assert len(offsets) > 1 and all(at % 8 == 0 for at in offsets)
    pieces = [exported.state[at : at + np.prod(s)].reshape(s) for at, s in zip(offsets, shapes, strict=True)]
    with precision():
        whole = jax.jit(exported.step.call)(exported.state, SERIES[SEEN : SEEN + 1])
        apart = jax.jit(learn.call)(*pieces, SERIES[SEEN : SEEN + 1])
    for at, piece in zip(offsets, apart, strict=False):
        np.testing.assert_allclose(whole[0][at : at + piece.size], np.ravel(piece), rtol=1e-9, atol=1e-9)
    for ours, theirs in zip(apart[len(offsets) :], whole[1:], strict=True):
        same(ours, theirs)


def test_exporting_changes_nothing(artefact, model):
    X, y = rows(SERIES[:SEEN])
    again = LevyPredictor(width=16, random_state=0).fit(X, y)
    assert (again.predict(X[-5:]) == model.predict(X[-5:])).all()


def test_the_checker(artefact, tmp_path):
    command = [sys.executable, "-m", "usp_sklearn.export", "check"]
    done = subprocess.run([*command, str(artefact)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "passed" in done.stdout
    assert all(part in done.stdout for part in ("predict", "step", "quantiles", "telemetry", "ms a call"))
    copy = tmp_path / "copy"
    shutil.copytree(artefact, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["golden"]["step"]["mean"][7] += 1e-6
    (copy / "manifest.json").write_text(json.dumps(manifest))
    report = check(copy)
    assert not report.passed
    assert {(f.signature, f.output) for f in report.findings if f.difference > report.tolerance} == {("step", "mean")}
    assert subprocess.run([*command, str(tmp_path)], capture_output=True, check=False).returncode == 2


def test_damage_is_found_before_anything_is_used(artefact, tmp_path):
    copy = tmp_path / "copy"
    for name in json.loads((artefact / "manifest.json").read_text())["files"]:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(artefact, copy)
        data = bytearray((copy / name).read_bytes())
        if data:
            data[len(data) // 2] ^= 1
        else:
            data = bytearray(b"x")
        (copy / name).write_bytes(data)
        with pytest.raises(ArtefactError, match="is not the file"):
            load_model(copy)
        (copy / name).unlink()
        with pytest.raises(ArtefactError, match="is missing"):
            load_model(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m | {"schema": 2}, "schema 2"),
        (lambda m: m | {"kind": "other"}, "not the manifest"),
        (lambda m: m | {"files": {"../x": {"sha256": "", "bytes": 0}}}, "outside"),
    ],
)
def test_manifests_of_another_kind(artefact, tmp_path, change, message):
    copy = tmp_path / "copy"
    shutil.copytree(artefact, copy)
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(json.dumps(change(json.loads(text))))
    with pytest.raises(ArtefactError, match=message):
        load_model(copy)
    (copy / "manifest.json").write_text(text[:-20])
    with pytest.raises(ArtefactError, match="not JSON"):
        load_model(copy)


def test_levels_and_single_precision(model, tmp_path):
    X, _ = rows()
    double, single = (
        load_model(export_model(model, tmp_path / dtype, "stablehlo", quantiles=[0.001, 0.5, 0.9], dtype=dtype))
        for dtype in ("float64", "float32")
    )
    law = model.predict_distribution(X[-20:]).ppf([0.001, 0.5, 0.9])
    same(double.predict(X[-20:])["quantiles"], law)
    out = single.predict(X[-20:])["quantiles"]
    assert out.dtype == np.float32
    same(out, law, 1e-5)
    # What the manifest says single precision costs: golden vectors of both begin from the same rows.
    golden, exact = (np.array(x.manifest["golden"]["predict"]["quantiles"]) for x in (single, double))
    apart = np.abs(golden - exact).max() / np.abs(exact).max()
    assert single.manifest["error"]["predict"]["quantiles"] == pytest.approx(apart, rel=1e-9)
    assert 0 < apart < 1e-6 and "error" not in double.manifest
    with pytest.raises(ValueError, match="no step"):
        single.step(np.zeros(3), [1.0])


def test_scalers_in_front(tmp_path):
    X, y = rows(SERIES[:SEEN])
    pipeline = make_pipeline(StandardScaler(), RobustScaler(), SignaturePredictor(width=16, random_state=0)).fit(X, y)
    out = load_model(export_model(pipeline, tmp_path / "m", "stablehlo")).predict(X[-9:])
    same(out["quantiles"], pipeline[-1].predict_quantiles(pipeline[:-1].transform(X[-9:]), LEVELS))
    bent = make_pipeline(FunctionTransformer(np.abs), LevyPredictor(width=16)).fit(X, y)
    with pytest.raises(ValueError, match="scale each column"):
        graph(bent)


def test_seasons_exogenous_columns_and_horizons(tmp_path):
    rng = np.random.default_rng(1)
    table = np.column_stack([SERIES[:330], rng.normal(size=330)])
    windows = SlidingWindow(width=16, season=7, horizon=3, multi=True).fit(table[:300])
    X, y = sliding_window(table[:300], width=16, season=7, horizon=3, multi=True)
    model = LevyPredictor(**windows.layout, random_state=0).fit(X, y)
    loaded = load_model(export_model(Stream(model, table[:300], windows), tmp_path / "m", "stablehlo"))
    stream, state = Stream(model, table[:300], windows), loaded.state
    same(loaded.predict(X[-4:])["quantiles"], standing(model, stream).predict_quantiles(X[-4:], LEVELS))
    for value, beside in table[300:]:
        out = loaded.step(state, [value, beside])
        state = out["state"]
        same(out["quantiles"], stream.push(value, [beside]).ppf(LEVELS))
    assert out["quantiles"].shape == (3, 25) and loaded.manifest["horizons"] == [1, 2, 3]


def test_what_cannot_be_exported(model, tmp_path):
    with pytest.raises(ValueError, match="'format'"):
        export_model(model, tmp_path / "m", "pickle")
    with pytest.raises(ValueError, match="C identifier"):
        export_model(model, tmp_path / "m", "stablehlo", name="a b")
    with pytest.raises(ValueError, match="'quantiles'"):
        export_model(model, tmp_path / "m", "stablehlo", quantiles=[1.0])
    with pytest.raises(TypeError, match="StandardScaler"):
        export_model(StandardScaler().fit([[1.0]]), tmp_path / "m", "stablehlo")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(FileExistsError):
        export_model(model, tmp_path / "mine", "stablehlo")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_savedmodel_is_what_tensorflow_serving_serves(model, tmp_path):
    """A session loaded by tag, fed and fetched by the tensors that signatures name, is all that the server does."""
    stream = Stream(model, SERIES[:SEEN], BARE)
    folder = export_model(stream, tmp_path / "levy" / "1", "savedmodel")
    X, _ = rows()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        served = meta.signature_def
        assert all(served[name].method_name == "tensorflow/serving/predict" for name in ("predict", "step"))

        def ask(name, **given):
            feeds = {served[name].inputs[key].name: value for key, value in given.items()}
            return session.run({key: info.name for key, info in served[name].outputs.items()}, feeds)

        law = standing(model, stream).predict_distribution(X[-5:])
        same(ask("predict", rows=X[-5:])["quantiles"], law.ppf(LEVELS))
        state = np.fromfile(folder / "state.bin")
        for value in SERIES[SEEN : SEEN + 5]:
            out = ask("step", state=state, y=[value])
            state = out["state"]
            same(out["quantiles"], stream.push(value).ppf(LEVELS))
