"""Predictors in scikit-learn's searches over walk-forward folds: in processes and threads, few compilations."""

import jax
import numpy as np
import pytest
from jax import monitoring
from joblib import parallel_config
from scipy.stats import loguniform
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    ParameterGrid,
    RandomizedSearchCV,
    TimeSeriesSplit,
    cross_validate,
)

from usp_sklearn import LevyPredictor, datasets, sliding_window
from usp_sklearn.api.metrics import crps_scorer, get_scorer
from usp_sklearn.api.splitter import WalkForwardSplit

SERIES = datasets.make_regime_switch(420, random_state=1)
X, Y = sliding_window(SERIES, width=16, season=None)
LEVEL = X.shape[1] - 16
CV = WalkForwardSplit(3, test_size=60)
GRID = {"tau": [0.3, 1.0], "calibration": [0.001, 0.02]}
SEARCHES = {
    "grid": lambda **given: GridSearchCV(levy(), GRID, **given),
    "random": lambda **given: RandomizedSearchCV(
        levy(), {"tau": loguniform(0.2, 5), "cusum_h": [3.0, 5.0]}, n_iter=4, random_state=0, **given
    ),
    "halving": lambda **given: HalvingGridSearchCV(levy(), GRID, factor=2, min_resources=200, random_state=0, **given),
}


def levy(**params):
    return LevyPredictor(width=16, n_level=LEVEL, random_state=0, **params)


@pytest.fixture
def cached(monkeypatch):
    """Worker processes find compiled programs where this one does."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.jax_compilation_cache_dir)
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def scores_of(search):
    names = sorted(k for k in search.cv_results_ if k.startswith("split") and "train" not in k)
    return np.stack([search.cv_results_[name] for name in names])


@pytest.mark.parametrize("kind", SEARCHES)
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_searches_run_side_by_side_with_the_same_result(kind, backend, cached):
    given = {"scoring": crps_scorer, "cv": CV, "error_score": "raise"}
    alone = SEARCHES[kind](**given).fit(X, Y)
    with parallel_config(backend):
        both = SEARCHES[kind](**given, n_jobs=2).fit(X, Y)
    np.testing.assert_allclose(scores_of(both), scores_of(alone), rtol=1e-9)
    assert both.best_params_ == alone.best_params_ and both.n_splits_ == 3
    assert alone.best_score_ == alone.cv_results_["mean_test_score"][alone.best_index_]
    assert both.predict(X[-2:]).shape == (2,)


def test_a_grid_search_is_a_loop_over_candidates_and_folds():
    several = {name: get_scorer(name) for name in ("neg_crps", "coverage", "neg_mase")}
    search = GridSearchCV(levy(), GRID, scoring=several, refit="neg_crps", cv=CV).fit(X, Y)
    for i, params in enumerate(ParameterGrid(GRID)):
        assert search.cv_results_["params"][i] == params
        for fold, (train, test) in enumerate(CV.split(X)):
            model = levy(**params).fit(X[train], Y[train])
            for name, scorer in several.items():
                assert search.cv_results_[f"split{fold}_test_{name}"][i] == pytest.approx(
                    scorer(model, X[test], Y[test])
                )
    assert len(np.unique(search.cv_results_["mean_test_neg_crps"])) == 4


def test_candidates_and_folds_share_their_programs():
    """Eight candidates on five folds compile nothing that one candidate on the same folds had not."""
    cv = TimeSeriesSplit(5)
    compiled = []
    cross_validate(levy(), X, Y, scoring=crps_scorer, cv=cv)

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(seconds)

    monitoring.register_event_duration_secs_listener(listen)
    try:
        grid = {"tau": [0.5, 1.5], "cusum_h": [4.0, 6.0], "calibration": [0.002, 0.01]}
        search = GridSearchCV(levy(), grid, scoring=crps_scorer, cv=cv, refit=False).fit(X, Y)
        assert scores_of(search).shape == (5, 8)
        assert compiled == []
        # The counter counts: another width is another program.
        LevyPredictor(width=16 + LEVEL, random_state=0).fit(np.c_[X, X[:, -1:]][:90, -16 - LEVEL :], Y[:90])
        assert len(compiled) > 0
    finally:
        monitoring.unregister_event_duration_listener(listen)
