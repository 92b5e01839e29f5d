"""The clients of export/clients, built and run on models that Python runs too: they must print the same numbers."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from usp_sklearn import LevyPredictor, SlidingWindow, Stream, datasets, sliding_window
from usp_sklearn.export import export_model

from .client_programs import EXPORT, INCLUDE, LANGUAGES, build, need, numbers, run

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
    """forecast(language, library, *arguments): what the client does; each is built once for each library."""
    root = tmp_path_factory.mktemp("clients")

    @functools.cache
    def built(language, library):
        return build(language, root / f"{language}-{library.stem}", library)

    def call(language, library, *arguments, before=()):
        env = os.environ | {"LD_LIBRARY_PATH": str(library.parent), "USP_LIBRARY": str(library)}
        command = [str(c) for c in (*before, *built(language, library), *arguments)]
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


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stream_is_kept_from_run_to_run(forecast, libraries, tmp_path, language):
    rows = np.random.default_rng(5).normal(10, 3, size=(40, 2))
    kept, parts = tmp_path / "kept.stream", []
    for i, part in enumerate(np.split(rows, [15])):
        csv = write(tmp_path / f"{i}.csv", part)
        parts.append(numbers(forecast(language, libraries.generic, libraries.by_hand_folder, csv, kept)))
    np.testing.assert_allclose(np.concatenate(parts), by_hand(rows), rtol=0, atol=1e-9)
    kept.write_bytes(kept.read_bytes()[:-1])
    done = forecast(language, libraries.generic, libraries.by_hand_folder, tmp_path / "0.csv", kept)
    assert done.returncode == 1 and "The stream file is damaged" in done.stderr, done.stderr


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


HEADER_ONLY = r"""
#include <cstdio>
#include <utility>
#include "usp.hpp"

static int failures = 0;
#define CHECK(x) ((x) ? void() : (failures++, void(std::fprintf(stderr, "line %d: %s\n", __LINE__, #x))))

template <class F> static usp_status status_of(F call) {
  try {
    call();
  } catch (const usp::error &e) {
    CHECK(std::string(e.what()) == usp_last_error());
    return e.status();
  }
  return USP_OK;
}

int main(int, char **argv) {
  usp::model loaded(argv[1]), model(std::move(loaded));
  CHECK(model.info().n_exogenous == 1 && model.levels().size() == 5 && model.levels()[1] == 0.25);
  CHECK((model.horizons() == std::vector<std::uint32_t>{1, 2}));
  CHECK((model.telemetry_names() == std::vector<std::string>{"count", "nothing"}));
  const usp::prediction law = model.predict({1, 2, 3, 4, 5, 6});
  CHECK(law.quantiles.size() == 20 && law.quantiles[2] == 14 && law.quantiles[12] == 32 && law.mean.size() == 4);
  CHECK(law.tails.size() == 16 && law.weights.size() == 16 && law.telemetry.size() == 4 && law.telemetry[2] == 4);
  CHECK(model.predict({}).quantiles.empty());
  CHECK(status_of([&] { model.predict({1, 2, 1.0 / 0.0}); }) == USP_NOT_FINITE);

  usp::stream first(model);
  CHECK(status_of([&] { first.mean(); }) == USP_NO_LAW);
  const std::vector<double> issued = first.push({12, 1});
  CHECK(issued == first.quantiles() && issued[2] == 11.5 && first.count() == 1);
  CHECK(status_of([&] { first.push({12}); }) == USP_INVALID_ARGUMENT);
  CHECK(first.mean()[1] == 12.5 && first.tails()[0] == 0.5 && first.weights()[1] == 0.25 && first.telemetry()[0] == 1);
  CHECK(first.quantile(0.5) == 11.5 && first.quantile(0.375) == (first.quantiles()[1] + 11.5) / 2);
  first.save(argv[2]);
  usp::stream second(model, argv[2]), third(std::move(first));
  { usp::model gone = std::move(model); } // streams keep their model
  CHECK(second.push(std::vector<double>{9, 0}) == third.push({9, 0}) && second.count() == 2);
  CHECK(status_of([] { usp::model("nowhere"); }) == USP_NOT_FOUND);
  CHECK(status_of([] { usp::model::built_in(); }) == USP_UNSUPPORTED);
  return failures;
}
"""


def test_the_header_for_cpp_offers_all_of_the_interface(libraries, tmp_path):
    (tmp_path / "all.cpp").write_text(HEADER_ONLY)
    link = ("-L", libraries.generic.parent, "-lusp", "-o", tmp_path / "all")
    run("c++", "-std=c++17", "-g", "-Wall", "-Wextra", "-Werror", "-I", INCLUDE, tmp_path / "all.cpp", *link)
    valgrind = ("-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=all")
    command = (*valgrind, tmp_path / "all", libraries.by_hand_folder, tmp_path / "kept.stream")
    run("valgrind", *command, LD_LIBRARY_PATH=libraries.generic.parent)
