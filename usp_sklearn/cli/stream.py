"""``usp stream``: observations in, a line of quantiles out for each."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from . import options as o
from .console import Talk
from .lines import Observation, Wake, lines, misplaced, observation
from .session import Session, least

GRACE = 3.0
"""Seconds a step may take to end after a signal, within the five in which a checkpoint must be there."""


@o.spread
def stream(
    reading: o.Reading,
    modelling: o.Modelling,
    source: Annotated[
        Path | None, typer.Argument(help="A file that may grow (default: stdin).", show_default=False)
    ] = None,
    history: Annotated[Path | None, typer.Option(help="CSV or Parquet file to fit on first.")] = None,
    start: Annotated[Path | None, typer.Option("--from", help="A stream that was saved, to go on with.")] = None,
    warm_up: Annotated[int, typer.Option(help="Without these: observations to fit on.", min=1)] = 300,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder that keeps where the stream stands.")] = None,
    every: Annotated[float, typer.Option(help="Seconds between checkpoints.", min=0)] = 60.0,
    follow: Annotated[bool, typer.Option(help="Wait at the end of a file for more.")] = True,
    levels: o.Levels = o.SHOWN,
    telemetry: Annotated[Path | None, typer.Option(help="File for risk records, as JSON lines.")] = None,
    quiet: o.Quiet = False,
) -> int:
    """Learn observations one by one and print, for each, a JSON line with quantiles of what comes next.

    A line of input is a number, a time and a number, or a JSON object with "value" and "time". Exogenous values
    (--exog) follow the number, or are in the object by name. Lines that don't say all numbers give a line with "error"
    and change nothing.

    With --checkpoint the same command goes on where it was: a file is read from the next observation on, stdin is
    taken to begin there. SIGTERM and the end of the input leave a checkpoint behind.
    """
    talk = Talk(quiet)
    if history is not None and start is not None:
        raise ValueError("--history and --from exclude each other.")
    if history is None and start is None and warm_up < least(modelling):
        raise ValueError(f"--warm-up must be at least {least(modelling)} here. Got {warm_up} instead.")
    session = Session(modelling, o.levels_of(levels), warm_up, checkpoint, reading.others)
    sink = None
    if telemetry is not None:
        from ..io.telemetry import JsonLines

        sink = JsonLines(telemetry, stream=telemetry.stem)

    def work(wake: Wake) -> None:
        if session.resume():
            talk.say(f"resumed after observation {session.seen:,}")
            # Whoever ended the last run did it between the last value waited for and its answer.
            if (quantiles := session.overdue()) is not None:
                _print(_answer(session, Observation(None, session.waiting[-1][0]), quantiles))
        elif start is not None:
            session.take(start)
        elif history is not None:
            table = reading.table(history, talk)
            with talk.progress("fitting"):
                session.fit(table)
        _run(session, lines(source, follow, wake), session.seen if source else 0, reading, every, sink)

    return _guarded(work, session)


def _run(session: Session, source: Any, skip: int, reading: o.Reading, every: float, sink: Any) -> None:
    """Push observations, the first ``skip`` of them having been learned before."""
    saved, last = session.seen, time.monotonic()
    try:
        for line in source:
            try:
                said = observation(line, reading.decimal, reading.others)
            except ValueError as error:
                if not skip:
                    _print({"n": session.seen, "error": f"{line.strip()[:80]!r}: {error}"})
                continue
            if said is None:
                if misplaced(line, reading.decimal, reading.others):
                    raise ValueError(
                        f"The exogenous columns must be the last ones and in this order: {', '.join(reading.others)}. "
                        f"Got the header {line.strip()[:80]!r} instead."
                    )
                continue
            if skip:
                skip -= 1
                continue
            quantiles = session.push(said.value, said.exog)
            _print(_answer(session, said, quantiles))
            if sink is not None and session.stream is not None:
                sink.write(session.stream.telemetry_)
            if session.seen > saved and time.monotonic() - last >= every:
                session.save()
                saved, last = session.seen, time.monotonic()
    finally:
        if session.seen > saved:
            session.save()
        if sink is not None:
            sink.close()


def _answer(session: Session, said: Observation, quantiles: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {"n": session.seen}
    if said.time is not None:
        answer["time"] = said.time
    answer["value"] = said.value
    if quantiles is None:
        return answer | {"quantiles": None}
    names = [f"{level:g}" for level in session.levels]
    rows = [dict(zip(names, map(_short, row), strict=True)) for row in np.atleast_2d(quantiles)]
    return answer | {"quantiles": rows[0] if np.ndim(quantiles) == 1 else rows}


def _short(value: float) -> float:
    return float(f"{value:.12g}")


def _print(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _guarded(work: Any, session: Session) -> int:
    """Run ``work`` beside this thread, which stays free for signals: a compilation answers none.

    Returns 0 at the end of the input and after SIGTERM, 130 after an interrupt.
    """
    wake, failed, signals = Wake(), [], []

    def run() -> None:
        try:
            work(wake)
        except BaseException as error:
            failed.append(error)

    def heard(number: int, _: Any) -> None:
        signals.append(number)
        wake.ring()

    before = {number: signal.signal(number, heard) for number in (signal.SIGTERM, signal.SIGINT)}
    worker = threading.Thread(target=run, daemon=True)
    try:
        worker.start()
        while worker.is_alive() and not signals:
            worker.join(0.1)
        worker.join(GRACE)
        status = 130 if signal.SIGINT in signals else 0
        if worker.is_alive():
            # It compiles or fits and has pushed nothing since: only values that wait can be lost.
            if session.stream is None:
                session.save()
            sys.stdout.flush()
            os._exit(status)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        wake.close()
    if failed:
        raise failed[0]
    return status
