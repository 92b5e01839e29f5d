"""Threads and processes: readers see one state or the next, never a mix; models go to other processes whole."""

import copy
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from joblib import Parallel, delayed

from usp_sklearn import LevyPredictor, Stream, sliding_window
from usp_sklearn.api.persistence import checkpoint, load, restore, save
from usp_sklearn.io import snapshot
from usp_sklearn.io.store import Store

WIDTH, LEVELS = 16, (0.05, 0.5, 0.95)
PIECES = 40
CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture(scope="module")
def series():
    return 100 + np.random.default_rng(0).standard_t(4, size=900).cumsum()


@pytest.fixture(scope="module")
def rows(series):
    return sliding_window(series, width=WIDTH, averages=None, season=None)


@pytest.fixture(scope="module")
def fitted(rows):
    return LevyPredictor(random_state=0).fit(rows[0][:300], rows[1][:300])


def answer(model, X) -> bytes:
    """All numbers of the laws of X."""
    return model.predict_quantiles(X, LEVELS).tobytes()


def together(*calls) -> list:
    """Run all calls at once, each in its thread; what they return, or the first error."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [job.result() for job in [pool.submit(call) for call in calls]]


# ------------------------------------------------------------------ one model, many readers


def test_readers_see_one_state_or_the_next(fitted, rows):
    X, parts = rows[0][-3:], np.split(np.arange(300, 300 + 10 * PIECES), PIECES)
    alone, states = copy.deepcopy(fitted), []
    states.append(answer(alone, X))
    for part in parts:
        alone.partial_fit(rows[0][part], rows[1][part])
        states.append(answer(alone, X))
    assert len(set(states)) == PIECES + 1
    place = {state: i for i, state in enumerate(states)}

    model, done = copy.deepcopy(fitted), threading.Event()

    def write():
        for part in parts:
            model.partial_fit(rows[0][part], rows[1][part])
            time.sleep(0.002)  # so that readers meet most of the states
        done.set()

    def read() -> list[int]:
        seen = []
        while True:
            last = done.is_set()
            seen.append(place[answer(model, X)])  # a mix of two states is in no place
            if last:
                return seen

    _, *seen = together(write, *[read] * 4)
    for each in seen:
        assert each == sorted(each) and each[-1] == PIECES
    assert len({i for each in seen for i in each}) > 5, "the readers met too few states to tell"


def test_a_model_may_be_saved_while_it_learns(fitted, rows, tmp_path):
    X, parts = rows[0][-3:], np.split(np.arange(300, 300 + 10 * PIECES), PIECES)
    alone = copy.deepcopy(fitted)
    states = [answer(alone, X)]
    for part in parts:
        alone.partial_fit(rows[0][part], rows[1][part])
        states.append(answer(alone, X))

    model, done = copy.deepcopy(fitted), threading.Event()

    def write():
        for part in parts:
            model.partial_fit(rows[0][part], rows[1][part])
        done.set()

    def keep() -> int:
        count = 0
        while not done.is_set():
            save(model, tmp_path / "model.usp")
            assert answer(load(tmp_path / "model.usp"), X) in states
            count += 1
        return count

    _, count = together(write, keep)
    assert count > 0


def test_a_stream_may_be_read_while_it_is_pushed(fitted, series):
    def laws(stream):
        return [stream.push(v).law.q.tobytes() for v in series[300:400]]

    whole = Stream(fitted, series[:300])
    expected = {whole.law.law.q.tobytes(), *laws(whole)}
    stream, done = Stream(fitted, series[:300]), threading.Event()

    def write():
        for value in series[300:400]:
            stream.push(value)
            time.sleep(0.002)
        done.set()

    def read() -> int:
        seen = set()
        while not done.is_set():
            q = stream.law.law.q.tobytes()
            assert q in expected
            assert stream.telemetry_["mode"] in ("standard", "robust", "emergency")
            seen.add(q)
            time.sleep(0.001)
        return len(seen)

    _, *seen = together(write, *[read] * 3)
    assert max(seen) > 5


def test_models_of_several_threads_do_not_meet(rows):
    """Each thread fits and walks its own model; double precision is each thread's own too."""
    X, y = rows
    seeds = range(4)

    def walk(seed: int) -> bytes:
        model = LevyPredictor(tau=1.0 + seed).fit(X[:300], y[:300])
        return model.update_predict(X[300:500], y[300:500], LEVELS).tobytes()

    alone = [walk(seed) for seed in seeds]
    assert len(set(alone)) == len(alone)
    stop = threading.Event()

    def single() -> set[str]:
        seen = set()
        while not stop.is_set():
            seen.add(str(jnp.ones(3).sum().dtype))
        return seen

    def all_walks() -> list[bytes]:
        try:
            return together(*[lambda seed=seed: walk(seed) for seed in seeds])
        finally:
            stop.set()

    walks, types = together(all_walks, single)
    assert walks == alone and types == {"float32"}


