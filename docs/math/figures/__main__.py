"""Draws the figures: ``python -m docs.math.figures [page …]`` writes docs/math/<page>.png (all pages by default)."""

import importlib
import pkgutil
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from docs.math import figures
from usp_sklearn.runtime import precision

STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "font.size": 9,
    "legend.frameon": False,
}


def main(wanted: list[str]) -> None:
    """Draw the wanted pages, or all."""
    pages = [m.name for m in pkgutil.iter_modules(figures.__path__) if not m.name.startswith("_")]
    unknown = sorted(set(wanted) - set(pages))
    if unknown:
        sys.exit(f"No figure for {', '.join(unknown)}; there are {', '.join(pages)}.")
    for page in wanted or pages:
        with plt.rc_context(STYLE), precision():
            figure = importlib.import_module(f"{figures.__name__}.{page}").draw()
            target = Path(figures.__path__[0]).parent / f"{page}.png"
            figure.savefig(target, metadata={"Software": None})
            plt.close(figure)
        print(target.relative_to(Path.cwd()))


if __name__ == "__main__":
    main(sys.argv[1:])
