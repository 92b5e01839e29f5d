"""walk_forward: the forecasts an estimator would have issued, fold by fold, each before its outcome was known."""

import os
from collections.abc import Generator
from contextlib import closing
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

from ..io.snapshot import versions
from .callbacks import run_tasks
from .distribution import check_levels
from .fingerprint import Description, describe, digest
from .folds import Done, Fold, longest_horizon, rows_of, walk_chain, walk_folds
from .foldstore import FoldStore, Forecast
from .walkscores import fold_scores, pooled

Array = NDArray[np.float64]
LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


class WalkForward:
    """Forecasts and scores of a walk; what :func:`walk_forward` returns.

    Attributes
    ----------
    forecasts : DataFrame
        A row a test row, with the index of ``y`` if it has one, else the row's number: a column a quantile, named by
        its level ("0.1"), and the outcome "y", all in the unit of the series. With 2-D y the columns have two levels,
        steps ahead and name.
    scores : DataFrame
        A row a fold: ``train`` and ``rows`` (sizes of its parts), ``crps`` (over the cells around the quantiles, as
        ``crps_score`` has it), ``pinball``, ``coverage`` of the widest central interval among the quantiles beside its
        ``nominal`` value and ``interval_score``, ``mae`` and ``mase`` of the median (scale: the one-step naive error of
        the fold's training part), ``seconds`` (fit included where the fold has one).
    quantiles : (q,) their levels.
    complete : bool
        Whether all folds are there; a callback may have stopped the walk.
    """

    def __init__(self, forecasts: pd.DataFrame, scores: pd.DataFrame, quantiles: Array, complete: bool) -> None:
        self.forecasts = forecasts
        self.scores = scores
        self.quantiles = quantiles
        self.complete = complete

    def summary(self) -> pd.DataFrame:
        """Scores over all test rows ("all") and over folds ("mean", "std", "worst"), a row a score."""
        return pooled(self.scores)

    def __repr__(self) -> str:
        crps = float(self.summary().loc["crps", "all"])
        return f"WalkForward({len(self.scores)} folds, {len(self.forecasts)} rows, crps={crps:.6g})"


def walk_forward(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    cv: Any = None,
    quantiles: ArrayLike = LEVELS,
    refit: str | int = "never",
    update: bool = True,
    n_jobs: int | None = None,
    verbose: int = 0,
    callbacks: Any = None,
    resume: str | os.PathLike[str] | None = None,
) -> WalkForward:
    """Forecast the test parts of walk-forward folds as they would have been forecast at the time.

    Parameters
    ----------
    estimator : predictor
        Cloned; or a pipeline or search that ends in one. With ``update_predict`` (all of this package's) it learns on
        while it forecasts. Any other regressor keeps what ``fit`` gave it through a fold: quantiles then come from its
        ``predict_quantiles(X, quantiles)`` or ``predict_distribution``, and of one that has only ``predict`` all
        quantiles are that point, so that the CRPS is its absolute error.
    X : (n, n_features) time-ordered rows; array or DataFrame.
    y : (n,) or (n, H) outcomes, in the unit of the series.
    cv : splitter, int, pairs of row numbers, or None
        Folds that walk forward and leave at least horizon − 1 rows between training and test part. Default:
        ``WalkForwardSplit(5, horizon=…)``, an int says another number of folds. The horizon is the number of columns
        of a 2-D y, or the parameter of that name of the estimator or of the splitter.
    quantiles : (q,) levels.
    refit : {"never", "every fold"} or int
        After how many folds a new model is fitted, on the training part of the fold that is due. With "never" the first
        one goes through all folds, learning on.
    update : bool
        Whether a model that can learn does so while it forecasts: each row's law is issued before its outcome, and
        outcomes are learned when they are known, those of rows between training and test part too. Otherwise it
        forecasts from what ``fit`` gave it.
    n_jobs : int, optional
        Models walked side by side (joblib), of which there are as many as refits. Any number gives the same result.
    verbose : int
        1 for a progress bar, 2 for a line a fold too.
    callbacks : callback or list of callbacks of ``sklearn.callback``, optional
        Each fold is a task with its training part as X and y and, unless models are walked in other processes, the
        model as ``fitted_estimator``; progress bars see its fit too. They are experimental in scikit-learn.
    resume : path, optional
        Folder that keeps finished folds (NumPy arrays, JSON and model snapshots; no pickles). A walk that was stopped
        goes on where it was and ends as if it had not been, provided that the estimator is deterministic (give
        ``random_state``). The folder of another run is refused.

    Returns
    -------
    WalkForward
        with ``forecasts``, ``scores`` and ``summary()``.

    Examples
    --------
    >>> from usp_sklearn import LevyPredictor, datasets, sliding_window
    >>> X, y = sliding_window(datasets.make_ou(400, random_state=0), width=16)
    >>> model = LevyPredictor(width=16, n_level=X.shape[1] - 16)
    >>> walk = walk_forward(model, X, y, cv=3, quantiles=[0.1, 0.5, 0.9])
    >>> walk.forecasts.columns.tolist(), len(walk.scores)
    (['0.1', '0.5', '0.9', 'y'], 3)
    """
    levels = np.unique(check_levels(quantiles))
    every = _refits(refit)
    X, y = indexable(X, y)
    horizon = longest_horizon(estimator, y, cv)
    folds = walk_folds(cv, X, y, horizon, "walk_forward")
    # The median is needed for the scores of the point.
    known = np.unique(np.append(levels, 0.5))
    store = None
    if resume is not None:
        run = _description(estimator, X, y, folds, known, every, update)
        store = FoldStore(resume, run, "walk_forward")
    size = every or len(folds)
    chains = [folds[i : i + size] for i in range(0, len(folds), size)]
    finished: dict[int, Forecast] = {}

    def body(tasks: Any) -> None:
        bar = tqdm(total=len(folds), desc="walk_forward", unit="fold", disable=not verbose)
        task = None
        done = _walked(estimator, X, y, chains, known, update, store, n_jobs, lambda model: tasks.fitting(task, model))
        with bar, closing(done):
            for _ in folds:
                task = tasks.begin("fold")
                forecast, model = next(done)
                finished[forecast.number] = forecast
                bar.update()
                fold = folds[forecast.number]
                if verbose > 1:
                    row = fold_scores(fold, y, forecast, known, levels)
                    bar.write(f"fold {fold.number}: crps {row['crps']:.6g}, coverage {row['coverage']:.3f}")
                # Callables, so that nothing is copied where no callback asks.
                train = (lambda rows=fold.train: rows_of(X, rows)), (lambda rows=fold.train: rows_of(y, rows))
                if tasks.end(task, *train, model=model):
                    break

    run_tasks("walk_forward", estimator, callbacks, len(folds), body)
    there = [fold for fold in folds if fold.number in finished]
    scores = [fold_scores(fold, y, finished[fold.number], known, levels) for fold in there]
    table = _table(y, there, finished, known, levels)
    index = pd.Index([fold.number for fold in there], name="fold")
    return WalkForward(table, pd.DataFrame(scores, index=index), levels, len(there) == len(folds))


