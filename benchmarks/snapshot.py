"""Snapshots beside pickle: size, time to save and to load, the first law of a new process. What telemetry costs.

    python benchmarks/snapshot.py [--estimator JKOPredictor] [--faults]

A snapshot is hashed, synced to the disk and renamed before ``save`` returns; pickle is timed as it is used (a file
written and closed) and once more with the same promise (written beside, synced, renamed, the folder synced).

Telemetry: a push with its record passed on to all sinks (JSON lines, metrics, events), at once and in the background,
beside a push alone, in turns.

With ``--faults`` none of that: recovery after injected faults, see :mod:`benchmarks.faults`.
"""

import argparse
import json
import logging
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common, faults

common.one_thread()

ROWS, WIDTH, TURN = 600, 32, 50


def millis(call: Callable[[], Any], repeats: int = 50) -> float:
    """Median duration of a call in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def rows() -> tuple[Any, Any]:
    """Rows of the bundled price series."""
    import usp_sklearn as usp

    return usp.sliding_window(usp.datasets.load_wti().to_numpy()[-ROWS:], width=WIDTH)


def child(kind: str, path: str, cache: str) -> None:
    """In a fresh process: load the model and issue one law; prints the seconds of both and the law."""
    start = time.perf_counter()
    import usp_sklearn as usp
    from usp_sklearn.api.persistence import load

    usp.configure(cache_dir=cache)
    X, _ = rows()
    ready = time.perf_counter()
    model = pickle.loads(Path(path).read_bytes()) if kind == "pickle" else load(path)
    loaded = time.perf_counter()
    law = model.predict_quantiles(X[-1:])
    done = time.perf_counter()
    print(json.dumps({"import": ready - start, "load": loaded - ready, "law": done - loaded, "q": law.tolist()}))


def fresh(paths: dict[str, Path], cache: Path, repeats: int) -> list[dict[str, Any]]:
    """The quickest :func:`child` of several new interpreters for each kind of file, in turns."""
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in paths}
    for _ in range(repeats):
        for kind, path in paths.items():
            command = [sys.executable, __file__, "--child", kind, "--path", str(path), "--cache", str(cache)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            runs[kind].append(json.loads(done.stdout.splitlines()[-1]))
    return [{k: min(r[k] for r in own) for k in ("import", "load", "law", "q")} for own in runs.values()]


def telemetry(model: Any, series: Any, folder: Path, steps: int = 3000) -> list[float]:
    """Milliseconds of a push alone, with all sinks after it, and with all sinks in the background: medians, in turns.

    A turn is long enough for the background's own work to fall into it.
    """
    import usp_sklearn as usp
    from usp_sklearn.io.telemetry import Background, Events, JsonLines, Metrics, Tee

    stream = usp.Stream(model, series[:-steps], usp.SlidingWindow(width=WIDTH).fit(series[:ROWS, None]))
    logging.getLogger("usp_sklearn").addHandler(logging.FileHandler(folder / "events.log"))
    logging.getLogger("usp_sklearn").propagate = False

    def sinks(name: str) -> Tee:
        return Tee(JsonLines(folder / f"{name}.jsonl", stream=name), Metrics(stream=name), Events(stream=name))

    direct, background = sinks("direct"), Background(sinks("background"))
    times: tuple[list[float], ...] = ([], [], [])
    for i, part in enumerate(series[-steps:].reshape(-1, TURN)):
        sink = (None, direct, background)[i % 3]
        start = time.perf_counter()
        for value in part:
            before = time.perf_counter()
            stream.push(value)
            if sink is not None:
                sink.write(stream.telemetry_ | {"step_seconds": time.perf_counter() - before})
        times[i % 3].append((time.perf_counter() - start) / TURN)
    direct.close(), background.close()
    return [1e3 * statistics.median(t[1:]) for t in times]


def line(what: str, ours: float, other: float, unit: str) -> None:
    """One comparison."""
    print(f"{what:<52} {ours:10.2f} {unit:<3} pickle {other:10.2f} {unit:<3} ratio {ours / other:6.2f}", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimator", default="JKOPredictor", choices=common.ESTIMATORS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--faults", action="store_true", help="recovery after faults instead")
    parser.add_argument("--runs", type=int, default=20, help="of each fault")
    parser.add_argument("--child", choices=["snapshot", "pickle"], help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    parser.add_argument("--cache", help=argparse.SUPPRESS)
    args = parser.parse_args()
    common.pin()
    if args.child:
        child(args.child, args.path, args.cache)
        return

    import usp_sklearn as usp
    from usp_sklearn.api.persistence import load, save
    from usp_sklearn.io import durable

    with tempfile.TemporaryDirectory() as folder:
        ours, other, cache = Path(folder) / "model.usp", Path(folder) / "model.pickle", Path(folder) / "cache"
        common.compile_cache(cache)
        X, y = rows()
        model = common.estimator_class(args.estimator)(width=WIDTH, n_level=X.shape[1] - WIDTH, random_state=0)
        model.fit(X, y)
        print(f"{args.estimator}, {ROWS} rows × {X.shape[1]}, one core\n")
        if args.faults:
            faults.report(model, usp.datasets.load_wti().to_numpy()[-ROWS:], cache, args.runs, args.repeats)
            return
        save(model, ours)
        other.write_bytes(pickle.dumps(model))
        line("size", ours.stat().st_size / 1024, other.stat().st_size / 1024, "KiB")
        saving = millis(lambda: save(model, ours))
        line("save", saving, millis(lambda: other.write_bytes(pickle.dumps(model))), "ms")
        line(
            "save, pickle with the same promise",
            saving,
            millis(lambda: durable.replace(other, pickle.dumps(model))),
            "ms",
        )
        line("load", millis(lambda: load(ours)), millis(lambda: pickle.loads(other.read_bytes())), "ms")

        model.predict_quantiles(X[-1:])
        a, b = fresh({"snapshot": ours, "pickle": other}, cache, args.repeats)
        assert a["q"] == b["q"] == model.predict_quantiles(X[-1:]).tolist()
        print(f"\nnew process, warm compilation cache; imports and rows {a['import']:.2f} s")
        line("load", 1e3 * a["load"], 1e3 * b["load"], "ms")
        line("load and first law", 1e3 * (a["load"] + a["law"]), 1e3 * (b["load"] + b["law"]), "ms")
        total, with_pickle = (r["import"] + r["load"] + r["law"] for r in (a, b))
        line("imports, load and first law", total, with_pickle, "s")

        series = usp.datasets.load_wti().to_numpy()[-ROWS - 3000 :]
        print("\nStream.push with all sinks: ms alone, at once, in the background")
        levy = usp.LevyPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH)
        for fitted in (levy, model) if args.estimator != "LevyPredictor" else (model,):
            fitted.fit(*usp.sliding_window(series[:ROWS], width=WIDTH))
            off, on, behind = telemetry(fitted, series, Path(folder))
            ratios = f"ratio {on / off:5.3f} at once, {behind / off:5.3f} in the background"
            print(f"{type(fitted).__name__:<22} {off:7.3f} {on:7.3f} {behind:7.3f}  {ratios}", flush=True)


if __name__ == "__main__":
    main()
