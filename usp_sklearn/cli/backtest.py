"""``usp backtest``: how forecasts would have done, in one pass without looking ahead."""

from typing import Annotated

import typer

from . import options as o
from .console import Talk
from .passes import walked
from .scores import scores, words
from .tables import behind, deliver, put


@o.spread
def backtest(
    data: o.Data,
    reading: o.Reading,
    modelling: o.Modelling,
    levels: o.Levels = o.SHOWN,
    out: o.Out = None,
    report: o.Report = None,
    train: o.Train = o.SHARE,
    refit: Annotated[int | None, typer.Option(help="Fit anew after so many steps (default: never).", min=1)] = None,
    quiet: o.Quiet = False,
) -> None:
    """Score forecasts: fit on the first share of the series, then issue a law and learn the outcome, step by step.

    With several steps ahead the first law comes once every outcome that was fitted on lies behind; --refit fits new
    models on the way, each on all that is known by then.

    Prints a table of scores beside those of persistence and seasonal naive. --out keeps every forecast.
    """
    talk, wanted = Talk(quiet), o.levels_of(levels)
    rows = modelling.rows(reading.table(data, talk), train)
    run = walked(rows, modelling.estimator(rows.windows), wanted, talk, refit)
    _print(words(scores(run, type(run.model).__name__)))
    talk.say(f"fit {run.seconds['fit']:.1f} s, walk {run.seconds['walk']:.1f} s for {len(rows.origins):,} steps")
    if out is not None:
        deliver(behind(run, wanted), out)
        talk.say(f"written: {out}")
    if report is not None:
        from .report import backtest_report

        put(report, backtest_report(run, data.name).encode())
        talk.say(f"written: {report}")


def _print(lines: list[list[str]]) -> None:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for first, *rest in lines:
        print(first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(rest, widths[1:], strict=True)), sep="  ")
