"""Displays as SVG inside a page: colours follow the page's light or dark, letters are the page's own."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from ...api.displays import style

VARIABLES = {
    style.INK: "ink",
    style.QUIET: "quiet",
    style.ALARM: "alarm",
    style.MEDIAN: "median",
    style.SHADE: "shade",
    style.GRID: "grid",
    "#ffffff": "paper",
    style.BLUES[0]: "band-1",
    style.BLUES[1]: "band-2",
    style.BLUES[2]: "band-3",
}
"""Colours of the displays and the variables of the page that stand for them."""

_SIZE = re.compile(r'<svg [^>]*viewBox="([^"]*)"[^>]*>')
_FAMILY = re.compile(r"(font: [^;\"]*?px) '[^;\"]*")
_GROUP = re.compile(r'<g id="[^"]*"')
_COLOUR = re.compile("|".join(VARIABLES))


class Picture(NamedTuple):
    """A drawing with the words that stand for it."""

    svg: Markup
    caption: str


def picture(
    draw: Callable[[Any], None],
    size: tuple[float, float],
    shape: tuple[int, int],
    words: str | Callable[[], str],
    caption: str,
    salt: str,
) -> Picture:
    """Draw on axes of a new figure and take it as inline SVG.

    Parameters
    ----------
    draw : what draws, given a flat array of axes
    size : inches
    shape : rows and columns of axes
    words : what a reader who does not see the picture is told; a function is asked after the drawing
    caption : what stands below it
    salt : makes identifiers of this picture its own within the page
    """
    import io

    import matplotlib as mpl
    from matplotlib.figure import Figure

    # A name is no mathematics, whatever dollars it has.
    options: Any = {**style.STYLE, "svg.fonttype": "none", "svg.hashsalt": salt, "text.parse_math": False}
    with mpl.rc_context(options):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots(*shape, squeeze=False, sharex=shape[0] > 1).ravel())
        buffer = io.StringIO()
        nothing: Any = {"Creator": None, "Date": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return Picture(Markup(_inline(buffer.getvalue(), words if isinstance(words, str) else words())), caption)


def _inline(document: str, words: str) -> str:
    """The element of an SVG document, ready to stand in HTML."""
    svg = document[document.index("<svg") :]
    box = _SIZE.match(svg)
    assert box is not None
    svg = f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(words)}">' + svg[box.end() :]
    svg = _GROUP.sub("<g", svg)
    svg = _FAMILY.sub(r"\1 var(--sans)", svg)
    return _COLOUR.sub(lambda found: f"var(--{VARIABLES[found[0]]})", svg)
