"""The clients of export/clients, built and run on models that Python runs too: they must print the same numbers."""

import base64
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from usp_sklearn import LevyPredictor, SlidingWindow, Stream, datasets, sliding_window
from usp_sklearn.export import export_model

from .chromium import Browser
from .client_programs import EXPORT, LANGUAGES, build, copied, need, run

TENSORFLOW = Path(find_spec("tensorflow").submodule_search_locations[0]) / "libtensorflow_cc.so.2"


class Libraries(NamedTuple):
    """Paths: the generic library, the model by hand with the runtime inside, the folder of that model."""

    generic: Path
    by_hand: Path
    by_hand_folder: Path


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("libusp")
    run("cmake", "-S", EXPORT, "-B", folder, f"-DPython3_EXECUTABLE={sys.executable}")
    run("cmake", "--build", folder, "--target", "usp", "model")
    return Libraries(folder / "libusp.so", folder / "tests" / "libusp_fake.so", folder / "tests" / "model")


@pytest.fixture(scope="module")
def forecast(tmp_path_factory):
    """forecast(language, library, folder, csv): what the client does; each is built once for each library."""
    root = tmp_path_factory.mktemp("clients")

    @functools.cache
    def built(language, library):
        return build(language, root / f"{language}-{library.stem}", library)

    def call(language, library, folder, csv, before=()):
        env = os.environ | {"LD_LIBRARY_PATH": str(library.parent), "USP_LIBRARY": str(library)}
        command = [str(c) for c in (*before, *built(language, library), folder, csv)]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)

    return call


class Learner(NamedTuple):
    """A trained model, the series it goes on with, and what Python says to it."""

    model: LevyPredictor
    history: np.ndarray
    values: np.ndarray
    windows: SlidingWindow


@pytest.fixture(scope="module")
def learner():
    series = datasets.make_ou(300, random_state=0)
    windows = SlidingWindow(width=16, averages=None, season=None)
    X, y = sliding_window(series[:180], width=16, averages=None, season=None)
    return Learner(LevyPredictor(width=16).fit(X, y), series[:180], series[180:], windows)


@pytest.fixture(scope="module")
def native(learner, tmp_path_factory):
    """Folder of that model as a native library."""
    folder = tmp_path_factory.mktemp("native") / "levy"
    return export_model(
        learner.model, folder, "native", history=learner.history, windows=learner.windows, name="levy", batches=(1,)
    )


@pytest.fixture(scope="module")
def expected(learner, native):
    """Quantiles after each value, from the Stream that Python offers."""
    stream = Stream(learner.model, learner.history, learner.windows)
    levels = json.loads((native / "manifest.json").read_text())["levels"]
    return np.stack([np.ravel(stream.push(y).ppf(levels)) for y in learner.values])


def numbers(done):
    """The table that a client printed."""
    assert done.returncode == 0, done.stderr
    return np.array([[float(x) for x in line.split(",")] for line in done.stdout.splitlines()])


def write(path, rows, header=""):
    path.write_text(header + "".join(",".join(map(repr, map(float, np.ravel(row)))) + "\n" for row in rows))
    return path


# ------------------------------------------------------------------------------------------ streams that go on learning


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stream_gives_the_numbers_of_python(forecast, libraries, native, learner, expected, tmp_path, language):
    csv = write(tmp_path / "values.csv", learner.values)
    done = forecast(language, libraries.generic, native, csv)
    assert len(expected) == 120
    np.testing.assert_allclose(numbers(done), expected, rtol=0, atol=1e-9)
    latency = re.fullmatch(r"median push latency: ([\d.]+) us", done.stderr.splitlines()[-1])
    assert latency and 0 < float(latency[1]) < 1e5


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_models_own_library_needs_no_folder(forecast, native, learner, expected, tmp_path, language):
    csv = write(tmp_path / "values.csv", learner.values)
    done = forecast(language, native / "libusp_levy.so", "-", csv)
    np.testing.assert_allclose(numbers(done), expected, rtol=0, atol=1e-9)


