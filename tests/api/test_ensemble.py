"""JKOEnsemble: scikit-learn's checks, causality, what a regressor may and may not gain, equivariance."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, QuantileRegressor

from tests.api.checks import estimator_checks
from usp_sklearn import JKOEnsemble, JKOPredictor, datasets, sliding_window

WIDTH, LEVELS = 8, (0.1, 0.5, 0.9)
LINEAR = [("linear", QuantileRegressor(alpha=0.001, solver="highs"))]


def _small(layout, regressors=LINEAR, **params):
    predictor = JKOPredictor(branches=["A"], random_state=0, **layout)
    return JKOEnsemble(predictor, regressors, quantiles=LEVELS, refit_every=60, **params)


@pytest.fixture(scope="module")
def rows():
    X, y = sliding_window(datasets.make_ou(420, random_state=1), width=WIDTH)
    return X, y, {"width": WIDTH, "n_level": X.shape[1] - WIDTH}


@estimator_checks(JKOEnsemble(JKOPredictor(branches=["A"], random_state=0), LINEAR, quantiles=LEVELS))
def test_sklearn_checks(estimator, check):
    check(estimator)


def test_default_is_boosting_beside_all_branches():
    model = JKOEnsemble()
    assert model.get_params()["predictor"] is None
    name, regressor = model._chosen(np.random.RandomState(0))[0]
    assert name == "boosting" and isinstance(regressor, HistGradientBoostingRegressor)


def test_the_future_does_not_reach_back(rows):
    X, y, layout = rows
    model = _small(layout).fit(X[:240], y[:240])
    later = y.copy()
    later[330:] += 1e3
    twin = _small(layout).fit(X[:240], y[:240])
    one = model.update_predict(X[240:], y[240:], quantiles=LEVELS)
    two = twin.update_predict(X[240:], later[240:], quantiles=LEVELS)
    assert np.array_equal(one[:91], two[:91])
    assert not np.array_equal(one[91:], two[91:])


def test_pieces_are_the_whole(rows):
    X, y, layout = rows
    whole, pieces = (_small(layout).fit(X[:240], y[:240]) for _ in range(2))
    q = whole.update_predict(X[240:], y[240:], quantiles=LEVELS)
    parts = [
        pieces.update_predict(X[i:j], y[i:j], quantiles=LEVELS) for i, j in ((240, 250), (250, 361), (361, len(y)))
    ]
    np.testing.assert_allclose(np.concatenate(parts), q, rtol=1e-9, atol=1e-12)


def test_predict_leaves_the_model_alone(rows):
    X, y, layout = rows
    model = _small(layout).fit(X[:300], y[:300])
    before = model.predict_quantiles(X[300:310], LEVELS)
    model.predict(X[300:])
    assert np.array_equal(model.predict_quantiles(X[300:310], LEVELS), before)
    first = model.update_predict(X[300:310], y[300:310], quantiles=LEVELS)
    np.testing.assert_allclose(first[0], before[0], rtol=1e-12)


def test_a_refused_call_leaves_the_model_as_it_was(rows):
    X, y, layout = rows
    model = _small(layout).fit(X[:300], y[:300])
    before = model.predict_quantiles(X[300:], LEVELS)
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(X[300:], np.where(np.arange(len(y) - 300) == 50, np.nan, y[300:]))
    assert np.array_equal(model.predict_quantiles(X[300:], LEVELS), before)


def test_a_regressor_that_knows_more_is_heard():
    rng = np.random.default_rng(0)
    told = rng.uniform(-2, 2, 900)
    noise = 0.1 * rng.normal(size=900)
    # The next value is a bent function of a covariate: nothing linear finds it.
    series = np.concatenate([[0.0], np.abs(told)[:-1]]) + noise
    X, y = sliding_window(series, width=WIDTH, exog=told, season=None)
    layout = {"width": WIDTH, "n_level": X.shape[1] - WIDTH - 1, "n_exog": 1}
    trees = [("trees", HistGradientBoostingRegressor(loss="quantile", max_iter=40, max_leaf_nodes=8))]
    model = _small(layout, trees).fit(X[:600], y[:600])
    alone = JKOPredictor(branches=["A"], random_state=0, **layout).fit(X[:600], y[:600])

    def loss(m):
        e = y[600:, None] - m.update_predict(X[600:], y[600:], quantiles=LEVELS)
        return np.maximum(np.array(LEVELS) * e, (np.array(LEVELS) - 1) * e).mean()

    assert loss(model) < 0.6 * loss(alone)
    assert model.weights_["regressors"] > 0.5


class Memory(RegressorMixin, BaseEstimator):
    """Knows by heart every row it was fitted on and nothing else."""

    def __init__(self, quantile=0.5):
        self.quantile = quantile

    def fit(self, X, y):
        self.seen_ = {row.tobytes(): value for row, value in zip(X, y, strict=True)}
        return self

    def predict(self, X):
        return np.array([self.seen_.get(row.tobytes(), 8.0 * self.quantile) for row in X])


def test_what_a_regressor_was_fitted_on_earns_it_nothing(rows):
    X, y, layout = rows
    model = _small(layout, [("memory", Memory())]).fit(X[:300], y[:300])
    assert model.weights_["regressors"] < 0.05


def test_refits_follow_the_schedule(rows):
    X, y, layout = rows
    model = _small(layout).fit(X[:240], y[:240])
    blocks = [model.blocks_[0]]
    for i in range(240, 400, 20):
        model.partial_fit(X[i : i + 20], y[i : i + 20])
        blocks.append(model.blocks_[0])
    changed = [240 + 20 * i for i in range(len(blocks) - 1) if blocks[i + 1] is not blocks[i]]
    assert changed == [300, 360]


def test_equivariance(rows):
    X, y, layout = rows
    exact = [("trees", HistGradientBoostingRegressor(loss="quantile", max_iter=5, max_leaf_nodes=4))]
    one = _small(layout, exact, random_state=0).fit(X[:300], y[:300]).predict_quantiles(X[300:], LEVELS)
    a, b = 1024.0, 0.0
    two = _small(layout, exact, random_state=0).fit(a * X[:300] + b, a * y[:300] + b)
    np.testing.assert_allclose(two.predict_quantiles(a * X[300:] + b, LEVELS), a * one + b, rtol=1e-9)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"regressors": []}, "at least one regressor"),
        ({"quantiles": [0.5]}, "at least two"),
        ({"regressors": [("mean", LinearRegression())]}, "LinearRegression has neither"),
        ({"refit_every": 0}, "refit_every"),
        ({"history": 10}, "history"),
    ],
)
def test_bad_parameters_are_named(rows, params, match):
    X, y, layout = rows
    with pytest.raises(ValueError, match=match):
        _small(layout).set_params(**params).fit(X, y)


def test_a_pickle_keeps_double_precision(rows):
    X, y, layout = rows
    model = _small(layout).fit(X[:200], y[:200])
    again = pickle.loads(pickle.dumps(model))
    assert (again.update_predict(X[200:260], y[200:260]) == model.update_predict(X[200:260], y[200:260])).all()
