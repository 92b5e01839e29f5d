"""Forecast a real series online: the daily WTI crude oil price, one walk-forward pass, every model beside the others.

    python -m benchmarks.demo          (or: make demo)

Writes to demo_output/: fan_chart.png, scores.csv, forecasts.csv, report.md.
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import common

common.one_thread()

import numpy as np  # noqa: E402  (thread counts must be set before the numerical libraries start)
import pandas as pd  # noqa: E402
from tqdm import tqdm  # noqa: E402

import usp_sklearn as usp  # noqa: E402
from benchmarks import chart  # noqa: E402
from benchmarks.persistence import PersistencePredictor  # noqa: E402

WIDTH = 32
CHUNK = 256
LEVELS = np.array([0.01, 0.05, *np.arange(0.1, 0.91, 0.05).round(2), 0.95, 0.99])
MODELS = {
    "JKO ensemble": usp.JKOPredictor,
    "A  Lévy": usp.LevyPredictor,
    "B  DGM-PDE": usp.DGMPredictor,
    "C  jump diffusion": usp.JumpDiffusionPredictor,
    "D  log-signature": usp.SignaturePredictor,
    "persistence": PersistencePredictor,
}


class Walk(NamedTuple):
    """One model's pass: the model, its stored quantiles (n, levels), seconds of the fit, ms per step once compiled."""

    model: Any
    quantiles: Any
    fit_seconds: float
    step_ms: float


def walk(make: Any, X: Any, y: Any, known: int, compilations: common.Compilations, bar: Any, name: str) -> Walk:
    """Fit on the first ``known`` rows, then issue and learn the rest in chunks."""
    start = time.perf_counter()
    model = make(width=WIDTH, n_level=X.shape[1] - WIDTH, random_state=0).fit(X[:known], y[:known])
    fit_seconds = time.perf_counter() - start
    bar.set_description(f"{name}, walk")
    parts, clean_seconds, clean_steps = [], 0.0, 0
    for a in range(known, len(X), CHUNK):
        rows = slice(a, min(a + CHUNK, len(X)))
        before, start = compilations.count, time.perf_counter()
        parts.append(model.update_predict(X[rows], y[rows], quantiles=LEVELS))
        if compilations.count == before:
            clean_seconds += time.perf_counter() - start
            clean_steps += rows.stop - rows.start
        bar.update(rows.stop - rows.start)
    return Walk(model, np.concatenate(parts), fit_seconds, 1e3 * clean_seconds / clean_steps)


def score(name: str, run: Walk, y: Any) -> dict[str, Any]:
    """CRPS and coverage of the stored quantiles, cost of the pass."""
    ends = run.quantiles[:, [np.searchsorted(LEVELS, u) for u in (0.1, 0.9)]]
    return {
        "model": name,
        "crps": usp.crps_score(y, run.quantiles, quantiles=LEVELS),
        "coverage_80": usp.coverage_score(y, ends),
        "interval_80": usp.interval_score(y, ends, coverage=0.8),
        "ms_per_step": run.step_ms,
        "fit_s": run.fit_seconds,
    }


def table(scores: pd.DataFrame) -> str:
    """The scores as a Markdown table."""
    lines = ["| model | CRPS, $ | ÷ persistence | 80 % covers | ms/step | fit, s |", "|---|--:|--:|--:|--:|--:|"]
    for r in scores.itertuples():
        lines.append(
            f"| {r.model} | {r.crps:.4f} | {r.ratio:.3f} | {100 * r.coverage_80:.1f} % | {r.ms_per_step:.3f} "
            f"| {r.fit_s:.1f} |"
        )
    return "\n".join(lines)


def report(scores: pd.DataFrame, dates: pd.DatetimeIndex, fitted: int, alarms: int) -> str:
    """What was done and what came out, as Markdown."""
    return f"""# WTI crude oil, one day ahead, online

Daily spot price in US dollars a barrel (U.S. Energy Information Administration, public domain). Each model was fitted
on {fitted} days before {dates[0].date()} and then walked through {len(dates)} days to {dates[-1].date()}, in one pass:
every law was issued before its outcome was learned. Fit times include compilation unless the cache was warm.

{table(scores)}

CRPS is the mean continuous ranked probability score, lower is better. Change alarms on the way: {alarms}.

![Fan chart, weights, alarms and Hölder exponent](fan_chart.png)
"""


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=2000, help="how many of the newest days to use")
    parser.add_argument("--out", type=Path, default=common.ROOT / "demo_output")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    common.compile_cache(common.ROOT / ".cache" / "xla")
    compilations = common.Compilations()

    price = usp.datasets.load_wti().iloc[-args.values :]
    X, y = usp.sliding_window(price.to_numpy(), width=WIDTH)
    dates = price.index[WIDTH:]
    known = int(0.6 * args.values) - WIDTH
    truth = y[known:]
    runs: dict[str, Walk] = {}
    with tqdm(total=len(MODELS) * len(truth), unit="step", dynamic_ncols=True) as bar:
        for name, make in MODELS.items():
            bar.set_description(f"{name}, fit")
            runs[name] = walk(make, X, y, known, compilations, bar, name)

    scores = pd.DataFrame([score(name, run, truth) for name, run in runs.items()])
    scores.insert(2, "ratio", scores["crps"] / scores["crps"].iloc[-1])
    best = runs["JKO ensemble"]
    record = best.model.telemetry_frame_.tail(len(truth)).reset_index(drop=True)
    forecasts = pd.DataFrame(best.quantiles, columns=[f"q{u:g}" for u in LEVELS], index=dates[known:])
    forecasts.insert(0, "price", truth)
    text = report(scores, dates[known:], known, int(record["regime_changed"].sum()))

    scores.to_csv(args.out / "scores.csv", index=False, float_format="%.6g")
    forecasts.to_csv(args.out / "forecasts.csv", float_format="%.6g", index_label="date")
    (args.out / "report.md").write_text(text, encoding="utf-8")
    chart.draw(args.out / "fan_chart.png", forecasts, record)
    print("\n" + table(scores) + f"\n\nwritten: {args.out}/fan_chart.png, scores.csv, forecasts.csv, report.md")


if __name__ == "__main__":
    main()
