"""A report as one self-contained HTML page."""

import platform
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calendar import shown
from ..passes import Pass
from ..scores import advantage, scores, words
from . import pictures

MOST_ALARMS, MOST_STEPS = 20, 12
PACKAGES = ("usp-sklearn", "jax", "numpy", "pandas", "scikit-learn", "scipy", "matplotlib")


def forecast_report(run: Pass, places: pd.Index, quantiles: NDArray[np.float64], source: str) -> str:
    """The laws of the next values, quantiles (H, q) at the pass's levels, and how a pass did, as HTML."""
    wanted = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    keep = np.searchsorted(run.levels, np.asarray(wanted) - 1e-9)
    head = ["", *(f"{100 * level:g} %" for level in wanted)]
    written = _decimals(quantiles[:, keep])
    rows = [[shown(place), *map(written, q[keep])] for place, q in zip(places, quantiles, strict=True)]
    coming = pictures.next_values(run.rows.series, places, quantiles, run.levels)
    return _page(run, source, coming=coming, coming_table=[head, *rows[:50]])


def backtest_report(run: Pass, source: str) -> str:
    """How a pass did, as HTML."""
    return _page(run, source, coming=None, coming_table=None)


def _page(run: Pass, source: str, **more: Any) -> str:
    try:
        import jinja2
    except ImportError as error:
        raise ImportError("Reports need jinja2: pip install 'usp-sklearn[cli]'.") from error
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    room = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return room.get_template("page.html").render(**_content(run, source), **more)


def _content(run: Pass, source: str) -> dict[str, Any]:
    rows, horizon = run.rows, run.rows.horizon
    name = type(run.model).__name__
    table = scores(run, name)
    fans = [pictures.fan(run, 1, pictures.SHOWN), pictures.fan(run, horizon, pictures.NEAR)]
    return {
        "series": str(rows.series.name),
        "source": source,
        "model": name,
        "horizon": horizon,
        "count": f"{len(rows.series):,}",
        "start": shown(rows.series.index[0]),
        "end": shown(rows.series.index[-1]),
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "facts": _facts(run, table, name),
        "fans": fans,
        "scores": words(table),
        "test": advantage(run),
        "steps": _by_step(run, name) if horizon > 1 else None,
        "weights": pictures.weights(run),
        "alarms": _alarms(run),
        "alarm_words": _alarm_words(int(run.record["regime_changed"].sum())),
        "telemetry": pictures.telemetry(run),
        "calibration": [pictures.pit(run), pictures.reliability(run)],
        "parameters": _parameters(run),
        "versions": [("python", platform.python_version()), *((package, version(package)) for package in PACKAGES)],
    }


def _decimals(quantiles: NDArray[np.float64]) -> Callable[[float], str]:
    """How numbers are written: all with as many decimals as show the spread of a law to three digits."""
    spread = float(np.median(quantiles[:, -1] - quantiles[:, 0]))
    places = int(np.clip(2 - np.floor(np.log10(spread)), 0, 12)) if spread > 0 else 3
    return lambda value: f"{value:,.{places}f}"


def _facts(run: Pass, table: pd.DataFrame, name: str) -> list[tuple[str, str, str]]:
    """Figure, what it is, and how to take it."""
    mine = table.loc[name]
    better = "lower than 1 is better" if mine["ratio"] < 1 else "no better than persistence here"
    return [
        (f"{mine['ratio']:.3f}", "CRPS ÷ persistence", better),
        (f"{100 * mine['coverage_80']:.1f} %", "of outcomes inside 80 % intervals", "80 % is right"),
        (f"{int(run.record['regime_changed'].sum())}", "change alarms", f"in {len(run.record):,} steps"),
        (f"{len(run.rows.origins):,}", "steps walked", f"after {run.rows.split:,} rows to fit on"),
    ]


def _alarms(run: Pass) -> list[list[str]]:
    """The last alarms: when, and how far the detector had gone just before."""
    raised = np.flatnonzero(run.record["regime_changed"].to_numpy(bool))[-MOST_ALARMS:]
    out = []
    for i in raised[::-1]:
        before = run.record.iloc[max(i - 1, 0)]
        out.append([shown(run.record.index[i]), f"{before['cusum_up']:.2f}", f"{before['cusum_down']:.2f}",
                    f"{run.record['adaptive_threshold'].iloc[i]:.2f}"])  # fmt: skip
    return [["outcome of", "G⁺ before", "G⁻ before", "threshold"], *out] if out else []


def _alarm_words(count: int) -> str:
    newest = f", the newest {MOST_ALARMS} of them" if count > MOST_ALARMS else ""
    return f"{count} change alarm{'s' if count > 1 else ''}{newest}; G⁺, G⁻ and threshold in standard deviations"


def _by_step(run: Pass, name: str) -> list[list[str]]:
    """CRPS ratio and coverage by step ahead, a few steps of many."""
    steps = np.unique(np.linspace(1, run.rows.horizon, MOST_STEPS).round().astype(int))
    lines = [["steps ahead", "÷ persistence", "80 % covers"]]
    for step in steps:
        mine = scores(run, name, step).loc[name]
        lines.append([str(step), f"{mine['ratio']:.3f}", f"{100 * mine['coverage_80']:.1f} %"])
    return lines


def _parameters(run: Pass) -> list[tuple[str, str]]:
    windows = run.rows.windows
    season = [str(s) for s in (windows.season_, windows.second_season_) if s is not None]
    given: dict[str, Any] = {"steps ahead": run.rows.horizon, "season": " and ".join(season) or "none"}
    given |= {"rows to fit on": f"{run.rows.split:,}", "seconds to fit": f"{run.seconds['fit']:.1f}"}
    given |= {"seconds to walk": f"{run.seconds['walk']:.1f}"}
    shown = {k: v for k, v in run.model.get_params(deep=False).items() if k not in ("horizon", "n_ahead", "n_exog")}
    return [*((k, str(v)) for k, v in given.items()), *((k, repr(v)) for k, v in sorted(shown.items()))]
