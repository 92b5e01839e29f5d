"""Scores against scikit-learn, closed forms and direct integration; scorers through pipelines and searches."""

import pickle

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import mean_pinball_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from usp_sklearn.api.metrics import (
    coverage_score,
    crps_score,
    crps_scorer,
    interval_score,
    pinball_score,
    pinball_scorer,
)

RNG = np.random.default_rng(3)
Y = RNG.normal(size=60)
WEIGHTS = RNG.uniform(size=60)


class NormalLaw:
    def __init__(self, loc, scale):
        self.loc, self.scale = loc, scale

    def ppf(self, u):
        return self.loc[:, None] + self.scale * stats.norm.ppf(u)

    def crps(self, y):
        z = (y - self.loc) / self.scale
        return self.scale * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


class NormalPredictor(RegressorMixin, BaseEstimator):
    """Least squares with a normal law of a given scale."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def fit(self, X, y):
        self.coef_ = np.linalg.lstsq(np.c_[X, np.ones(len(X))], y, rcond=None)[0]
        return self

    def predict(self, X):
        return np.c_[X, np.ones(len(X))] @ self.coef_

    def predict_distribution(self, X):
        return NormalLaw(self.predict(X), self.scale)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.93])
def test_pinball_equals_scikit_learn(level):
    q = RNG.normal(size=60)
    assert pinball_score(Y, q, level) == pytest.approx(mean_pinball_loss(Y, q, alpha=level), rel=1e-13)
    weighted = mean_pinball_loss(Y, q, alpha=level, sample_weight=WEIGHTS)
    assert pinball_score(Y, q[:, None], [level], WEIGHTS) == pytest.approx(weighted, rel=1e-13)


def test_crps_of_many_quantiles_reaches_the_integral():
    levels = (np.arange(2000) + 0.5) / 2000
    q = np.broadcast_to(stats.norm.ppf(levels), (60, 2000))
    direct = [integrate.quad(lambda x, y=y: (stats.norm.cdf(x) - (x >= y)) ** 2, -12, 12, points=[y])[0] for y in Y[:5]]
    assert crps_score(Y[:5], q[:5], levels) == pytest.approx(np.mean(direct), rel=1e-4)
    assert crps_score(Y, NormalLaw(np.zeros(60), 1.0)) == pytest.approx(crps_score(Y, q, levels), rel=1e-4)
    order = RNG.permutation(2000)
    assert crps_score(Y, q[:, order], levels[order]) == pytest.approx(crps_score(Y, q, levels), rel=1e-13)


def test_crps_of_a_median_is_the_absolute_error():
    assert crps_score(Y, np.zeros(60), 0.5) == pytest.approx(np.abs(Y).mean(), rel=1e-13)


def test_many_horizons_average_the_single_ones():
    y, q = RNG.normal(size=(30, 4)), np.sort(RNG.normal(size=(30, 4, 3)), -1)
    levels = [0.1, 0.5, 0.9]
    for score in (pinball_score, crps_score):
        single = [score(y[:, h], q[:, h], levels) for h in range(4)]
        assert score(y, q, levels) == pytest.approx(np.mean(single), rel=1e-13)
    ends = q[..., [0, 2]]
    assert coverage_score(y, ends) == pytest.approx(np.mean([coverage_score(y[:, h], ends[:, h]) for h in range(4)]))


def test_interval_scores():
    ends = np.c_[np.full(60, -1.0), np.full(60, 0.5)]
    assert coverage_score(Y, ends) == np.mean([-1 <= v <= 0.5 for v in Y])
    winkler = [1.5 + 20 * max(-1 - v, v - 0.5, 0) for v in Y]
    assert interval_score(Y, ends, coverage=0.9) == pytest.approx(np.mean(winkler), rel=1e-12)
    # Half the interval score of a central interval, times its miss rate, is the pinball of its two ends.
    assert interval_score(Y, ends, 0.9) * 0.1 / 2 == pytest.approx(2 * pinball_score(Y, ends, [0.05, 0.95]), rel=1e-12)


@pytest.mark.parametrize("scorer", [crps_scorer, pinball_scorer([0.1, 0.9]), pinball_scorer()])
def test_scorers_choose_the_true_scale_through_a_pipeline(scorer):
    X = RNG.normal(size=(400, 2))
    y = X @ [1.0, -2.0] + 0.5 * RNG.normal(size=400)
    model = make_pipeline(StandardScaler(), NormalPredictor())
    grid = {"normalpredictor__scale": [0.1, 0.5, 3.0]}
    search = GridSearchCV(model, grid, scoring=scorer, cv=3).fit(X, y)
    assert search.best_params_ == {"normalpredictor__scale": 0.5}
    assert scorer(search, X, y) == scorer(search.best_estimator_, X, y) < 0
    copy = pickle.loads(pickle.dumps(scorer))
    assert copy(search, X, y) == scorer(search, X, y)
    assert (cross_val_score(NormalPredictor(0.5), X, y, scoring=scorer, cv=3) < 0).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pinball_score(Y, np.zeros((60, 2)), [0.1]), r"y_pred must have shape \(60, 1\).* Got \(60, 2\)"),
        (lambda: pinball_score(Y, np.zeros(50), 0.5), "inconsistent numbers of samples"),
        (lambda: pinball_score(Y, np.zeros(60), 1.5), "'quantiles' parameter must be levels strictly between 0 and 1"),
        (lambda: crps_score(Y, np.zeros((60, 2))), "'quantiles' parameter must be given"),
        (lambda: crps_score([np.nan], [[1.0]], 0.5), "y_true contains NaN"),
        (lambda: interval_score(Y, np.zeros((60, 2)), coverage=90), "'coverage' parameter .* Got 90"),
        (lambda: coverage_score(Y, np.zeros((60, 3))), "lower and upper end"),
    ],
)
def test_bad_input_names_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
