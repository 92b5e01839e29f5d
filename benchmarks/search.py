"""A grid search as scikit-learn runs it: what it compiles, and its time beside boosted trees on the same search.

    python benchmarks/search.py [--estimator JKOPredictor]

``GridSearchCV`` over 8 candidates and the 5 folds of ``TimeSeriesSplit``, without a refit, in a fresh process that has
no compilation cache: the newest 1,000 rows of the bundled oil price, windows of 16 values and their level context,
scored by the CRPS. Candidates differ in hyper-parameters that travel as arrays, so all share the programs of one.

Compilations are the events ``/jax/core/compile/backend_compile_duration`` of ``jax.monitoring``: every program XLA is
given, however small, in whatever thread; ``--names`` says which they are. The peer is nine
``HistGradientBoostingRegressor(loss="quantile")``, one a level, with 8 candidates of its own in the same search on the
same core. Absolute times depend on the machine.
"""

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

common.one_thread()

import numpy as np  # noqa: E402  (thread counts must be set before the numerical libraries start)
from sklearn.base import BaseEstimator, RegressorMixin  # noqa: E402
from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: E402
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit  # noqa: E402

from benchmarks.report import row  # noqa: E402

ROWS, WIDTH, SPLITS = 1000, 16, 5
LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
GRID = {"tau": [0.5, 1.0], "cusum_h": [4.0, 5.0], "calibration": [0.002, 0.005]}
PEER_GRID = {"learning_rate": [0.05, 0.1], "max_leaf_nodes": [15, 31], "l2_regularization": [0.0, 1.0]}


class Boosters(RegressorMixin, BaseEstimator):
    """The peer: a histogram booster for each of nine levels."""

    def __init__(self, learning_rate: float = 0.1, max_leaf_nodes: int = 31, l2_regularization: float = 0.0) -> None:
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.l2_regularization = l2_regularization

    def fit(self, X: Any, y: Any) -> "Boosters":
        """One model a level."""
        given = self.get_params()
        self.models_ = [
            HistGradientBoostingRegressor(loss="quantile", quantile=u, random_state=0, **given).fit(X, y)
            for u in LEVELS
        ]
        return self

    def predict_quantiles(self, X: Any, quantiles: Any = LEVELS) -> Any:
        """Quantiles (n, 9), sorted."""
        return np.sort(np.stack([m.predict(X) for m in self.models_], axis=1), axis=1)


def rows() -> tuple[Any, Any]:
    """The newest 1,000 rows of the oil price and their outcomes."""
    import usp_sklearn as usp

    X, y = usp.sliding_window(usp.datasets.load_wti().to_numpy(), width=WIDTH)
    return X[-ROWS:], y[-ROWS:]


def searched(model: Any, grid: dict[str, list[Any]], scoring: Any, X: Any, y: Any) -> tuple[float, Any]:
    """Seconds of the search, and the search."""
    search = GridSearchCV(model, grid, scoring=scoring, cv=TimeSeriesSplit(SPLITS), refit=False, error_score="raise")
    start = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - start, search


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimator", default="JKOPredictor", choices=common.ESTIMATORS)
    parser.add_argument("--names", action="store_true", help="list what is compiled")
    args = parser.parse_args()
    common.pin()

    import jax

    from usp_sklearn.api.metrics import crps_scorer, pinball_scorer

    if args.names:
        jax.config.update("jax_log_compiles", True)
        logging.basicConfig(format="%(message)s")
    X, y = rows()
    counter = common.compilations()
    model = common.estimator_class(args.estimator)(width=WIDTH, n_level=X.shape[1] - WIDTH, random_state=0)
    cold, search = searched(model, GRID, crps_scorer, X, y)
    count, compiling = counter.count, counter.seconds
    warm, again = searched(model, GRID, crps_scorer, X, y)
    peer, _ = searched(Boosters(), PEER_GRID, pinball_scorer(LEVELS), X, y)
    fits = len(search.cv_results_["params"]) * SPLITS

    print(f"{args.estimator}, GridSearchCV of {fits // SPLITS} candidates × {SPLITS} folds, {ROWS} rows × {X.shape[1]}")
    print(f"  search, everything compiled in it, s       {cold:8.1f}   of that XLA {compiling:.1f} s")
    print(f"  the same search again, s                   {warm:8.1f}   {1e3 * warm / fits:.0f} ms a fit and score")
    print(f"  9 boosters of scikit-learn, s              {peer:8.1f}   {1e3 * peer / fits:.0f} ms")
    same = np.array_equal(search.cv_results_["mean_test_score"], again.cv_results_["mean_test_score"])
    print(f"  both searches give the same scores         {same!s:>8}")
    print("\nACCEPTANCE")
    print(row("compilations in the whole search", count, 8, 8))
    print(row("compilations in the search after it", counter.count - count, 0, 0))
    print(row("time ÷ that of the boosters, compilation included", cold / peer, 5, 5))
    print(row("time ÷ that of the boosters, compiled", warm / peer, 5, 5))


if __name__ == "__main__":
    main()