# ------------------------------------------------------------------ plumbing


def _walked(
    estimator: Any,
    X: Any,
    y: Any,
    chains: list[list[Fold]],
    levels: Array,
    update: bool,
    store: FoldStore | None,
    n_jobs: int | None,
    fitting: Any,
) -> Generator[Done]:
    """Finished folds as they come: one by one in this process, or a chain at a time from others."""
    given = (levels, update, store)
    if effective_n_jobs(n_jobs) == 1 or len(chains) == 1:
        for chain in chains:
            yield from walk_chain(estimator, X, y, chain, *given, fitting)
        return
    parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    for forecast in parallel(delayed(_chain)(estimator, X, y, chain, *given) for chain in chains):
        yield from (Done(f, None) for f in forecast)


def _chain(*given: Any) -> list[Forecast]:
    """The forecasts of a chain; models stay where they were made."""
    return [done.forecast for done in walk_chain(*given)]


def _refits(refit: Any) -> int:
    """Folds after which a model is fitted anew; 0 for never."""
    if isinstance(refit, str) and refit in ("never", "every fold"):
        return int(refit == "every fold")
    if isinstance(refit, Integral) and not isinstance(refit, bool) and int(refit) >= 1:
        return int(refit)
    raise ValueError(
        "The 'refit' parameter of walk_forward must be 'never', 'every fold' or an int of at least 1. "
        f"Got {refit!r} instead."
    )


def _description(
    estimator: Any, X: Any, y: Any, folds: list[Fold], levels: Array, every: int, update: bool
) -> Description:
    cuts = [[int(f.train[0]), len(f.train), int(f.train[-1]), int(f.test[0]), int(f.test[-1])] for f in folds]
    return {
        "estimator": describe(estimator),
        "X": digest(X),
        "y": digest(y),
        "folds": cuts,
        "quantiles": levels.tolist(),
        "refit": every,
        "update": bool(update),
        "versions": dict(versions()),
    }


def _table(y: Any, folds: list[Fold], finished: dict[int, Forecast], known: Array, levels: Array) -> pd.DataFrame:
    """Quantiles and outcomes of all test rows."""
    rows = np.concatenate([f.test for f in folds])
    q = np.concatenate([finished[f.number].quantiles for f in folds])[..., np.isin(known, levels)]
    table = np.concatenate([q, np.asarray(y, np.float64)[rows].reshape(*q.shape[:-1], 1)], axis=-1)
    names = [*(str(float(u)) for u in levels), "y"]
    index = y.index[rows] if isinstance(y, pd.Series | pd.DataFrame) else pd.Index(rows, name="row")
    if table.ndim == 3:
        columns = pd.MultiIndex.from_product([range(1, table.shape[1] + 1), names], names=["step", None])
        return pd.DataFrame(table.reshape(len(rows), -1), index=index, columns=columns)
    return pd.DataFrame(table, index=index, columns=names)