def by_hand(rows):
    """The model of fake_native.c: an exponential average, shifted by the exogenous value; two horizons."""
    average, variance, out = 10.0, 4.0, []
    for y, x in rows:
        miss = y - average
        average, variance = average + miss / 4, 3 / 4 * (variance + miss**2 / 4)
        spread = (1 + np.sqrt(variance)) * np.array([-2.5, -0.7, 0, 0.7, 2.5])
        out.append(np.concatenate([average + x + spread, average + x + 2 * spread]))
    return np.array(out)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The same as a SavedModel."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    run(sys.executable, EXPORT / "tests" / "fake_savedmodel.py", folder, "float64", TF_CPP_MIN_LOG_LEVEL=3)
    return folder


@pytest.mark.parametrize("format", ["native", "savedmodel"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_exogenous_columns_headers_and_horizons(request, forecast, libraries, monkeypatch, tmp_path, language, format):
    folder = libraries.by_hand_folder
    if format == "savedmodel":
        folder = request.getfixturevalue("saved")
        monkeypatch.setenv("USP_TENSORFLOW", str(TENSORFLOW))
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    rows = np.random.default_rng(4).normal(10, 3, size=(100, 2))
    csv = write(tmp_path / "values.csv", rows, header="price, volume\n")
    csv.write_bytes(csv.read_bytes().replace(b"\n", b"\r\n", 40) + b"\n")  # lines may end as on Windows; empty ones
    np.testing.assert_allclose(numbers(forecast(language, libraries.generic, folder, csv)), by_hand(rows), atol=1e-9)


@pytest.mark.parametrize("language", LANGUAGES)
def test_failures_are_said_and_end_the_program(forecast, libraries, tmp_path, language):
    good = write(tmp_path / "good.csv", [[10, 1]])
    broken = shutil.copytree(libraries.by_hand_folder, tmp_path / "broken")
    state = bytearray((broken / "state.bin").read_bytes())
    state[3] ^= 1
    (broken / "state.bin").write_bytes(state)
    (tmp_path / "words.csv").write_text("10,1\nten,1\n")
    folder = libraries.by_hand_folder
    cases = [
        (tmp_path / "nowhere", good, "manifest.json"),
        (broken, good, "not the file that manifest.json describes"),
        ("-", good, "built into this library"),
        (folder, write(tmp_path / "columns.csv", [[10, 1, 2]]), "Got 3 instead"),
        (folder, write(tmp_path / "engine.csv", [[10, 1], [1e300, 1]]), "code -7"),
        (folder, tmp_path / "words.csv", "line 2"),
        (folder, tmp_path / "nothing.csv", "nothing.csv"),
    ]
    for model, csv, words in cases:
        done = forecast(language, libraries.generic, model, csv)
        assert done.returncode == 1, f"{csv}: {done.returncode}"
        assert words in done.stderr and "latency" not in done.stderr, f"{words!r} is not in {done.stderr!r}"


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_valgrind_finds_no_error_and_no_leak(forecast, libraries, tmp_path, language):
    valgrind = (need("valgrind"), "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=all")
    for rows, status in (([[10, 1]] * 3, 0), ([[10, 1], [1e300, 1]], 1)):
        csv = write(tmp_path / "values.csv", rows)
        done = forecast(language, libraries.generic, libraries.by_hand_folder, csv, before=valgrind)
        assert done.returncode == status, done.stderr


# ---------------------------------------------------------------------------------------------------------------- ONNX


class Rows(NamedTuple):
    """An ONNX model, a file of rows, and their quantiles according to Python."""

    folder: Path
    file: Path
    quantiles: np.ndarray


@pytest.fixture(scope="module")
def rows(learner, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    model = export_model(learner.model, folder / "levy", "onnx", name="levy")
    X, y = sliding_window(np.r_[learner.history[-16:], learner.values], width=16, averages=None, season=None)
    (folder / "rows.json").write_text(json.dumps({"rows": X.tolist(), "y": np.ravel(y).tolist()}))
    levels = json.loads((model / "manifest.json").read_text())["levels"]
    return Rows(model, folder / "rows.json", np.asarray(learner.model.predict_distribution(X).ppf(levels)))


def test_node_runs_onnx(rows, tmp_path):
    program = copied("node-onnx", tmp_path / "client") / "forecast.js"
    done = run("node", program, rows.folder, rows.file)
    assert len(rows.quantiles) >= 100
    np.testing.assert_allclose(numbers(done), rows.quantiles, rtol=0, atol=1e-9)
    broken = shutil.copytree(rows.folder, tmp_path / "broken")
    with (broken / "model.onnx").open("ab") as file:
        file.write(b"\0")
    done = subprocess.run([need("node"), program, broken, rows.file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "SHA-256" in done.stderr


@pytest.fixture
def page(rows, tmp_path):
    """page(query): the client's page, served from this process, in a browser."""
    site = copied("browser", tmp_path / "site")
    shutil.copytree(rows.folder, site / "model")
    shutil.copy(rows.file, site / "rows.json")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = Browser(tmp_path / "profile")

    def visit(query=""):
        browser.open(f"http://127.0.0.1:{server.server_port}/{query}")
        return browser

    yield visit
    browser.close()
    server.shutdown()
    server.server_close()


def drawn(browser, points):
    """Colours (n, 3) of the chart at points (x, y) in pixels."""
    pen = "document.getElementById('chart').getContext('2d')"
    read = f"{json.dumps(points)}.map(([x, y]) => Array.from({pen}.getImageData(x, y, 1, 1).data).slice(0, 3))"
    return np.array(browser.value(read))


def test_a_page_runs_onnx_and_draws_the_fan(page, rows):
    browser = page()
    assert browser.value("finished.then(() => document.title)") == "Forecast: done"
    text = browser.value("document.getElementById('numbers').textContent")
    found = np.array([[float(x) for x in line.split(",")] for line in text.splitlines()])
    np.testing.assert_allclose(found, rows.quantiles, rtol=0, atol=1e-9)

    # The chart is 64, 16, 40, 44 pixels smaller than its canvas, and 5 % of the range larger than what it shows.
    levels = json.loads((rows.folder / "manifest.json").read_text())["levels"]
    q05, q25, q50, q75, q95 = (rows.quantiles[:, levels.index(u)] for u in (0.05, 0.25, 0.5, 0.75, 0.95))
    seen = np.array(json.loads(rows.file.read_text())["y"])
    low, high = min(q05.min(), seen.min()), max(q95.max(), seen.max())
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    width, height = browser.value("[chart.width, chart.height]")
    places = {  # what is there: its colour, and the middle of it in units of the series
        "90 % band, below": ("cfe1f5", (q05 + q25) / 2),
        "50 % band, below": ("8fb9e3", (q25 + q50) / 2),
        "median": ("14508c", q50),
        "50 % band, above": ("8fb9e3", (q50 + q75) / 2),
        "90 % band, above": ("cfe1f5", (q75 + q95) / 2),
        "observed": ("222222", seen),
    }
    for name, (colour, values) in places.items():
        x = 64 + np.arange(len(values)) / (len(values) - 1) * (width - 80)
        y = 40 + (high - values) / (high - low) * (height - 84)
        colours = drawn(browser, np.floor(np.c_[x, y]).tolist())
        # Edges are blurred, and dots and steep lines hide some.
        near = np.abs(colours - np.array(list(bytes.fromhex(colour)))).max(axis=1) < 25
        assert near.mean() > 0.8, f"{name}: {colours}"

    picture = base64.b64decode(browser.send("Page.captureScreenshot")["data"])
    assert picture.startswith(b"\x89PNG") and len(picture) > 30_000


def test_a_page_says_why_it_failed(page):
    browser = page("?model=nowhere")
    assert browser.value("finished.catch(() => document.title)") == "Forecast: failed"
    assert "404" in browser.value("document.getElementById('status').textContent")
