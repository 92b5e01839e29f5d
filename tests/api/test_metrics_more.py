"""Further scores against scoringrules, closed forms and published numbers; scorers by name through searches."""

import pickle

import numpy as np
import pytest
import scoringrules
from scipy import stats
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from usp_sklearn import LevyPredictor, datasets, sliding_window
from usp_sklearn.api import metrics
from usp_sklearn.api.metrics import (
    coverage_score,
    coverage_scorer,
    crps_score,
    crps_scorer,
    diebold_mariano,
    get_scorer,
    interval_score,
    interval_scorer,
    mase_score,
    mase_scorer,
    pinball_score,
    pinball_scorer,
    pit_values,
    scaled_crps_score,
    scorer_names,
    weighted_interval_components,
    weighted_interval_score,
)

RNG = np.random.default_rng(11)
N = 80
Y = RNG.normal(size=N)
WEIGHTS = RNG.uniform(size=N)
LEVELS = np.array([0.01, 0.025, 0.1, 0.3, 0.5, 0.7, 0.9, 0.975, 0.99])
Q = np.sort(RNG.normal(size=(N, len(LEVELS))), axis=1)


class NormalLaw:
    """A normal law in closed form, with what a predictive distribution offers."""

    def __init__(self, loc, scale):
        self.loc, self.scale = loc, scale

    def ppf(self, u):
        return self.loc[:, None] + self.scale * stats.norm.ppf(u)

    def crps(self, y):
        z = (y - self.loc) / self.scale
        return self.scale * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))

    def pit(self, y, *, mid=False, random_state=None):
        return stats.norm.cdf(y, self.loc, self.scale)


