"""What Stream.checkpoint wrote, opened by the C library on an exported model: the series goes on with the same laws."""

import ctypes
import json
import sys

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from usp_sklearn import LevyPredictor, SlidingWindow, Stream, datasets, load, save, sliding_window
from usp_sklearn.export import export_model, manifest
from usp_sklearn.export.graph import graph
from usp_sklearn.io import snapshot

from . import c_cases
from .test_c_runtime import EXPORT, run

SEEN, MORE = 200, 40
WINDOWS = {"width": 16, "season": 7}


def series(seed=0):
    """(n, 2): a season and a walk, and a covariate."""
    rng = np.random.default_rng(seed)
    cycle = np.tile(np.arange(7.0), 60)[: SEEN + MORE + 100]
    walk = datasets.make_ou(len(cycle), random_state=seed)
    return np.column_stack([50 + cycle + walk, rng.normal(size=len(cycle))])


def stream(values=None, horizon=1, multi=False, scaled=False, missing="error", **parameters):
    """A trained stream that has seen ``SEEN`` values."""
    values = series() if values is None else values
    windows = SlidingWindow(**WINDOWS, horizon=horizon, multi=multi).fit(values[:SEEN])
    X = windows.transform(values[:SEEN])[16:-horizon]
    ahead = np.lib.stride_tricks.sliding_window_view(values[17:SEEN, 0], horizon)
    levy = LevyPredictor(**windows.layout, random_state=0, **parameters)
    model = make_pipeline(StandardScaler(), levy) if scaled else levy
    return Stream(model.fit(X, ahead if multi else ahead[:, -1]), values[:SEEN], windows, missing=missing)


class C:
    """A model in the C library, and one stream of it."""

    def __init__(self, library, folder):
        self.lib = ctypes.CDLL(str(library))
        self.lib.usp_last_error.restype = ctypes.c_char_p
        self.model, self.stream = ctypes.c_void_p(), ctypes.c_void_p()
        name = None if folder is None else str(folder).encode()
        assert self.lib.usp_model_load(name, None, ctypes.byref(self.model)) == 0, self.lib.usp_last_error()

    def load(self, path):
        """Status and message of opening a stream's file."""
        self.lib.usp_stream_free(self.stream)
        status = self.lib.usp_stream_load(self.model, str(path).encode(), ctypes.byref(self.stream))
        return status, self.lib.usp_last_error().decode() if status else ""

    def save(self, path):
        assert self.lib.usp_stream_save(self.stream, str(path).encode()) == 0

    def push(self, value, size):
        """The quantiles after one more value and its covariates."""
        out, given = (ctypes.c_double * size)(), (ctypes.c_double * len(value))(*value)
        n, capacity = ctypes.c_size_t(len(value)), ctypes.c_size_t(size)
        assert self.lib.usp_stream_push(self.stream, given, n, out, capacity, None) == 0, self.lib.usp_last_error()
        return np.array(out)

    def count(self):
        out = ctypes.c_uint64()
        assert self.lib.usp_stream_count(self.stream, ctypes.byref(out)) == 0
        return out.value

    def close(self):
        self.lib.usp_stream_free(self.stream)
        self.lib.usp_model_free(self.model)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("libusp")
    run("cmake", "-S", EXPORT, "-B", folder, "-DUSP_TESTS=OFF", f"-DPython3_EXECUTABLE={sys.executable}")
    run("cmake", "--build", folder)
    return folder / "libusp.so"


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The folder of a model of one horizon, with a season and a covariate."""
    return export_model(
        stream(), tmp_path_factory.mktemp("single") / "m", "native", name="one", batches=(1,), march="x86-64"
    )


def goes_on(python, c, path, values, levels):
    """100 more values: the largest difference between the laws, in widths of Python's."""
    assert c.load(path) == (0, "")
    assert c.count() == 0
    worst = 0.0
    for value, *extra in values:
        law = np.ravel(python.push(value, extra).ppf(levels))
        worst = max(worst, np.abs(c.push([value, *extra], len(law)) - law).max() / np.ptp(law))
    assert len(values) == c.count() == 100
    return worst


