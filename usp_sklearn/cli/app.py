"""The commands, gathered."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from .. import runtime
from .backtest import backtest
from .export import export
from .forecast import forecast
from .info import info
from .stream import stream
from .tune import tune

app = typer.Typer(
    name="usp",
    help="Online probabilistic forecasting of series, from files and streams.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"usp_sklearn {version('usp-sklearn')}")
        raise typer.Exit


@app.callback()
def _prepare(
    show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which this is.")
    ] = False,
) -> None:
    """Online probabilistic forecasting of series, from files and streams.

    Compiled programs are kept in ~/.cache/usp_sklearn, so that only the first run is slow; the environment variable
    USP_CACHE says another folder, or "off".
    """
    cache = os.environ.get("USP_CACHE", "")
    if cache != "off":
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        runtime.configure(cache_dir=cache or home / "usp_sklearn")


for command in (forecast, backtest, tune, export, info, stream):
    app.command()(command)