class NormalPredictor(RegressorMixin, BaseEstimator):
    """Least squares with a normal law of a given scale."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def fit(self, X, y):
        self.line_ = LinearRegression().fit(X, y)
        return self

    def predict(self, X):
        return self.line_.predict(X)

    def predict_distribution(self, X):
        return NormalLaw(self.predict(X), self.scale)


class QuantilesOnly(NormalPredictor):
    """The same with ``predict_quantiles`` and no law."""

    predict_distribution = property()

    def predict_quantiles(self, X, quantiles):
        return NormalLaw(self.predict(X), self.scale).ppf(quantiles)


# ------------------------------------------------------------------ weighted interval score


def test_weighted_interval_score_is_the_published_sum_of_interval_scores():
    """Intervals by scoringrules, whose own weighted sum (0.10) adds the median itself and not its distance."""
    K = len(LEVELS) // 2
    alpha = 2 * LEVELS[:K]
    intervals = scoringrules.interval_score(Y, Q[:, :K], Q[:, :K:-1], alpha, backend="numpy")
    expected = (np.abs(Y - Q[:, K]) / 2 + (alpha / 2 * intervals).sum(1)) / (K + 0.5)
    assert weighted_interval_score(Y, Q, LEVELS) == pytest.approx(expected.mean(), rel=1e-12)
    weighted = np.average(expected, weights=WEIGHTS)
    assert weighted_interval_score(Y, Q, LEVELS, WEIGHTS) == pytest.approx(weighted, rel=1e-12)
    order = RNG.permutation(len(LEVELS))
    assert weighted_interval_score(Y, Q[:, order], LEVELS[order]) == pytest.approx(expected.mean(), rel=1e-12)


def test_weighted_interval_score_is_twice_the_pinball_loss_and_tends_to_the_crps():
    assert weighted_interval_score(Y, Q, LEVELS) == pytest.approx(2 * pinball_score(Y, Q, LEVELS), rel=1e-12)
    assert weighted_interval_score(Y, np.zeros((N, 1)), [0.5]) == pytest.approx(np.abs(Y).mean(), rel=1e-12)
    levels = np.arange(1, 2000) / 2000
    q = np.broadcast_to(stats.norm.ppf(levels), (N, len(levels)))
    exact = NormalLaw(np.zeros(N), 1.0).crps(Y).mean()
    assert weighted_interval_score(Y, q, levels) == pytest.approx(exact, rel=2e-3)


def test_components_by_hand_and_their_sum():
    # One 80 % interval [0, 2] about 1, outcome 4: IS = 2 + 10·2; parts over 1 + ½.
    parts = weighted_interval_components([4.0], [[0.0, 1.0, 2.0]], [0.1, 0.5, 0.9])
    assert parts == pytest.approx((0.1 * 2 / 1.5, (3 / 2 + 2) / 1.5, 0.0))
    mirrored = weighted_interval_components([-2.0], [[0.0, 1.0, 2.0]], [0.1, 0.5, 0.9])
    assert mirrored == pytest.approx((parts.dispersion, parts.overprediction, parts.underprediction))
    assert sum(weighted_interval_components(Y, Q, LEVELS)) == pytest.approx(weighted_interval_score(Y, Q, LEVELS))
    inside = weighted_interval_components(Y[:3], np.c_[Y[:3] - 1, Y[:3], Y[:3] + 1], [0.25, 0.5, 0.75])
    assert inside.underprediction == inside.overprediction == 0


def test_many_horizons_average_the_single_ones():
    y, q = RNG.normal(size=(30, 4)), np.sort(RNG.normal(size=(30, 4, 3)), -1)
    levels = [0.1, 0.5, 0.9]
    single = [weighted_interval_score(y[:, h], q[:, h], levels) for h in range(4)]
    assert weighted_interval_score(y, q, levels) == pytest.approx(np.mean(single), rel=1e-12)
    assert pit_values(y, q, levels, random_state=0).shape == (30, 4)
    errors = [mase_score(y[:, h], q[:, h, 1], Y) for h in range(4)]
    assert mase_score(y, q[..., 1], Y) == pytest.approx(np.mean(errors), rel=1e-12)


# ------------------------------------------------------------------ PIT


def test_pit_reads_laws_and_many_quantiles_alike():
    law = NormalLaw(RNG.normal(size=N), 2.0)
    exact = stats.norm.cdf(Y, law.loc, 2.0)
    np.testing.assert_array_equal(pit_values(Y, law), exact)
    levels = np.arange(1, 4000) / 4000
    np.testing.assert_allclose(pit_values(Y, law.ppf(levels), levels, random_state=0), exact, atol=3e-4)


def test_pit_is_uniform_under_right_laws_and_few_quantiles():
    rng = np.random.default_rng(5)
    y = rng.normal(size=20_000)
    levels = np.array([0.2, 0.5, 0.8])
    pit = pit_values(y, np.broadcast_to(stats.norm.ppf(levels), (20_000, 3)), levels, random_state=1)
    # Between levels the straight line only approximates; the shares between them are exact.
    shares = np.histogram(pit, [0, 0.2, 0.5, 0.8, 1])[0] / len(y)
    np.testing.assert_allclose(shares, [0.2, 0.3, 0.3, 0.2], atol=0.012)
    ends = np.concatenate([pit[pit < 0.2] / 0.2, (pit[pit > 0.8] - 0.8) / 0.2])
    assert stats.kstest(ends, "uniform").pvalue > 0.01


def test_pit_of_an_atom_is_uniform_over_it():
    """Rain: dry with probability 0.6, else exponential."""
    rng = np.random.default_rng(6)
    y = np.where(rng.uniform(size=20_000) < 0.6, 0.0, rng.exponential(size=20_000))
    levels = np.array([0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9])
    q = np.where(levels <= 0.6, 0.0, stats.expon.ppf((levels - 0.6).clip(0) / 0.4))
    pit = pit_values(y, np.broadcast_to(q, (len(y), len(q))), levels, random_state=2)
    dry = pit[y == 0]
    assert dry.min() > 0 and dry.max() < 0.6
    assert stats.kstest(dry / 0.6, "uniform").pvalue > 0.01
    middle = pit_values([0.0], q[None], levels, mid=True)
    assert middle == pytest.approx([0.3])


def test_pit_at_and_beyond_quantiles():
    q = [[-1.0, 1.0, 2.0]]
    at = [pit_values([v], q, [0.2, 0.6, 0.8], mid=True)[0] for v in (-5.0, -1.0, 0.0, 1.0, 1.5, 2.0, 9.0)]
    assert at == pytest.approx([0.1, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9])
    assert pit_values([0.0, 3.0], [[1.0], [1.0]], [0.5], mid=True) == pytest.approx([0.25, 0.75])
    top = pit_values([2.0], [[0.0, 2.0, 2.0]], [0.2, 0.6, 0.8], mid=True)
    assert top == pytest.approx([0.8])


# ------------------------------------------------------------------ scaled scores


def test_mase_published_example_and_definition():
    # The example in the documentation of sktime's MeanAbsoluteScaledError.
    train = [5, 0.5, 4, 6, 3, 5, 2]
    assert mase_score([3, -0.5, 2, 7, 2], [2.5, 0.5, 2, 8, 2.25], train) == pytest.approx(0.18333333333333335)
    series, y, point = RNG.normal(size=50), RNG.normal(size=9), RNG.normal(size=9)
    naive = np.mean([abs(series[t] - series[t - 7]) for t in range(7, 50)])
    expected = np.mean([abs(a - b) for a, b in zip(y, point, strict=True)]) / naive
    assert mase_score(y, point, series, m=7) == pytest.approx(expected, rel=1e-12)


def test_scaled_crps_is_a_ratio_of_sums():
    law = NormalLaw(np.zeros(N), 1.0)
    assert scaled_crps_score(Y, law) == pytest.approx(law.crps(Y).sum() / np.abs(Y).sum(), rel=1e-12)
    scaled = scaled_crps_score(10 * Y, 10 * Q, LEVELS)
    assert scaled_crps_score(Y, Q, LEVELS) == pytest.approx(scaled, rel=1e-12)
    weighted = (WEIGHTS * law.crps(Y)).sum() / (WEIGHTS * np.abs(Y)).sum()
    assert scaled_crps_score(Y, law, sample_weight=WEIGHTS) == pytest.approx(weighted, rel=1e-12)


def test_quantile_crps_and_interval_score_equal_scoringrules():
    levels = np.arange(1, 20) / 20
    q = np.sort(RNG.normal(size=(N, 19)), axis=1)
    cells = np.diff(np.concatenate([[0], (levels[1:] + levels[:-1]) / 2, [1]]))
    pinball = scoringrules.quantile_score(Y[:, None], q, levels, backend="numpy")
    assert crps_score(Y, q, levels) == pytest.approx((2 * pinball * cells).sum(1).mean(), rel=1e-12)
    winkler = scoringrules.interval_score(Y, q[:, 0], q[:, -1], 0.1, backend="numpy")
    assert interval_score(Y, q[:, [0, -1]], 0.9) == pytest.approx(winkler.mean(), rel=1e-12)


# ------------------------------------------------------------------ Diebold–Mariano

ABSOLUTE = np.array(
    [0.3675225224615024, 0.5450608127223211, 0.22044990720021074, 0.8688743471040006, 0.6072512228948467,
     0.8582283746501538, 0.41662295816718187, 0.3812100211114714, 0.7185133356116706, 0.30827323290318875,
     0.4297093624074402, 0.8615974488577858, 0.7240514514808826, 0.3450839595261038, 0.19675301374013598]
)  # fmt: skip
OTHER = np.array(
    [0.12794132529988733, 0.3679643204341153, 0.768715420996091, 0.09972248964114683, 0.27197653636654284,
     0.28797629010039505, 0.9160213458582482, 0.6112628048698798, 0.5452873235576241, 0.06785907231746158,
     0.6072666485541124, 0.6241575753989782, 0.39998026828867217, 0.19895665605941748, 0.8094941215215619]
)  # fmt: skip


def test_diebold_mariano_equals_published_results():
    """The numbers of R's ``forecast::dm.test`` that the package ``dieboldmariano`` is held to."""
    squares = diebold_mariano(np.arange(6.0) ** 2, np.array([0, 2, 3, 3, 5, 6.0]) ** 2, kernel="rectangular")
    assert squares == pytest.approx((-2.4905, 0.05513), abs=5e-5)
    three = diebold_mariano(ABSOLUTE, OTHER, horizon=3, kernel="rectangular")
    assert three.statistic == pytest.approx(1.2109, abs=5e-5)
    # One-sided there: P(T ≤ S) = 0.877.
    assert 1 - three.p_value / 2 == pytest.approx(0.877, abs=5e-4)
    assert diebold_mariano(OTHER, ABSOLUTE, 3, kernel="rectangular").statistic == pytest.approx(-three.statistic)