def test_a_checkpoint_goes_on_in_c_with_the_laws_of_python(library, single, tmp_path):
    values, python = series(), stream()
    for value, extra in values[SEEN : SEEN + MORE]:
        python.push(value, [extra])
    python.checkpoint(tmp_path / "state")
    (path,) = (tmp_path / "state").iterdir()
    levels = json.loads((single / manifest.NAME).read_text())["levels"]
    # The generic library with the model's folder, and the model's own library.
    for lib, folder in ((library, single), (single / "libusp_one.so", None)):
        c = C(lib, folder)
        assert goes_on(load(path), c, path, values[SEEN + MORE :], levels) < 1e-9
        c.save(tmp_path / "later")
        before = c.push(values[0], len(levels))
        assert c.load(tmp_path / "later") == (0, "") and c.count() == 100
        assert (c.push(values[0], len(levels)) == before).all()
        c.close()


def test_a_stream_of_another_fit_is_taken_over_and_one_of_another_model_refused(library, single, tmp_path):
    """What the step learns may differ, what it is made of may not."""
    values = series(seed=5)
    levels = json.loads((single / manifest.NAME).read_text())["levels"]
    c, other = C(library, single), stream(values)
    for value, extra in values[SEEN : SEEN + MORE]:
        other.push(value, [extra])
    save(other, tmp_path / "other")
    assert goes_on(other, c, tmp_path / "other", values[SEEN + MORE :], levels) < 1e-9
    strangers = {"parameter": stream(cusum_h=4.0), "scaler": stream(scaled=True), "horizon": stream(horizon=2)}
    for name, stranger in strangers.items():
        save(stranger, tmp_path / name)
        status, message = c.load(tmp_path / name)
        assert status == c_cases.STATUS["WRONG_MODEL"] and "another model than 'one'" in message, name
    save(
        LevyPredictor(width=16).fit(*sliding_window(values[:SEEN, 0], width=16, season=None, averages=None)),
        tmp_path / "no",
    )
    assert c.load(tmp_path / "no")[0] == c_cases.STATUS["WRONG_MODEL"]
    c.close()


def test_a_snapshot_taken_while_values_were_missing_is_refused_until_they_are_back(library, single, tmp_path):
    c, values = C(library, single), series()
    python = stream(missing="hold")
    for value, status in ((None, c_cases.STATUS["UNSUPPORTED"]), (values[SEEN, 0], 0)):
        python.push(value, [0.0])
        save(python, tmp_path / "s")
        assert c.load(tmp_path / "s")[0] == status
    c.close()


@pytest.mark.parametrize(
    "options", [{}, {"scaled": True}, {"horizon": 3}, {"horizon": 3, "multi": True, "scaled": True}], ids=str
)
def test_the_manifest_says_where_all_of_a_snapshot_stands(options, tmp_path):
    """Put there, its arrays are the state that the stream would be exported with."""
    values, python = series(), stream(**options)
    listed = graph(python).snapshot
    for value, extra in values[SEEN : SEEN + MORE]:
        python.push(value, [extra])
    save(python, tmp_path / "s")
    read = snapshot.read(tmp_path / "s")
    expected = graph(load(tmp_path / "s")).state
    state = np.full(len(expected), 0.125)
    for entry in listed["arrays"]:
        array = read.arrays[entry["name"]]
        assert array.size == entry["size"]
        state[entry["at"] : entry["at"] + entry["used"]] = np.ravel(array)[: entry["used"]]
    assert read.content["step"] == listed["step"]
    assert np.array_equal(state[state != 0.125], expected[state != 0.125], equal_nan=True)
    # What is left over fills the last cache line of a piece.
    assert (state == 0.125).sum() < 8 * len(graph(python).pieces.offsets) and not expected[state == 0.125].any()
