"""Accuracy on the benchmark series: walk forward online, write forecasts in the scorer's format, print the table.

    python benchmarks/accuracy.py --split public --estimator JKOPredictor
    python benchmarks/accuracy.py --split synth_public --estimator LevyPredictor --ids syn_stable_walk_p
    python benchmarks/accuracy.py --split public --estimator JKOPredictor --multi

The first 60 % of a series (``--start``) fits, the rest is walked prequentially; each series is one file, so a run that
was stopped goes on where it was (``--fresh`` starts over). One core per worker process.
"""

import argparse
import copy
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

common.one_thread()

WIDTH = 32


class Job(NamedTuple):
    """One series to forecast and where to put the forecasts."""

    series: str
    split: str
    estimator: str
    params: dict[str, Any]
    multi: bool
    start: float
    bench: str
    folder: str
    cache: str


def forecast(job: Job) -> str:
    """Fit, walk and write one series; says seconds of the fit and ms per walked step."""
    import numpy as np
    import pandas as pd

    from usp_sklearn import SlidingWindow, sliding_window

    scorer = common.load_scorer(Path(job.bench))
    data, meta = scorer.load(job.split)
    y, info = data[job.series], meta.loc[job.series]
    n = len(y)
    first = int(job.start * n)
    # Only the part that may be used to fit decides whether the season is long enough to be seen three times.
    season = int(info["season"]) if info["season"] > 1 and 3 * info["season"] < first else None
    steps = scorer.horizon(info["freq"]) if job.multi else 1
    options = {"width": WIDTH, "season": season, "horizon": steps, "multi": job.multi}
    X, Y = sliding_window(y, **options)
    known = first - steps - WIDTH + 1  # rows whose last target lies before `first`
    make = common.estimator_class(job.estimator)
    layout = {**SlidingWindow(**options).fit(y[:first, None]).layout, "random_state": 0}

    def fitted() -> Any:
        return make(**layout, **job.params).fit(X[:known], Y[:known])

    def walk(model: Any) -> Any:
        return np.asarray(model.update_predict(X[known:], Y[known:], quantiles=scorer.LEVELS))

    started = time.perf_counter()
    model, fit_seconds = common.timed(fitted, fitted)
    spare = copy.deepcopy(model)
    Q, walk_seconds = common.timed(lambda: walk(model), lambda: walk(spare))
    total = time.perf_counter() - started
    if job.multi:
        rows = []
        for origin in range(first, n - steps + 1, scorer.ORIGIN_STRIDE):
            frame = scorer.frame(job.series, 0, Q[origin - WIDTH - known]).drop(columns="step")
            frame.insert(1, "h", np.arange(1, steps + 1))
            frame.insert(1, "origin", origin)
            rows.append(frame)
        out = pd.concat(rows, ignore_index=True)
    else:
        out = scorer.frame(job.series, np.arange(first, n), Q)
    done = Path(job.folder) / f"{job.series}.csv.gz"
    part = done.with_name(f"part-{os.getpid()}-{done.name}")
    out.to_csv(part, index=False, float_format="%.9g")
    times = {"fit": fit_seconds, "walk": walk_seconds, "steps": len(Q), "wall": total, "weights": _weights(model)}
    done.with_name(f"{job.series}.json").write_text(json.dumps(times))
    part.replace(done)
    return f": fit {fit_seconds:.2f} s, {1e3 * walk_seconds / len(Q):.3f} ms/step"


def _weights(model: Any) -> dict[str, float]:
    """Mean weight of each branch over the walk, from the model's own telemetry."""
    frame = getattr(model, "telemetry_frame_", None)
    if frame is None:
        return {}
    return {c.removeprefix("weight_"): float(frame[c].mean()) for c in frame.columns if c.startswith("weight_")}


def main() -> int:
    """Command line; the exit status is 1 if a series failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="public", help="public, synth_public, or another split in the data folder")
    parser.add_argument("--estimator", default="JKOPredictor", choices=[*common.ESTIMATORS, "persistence"])
    parser.add_argument("--params", default="{}", help="further estimator parameters, as JSON")
    parser.add_argument("--multi", action="store_true", help="all horizons up to 24 (10), every 25 steps")
    parser.add_argument("--start", type=float, default=0.6, help="share that fits; .5 gives burn-in forecasts")
    parser.add_argument("--ids", nargs="*", help="only these series")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--tag", default="", help="name of the run, when parameters differ")
    parser.add_argument("--out", type=Path, default=common.RESULTS)
    parser.add_argument("--bench", help="folder with score.py and the data (default: $USP_BENCH, ../shared/bench)")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results of this run")
    args = parser.parse_args()

    bench = common.bench_path(args.bench)
    scorer = common.load_scorer(bench)
    ids = common.known_ids(parser, scorer, args.split, args.ids)
    name = args.estimator + (f"-{args.tag}" if args.tag else "")
    folder = args.out / args.split / (name + ("-multi" if args.multi else ""))
    settings = json.dumps({"params": json.loads(args.params), "start": args.start}, sort_keys=True)
    common.resume(parser, folder, settings, args.fresh, [folder / f"{u}.csv.gz" for u in ids])
    jobs = [
        Job(u, args.split, args.estimator, json.loads(args.params), args.multi, args.start, str(bench), str(folder),
            str(args.out / ".xla-cache"))
        for u in ids
        if not (folder / f"{u}.csv.gz").exists()
    ]  # fmt: skip
    failed = common.run_all(forecast, jobs, args.jobs) if jobs else []

    from benchmarks.report import report

    report(scorer, bench, args.split, folder, name, ids, args.multi)
    if failed:
        print(f"FAILED on {len(failed)} series: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
