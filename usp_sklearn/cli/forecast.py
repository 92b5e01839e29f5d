"""``usp forecast``: the laws of the next values."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ..api.persistence import save
from . import options as o
from .calendar import following, shown
from .console import Talk
from .passes import fitted_stream, walked
from .tables import ahead, deliver, put


@o.spread
def forecast(
    data: o.Data,
    reading: o.Reading,
    modelling: o.Modelling,
    levels: o.Levels = o.SHOWN,
    out: o.Out = None,
    report: o.Report = None,
    train: o.Train = o.SHARE,
    keep: Annotated[
        Path | None, typer.Option("--save", help="The trained stream, .usp, for stream and export.")
    ] = None,
    quiet: o.Quiet = False,
) -> None:
    """Forecast the next values: quantiles by step, from a model fitted on the whole series.

    Without --out they go to stdout as CSV. A report also shows how such forecasts would have done: a model fitted on
    the first share of the series, --train, walks through the rest.
    """
    talk, wanted = Talk(quiet), o.levels_of(levels)
    rows = modelling.rows(reading.table(data, talk), train)
    start, horizon = time.perf_counter(), modelling.horizon
    model = modelling.estimator(rows.windows)
    with talk.progress(f"fitting {type(model).__name__} on {len(rows.X):,} rows"):
        stream = fitted_stream(rows, model)
    law = stream.law
    places = following(rows.series.index, horizon)
    table = ahead(places, law.ppf(wanted).reshape(horizon, -1), wanted)
    deliver(table, out)
    talk.say(f"fitted in {time.perf_counter() - start:.1f} s; {horizon} after {shown(rows.series.index[-1])}")
    if out is not None:
        talk.say(f"written: {out}")
    if keep is not None:
        save(stream, keep)
        talk.say(f"written: {keep}")
    if report is not None:
        from .report import forecast_report

        run = walked(rows, modelling.estimator(rows.windows), wanted, talk)
        page = forecast_report(run, places, law.ppf(run.levels).reshape(horizon, -1), data.name)
        put(report, page.encode())
        talk.say(f"written: {report}")
