"""tune: Optuna's TPE over a predictor's parameters, scored by walking forward, resumable."""

import os
import time
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _num_features
from tqdm.auto import tqdm

from ..io.snapshot import versions
from .callbacks import run_tasks
from .fingerprint import describe, digest
from .folds import Fold, longest_horizon, walk_folds
from .metrics_scorers import get_scorer
from .space import Space, candidate, default_space, distributions, start
from .study import finished, library, opened, quiet, same_run, settle, stored
from .trials import fold_score, run_trial


class Tuned:
    """What :func:`tune` found.

    Attributes
    ----------
    best_params_ : dict
        Parameters of the best completed trial.
    best_score_ : float
        Its mean score over folds; higher is better.
    best_estimator_ : estimator
        Fitted with them on all rows; where the best window is narrower than that of X, a Pipeline that cuts it and
        ends in the predictor.
    study : optuna.Study
    trials_frame : DataFrame
        A row a finished trial: ``number`` in the study, ``state`` ("COMPLETE" or "PRUNED"), ``score`` (mean over the
        folds it got to), ``params_…``, ``fold_0`` … (scores; NaN where pruned), ``seconds``.
    """

    def __init__(self, study: Any, best_estimator: Any, folds: int) -> None:
        self.study = study
        self.best_params_: dict[str, Any] = dict(study.best_trial.params)
        self.best_score_ = float(study.best_value)
        self.best_estimator_ = best_estimator
        self._folds = folds

    @property
    def trials_frame(self) -> pd.DataFrame:
        """Finished trials, oldest first."""
        rows = []
        for trial in finished(self.study):
            scores = trial.user_attrs["scores"]
            row = {"number": trial.number, "state": trial.state.name, "score": float(np.mean(scores))}
            row |= {f"params_{k}": v for k, v in sorted(trial.params.items())}
            row |= {f"fold_{i}": scores[i] if i < len(scores) else np.nan for i in range(self._folds)}
            rows.append(row | {"seconds": trial.user_attrs["seconds"]})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"Tuned({len(finished(self.study))} trials, best score {self.best_score_:.6g}, {self.best_params_})"


