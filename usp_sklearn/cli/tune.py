"""``usp tune``: parameters that forecast best, found by walking forward."""

import ast
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..api.persistence import save
from . import options as o
from .console import Talk
from .passes import fitted_stream
from .tables import deliver


@o.spread
def tune(
    data: o.Data,
    reading: o.Reading,
    modelling: o.Modelling,
    trials: Annotated[int, typer.Option(help="Trials in all, those in the storage included.", min=1)] = 50,
    folds: Annotated[int, typer.Option(help="Folds that walk forward.", min=2)] = 5,
    space: Annotated[
        list[str] | None,
        typer.Option(help="As tau=0.5:2:log or signature_depth=2,3,4; repeatable (default: a space for the model)."),
    ] = None,
    scoring: Annotated[str, typer.Option(help="Name of a scorer.")] = "neg_crps",
    storage: Annotated[str | None, typer.Option(help="File or URL of the study, to go on with later.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which no trial begins.")] = None,
    jobs: Annotated[int, typer.Option(help="Folds scored side by side.")] = 1,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV or Parquet file of all trials.")] = None,
    keep: Annotated[Path | None, typer.Option("--save", help="Stream of the best model, .usp.")] = None,
    quiet: o.Quiet = False,
) -> None:
    """Search parameters with Optuna, each scored by forecasting folds of the series, and print the best as JSON.

    With --storage a search that was stopped goes on where it was.
    """
    from ..api.tuning import tune as search

    talk = Talk(quiet)
    rows = modelling.rows(reading.table(data, talk), o.SHARE)
    estimator = modelling.estimator(rows.windows)
    shown = talk.console.is_terminal and not quiet
    found = search(
        estimator, rows.X, rows.y, space=space_of(space) if space else None, n_trials=trials, cv=folds, scoring=scoring,
        storage=storage, seed=modelling.seed, timeout=timeout, n_jobs=jobs, verbose=int(shown),
    )  # fmt: skip
    best = dict(found.best_params_)
    print(json.dumps({"score": found.best_score_, "params": best}))
    if out is not None:
        deliver(found.trials_frame.set_index("number"), out)
        talk.say(f"written: {out}")
    if keep is not None:
        modelling.width = int(best.pop("width", modelling.width))
        rows = modelling.rows(rows.table, o.SHARE)
        save(fitted_stream(rows, modelling.estimator(rows.windows).set_params(**best)), keep)
        talk.say(f"written: {keep}")


def space_of(words: Sequence[str]) -> dict[str, Any]:
    """Ranges and choices said on the command line.

    >>> space_of(["tau=0.5:2:log", "signature_depth=2,3"])
    {'tau': (0.5, 2, 'log'), 'signature_depth': [2, 3]}
    """
    space: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name or not text:
            raise ValueError(f"--space must be name=low:high, name=low:high:log or name=a,b. Got {word!r} instead.")
        ends = text.split(":")
        space[name] = tuple(map(_value, ends)) if len(ends) > 1 else [_value(choice) for choice in text.split(",")]
    return space


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
