"""The clients of export/clients that run ONNX: in Node, and a page in a browser, whose fan chart is looked at."""

import base64
import functools
import http.server
import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from usp_sklearn import LevyPredictor, datasets, sliding_window
from usp_sklearn.export import export_model

from .chromium import Browser
from .client_programs import copied, need, numbers, run


class Rows(NamedTuple):
    """An ONNX model, a file of rows, and their quantiles according to Python."""

    folder: Path
    file: Path
    quantiles: np.ndarray


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    X, y = sliding_window(datasets.make_ou(300, random_state=0), width=16, averages=None, season=None)
    trained = LevyPredictor(width=16).fit(X[:-120], y[:-120])
    model = export_model(trained, folder / "levy", "onnx", name="levy")
    X, y = X[-120:], y[-120:]
    (folder / "rows.json").write_text(json.dumps({"rows": X.tolist(), "y": np.ravel(y).tolist()}))
    levels = json.loads((model / "manifest.json").read_text())["levels"]
    return Rows(model, folder / "rows.json", np.asarray(trained.predict_distribution(X).ppf(levels)))


def test_node_runs_onnx(rows, tmp_path):
    program = copied("node-onnx", tmp_path / "client") / "forecast.js"
    done = run("node", program, rows.folder, rows.file)
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