def tune(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    space: Space | None = None,
    n_trials: int = 50,
    cv: Any = None,
    scoring: Any = "neg_crps",
    storage: str | os.PathLike[str] | None = None,
    seed: int = 0,
    pruner: Any = "median",
    update: bool = True,
    timeout: float | None = None,
    n_jobs: int | None = 1,
    verbose: int = 0,
    callbacks: Any = None,
) -> Tuned:
    """Search a predictor's parameters with Optuna's tree-structured Parzen estimator (TPE), walking forward.

    The first trial is the estimator as it is given, so what is found is never worse than that on the folds.

    Parameters
    ----------
    estimator : predictor, or a Pipeline that ends in one
        Cloned for each trial. Give it a ``random_state``, or trials can't be repeated.
    X, y : rows and outcomes in time order, as for ``fit``.
    space : dict, optional
        For each parameter a list of choices, ``(low, high)``, ``(low, high, "log")`` or an Optuna distribution.
        Default: :func:`usp_sklearn.api.space.default_space`. Choices of a predictor's ``width`` cut its window from
        X's, which is the widest: level context, times and folds stay the same. Different signature depths and window
        widths are different programs, which each have to be compiled once; other parameters share theirs.
    n_trials : int
        Finished trials the study is to have in all, those in the storage included.
    cv : splitter, int, pairs of row numbers, or None
        Folds that walk forward, as for :func:`walk_forward`. Default: ``WalkForwardSplit(5, horizon=…)``.
    scoring : str or scorer
        One of :func:`scorer_names`, of scikit-learn's names, or a callable (estimator, X, y) → float, higher is better.
    storage : path or URL, optional
        A file that keeps the study as JSON lines, or the URL of a database ("sqlite:///study.db"), neither with
        pickles. A search that was stopped goes on from it, and its finished trials are those of an uninterrupted one.
        One process at a time: a trial it finds unfinished was left by a killed one. Another search's is refused.
    seed : int
        Decides, with the number of finished trials, what comes next.
    pruner : "median", None or an Optuna pruner
        Ends a trial before its last fold. It sees, after every fold, by how much the mean score so far exceeds that
        of the first trial on the same folds. "median": worse than the median of completed trials, from the sixth
        trial and the second fold on.
    update : bool
        Whether this package's predictors learn on through the test part, each law issued before its outcome is known;
        that is what they are for, and what most of their parameters steer. Otherwise they are scored from what ``fit``
        gave them, as by GridSearchCV.
    timeout : float, optional
        Seconds after which no further trial begins.
    n_jobs : int, optional
        Folds of a trial scored side by side (joblib). Any number gives the same trials.
    verbose : int
        1 for a progress bar, 2 for a line a trial too.
    callbacks : callback or list of callbacks of ``sklearn.callback``, optional
        Each trial is a task. They are experimental in scikit-learn.

    Returns
    -------
    Tuned
        with ``best_params_``, ``best_score_``, ``best_estimator_``, ``study`` and ``trials_frame``.

    References
    ----------
    Bergstra, Bardenet, Bengio & Kégl (2011), *NeurIPS*; Akiba et al. (2019), *KDD*.

    Examples
    --------
    >>> from usp_sklearn import LevyPredictor, datasets, sliding_window
    >>> X, y = sliding_window(datasets.make_ou(300, random_state=0), width=16)
    >>> model = LevyPredictor(width=16, n_level=X.shape[1] - 16)
    >>> found = tune(model, X, y, space={"tau": (0.5, 2.0, "log")}, n_trials=3, cv=2)
    >>> list(found.best_params_), len(found.trials_frame)
    (['tau'], 3)
    """
    optuna = library()
    _check(n_trials, seed, timeout)
    X, y = indexable(X, y)
    columns = _num_features(X)
    scorer, horizon = get_scorer(scoring), longest_horizon(estimator, y, cv)
    folds = walk_folds(cv, X, y, horizon, "tune")
    given = default_space(estimator, columns) if space is None else dict(space)
    wanted = distributions(given)
    if unknown := sorted(set(wanted) - set(estimator.get_params(deep=True))) or ([] if wanted else ["nothing"]):
        raise ValueError(
            f"The 'space' parameter of tune must name parameters of {type(estimator).__name__}. "
            f"Got {', '.join(map(repr, unknown))} instead."
        )
    pruner = optuna.pruners.MedianPruner(5, 1) if isinstance(pruner, str) and pruner == "median" else pruner
    pruner = optuna.pruners.NopPruner() if pruner is None else pruner
    if not isinstance(pruner, optuna.pruners.BasePruner):
        raise ValueError(f"The 'pruner' parameter of tune must be 'median', None or Optuna's. Got {pruner!r} instead.")
    run = {
        "estimator": describe(estimator),
        "X": digest(X),
        "y": digest(y),
        "folds": [[int(v) for v in (f.train[0], len(f.train), f.train[-1], f.test[0], f.test[-1])] for f in folds],
        "space": {k: describe(v) for k, v in wanted.items()},
        "scoring": describe(scorer),
        "seed": int(seed),
        "pruner": describe(pruner),
        "update": bool(update),
        "versions": {**dict(versions()), "optuna": optuna.__version__},
    }
    with quiet(optuna):
        study = opened(stored(storage), int(seed), start(estimator, given, columns), pruner)
    same_run(study, run, storage)
    settle(study)

    def scores(params: dict[str, Any], part: list[Fold]) -> list[float]:
        model = candidate(estimator, params, columns)
        call = delayed(fold_score)
        return list(Parallel(n_jobs=n_jobs)(call(model, X, y, fold, scorer, update) for fold in part))

    def body(tasks: Any) -> None:
        began, state = time.monotonic(), optuna.trial.TrialState
        bar = tqdm(total=n_trials, initial=done, desc="tune", unit="trial", disable=not verbose)
        with bar:
            while (before := len(finished(study))) < n_trials:
                if timeout is not None and before and time.monotonic() - began >= timeout:
                    break
                task, trial = tasks.begin("trial"), study.ask(wanted)
                try:
                    found = run_trial(study, trial, scores, folds, effective_n_jobs(n_jobs))
                except BaseException:
                    study.tell(trial, state=state.FAIL)
                    raise
                bar.update()
                if verbose > 1:
                    bar.write(f"trial {before}: {np.mean(found):.6g} after {len(found)} folds, {trial.params}")
                if tasks.end(task):
                    break

    done = len(finished(study))
    if done < n_trials:
        run_tasks("tune", estimator, callbacks, n_trials - done, body)
    if not study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)):
        raise ValueError("No trial of the study was completed: the 'pruner' parameter of tune ended all of them.")
    best = candidate(estimator, study.best_trial.params, columns).fit(X, y)
    return Tuned(study, best, len(folds))


def _check(n_trials: Any, seed: Any, timeout: Any) -> None:
    for name, value, least in (("n_trials", n_trials, 1), ("seed", seed, 0)):
        if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
            raise ValueError(
                f"The '{name}' parameter of tune must be an int of at least {least}. Got {value!r} instead."
            )
    if timeout is not None and (not isinstance(timeout, Real) or float(timeout) <= 0):
        raise ValueError(f"The 'timeout' parameter of tune must be seconds above 0 or None. Got {timeout!r} instead.")