def test_correction_of_harvey_leybourne_and_newbold():
    d = RNG.normal(size=40) + 0.2
    e = d - d.mean()
    for h in (1, 2, 5):
        gamma = [e[k:] @ e[: 40 - k] / 40 for k in range(h)]
        plain = d.mean() / np.sqrt((gamma[0] + 2 * sum(gamma[1:])) / 40)
        found = diebold_mariano(d, np.zeros(40), h, kernel="rectangular")
        assert found.statistic == pytest.approx(plain * np.sqrt((40 + 1 - 2 * h + h * (h - 1) / 40) / 40), rel=1e-12)
        assert found.p_value == pytest.approx(2 * (1 - stats.t.cdf(abs(found.statistic), 39)), rel=1e-9)


def test_a_variance_below_zero_gives_no_result():
    alternating = np.array([1.0, -1.0] * 10) + 0.1
    assert np.isnan(diebold_mariano(alternating, np.zeros(20), 2, kernel="rectangular")).all()
    assert np.isfinite(diebold_mariano(alternating, np.zeros(20), 2)).all()


# ------------------------------------------------------------------ scorers

X = RNG.normal(size=(300, 2))
OUTCOMES = X @ [1.0, -2.0] + 0.5 * RNG.normal(size=300)


def test_scorers_are_their_scores_negated():
    model = NormalPredictor(0.5).fit(X, OUTCOMES)
    point, law = model.predict(X), model.predict_distribution(X)
    ends = law.ppf([0.1, 0.9])
    assert interval_scorer(0.8)(model, X, OUTCOMES) == pytest.approx(-interval_score(OUTCOMES, ends, 0.8))
    inside = np.mean(np.abs(OUTCOMES - ends.mean(1)) <= (ends[:, 1] - ends[:, 0]) / 2)
    assert coverage_scorer(0.8)(model, X, OUTCOMES) == pytest.approx(-abs(inside - 0.8))
    assert coverage_score(OUTCOMES, ends) == pytest.approx(inside)
    own = np.abs(OUTCOMES - point).mean() / np.abs(np.diff(OUTCOMES)).mean()
    assert mase_scorer()(model, X, OUTCOMES) == pytest.approx(-own)
    assert mase_scorer(2, Y)(model, X, OUTCOMES) == pytest.approx(-mase_score(OUTCOMES, point, Y, 2))
    behind = make_pipeline(StandardScaler(), QuantilesOnly(0.5)).fit(X, OUTCOMES)
    assert interval_scorer(0.8)(behind, X, OUTCOMES) == pytest.approx(-interval_score(OUTCOMES, ends, 0.8))


