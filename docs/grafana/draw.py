"""Draws usp.png: ``python docs/grafana/draw.py`` runs a stream, scrapes its metrics and paints the dashboard's panels.

Panels, their places and their queries are those of usp.json; the few forms of PromQL in it are evaluated here, over the
scrapes of a run in which a value comes every second. Grafana itself looks different.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import SubFigure
from matplotlib.ticker import LogLocator

from usp_sklearn import JKOPredictor, SlidingWindow, Stream, datasets, sliding_window
from usp_sklearn.io.telemetry import Metrics

HERE = Path(__file__).resolve().parent
FITTED, STEPS, WIDTH = 1200, 1500, 32
Labels = frozenset[tuple[str, str]]
Table = dict[tuple[str, Labels], np.ndarray]
BACK, PANEL, INK, FAINT = "#111217", "#181b1f", "#ccccdc", "#3a3d45"
COLOURS = ("#73bf69", "#5794f2", "#ff9830", "#b877d9", "#f2cc0c", "#f2495c", "#8ab8ff", "#ca95e5", "#96d98d")


def run() -> Table:
    """The samples of every scrape, one a step, by name and labels."""
    series = datasets.load_wti().to_numpy()[-FITTED - STEPS :]
    X, y = sliding_window(series[:FITTED], width=WIDTH)
    model = JKOPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH, random_state=0).fit(X, y)
    windows = SlidingWindow(width=WIDTH).fit(series[:FITTED, None])
    stream, metrics = Stream(model, series[:FITTED], windows), Metrics(stream="wti")
    table: Table = {}
    law = stream.law
    for i, value in enumerate(series[FITTED:]):
        pit = float(law.pit(value, random_state=i))
        start = time.perf_counter()
        law = stream.push(value)
        metrics.write(stream.telemetry_ | {"pit": pit, "step_seconds": time.perf_counter() - start})
        for family in metrics.collect():
            for s in family.samples:
                key = s.name, frozenset((k, v) for k, v in s.labels.items())
                table.setdefault(key, np.full(STEPS, np.nan))[i] = s.value
    return table


def evaluate(expression: str, table: Table) -> dict[Labels, np.ndarray]:
    """Values of a query at every step, by the labels that are left."""
    expression = expression.replace("$stream", "wti")
    if match := re.fullmatch(r"histogram_quantile\((\S+), (.*)\)", expression):
        return {frozenset(): _quantile(float(match[1]), evaluate(match[2], table))}
    if match := re.fullmatch(r"sum by \((\w+)\) \((.*)\)", expression):
        out: dict[Labels, Any] = {}
        for labels, values in evaluate(match[2], table).items():
            key = frozenset((k, v) for k, v in labels if k == match[1])
            out[key] = out.get(key, 0) + values
        return out
    if match := re.fullmatch(r"(rate|increase)\((.*)\[(\d+)([smhd])\]\)", expression):
        span = int(match[3]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[4]]
        return {labels: _change(match[1], span, x) for labels, x in evaluate(match[2], table).items()}
    match = re.fullmatch(r"(\w+)\{(.*)\}", expression)
    if match is None:
        raise ValueError(f"{expression} is of no form known here")
    wanted = set(re.findall(r'(\w+)="(.*?)"', match[2]))
    return {labels - wanted: x for (name, labels), x in table.items() if name == match[1] and wanted <= labels}


def _change(kind: str, span: int, x: np.ndarray) -> np.ndarray:
    """Change over the last ``span`` seconds, or since the start; per second for a rate."""
    start = np.maximum(np.arange(len(x)) - span, 0)
    change = np.nan_to_num(x) - np.nan_to_num(x[start])
    return change / np.maximum(np.arange(len(x)) - start, 1) if kind == "rate" else change


def _quantile(share: float, buckets: dict[Labels, np.ndarray]) -> np.ndarray:
    """Quantiles by linear interpolation inside the buckets, as Prometheus does it."""
    by_end = sorted((float(dict(labels)["le"]), x) for labels, x in buckets.items())
    ends, counts = np.array([e for e, _ in by_end]), np.array([x for _, x in by_end])
    out = np.full(counts.shape[1], np.nan)
    for t, column in enumerate(counts.T):
        if column[-1] > 0:
            finite = np.isfinite(ends)
            out[t] = np.interp(share * column[-1], [0, *column[finite]], [0, *ends[finite]])
    return out


def named(labels: Labels, legend: str) -> str:
    """A legend with its labels filled in."""
    return re.sub(r"\{\{(\w+)\}\}", lambda m: dict(labels).get(m[1], ""), legend)


def lines(panel: dict[str, Any], table: Table) -> list[tuple[str, np.ndarray]]:
    """Everything a panel shows, with its name."""
    found = [(t["legendFormat"], evaluate(t["expr"], table)) for t in panel["targets"]]
    return sorted((named(k, legend), v) for legend, values in found for k, v in values.items())


def stat(figure: SubFigure, panel: dict[str, Any], shown: list[tuple[str, np.ndarray]]) -> None:
    """The newest value in large type."""
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if len(shown) > 1:
        text = next(name for name, x in shown if x[-1] == 1)
    else:
        value = shown[0][1][-1]
        text = {"percentunit": f"{100 * value:.1f} %", "s": f"{1e3 * value:.1f} ms"}.get(unit, f"{value:.3g}")
        axes = figure.add_axes((0.02, 0.04, 0.96, 0.3))
        axes.fill_between(np.arange(STEPS), np.nan_to_num(shown[0][1]), color=COLOURS[0], alpha=0.25, lw=0)
        axes.axis("off")
    figure.text(0.5, 0.5, text, color=COLOURS[0], size=20, weight="bold", ha="center", va="center")


def over_time(figure: SubFigure, panel: dict[str, Any], shown: list[tuple[str, np.ndarray]]) -> None:
    """Lines over time, stacked where the panel stacks them."""
    axes, minutes = _axes(figure), np.arange(STEPS) / 60
    custom, unit = panel["fieldConfig"]["defaults"]["custom"], panel["fieldConfig"]["defaults"].get("unit")
    if "stacking" in custom:
        names, values = zip(*shown, strict=True)
        axes.stackplot(minutes, *values, labels=names, colors=COLOURS, alpha=0.75, lw=0)
        axes.set_ylim(0, 1)
    else:
        for i, (name, x) in enumerate(shown):
            limit = name == "threshold"
            axes.plot(minutes, x, COLOURS[5] if limit else COLOURS[i], ls="--" if limit else "-", lw=1.1, label=name)
    if "scaleDistribution" in custom:
        axes.set_yscale("log", subs=())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.set_ylim(top=1.5 * np.nanmax([x for _, x in shown]))
    scale = {"percentunit": (100, "%"), "s": (1e3, "ms")}.get(str(unit))
    if scale:
        axes.yaxis.set_major_formatter(lambda v, _: f"{scale[0] * v:.3g} {scale[1]}")
    axes.set_xlim(0, minutes[-1])
    axes.set_xlabel("minutes", color=INK, size=7)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=4, frameon=False, labelcolor=INK, fontsize=7.5)


def bars(figure: SubFigure, panel: dict[str, Any], shown: list[tuple[str, np.ndarray]]) -> None:
    """What fell into each bucket of a histogram."""
    axes = _axes(figure)
    ends, total = zip(*sorted((float(name), x[-1]) for name, x in shown), strict=True)
    counts = np.diff(total, prepend=0)[:-1]
    axes.bar(np.array(ends[:-1]) - 0.025, counts, width=0.042, color=COLOURS[1])
    axes.set_xlim(0, 1)


def states(figure: SubFigure, panel: dict[str, Any], shown: list[tuple[str, np.ndarray]]) -> None:
    """A row for each flag, coloured while it is on."""
    axes = _axes(figure, left=0.3)
    for i, (_, x) in enumerate(shown):
        for start in np.flatnonzero(x == 1):
            axes.barh(-i, 1 / 60, left=start / 60, height=0.7, color=COLOURS[2], lw=0.3, edgecolor=COLOURS[2])
    axes.set_yticks(-np.arange(len(shown)), [name for name, _ in shown], fontsize=7)
    axes.set_xlim(0, STEPS / 60)


def _axes(figure: SubFigure, left: float = 0.09) -> Any:
    axes = figure.add_axes((left, 0.14, 0.96 - left, 0.66), facecolor=PANEL)
    axes.tick_params(colors=INK, labelsize=7, length=0)
    axes.grid(color=FAINT, lw=0.4)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    return axes


PAINTERS: dict[str, Callable[..., None]] = {
    "stat": stat,
    "timeseries": over_time,
    "bargauge": bars,
    "state-timeline": states,
}


def draw(dashboard: dict[str, Any], table: Table, path: Path) -> None:
    """Paint all panels where the dashboard has them."""
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"])
    figure = plt.figure(figsize=(15, 0.42 * height), dpi=100, facecolor=BACK)
    grid = figure.add_gridspec(height, 24, left=0, right=1, top=1, bottom=0, wspace=0, hspace=0)
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        x, y = slice(place["x"], place["x"] + place["w"]), slice(place["y"], place["y"] + place["h"])
        sub = figure.add_subfigure(grid[y, x], facecolor=BACK)
        edge = {"transform": sub.transSubfigure, "fc": PANEL, "ec": FAINT, "lw": 0.6, "zorder": -10}
        across, down = 4 / sub.bbox.width, 4 / sub.bbox.height
        sub.add_artist(plt.Rectangle((across, down), 1 - 2 * across, 1 - 2 * down, **edge))
        sub.text(3 * across, 1 - 4 * down, panel["title"], color=INK, size=9.5, weight="bold", va="top")
        PAINTERS[panel["type"]](sub, panel, lines(panel, table))
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(json.loads((HERE / "usp.json").read_text(encoding="utf-8")), run(), HERE / "usp.png")
