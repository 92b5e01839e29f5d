"""One look for all pictures: colours, text, axes; matplotlib is imported when the first one is drawn.

The colours of the branches stay apart for readers without red, green or blue cones: at least 30 CIELAB units between
any two, in the simulation of Machado, Oliveira & Fernandes (2009).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

INK, QUIET, ALARM = "#1f2933", "#6b7580", "#c8321f"
MEDIAN, SHADE, GRID = "#1d4f86", "#e3e7ec", "#e6e9ed"
BLUES = ("#d6e4f2", "#a3c4e3", "#6b9fd0")
"""Bands of a fan, the widest first."""

BRANCHES = {
    "A": ("Lévy", "#2f52ad"),
    "B": ("DGM-PDE", "#75bfa2"),
    "C": ("jump diffusion", "#dca13f"),
    "D": ("log-signature", "#aa85c0"),
}
"""Name and colour of each branch."""

DASHES, DOTS = (0, (4, 2)), (0, (1, 1.5))
STYLE: Any = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
_LEGEND = {"loc": "lower left", "borderpad": 0.0, "borderaxespad": 0.4, "handlelength": 1.4, "columnspacing": 1.2}
_HANDLE, _LINE, _SURE = 3.5, 1.55, 0.87
"""Width of a handle with its gaps and height of a row, in sizes of the font; share of the axes' width that is counted
on: labels of ticks are not placed yet."""


@contextmanager
def style(caller: str) -> Iterator[Any]:
    """The pictures' look inside a block, which gets ``matplotlib.pyplot``; ``caller`` is named if there is none.

    Raises
    ------
    ImportError
        Without matplotlib, naming the extra that brings it.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f"{caller} needs matplotlib: pip install 'usp-sklearn[plot]'.") from error
    with plt.rc_context(STYLE):
        yield plt


def axes_for(plt: Any, ax: Any, size: tuple[float, float], shape: tuple[int, int] = (1, 1), **layout: Any) -> Any:
    """The axes to draw on as a flat array: those given, or a new figure of ``size`` inches and (rows, columns).

    Raises
    ------
    ValueError
        If as many axes as are needed were not given.
    """
    needed = shape[0] * shape[1]
    if ax is None:
        _, axes = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False, **layout)
        return axes.ravel()
    axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(axes) != needed:
        raise ValueError(f"The 'ax' parameter of plot must be {needed} axes. Got {len(axes)} instead.")
    return axes


def positions(index: Any) -> Any:
    """What goes on the x axis: times for dates and periods, numbers for numbers, a count for anything else."""
    index = pd.Index(index)
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if isinstance(index, pd.DatetimeIndex) or pd.api.types.is_numeric_dtype(index):
        return index
    return pd.RangeIndex(len(index))


def time_axis(ax: Any, x: Any, name: Any = None) -> None:
    """Dates written briefly, little empty room at the sides, a quiet horizontal grid."""
    grid(ax, "y")
    ax.margins(x=0.005)
    if len(x) == 1:
        ax.set_xticks(x, [str(x[0]).removesuffix(" 00:00:00")])
        return
    if isinstance(x, pd.DatetimeIndex):
        import matplotlib.dates as mdates

        locator = mdates.AutoDateLocator(tz=x.tz, minticks=5, maxticks=10)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator, tz=x.tz))
    else:
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=pd.api.types.is_integer_dtype(x)))
        ax.set_xlabel("step" if name is None else str(name))


def grid(ax: Any, axis: str = "both") -> None:
    """Thin lines behind everything."""
    ax.grid(axis=axis, linewidth=0.7)
    ax.set_axisbelow(True)


def alarm_lines(ax: Any, x: Any, alarms: Any, alpha: float = 0.8, named: bool = True) -> None:
    """A dashed vertical line at each alarm; ``alarms`` (n,) is true where there was one; the legend has it if named."""
    for i, at in enumerate(x[np.asarray(alarms, dtype=bool)]):
        label = "change alarm" if named and i == 0 else None
        ax.axvline(at, color=ALARM, linewidth=0.9, alpha=alpha, linestyle=DASHES, label=label)


def heading(ax: Any, title: str | None) -> None:
    """Title, and under it the legend in as many rows as it takes: the two never meet."""
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    handles, labels = ax.get_legend_handles_labels()
    font, rows = float(rcParams["legend.fontsize"]), 0
    if handles:
        letters = FontProperties(size=font)
        widths = [text_to_path.get_text_width_height_descent(text, letters, False)[0] / font for text in labels]
        room = _SURE * 72 * ax.get_window_extent().width / ax.figure.dpi / font
        columns, rows = _columns(widths, room)
        ax.legend(handles, labels, ncols=columns, bbox_to_anchor=(0.0, 1.0), **_LEGEND)
    if title:
        ax.set_title(title, pad=6.0 + rows * _LINE * font + (2.0 if rows else 0.0))


def _columns(widths: list[float], room: float) -> tuple[int, int]:
    """How many columns of a legend fit into ``room``, and the rows that makes; all in sizes of the font.

    >>> _columns([4.0, 4.0, 8.0], 30.0), _columns([4.0, 4.0, 8.0], 20.0)
    ((3, 1), (2, 2))
    """
    for columns in range(len(widths), 0, -1):
        rows = -(-len(widths) // columns)
        wide = sum(_HANDLE + max(widths[i : i + rows]) for i in range(0, len(widths), rows))
        if wide <= room:
            return columns, rows
    return 1, len(widths)


def shades(count: int) -> list[str]:
    """``count`` blues, from the widest band's to the narrowest's.

    >>> shades(1), shades(3) == list(BLUES)
    (['#a3c4e3'], True)
    """
    parts = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in BLUES], dtype=np.float64)
    at = np.array([1.0]) if count == 1 else np.linspace(0.0, len(BLUES) - 1.0, count)
    mixed = np.stack([np.interp(at, np.arange(len(BLUES)), parts[:, i]) for i in range(3)], axis=1)
    return ["#" + "".join(f"{round(v):02x}" for v in row) for row in mixed]


def chance_band(n: int, share: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where 95 % of observed frequencies lie if each of ``n`` independent outcomes hits with probability ``share``."""
    from scipy.stats import binom

    return binom.ppf(0.025, n, share) / n, binom.ppf(0.975, n, share) / n