def test_coverage_is_best_at_the_nominal_share():
    search = GridSearchCV(NormalPredictor(), {"scale": [0.1, 0.5, 3.0]}, scoring=get_scorer("coverage"), cv=3)
    search.fit(X, OUTCOMES)
    assert search.best_params_ == {"scale": 0.5}
    assert search.cv_results_["mean_test_score"].max() <= 0


def test_scorers_by_name_alone_and_together():
    assert scorer_names() == ["neg_crps", "neg_pinball", "neg_interval_score", "coverage", "neg_mase"]
    assert get_scorer("neg_crps") is crps_scorer and get_scorer(crps_scorer) is crps_scorer
    assert repr(get_scorer("neg_pinball")) == repr(pinball_scorer())
    several = {name: get_scorer(name) for name in [*scorer_names(), "neg_mean_absolute_error"]}
    search = GridSearchCV(
        make_pipeline(StandardScaler(), NormalPredictor()),
        {"normalpredictor__scale": [0.1, 0.5, 3.0]},
        scoring=several,
        refit="neg_interval_score",
        cv=3,
    ).fit(X, OUTCOMES)
    assert search.best_params_ == {"normalpredictor__scale": 0.5}
    table = cross_validate(NormalPredictor(0.5), X, OUTCOMES, scoring=several, cv=3, n_jobs=2)
    for name in several:
        index = search.best_index_
        found = [search.cv_results_[f"split{i}_test_{name}"][index] for i in range(3)]
        np.testing.assert_allclose(table[f"test_{name}"], found, rtol=1e-9)
    assert (table["test_neg_crps"] < 0).all() and np.isfinite(table["test_neg_mase"]).all()


