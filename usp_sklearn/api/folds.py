"""Forecasts of test parts, fold by fold: a model is fitted, walks on through one fold or several, and is let go.

A *chain* is a run of folds that share a model: all of them, one, or a number between.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing

from .foldstore import FoldStore, Forecast
from .splitter import WalkForwardSplit
from .unwrap import unwrapped

Array = NDArray[np.float64]


class Fold(NamedTuple):
    """Row numbers of one fold, in time order."""

    number: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


class Done(NamedTuple):
    """A finished fold, and its model where that is at hand."""

    forecast: Forecast
    model: Any


def longest_horizon(estimator: Any, y: Any, cv: Any = None) -> int:
    """Steps ahead of the outcomes ``y``: their columns, or else what the estimator or the splitter says, or 1."""
    if np.ndim(y) == 2 and np.shape(y)[1] > 1:
        return int(np.shape(y)[1])
    params = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    said = [v for k, v in params.items() if k.split("__")[-1] == "horizon" and isinstance(v, int)]
    return max([1, *said, int(getattr(cv, "horizon", 1))])


def walk_folds(cv: Any, X: Any, y: Any, horizon: int, owner: str) -> list[Fold]:
    """The folds of ``cv`` (a splitter, a number of splits, pairs of row numbers, or None), which walk forward.

    An error says so if one would know an outcome before its time.
    """
    if cv is None or isinstance(cv, int | np.integer):
        cv = WalkForwardSplit(5 if cv is None else int(cv), horizon=horizon)
    pairs = check_cv(cv).split(X, y)
    folds = [Fold(i, np.asarray(train), np.asarray(test)) for i, (train, test) in enumerate(pairs)]
    last, shown = -1, repr(cv) if len(repr(cv)) < 200 else f"a {type(cv).__name__}"
    for fold in folds:
        if not len(fold.train) or not len(fold.test):
            raise ValueError(f"{_must(owner)} have rows in both parts of every fold. Got none in fold {fold.number}.")
        steps = np.diff(fold.train), np.diff(fold.test)
        ordered = (steps[0] > 0).all() and fold.train[-1] < fold.test[0] > last
        if not ordered or (steps[1] != 1).any():
            raise ValueError(
                f"{_must(owner)} give rows in time order, training before test part, test parts whole and one after "
                f"another. Got {shown} instead, whose fold {fold.number} does not."
            )
        if fold.test[0] - fold.train[-1] < horizon:
            raise ValueError(
                f"{_must(owner)} leave at least horizon − 1 = {horizon - 1} rows between training and test part, as "
                f"WalkForwardSplit(horizon={horizon}) does. Got {shown} instead, whose fold {fold.number} leaves "
                f"{fold.test[0] - fold.train[-1] - 1}."
            )
        last = int(fold.test[-1])
    return folds


def walk_chain(
    estimator: Any,
    X: Any,
    y: Any,
    chain: list[Fold],
    levels: Array,
    update: bool,
    store: FoldStore | None,
    fitting: Callable[[Any], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Done]:
    """Folds that share a model: fitted on the first one's training part, forecasting each test part in turn.

    With ``update`` a model that can, learns every row from the end of that training part on, each outcome when it is
    known; so the forecasts of a test part are the same as if the folds before it had not been cut. Folds that are in
    the store are taken from it. ``fitting(model)`` is entered while a model is fitted.
    """
    kept = [None if store is None else store.finished(fold.number) for fold in chain]
    finished = next((i for i, forecast in enumerate(kept) if forecast is None), len(chain))
    yield from (Done(forecast, None) for forecast in kept[:finished] if forecast is not None)
    if finished == len(chain):
        return
    model, first = _stored_model(store, chain[:finished])
    learned = int((chain[first - 1].test if first else chain[0].train)[-1])
    started = time.perf_counter()
    if model is None:
        model = clone(estimator)
        with fitting(model):
            model.fit(rows_of(X, chain[0].train), rows_of(y, chain[0].train))
        # A model that learns nothing is the same at every fold.
        first = first if update else finished
    for i in range(first, len(chain)):
        fold = chain[i]
        quantiles = forecasts(model, X, y, learned + 1, fold.test, levels, update)
        done = Forecast(fold.number, quantiles, time.perf_counter() - started)
        learned = int(fold.test[-1])
        if i >= finished:
            if store is not None:
                store.keep(done)
                if i + 1 < len(chain):
                    store.keep_model(fold.number, model, chain[i - 1].number if i else None)
            yield Done(done, model)
        started = time.perf_counter()


def forecasts(model: Any, X: Any, y: Any, start: int, test: NDArray[np.intp], levels: Array, update: bool) -> Array:
    """Quantiles (n, q) or (n, H, q) of the rows ``test``; a model that can learn begins to at row ``start``.

    Without ``update_predict``, or without ``update``, they come from ``predict_quantiles`` or ``predict_distribution``,
    and failing those from ``predict``: all quantiles are then the point, whose CRPS is its absolute error.
    """
    rows = np.arange(min(start, test[0]), test[-1] + 1)
    inner, seen = unwrapped(model, rows_of(X, rows))
    if update and hasattr(inner, "update_predict"):
        out = inner.update_predict(seen, rows_of(y, rows), quantiles=levels)[-len(test) :]
    else:
        inner, seen = unwrapped(model, rows_of(X, test))
        if hasattr(inner, "predict_quantiles"):
            out = inner.predict_quantiles(seen, levels)
        elif hasattr(inner, "predict_distribution"):
            out = inner.predict_distribution(seen).ppf(levels)
        else:
            point = np.asarray(inner.predict(seen), np.float64)
            out = np.repeat(point[..., None], len(levels), axis=-1)
    # Tables have a column for each level under each step.
    table = np.asarray(out, np.float64)
    return table if table.shape[-1] == len(levels) else table.reshape(len(table), -1, len(levels))


def _stored_model(store: FoldStore | None, chain: list[Fold]) -> tuple[Any, int]:
    """The model after the latest fold it was kept after, and the number of folds up to there; None and 0 for none."""
    for i in range(len(chain), 0, -1):
        if store is not None and (model := store.model(chain[i - 1].number)) is not None:
            return model, i
    return None, 0


def rows_of(data: Any, rows: NDArray[np.intp]) -> Any:
    """Rows of an array or table, by their numbers."""
    return _safe_indexing(data, rows)


def _must(owner: str) -> str:
    return f"The 'cv' parameter of {owner} must"
