"""JKOAggregator on stored expert forecasts, beside Bernstein online aggregation and fixed share run on the same rows.

    python benchmarks/aggregation.py                       # the acceptance row: top 4 and core 7
    python benchmarks/aggregation.py --panel top4 --ablate # what each part of the combination gives
    python benchmarks/aggregation.py --by-series

Rows before 60 % of a series are burn-in: learned, not scored. Scores are the benchmark's: sCRPS over naive's, geometric
mean over series; lower is better.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

common.one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

ArrayF = NDArray[np.float64]
PANELS = {
    "top4": ("ridge_ewma_emp", "linqr", "lgbm_q", "garch_t"),
    "core7": ("ridge_ewma_emp", "linqr", "lgbm_q", "garch_t", "ridge_aci", "sf_autoarima", "crepes_cps"),
}
FLOOR, AIM = 0.580, 0.576
ABLATIONS: dict[str, dict[str, Any]] = {
    "flows alone": {"stack": False, "calibration": False, "grid": False},
    "without stack": {"stack": False},
    "without calibration": {"calibration": False},
    "without grid": {"grid": False},
    "sinkhorn geometry": {"geometry": "sinkhorn"},
}


def bernstein(experts: ArrayF, y: ArrayF, levels: ArrayF, smoothing: float = 0.5) -> ArrayF:
    """Bernstein online aggregation per level, gradient trick, second-order rates (Berrisch & Ziel 2021)."""
    n, m, k = experts.shape
    regret, square, largest = np.zeros((m, k)), np.full((m, k), 1e-12), np.full((m, k), 1e-12)
    weights, out = np.full((m, k), 1 / m), np.empty((n, k))
    for t in range(n):
        smooth = (1 - smoothing) * weights + smoothing * weights.mean(axis=1, keepdims=True)
        out[t] = (smooth * experts[t]).sum(axis=0)
        gain = ((y[t] <= out[t]) - levels) * (out[t] - experts[t])
        largest = np.maximum(largest, np.abs(gain))
        square += gain**2
        rate = np.minimum(0.5 / largest, np.sqrt(np.log(m) / square))
        regret += 0.5 * (gain * (1 - rate * gain) - largest * (rate * gain < -0.5))
        score = np.log(rate) + rate * regret
        weights = np.exp(score - score.max(axis=0))
        weights /= weights.sum(axis=0)
    return np.sort(out, axis=1)


def fixed_share(experts: ArrayF, y: ArrayF, levels: ArrayF, share: float = 0.01, rate: float = 0.2) -> ArrayF:
    """Exponential weights on the pinball loss pooled over levels, with fixed share (Herbster & Warmuth 1998)."""
    n, m, k = experts.shape
    weights, out, scale = np.full(m, 1 / m), np.empty((n, k)), 0.0
    for t in range(n):
        out[t] = weights @ experts[t]
        error = y[t] - experts[t]
        loss = np.maximum(levels * error, (levels - 1) * error).mean(axis=1)
        scale = 0.98 * scale + 0.02 * loss.min() if t else float(loss.min())
        weights = weights * np.exp(-np.minimum(rate * (loss - loss.min()) / (scale + 1e-12), 20.0))
        weights = (1 - share) * weights / weights.sum() + share / m
    return np.sort(out, axis=1)


def jko(**params: Any) -> Callable[[ArrayF, ArrayF, ArrayF], ArrayF]:
    """The aggregator as a function of experts, outcomes and levels."""
    from usp_sklearn.api.aggregator import JKOAggregator

    def combine(experts: ArrayF, y: ArrayF, levels: ArrayF) -> ArrayF:
        start = 20
        model = JKOAggregator(quantiles=levels, **params).fit(experts[:start], y[:start])
        head = np.repeat(experts[:1].mean(axis=1), start, axis=0)
        return np.concatenate([head, model.update_predict(experts[start:], y[start:])])

    return combine


def load(bench: Path, names: set[str], columns: list[str]) -> dict[str, dict[str, tuple[ArrayF, ArrayF]]]:
    """Per expert and series: steps (n,) and sorted quantiles (n, levels)."""
    stored: dict[str, dict[str, tuple[ArrayF, ArrayF]]] = {}
    for name in sorted(names):
        frame = pd.read_csv(bench / "public_experts" / f"{name}.csv.gz")
        stored[name] = {
            str(u): (g["step"].to_numpy(), np.sort(g[columns].to_numpy(), axis=1))
            for u, g in frame.groupby("unique_id", sort=False)
        }
    return stored


def main() -> None:
    """Run every method on every panel and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", help="folder of the benchmark data; default $USP_BENCH or ../shared/bench")
    parser.add_argument("--panel", choices=[*PANELS, "all"], default="all")
    parser.add_argument("--ablate", action="store_true", help="also run the aggregator without each of its parts")
    parser.add_argument("--by-series", action="store_true", help="also print the ratio of every series")
    arguments = parser.parse_args()
    bench = common.bench_path(arguments.bench)
    scorer = common.load_scorer(bench)
    levels, columns = np.asarray(scorer.LEVELS), list(scorer.QC)
    data, _ = scorer.load("public")
    panels = {k: v for k, v in PANELS.items() if arguments.panel in (k, "all")}
    stored = load(bench, {"naive"}.union(*panels.values()), columns)
    naive = scorer.score(pd.concat([scorer.frame(u, *stored["naive"][u]) for u in data], ignore_index=True), "public")
    methods: dict[str, Callable[[ArrayF, ArrayF, ArrayF], ArrayF]] = {
        "Bernstein online aggregation": bernstein,
        "fixed share": fixed_share,
        "JKOAggregator": jko(),
    }
    if arguments.ablate:
        methods |= {f"  {name}": jko(**params) for name, params in ABLATIONS.items()}
    print(f"{'panel':6} {'method':32} {'ratio':>7} {'|cov80-.8|':>10} {'<= naive':>9} {'us/step':>8}")
    for panel, members in panels.items():
        for name, method in methods.items():
            frames, seconds, rows = [], 0.0, 0
            for i, (series, values) in enumerate(data.items()):
                steps = stored[members[0]][series][0].astype(int)
                experts = np.stack([stored[m][series][1] for m in members], axis=1)
                if i == 0:
                    method(experts, values[steps], levels)
                started = time.perf_counter()
                q = method(experts, values[steps], levels)
                seconds, rows = seconds + time.perf_counter() - started, rows + len(steps)
                frames.append(scorer.frame(series, steps, q))
            score = scorer.score(pd.concat(frames, ignore_index=True), "public")
            ratio = score["scrps"] / naive["scrps"]
            mean, off = float(np.exp(np.log(ratio).mean())), float((score["cov80"] - 0.8).abs().mean())
            print(
                f"{panel:6} {name:32} {mean:7.4f} {off:10.4f} {int((ratio <= 1).sum()):6}/{len(ratio)}"
                f" {1e6 * seconds / rows:8.1f}",
                flush=True,
            )
            if arguments.by_series:
                print(ratio.round(4).to_string())
    print(f"acceptance: floor {FLOOR:.3f}, aim {AIM:.3f}")


if __name__ == "__main__":
    main()
