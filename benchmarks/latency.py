"""Speed on one core: compiled work in this process, first results in fresh ones, beside a peer of the same run.

    python benchmarks/latency.py [--estimator JKOPredictor]

Absolute times depend on the machine; the peer is scikit-learn's HistGradientBoostingRegressor(loss="quantile"), one
model per level, on the same rows, core and run.
"""

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common
from benchmarks.report import row

common.one_thread()

ROWS, WIDTH, STEPS = 1800, 32, 1024
LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def rows(n: int) -> tuple[Any, Any, Any]:
    """Series of known law, and its rows of bare windows."""
    import usp_sklearn as usp

    series = usp.datasets.make_garch(n + WIDTH, random_state=0).cumsum()
    return (series, *usp.sliding_window(series, width=WIDTH, averages=None))


def child(task: str, estimator: str, cache: str, model: str) -> None:
    """In a fresh process: fit and issue a law, or load a model and issue one; prints seconds since the start."""
    start = float(os.environ["USP_BENCH_START"])
    import usp_sklearn as usp

    usp.configure(cache_dir=cache)
    _, X, y = rows(ROWS)
    if task == "fit":
        fitted = common.estimator_class(estimator)(width=WIDTH, random_state=0).fit(X, y)
    else:
        fitted = pickle.loads(Path(model).read_bytes())
    law = fitted.predict_quantiles(X[-1:], LEVELS)
    assert law.shape == (1, len(LEVELS))
    done = time.time() - start
    print(json.dumps({"seconds": done, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def fresh(task: str, estimator: str, cache: Path, model: Path) -> dict[str, float]:
    """Run :func:`child` in a new interpreter; the clock starts before it does."""
    command = [sys.executable, __file__, "--child", task, "--estimator", estimator, "--cache", str(cache)]
    environment = {**os.environ, "USP_BENCH_START": repr(time.time())}
    done = subprocess.run([*command, "--model", str(model)], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    out: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return out


def import_seconds(statement: str, repeats: int) -> float:
    """Fastest of several fresh interpreters that only import."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True, cwd=common.ROOT)
        best = min(best, time.perf_counter() - start)
    return best


def best_of(call: Any, repeats: int) -> float:
    """Fastest of several calls, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def compiled(estimator: str, repeats: int) -> tuple[Any, dict[str, float]]:
    """Times of fit, update_predict and push once everything is compiled; returns a fitted model too."""
    import numpy as np

    import usp_sklearn as usp

    series, X, y = rows(ROWS + STEPS)
    make = common.estimator_class(estimator)

    def fit() -> Any:
        return make(width=WIDTH, random_state=0).fit(X[:ROWS], y[:ROWS])

    model = fit()
    out = {"fit": best_of(fit, repeats)}
    saved = pickle.dumps(model)
    walking = pickle.loads(saved)
    walking.update_predict(X[ROWS:], y[ROWS:], quantiles=LEVELS)
    out["walk"] = best_of(lambda: walking.update_predict(X[ROWS:], y[ROWS:], quantiles=LEVELS), repeats) / STEPS
    stream = usp.Stream(model, series[: ROWS + WIDTH])
    pushes = []
    for value in series[ROWS + WIDTH :]:
        start = time.perf_counter()
        stream.push(value)
        pushes.append(time.perf_counter() - start)
    out["push"] = float(np.median(pushes[50:]))
    return pickle.loads(saved), out


def peer(repeats: int) -> dict[str, float]:
    """Nine quantile boosters of scikit-learn: seconds to fit the same rows, and to forecast one row."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    _, X, y = rows(ROWS)
    models = [HistGradientBoostingRegressor(loss="quantile", quantile=u, random_state=0) for u in LEVELS]
    out = {"fit": best_of(lambda: [m.fit(X, y) for m in models], 1)}
    out["step"] = best_of(lambda: [m.predict(X[-1:]) for m in models], 5 * repeats)
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimator", default="JKOPredictor", choices=common.ESTIMATORS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", choices=["fit", "load"], help=argparse.SUPPRESS)
    parser.add_argument("--cache", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    args = parser.parse_args()
    common.pin()
    if args.child:
        child(args.child, args.estimator, args.cache, args.model)
        return

    print(f"{args.estimator}, {ROWS} rows × {WIDTH}, one core\n\nimport")
    base = import_seconds("import jax, sklearn", args.repeats)
    ours = import_seconds("import usp_sklearn", args.repeats)
    print(row(f"usp_sklearn ({ours:.2f} s) over jax, sklearn ({base:.2f} s)", ours / base, 1.15, 1.05))

    with tempfile.TemporaryDirectory() as folder:
        cache, path = Path(folder) / "cache", Path(folder) / "model.pickle"
        print("\nfresh processes, interpreter start and imports included")
        cold = fresh("fit", args.estimator, cache, path)
        print(row("first fit and law, empty cache, s", cold["seconds"], 25, 8))
        print(row("peak memory of that process, MB", cold["megabytes"], 900, 500))
        print(row("first fit and law, warm cache, s", fresh("fit", args.estimator, cache, path)["seconds"], 8, 4))
        common.compile_cache(cache)
        model, times = compiled(args.estimator, args.repeats)
        path.write_bytes(pickle.dumps(model))
        fresh("load", args.estimator, cache, path)
        print(
            row(
                "first law, model from disk, warm cache, s", fresh("load", args.estimator, cache, path)["seconds"], 4, 2
            )
        )

    other = peer(args.repeats)
    print("\ncompiled, this process")
    print(row("fit, s", times["fit"], 5, 1))
    print(row("update_predict, ms a step", 1e3 * times["walk"], 0.6, 0.2))
    print(row("Stream.push, ms", 1e3 * times["push"], 1, 0.2))
    print(f"\npeer, {len(LEVELS)} quantile boosters: fit {other['fit']:.2f} s, one row {1e3 * other['step']:.2f} ms")
    print(f"  fit ÷ peer's fit                       {times['fit'] / other['fit']:.3f}")
    print(f"  update_predict step ÷ peer's one row   {times['walk'] / other['step']:.3f}")
    print(f"  Stream.push ÷ peer's one row           {times['push'] / other['step']:.3f}")


if __name__ == "__main__":
    main()