@pytest.mark.parametrize("name", scorer_names())
def test_named_scorers_pickle_and_score_a_predictor(name):
    rows, y = sliding_window(datasets.make_ou(260, random_state=0), width=16, season=None)
    model = LevyPredictor(width=16, n_level=rows.shape[1] - 16).fit(rows[:200], y[:200])
    scorer = get_scorer(name)
    value = scorer(model, rows[200:], y[200:])
    assert -10 < value <= 0
    assert pickle.loads(pickle.dumps(scorer))(model, rows[200:], y[200:]) == value


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: weighted_interval_score(Y, np.zeros((N, 2)), [0.1, 0.9]), r"must hold 0.5 .* Got \[0.1, 0.9\]"),
        (lambda: weighted_interval_score(Y, np.zeros((N, 3)), [0.2, 0.5, 0.9]), "pairs of levels"),
        (lambda: weighted_interval_score(Y, np.zeros((N, 3)), [0.5, 0.5, 0.5]), "each once"),
        (lambda: pit_values(Y, Q), "'quantiles' parameter must be given"),
        (lambda: mase_score([1.0], [1.0], [2.0, 2.0, 2.0]), "must not repeat itself every m=1"),
        (lambda: mase_score([1.0], [1.0], [2.0, 3.0], m=2), r"longer than m=2. Got the shape \(2,\)"),
        (lambda: mase_score([1.0], [1.0], Y, m=0), "'m' parameter must be an int of at least 1. Got 0"),
        (lambda: scaled_crps_score([0.0, 0.0], [[1.0], [1.0]], [0.5]), "must not be all zero"),
        (lambda: diebold_mariano([1.0, 2.0], [1.0, 2.0, 3.0]), "same length. Got 2 and 3"),
        (lambda: diebold_mariano([1.0, 2.0], [1.0, 3.0], horizon=2), "below the number of losses, 2. Got 2"),
        (lambda: diebold_mariano([1.0, 2.0], [1.0, np.nan]), "losses_b contains NaN"),
        (lambda: diebold_mariano(Y, 2 * Y, kernel="parzen"), "'kernel' parameter must be one of 'bartlett'"),
        (lambda: interval_scorer(90), r"'coverage' parameter must be a float in \(0, 1\). Got 90"),
        (lambda: get_scorer("crps"), "'name' parameter of get_scorer must be one of 'neg_crps'.* Got 'crps'"),
    ],
)
def test_bad_input_names_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_an_estimator_without_laws_is_refused_by_name():
    with pytest.raises(TypeError, match="LinearRegression has neither predict_distribution nor predict_quantiles"):
        interval_scorer()(LinearRegression().fit(X, OUTCOMES), X, OUTCOMES)


def test_everything_public_is_listed():
    assert all(hasattr(metrics, name) for name in metrics.__all__)
