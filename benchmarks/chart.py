"""The demonstration's picture: fan chart with alarms, weights of the branches, Hölder exponent."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

INK, QUIET, ALARM = "#1f2933", "#8a94a0", "#c8321f"
BANDS = (
    ("q0.01", "q0.99", "#d6e4f2", "98 %"),
    ("q0.1", "q0.9", "#a3c4e3", "80 %"),
    ("q0.25", "q0.75", "#6b9fd0", "50 %"),
)
BRANCHES = (
    ("A", "Lévy", "#3b6fb0"),
    ("B", "DGM-PDE", "#5fa8a0"),
    ("C", "jump diffusion", "#e0a03f"),
    ("D", "log-signature", "#9a6fb0"),
)
ZOOM = 120
ABOVE = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.98), "columnspacing": 1.2, "handlelength": 1.4}
STYLE = {
    "font.size": 9.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "grid.color": "#e6e9ed",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def _fan(axes: Any, forecasts: pd.DataFrame) -> None:
    x = forecasts.index
    for low, high, colour, label in BANDS:
        axes.fill_between(x, forecasts[low], forecasts[high], color=colour, linewidth=0, label=label)
    axes.plot(x, forecasts["q0.5"], color="#1d4f86", linewidth=0.8, label="median")


def draw(path: Path, forecasts: pd.DataFrame, record: pd.DataFrame) -> None:
    """Write the picture; ``forecasts`` has price and quantile columns by date, ``record`` the telemetry beside it."""
    x = forecasts.index
    alarms = x[record["regime_changed"].to_numpy(bool)]
    with mpl.rc_context(STYLE):
        figure, (whole, zoom, weights, holder) = plt.subplots(
            4, 1, figsize=(11, 12), dpi=130, height_ratios=(2.6, 2.6, 1.3, 1.3), layout="constrained"
        )
        _fan(whole, forecasts)
        whole.plot(x, forecasts["price"], color=INK, linewidth=0.9, label="price")
        whole.set_title("WTI crude oil, one day ahead")
        whole.set_ylabel("US $ a barrel")
        for i, day in enumerate(alarms):
            label = "change alarm" if i == 0 else None
            whole.axvline(day, color=ALARM, linewidth=0.9, alpha=0.8, linestyle=(0, (4, 2)), label=label)
        whole.legend(ncols=6, **ABOVE)

        near = forecasts.iloc[-ZOOM:]
        _fan(zoom, near)
        outside = (near["price"] < near["q0.1"]) | (near["price"] > near["q0.9"])
        zoom.plot(near.index[~outside], near["price"][~outside], "o", color=INK, markersize=3, label="price")
        zoom.plot(
            near.index[outside], near["price"][outside], "o", color=ALARM, markersize=4, label="price outside 80 %"
        )
        inside = 100 * (1 - outside.mean())
        zoom.set_title(f"Last {len(near)} days, {inside:.0f} % inside the 80 % band")
        zoom.set_ylabel("US $ a barrel")
        zoom.legend(ncols=6, **ABOVE)

        parts = [record[f"weight_{b}"].to_numpy() for b, _, _ in BRANCHES]
        weights.stackplot(x, *parts, colors=[c for _, _, c in BRANCHES], labels=[f"{b} {n}" for b, n, _ in BRANCHES])
        weights.set_ylim(0, 1)
        weights.set_title("Weights of the branches")
        weights.legend(ncols=4, **ABOVE)

        value, error = record["holder_exponent"].to_numpy(), record["holder_se"].to_numpy()
        holder.fill_between(x, value - 2 * error, value + 2 * error, color="#e3e7ec", linewidth=0, label="± 2 s.e.")
        holder.plot(x, value, color=INK, linewidth=0.9)
        holder.axhline(0.5, color=QUIET, linewidth=0.8, linestyle=":")
        holder.axhline(0.4, color=ALARM, linewidth=0.8, linestyle=":", label="emergency threshold")
        reach = np.nanquantile(np.r_[value - 2 * error, value + 2 * error], [0.01, 0.99])
        holder.set_ylim(min(0.2, reach[0]), max(0.8, reach[1]))
        holder.set_title("Local Hölder exponent (0.5: a Brownian path)")
        holder.legend(ncols=2, **ABOVE)

        for axes in (whole, zoom, weights, holder):
            axes.grid(axis="y", linewidth=0.7)
            axes.set_axisbelow(True)
            axes.margins(x=0.005)
            axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
        for axes in (weights, holder):
            for day in alarms:
                axes.axvline(day, color=ALARM, linewidth=0.9, alpha=0.6, linestyle=(0, (4, 2)))
        figure.savefig(path)
        plt.close(figure)
