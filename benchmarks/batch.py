"""What a search sees: a frozen ensemble on later folds, beside boosters with one model per quantile level.

    python benchmarks/batch.py
    python benchmarks/batch.py --every 4 --folds 2
    python benchmarks/batch.py --ids energy_load_rte --fresh

Every series is cut by scikit-learn's ``TimeSeriesSplit(5)``; the last ``--folds`` splits count. On each one every
forecaster is fitted on the training rows and predicts all test rows:

    JKO frozen    ``fit``, then ``predict_quantiles``: nothing of the test fold is learned, as in ``GridSearchCV``
    JKO online    ``fit``, then ``update_predict`` on the same rows: what learning on would give, for reference
    HGB, LightGBM boosters on the same rows, with the settings of the benchmark's own peers ``hgb_q`` and ``lgbm_q``
    naive         the newest value plus quantiles of the training increments

Boosters get what they need to move with the series: every column and the target less the newest value, over an
exponential average of the row's |Δy| (with a small share of the training mean, so that it never vanishes), besides
the log of that unit, the newest |Δy| over it, and the level. Scores are mean pinball losses over the scorer's nine
levels, over naive's on the same rows; means are geometric, over series and folds. Each series is one file, so a run
that was stopped goes on where it was (``--fresh`` starts over). One core per worker process.

LightGBM is optional and in no extra of the package; without it the run says so and goes on:

    .venv/bin/python -m pip install --no-deps lightgbm==4.7.0
"""

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

common.one_thread()

import numpy as np  # noqa: E402  (thread counts must be set before the numerical libraries start)
import pandas as pd  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

WIDTH, SPLITS = 32, 5
RATE, SHARE = 0.06, 0.05
"""Rate of the average of |Δy| that is a row's unit for the boosters, and the training mean's share in it."""
CLIP = 60.0
"""Standardised targets the boosters learn from are clipped here, as the stored peers' are."""
NAMES = ("JKO frozen", "JKO online", "HGB", "LightGBM", "naive")
Array = NDArray[np.float64]


class Fold(NamedTuple):
    """Rows and targets of one split."""

    X: Array
    y: Array
    X_test: Array
    y_test: Array


class Job(NamedTuple):
    """One series to forecast and where to put its scores."""

    series: str
    split: str
    folds: int
    lightgbm: bool
    bench: str
    folder: str
    cache: str


def folds_of(y: Array, season: int, count: int) -> list[Fold]:
    """The last ``count`` splits of a series ``y`` (n,), all over the same columns."""
    from sklearn.model_selection import TimeSeriesSplit

    from usp_sklearn import sliding_window

    parts = list(TimeSeriesSplit(SPLITS).split(np.empty(len(y) - WIDTH)))[-count:]
    # What the first of these folds may learn from decides whether the season is short enough to be seen three times.
    seen = season > 1 and 3 * season < len(parts[0][0]) + WIDTH
    X, target = sliding_window(y, width=WIDTH, season=season if seen else None)
    return [Fold(X[a], target[a], X[b], target[b]) for a, b in parts]


def standardised(X: Array, floor: float) -> tuple[Array, Array, Array]:
    """The boosters' inputs (n, p + 2), the newest values and the units (n,); ``floor`` keeps units above zero."""
    last = X[:, -1]
    size = np.abs(np.diff(X[:, -WIDTH:]))[:, ::-1]
    weight = (1 - RATE) ** np.arange(WIDTH - 1)
    unit = size @ weight / weight.sum() + floor
    moves = (X[:, :-1] - last[:, None]) / unit[:, None]
    return np.c_[moves, np.log(unit), size[:, 0] / unit, last], last, unit


def boosted(fit: Callable[[Array, Array, Array, Array], Array], fold: Fold, levels: Array) -> Array:
    """Quantiles (n, K) of the test rows by ``fit(inputs, targets, test inputs, levels)`` in the rows' own units."""
    floor = SHARE * np.abs(fold.X[:, -1] - fold.X[:, -2]).mean() + 1e-12
    x, last, unit = standardised(fold.X, floor)
    x_test, last_test, unit_test = standardised(fold.X_test, floor)
    z = np.clip((fold.y - last) / unit, -CLIP, CLIP)
    q = fit(x, z, x_test, levels)
    return last_test[:, None] + unit_test[:, None] * np.sort(q, axis=1)


