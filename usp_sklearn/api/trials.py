"""One trial of a search: folds scored in their order, until the last one or until the trial is given up."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone

from .distribution import PredictiveDistribution
from .folds import Fold, rows_of
from .reading import Readings
from .study import finished, library
from .unwrap import unwrapped

Array = NDArray[np.float64]


class Issued(RegressorMixin, BaseEstimator):
    """Laws that were issued for given rows, in the form of an estimator, so that any scorer can score them."""

    def __init__(self, law: PredictiveDistribution, point: str) -> None:
        self.law = law
        self.point = point

    def fit(self, X: ArrayLike, y: ArrayLike) -> "Issued":
        """Nothing is left to learn."""
        return self

    def predict_distribution(self, X: ArrayLike) -> PredictiveDistribution:
        """The laws, whatever ``X``."""
        return self.law

    def predict_quantiles(self, X: ArrayLike, quantiles: ArrayLike = (0.1, 0.5, 0.9)) -> Array:
        """Their quantiles."""
        return self.law.ppf(quantiles)

    def predict(self, X: ArrayLike) -> Array:
        """Their medians or means, as the predictor's ``predict`` would give."""
        return self.law.mean() if self.point == "mean" else self.law.median()

    def __sklearn_is_fitted__(self) -> bool:
        return True


def fold_score(model: Any, X: Any, y: Any, fold: Fold, scorer: Any, update: bool) -> float:
    """Score of a clone of ``model`` on one fold: prequential with ``update`` where the model can, else frozen."""
    model = clone(model).fit(rows_of(X, fold.train), rows_of(y, fold.train))
    test_X, test_y = rows_of(X, fold.test), rows_of(y, fold.test)
    if update:
        rows = np.arange(fold.train[-1] + 1, fold.test[-1] + 1)
        inner, seen = unwrapped(model, rows_of(X, rows))
        if isinstance(inner, Readings):
            law = inner._walk(seen, rows_of(y, rows))
            last = jax.tree.map(lambda v: v[-len(fold.test) :], law.law)
            model = Issued(PredictiveDistribution(last, law.correlation), inner._point())
    return float(scorer(model, test_X, test_y))


def run_trial(
    study: Any, trial: Any, scores: Callable[[dict[str, Any], list[Fold]], list[float]], folds: list[Fold], batch: int
) -> list[float]:
    """Score ``batch`` folds at a time, report them in order and tell the study; returns the scores that count.

    Folds differ in how hard they are, so what the pruner sees is the mean so far less that of the first completed
    trial on the same folds.
    """
    started, found = time.perf_counter(), list[float]()
    state = library().trial.TrialState
    first = next((t.user_attrs["scores"] for t in finished(study) if t.state == state.COMPLETE), None)
    pruned = False
    while len(found) < len(folds) and not pruned:
        for score in scores(trial.params, folds[len(found) : len(found) + batch]):
            if not np.isfinite(score):
                raise ValueError(
                    f"The 'scoring' parameter of tune gave {score} on fold {len(found)} with {trial.params}."
                )
            found.append(score)
            ahead = 0.0 if first is None else float(np.mean(found) - np.mean(first[: len(found)]))
            trial.report(ahead, len(found) - 1)
            # Scores of later folds, computed beside this one, don't count: any batch gives the same trial.
            pruned = len(found) < len(folds) and trial.should_prune()
            if pruned:
                break
    trial.set_user_attr("scores", found)
    trial.set_user_attr("seconds", time.perf_counter() - started)
    if pruned:
        study.tell(trial, state=state.PRUNED)
    else:
        study.tell(trial, float(np.mean(found)))
    return found