def test_threads_may_checkpoint_into_one_folder(fitted, series, tmp_path):
    streams = [Stream(fitted, series[: 300 + i]) for i in range(4)]
    together(*[lambda s=s: [checkpoint(s, tmp_path, keep=100) for _ in range(10)] for s in streams])
    paths = Store(tmp_path).paths()
    assert [int(p.stem[-8:]) for p in paths] == list(range(1, 41))
    counts = [load(p).buffer.count for p in paths]
    assert sorted(counts) == sorted([300, 301, 302, 303] * 10)
    assert restore(tmp_path).buffer.count == counts[-1] and len(os.listdir(tmp_path)) == 40
    assert all(snapshot.read(p).versions for p in paths)


# ------------------------------------------------------------------ processes


def in_child(model, X, pipe) -> None:
    """Answer through a pipe, from another process."""
    pipe.send_bytes(answer(model, X))


def test_a_spawned_process_gives_the_same_numbers(fitted, rows, monkeypatch):
    for name in CACHE:
        monkeypatch.setenv(name.upper(), str(getattr(jax.config, name)))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=in_child, args=(fitted, rows[0][-3:], theirs))
    child.start()
    try:
        assert ours.poll(60)
        assert ours.recv_bytes() == answer(fitted, rows[0][-3:])
    finally:
        child.join(60)
    assert child.exitcode == 0


FORKS = """
import json, multiprocessing, sys
import numpy as np
import usp_sklearn
from usp_sklearn.api.persistence import load
X = np.load(sys.argv[2])
def work(i):
    return load(sys.argv[1]).predict_quantiles(X, [0.05, 0.5, 0.95]).tobytes().hex()
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(json.dumps(pool.map(work, range(2))))
"""


def test_processes_may_be_forked_before_anything_was_computed(fitted, rows, tmp_path):
    save(fitted, tmp_path / "model.usp")
    np.save(tmp_path / "rows.npy", rows[0][-3:])
    environment = os.environ | {name.upper(): str(getattr(jax.config, name)) for name in CACHE}
    command = [sys.executable, "-c", FORKS, str(tmp_path / "model.usp"), str(tmp_path / "rows.npy")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [answer(fitted, rows[0][-3:]).hex()] * 2


def test_importing_starts_no_threads_and_no_backend():
    """What makes forking safe until the first computation."""
    code = """
import threading, usp_sklearn
from jax._src import xla_bridge
print(threading.active_count(), len(xla_bridge._backends))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib_gives_the_same_numbers(fitted, rows, backend, monkeypatch):
    for name in CACHE:
        monkeypatch.setenv(name.upper(), str(getattr(jax.config, name)))
    X = rows[0][-6:]
    found = Parallel(n_jobs=2, backend=backend)(delayed(answer)(fitted, part) for part in (X[:3], X[3:]))
    assert found == [answer(fitted, X[:3]), answer(fitted, X[3:])]