def hgb(x: Array, z: Array, x_test: Array, levels: Array) -> Array:
    """scikit-learn's histogram boosters, one a level, set up as the peer ``hgb_q``."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    settings = {"max_iter": 100, "learning_rate": 0.06, "max_leaf_nodes": 8, "min_samples_leaf": 25}
    models = [
        HistGradientBoostingRegressor(loss="quantile", quantile=u, l2_regularization=1.0, random_state=0, **settings)
        for u in levels
    ]
    return np.stack([model.fit(x, z).predict(x_test) for model in models], axis=1)


def lightgbm(x: Array, z: Array, x_test: Array, levels: Array) -> Array:
    """LightGBM, one model a level, set up as the peer ``lgbm_q``."""
    import lightgbm as lgb

    binned = lgb.Dataset(x, z, params={"verbose": -1, "max_bin": 63}, free_raw_data=False).construct()
    settings = {"objective": "quantile", "learning_rate": 0.06, "num_leaves": 8, "min_data_in_leaf": 25, "verbose": -1}
    settings |= {"feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0, "seed": 1}
    settings |= {"num_threads": 1, "max_bin": 63}
    models = [lgb.train({**settings, "alpha": u}, binned, 100) for u in levels]
    return np.stack([model.predict(x_test, num_threads=1) for model in models], axis=1)


def naive(fold: Fold, levels: Array) -> Array:
    """The newest value plus quantiles of all training increments."""
    return fold.X_test[:, -1:] + np.quantile(fold.y - fold.X[:, -1], levels)


def forecasts(fold: Fold, levels: Array, with_lightgbm: bool) -> dict[str, tuple[Array, float]]:
    """Quantiles (n, K) of the test rows and seconds, by forecaster."""
    from usp_sklearn import JKOPredictor

    out: dict[str, tuple[Array, float]] = {}

    def run(name: str, call: Callable[[], Array]) -> None:
        start = time.perf_counter()
        out[name] = call(), time.perf_counter() - start

    model = JKOPredictor(width=WIDTH, n_level=fold.X.shape[1] - WIDTH, random_state=0)
    run("JKO frozen", lambda: model.fit(fold.X, fold.y).predict_quantiles(fold.X_test, levels))
    run("JKO online", lambda: model.update_predict(fold.X_test, fold.y_test, quantiles=levels))
    run("HGB", lambda: boosted(hgb, fold, levels))
    if with_lightgbm:
        run("LightGBM", lambda: boosted(lightgbm, fold, levels))
    run("naive", lambda: naive(fold, levels))
    return out


def score(series: str, number: int, name: str, y: Array, q: Array, levels: Array, seconds: float) -> dict[str, Any]:
    """One row of the results: mean pinball loss and shares inside the central intervals."""
    error = y[:, None] - q
    return {
        "series": series,
        "fold": number,
        "forecaster": name,
        "rows": len(y),
        "pinball": float(np.maximum(levels * error, (levels - 1) * error).mean()),
        "cov80": float(((y >= q[:, 2]) & (y <= q[:, 6])).mean()),
        "cov98": float(((y >= q[:, 0]) & (y <= q[:, 8])).mean()),
        "seconds": seconds,
        "finite": bool(np.isfinite(q).all()),
    }


def measure(job: Job) -> str:
    """Score every forecaster on every fold of one series and write the table; nothing more to say."""
    scorer = common.load_scorer(Path(job.bench))
    data, meta = scorer.load(job.split)
    rows = []
    for number, fold in enumerate(folds_of(data[job.series], int(meta.loc[job.series, "season"]), job.folds)):
        for name, (q, seconds) in forecasts(fold, scorer.LEVELS, job.lightgbm).items():
            rows.append(score(job.series, number, name, fold.y_test, q, scorer.LEVELS, seconds))
    done = Path(job.folder) / f"{job.series}.csv"
    part = done.with_name(f"part-{os.getpid()}-{done.name}")
    pd.DataFrame(rows).to_csv(part, index=False)
    part.replace(done)
    return ""


def report(folder: Path, ids: list[str]) -> pd.DataFrame:
    """Print the table of what is in ``folder``; returns the ratios by series and fold."""
    files = [folder / f"{u}.csv" for u in ids if (folder / f"{u}.csv").exists()]
    if not files:
        print("nothing to score")
        return pd.DataFrame()
    scores = pd.concat([pd.read_csv(f) for f in files], ignore_index=True)
    keys = ["series", "fold"]
    losses = scores.pivot(index=keys, columns="forecaster", values="pinball")
    names = [n for n in NAMES if n in losses and losses[n].notna().all()]
    still = losses["naive"] <= 0
    ratios = losses.loc[~still, names].div(losses.loc[~still, "naive"], axis=0).clip(lower=1e-4)
    table = pd.DataFrame({"ratio": np.exp(np.log(ratios).mean())})
    by_name = scores.groupby("forecaster")
    table["cov80"], table["cov98"] = by_name["cov80"].mean(), by_name["cov98"].mean()
    table["|cov80 − .8|"] = (scores["cov80"] - 0.8).abs().groupby(scores["forecaster"]).mean()
    for peer in ("HGB", "LightGBM"):
        if peer in names:
            table[f"folds better than {peer}"] = [(ratios[n] < ratios[peer]).mean() for n in names]
    table["s a fold"] = by_name["seconds"].median()  # most folds find their programs compiled
    pd.set_option("display.width", 200, "display.max_columns", 40, "display.max_rows", 200)
    print(f"\n{len(files)} series, {len(losses)} folds ({int(still.sum())} left out: persistence never errs there)")
    print(table.round(4).to_string())
    each = np.exp(np.log(ratios).groupby(level="series").mean())
    peers = [n for n in ("HGB", "LightGBM") if n in names]
    each["frozen / best peer"] = each["JKO frozen"] / each[peers].min(axis=1)
    print("\nratio to naive by series, the frozen ensemble's worst first:")
    print(each.sort_values("frozen / best peer", ascending=False).round(3).to_string())
    if not scores["finite"].all():
        print("\nNOT FINITE:", scores.loc[~scores["finite"], [*keys, "forecaster"]].to_string())
    scores.to_csv(folder / "scores.csv", index=False)
    return ratios


def main() -> int:
    """Command line; the exit status is 1 if a series failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="public", help="public, synth_public, or another split in the data folder")
    parser.add_argument(
        "--folds", type=int, default=3, choices=range(1, SPLITS + 1), help="how many of the last splits"
    )
    parser.add_argument("--every", type=int, default=1, help="only every n-th series")
    parser.add_argument("--ids", nargs="*", help="only these series")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=common.RESULTS)
    parser.add_argument("--bench", help="folder with score.py and the data (default: $USP_BENCH, ../shared/bench)")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results of this run")
    args = parser.parse_args()

    bench = common.bench_path(args.bench)
    ids = common.known_ids(parser, common.load_scorer(bench), args.split, args.ids)[:: 1 if args.ids else args.every]
    has_lightgbm = importlib.util.find_spec("lightgbm") is not None
    if not has_lightgbm:
        print("LightGBM is not installed: the run goes on without it (pip install --no-deps lightgbm==4.7.0).")
    folder = args.out / args.split / "batch"
    settings = json.dumps({"folds": args.folds, "lightgbm": has_lightgbm})
    common.resume(parser, folder, settings, args.fresh, [folder / f"{u}.csv" for u in ids])
    cache = str(args.out / ".xla-cache")
    jobs = [
        Job(u, args.split, args.folds, has_lightgbm, str(bench), str(folder), cache)
        for u in ids
        if not (folder / f"{u}.csv").exists()
    ]
    failed = common.run_all(measure, jobs, args.jobs) if jobs else []
    report(folder, ids)
    if failed:
        print(f"FAILED on {len(failed)} series: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
