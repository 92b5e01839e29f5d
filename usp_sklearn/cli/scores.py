"""Scores of a pass beside those of forecasts anybody can make."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..api.metrics import coverage_score, crps_score, interval_score
from ..api.metrics_comparison import DieboldMariano, diebold_mariano
from .naive import naive
from .passes import Pass

Array = NDArray[np.float64]


def scores(run: Pass, name: str, step: int | None = None) -> pd.DataFrame:
    """CRPS, its ratio to persistence, coverage and width of the 80 % interval, error of the median; a row a forecast.

    All are means over the steps of the pass (and over horizons), the losses in the unit of the series. Persistence is
    the last value and the quantiles of past changes; "seasonal naive" takes the value one season ago, where there is a
    season. With several horizons ``step`` picks one of them.
    """
    rows = run.rows
    tables = {name: run.quantiles, "persistence": _naive(run, None)}
    if rows.windows.season_ is not None:
        tables[f"seasonal naive ({rows.windows.season_})"] = _naive(run, rows.windows.season_)
    y = run.outcomes
    if step is not None:
        y, tables = y[:, step - 1], {each: q[:, step - 1] for each, q in tables.items()}
    # Before enough errors are known a naive forecast has no quantiles; all are then scored on the rest.
    fair = np.all([np.isfinite(q).all(axis=tuple(range(1, q.ndim))) for q in tables.values()], axis=0)
    out = pd.DataFrame({each: _scores(y[fair], q[fair], run.levels) for each, q in tables.items()}).T
    out.insert(1, "ratio", out["crps"] / out.loc["persistence", "crps"])
    return out.rename_axis("forecast")


def advantage(run: Pass) -> DieboldMariano:
    """Whether the pass differs from persistence by more than chance, by the CRPS of each step (mean over horizons)."""
    y, own, other = run.outcomes, run.quantiles, _naive(run, None)
    known = np.isfinite(other).all(axis=tuple(range(1, other.ndim)))
    cells = np.diff(np.concatenate([[0.0], (run.levels[1:] + run.levels[:-1]) / 2, [1.0]]))

    def losses(q: Array) -> Array:
        off = y[known, ..., None] - q[known]
        each = 2 * (np.maximum(run.levels * off, (run.levels - 1) * off) * cells).sum(axis=-1)
        return each.reshape(len(each), -1).mean(axis=1)

    return diebold_mariano(losses(own), losses(other), horizon=run.rows.horizon)


def _scores(y: Array, q: Array, levels: Array) -> dict[str, float]:
    ends = q[..., [int(np.abs(levels - u).argmin()) for u in (0.1, 0.9)]]
    median = q[..., int(np.abs(levels - 0.5).argmin())]
    return {
        "crps": crps_score(y, q, quantiles=levels),
        "coverage_80": coverage_score(y, ends),
        "width_80": float(np.mean(ends[..., 1] - ends[..., 0])),
        "interval_80": interval_score(y, ends, coverage=0.8),
        "mae_median": float(np.abs(y - median).mean()),
    }


def _naive(run: Pass, season: int | None) -> Array:
    rows = run.rows
    series = rows.series.to_numpy(np.float64)
    steps = [naive(series, rows.origins, h, run.levels, season) for h in range(1, rows.horizon + 1)]
    return steps[0] if rows.horizon == 1 else np.stack(steps, axis=1)


HEADS: dict[str, tuple[str, str]] = {
    "crps": ("CRPS", "{:.4g}"),
    "ratio": ("÷ persistence", "{:.3f}"),
    "coverage_80": ("80 % covers", "{:.1f} %"),
    "width_80": ("width of 80 %", "{:.4g}"),
    "interval_80": ("interval score", "{:.4g}"),
    "mae_median": ("error of median", "{:.4g}"),
}
"""Heading and format of each column."""


def words(table: pd.DataFrame) -> list[list[Any]]:
    """The table as text, its headings first."""
    head = ["forecast", *(HEADS[column][0] for column in table)]
    return [head, *([str(i), *(HEADS[c][1].format(100 * v if c == "coverage_80" else v) for c, v in row.items())]
                     for i, row in table.iterrows())]  # fmt: skip
