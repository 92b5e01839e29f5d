"""JKOAggregator: prequential, equivariant, robust, and clear about what is wrong."""

import pickle

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks as theirs

from tests.api.checks import estimator_checks
from usp_sklearn import load, save
from usp_sklearn.api.aggregator import JKOAggregator

LEVELS = np.array([0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])
NORMAL = np.quantile(np.random.default_rng(9).normal(size=50_000), LEVELS)


def stream(n=700, seed=0):
    """A series (n,) and three experts (n, 3, 9) that know part of it: biased, narrow, late."""
    rng = np.random.default_rng(seed)
    y = np.zeros(n)
    for t in range(1, n):
        y[t] = 0.9 * y[t - 1] + rng.normal()
    ideal = np.concatenate([[0], 0.9 * y[:-1]])[:, None] + NORMAL
    late = np.concatenate([[0, 0], 0.8 * y[:-2]])[:, None] + 1.5 * NORMAL
    narrow = ideal + 0.5 * rng.normal(size=(n, 1))
    narrow = narrow[:, 4:5] + 0.5 * (narrow - narrow[:, 4:5])
    return y, np.stack([ideal + 0.7, narrow, late], axis=1)


def score(y, q):
    e = y[:, None] - q
    return np.maximum(LEVELS * e, (LEVELS - 1) * e).mean()


Y, E = stream()


@pytest.fixture(scope="module")
def model():
    return JKOAggregator(quantiles=LEVELS).fit(E[:200], Y[:200])


def test_beats_its_best_expert(model):
    q = clone(model).fit(E[:200], Y[:200]).update_predict(E[200:], Y[200:])
    assert score(Y[200:], q) < 0.95 * min(score(Y[200:], E[200:, m]) for m in range(3))
    coverage = ((Y[200:] >= q[:, 2]) & (Y[200:] <= q[:, 6])).mean()
    assert abs(coverage - 0.8) < 0.05


def test_quantiles_never_cross_and_nothing_global_changes():
    assert not jax.config.jax_enable_x64
    q = JKOAggregator(quantiles=LEVELS).fit(E[:50], Y[:50]).update_predict(E[50:400, :, ::-1], Y[50:400])
    assert q.dtype == np.float64 and (np.diff(q, axis=1) >= 0).all()
    assert not jax.config.jax_enable_x64
    assert jax.numpy.ones(1).dtype == np.float32


def test_is_prequential_and_independent_of_how_rows_are_cut(model):
    whole, pieces = pickle.loads(pickle.dumps(model)), pickle.loads(pickle.dumps(model))
    expected = whole.update_predict(E[200:260], Y[200:260])
    got = []
    for start, stop in ((200, 201), (201, 210), (210, 260)):
        got.append(pieces.predict(E[start : start + 1]))
        got.append(pieces.update_predict(E[start:stop], Y[start:stop])[1:])
    np.testing.assert_allclose(np.concatenate(got), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(pieces.weights_, whole.weights_, rtol=0, atol=1e-12)
    future = Y[200:260].copy()
    future[30:] += 100
    changed = pickle.loads(pickle.dumps(model)).update_predict(E[200:260], future)
    np.testing.assert_array_equal(changed[:31], expected[:31])


def test_predict_learns_nothing_and_takes_rows_one_by_one(model):
    before = pickle.dumps(model.state_)
    q = model.predict(E[200:230])
    assert pickle.dumps(model.state_) == before
    np.testing.assert_allclose(model.predict(E[200:230][::-1])[::-1], q, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.predict(E[205:206])[0], q[5], rtol=0, atol=1e-12)


def test_partial_fit_continues_and_fit_starts_afresh():
    once = JKOAggregator(quantiles=LEVELS).fit(E[:300], Y[:300])
    parts = JKOAggregator(quantiles=LEVELS).partial_fit(E[:120], Y[:120]).partial_fit(E[120:300], Y[120:300])
    np.testing.assert_allclose(parts.weights_, once.weights_, rtol=0, atol=1e-12)
    again = parts.fit(E[:300], Y[:300])
    np.testing.assert_allclose(again.predict(E[300:310]), once.predict(E[300:310]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("geometry", ["graph", "sinkhorn"])
def test_weights_are_a_simplex_per_level(geometry):
    fitted = JKOAggregator(quantiles=LEVELS, geometry=geometry).fit(E[:150], Y[:150])
    assert fitted.weights_.shape == (4, 9) and fitted.weights_path_.shape == (150, 4)
    assert (fitted.weights_ >= 0).all()
    np.testing.assert_allclose(fitted.weights_.sum(0), 1, atol=1e-10)
    np.testing.assert_allclose(fitted.weights_path_.sum(1), 1, atol=1e-10)


def test_is_equivariant_to_shift_and_scale():
    one = JKOAggregator(quantiles=LEVELS).fit(E[:200], Y[:200]).update_predict(E[200:400], Y[200:400])
    moved = JKOAggregator(quantiles=LEVELS).fit(20 * E[:200] + 300, 20 * Y[:200] + 300)
    two = moved.update_predict(20 * E[200:400] + 300, 20 * Y[200:400] + 300)
    np.testing.assert_allclose((two - 300) / 20, one, atol=1e-7)


def test_a_missing_expert_sleeps():
    gaps = E[:400].copy()
    gaps[100:160, 1] = np.nan
    gaps[300:, 0, 3] = np.nan
    fitted = JKOAggregator(quantiles=LEVELS).fit(gaps[:90], Y[:90])
    q = fitted.update_predict(gaps[90:], Y[90:400])
    assert np.isfinite(q).all()
    assert (fitted.weights_path_[10:70, 1] == 0).all() and (fitted.weights_path_[210:, 0] == 0).all()
    assert fitted.weights_path_[80:, 1].max() > 0


def test_an_expert_that_extrapolates_wildly_does_little_harm():
    wild = E.copy()
    wild[400:, 1] *= 1e4
    fitted = JKOAggregator(quantiles=LEVELS).fit(wild[:200], Y[:200])
    q = fitted.update_predict(wild[200:], Y[200:])
    assert score(Y[420:], q[220:]) < 1.3 * score(Y[420:], E[420:, 0])


def test_parts_can_be_switched_off_and_the_grid_is_used():
    rounded = np.round(Y)
    on = JKOAggregator(quantiles=LEVELS, calibration=False).fit(E[:400], rounded[:400])
    off = clone(on).set_params(grid=False).fit(E[:400], rounded[:400])
    q = on.update_predict(E[400:], rounded[400:])
    inner = (LEVELS > 0.2) & (LEVELS < 0.8)
    np.testing.assert_allclose(q[:, inner], np.round(q[:, inner]), atol=1e-9)
    assert np.abs(off.predict(E[400:]) - np.round(off.predict(E[400:]))).max() > 0.1
    plain = JKOAggregator(quantiles=LEVELS, stack=False).fit(E[:100], Y[:100])
    assert (plain.weights_[3] == 0).all()


def test_tunable_numbers_cost_no_compilation():
    from usp_sklearn.core import aggregate

    JKOAggregator(quantiles=LEVELS).fit(E[:8], Y[:8])
    before = aggregate._walk._cache_size()
    for tau, share, rate in ((0.5, 0.0, 0.0), (2.0, 3.0, 0.01), (1.0, 1.0, False)):
        JKOAggregator(quantiles=LEVELS, tau=tau, share=share, calibration=rate, stack=tau > 1).fit(E[:5], Y[:5])
    assert aggregate._walk._cache_size() == before


def test_clone_pickle_and_defaults(model):
    np.testing.assert_equal(clone(model).get_params(), model.get_params())
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(E[200:205]), model.predict(E[200:205]))
    E25 = np.repeat(np.linspace(-2, 2, 25)[None, None], 20, 0)
    assert JKOAggregator().fit(E25, np.zeros(20)).predict(E25).shape == (20, 25)


@pytest.mark.parametrize(
    ("experts", "y", "message"),
    [
        (E[:10, 0, 0], Y[:10], "Reshape your data"),
        (E[:10, None], Y[:10], "dim 4"),
        (E[:10, 0, :5], Y[:10], "9 levels of 'quantiles' for each expert. Got n_features = 5"),
        (E[:10, :, :5], Y[:10], "9 levels"),
        (E[:10], Y[:9], "inconsistent numbers of samples"),
        (np.where(np.arange(10)[:, None, None] == 3, np.nan, E[:10]), Y[:10], "Row 3 has none"),
        (np.where(np.arange(10)[:, None, None] == 3, np.inf, E[:10]), Y[:10], "infinity"),
        (E[:10], np.where(np.arange(10) == 3, np.nan, Y[:10]), "NaN"),
        (E[:0], Y[:0], "0 sample"),
    ],
)
def test_bad_input_is_a_clear_error(experts, y, message):
    with pytest.raises(ValueError, match=message):
        JKOAggregator(quantiles=LEVELS).fit(experts, y)


def test_bad_parameters_are_a_clear_error(model):
    wrong = {"tau": 0.0}, {"geometry": "euclid"}, {"quantiles": [0.5, 0.1]}, {"quantiles": []}, {"calibration": -1.0}
    for params in wrong:
        with pytest.raises(ValueError, match="parameter"):
            clone(model).set_params(**params).fit(E[:10], Y[:10])
    with pytest.raises(ValueError, match="X has 18 features, but JKOAggregator is expecting 27"):
        model.predict(E[:2, :2])
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        JKOAggregator().predict(E)


# ------------------------------------------------------------------ as scikit-learn has it


@estimator_checks(JKOAggregator(quantiles=[0.5]))
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", ["check_param_validation", "check_dataframe_column_names_consistency"])
def test_sklearn_checks_outside_the_list(name):
    getattr(theirs, name)("JKOAggregator", JKOAggregator(quantiles=[0.5]))


def two_storeys(experts, names=("bias", "narrow", "late"), levels=LEVELS):
    index = pd.date_range("2024-01-01", periods=len(experts), freq="h")
    tables = {n: pd.DataFrame(experts[:, i], index=index, columns=levels) for i, n in enumerate(names)}
    return pd.concat(tables, axis=1)


def test_one_row_of_columns_is_the_table_of_experts(model, tmp_path):
    flat = E.reshape(len(E), -1)
    one = clone(model).fit(flat[:200].tolist(), Y[:200].tolist())
    np.testing.assert_array_equal(one.predict(flat[200:240]), model.predict(E[200:240]))
    np.testing.assert_array_equal(one.predict(E[200:240].tolist()), model.predict(E[200:240]))
    assert one.n_features_in_ == model.n_features_in_ == 27 and one.n_experts_ == model.n_experts_ == 3
    table = two_storeys(E)
    named = clone(model).fit(table[:200], Y[:200])
    q = named.update_predict(table[200:], Y[200:])
    assert q.index.equals(table.index[200:]) and q.columns.tolist() == LEVELS.tolist()
    np.testing.assert_array_equal(q, clone(model).fit(E[:200], Y[:200]).update_predict(E[200:], Y[200:]))
    # Experts are known by their names, in whatever order their columns stand; levels may be words.
    apart = table.iloc[:, np.argsort(np.tile(np.arange(9), 3), kind="stable")]
    np.testing.assert_array_equal(named.predict(apart[200:]), named.predict(table[200:]))
    words = table.rename(columns=str, level=1)
    np.testing.assert_array_equal(named.predict(words[200:]), named.predict(table[200:]))
    save(named, tmp_path / "a.usp")
    for again in (named, load(tmp_path / "a.usp")):
        with pytest.raises(ValueError, match="feature names should match"):
            again.predict(two_storeys(E, ("narrow", "bias", "late")))
    with pytest.raises(ValueError, match=r"levels \[0.01, .*\] of 'quantiles' .* for 'bias'"):
        clone(model).fit(two_storeys(E[:, :, ::-1], levels=LEVELS[::-1]), Y)
    with pytest.raises(ValueError, match="for 'bias'"):
        JKOAggregator(quantiles=[0.5]).fit(two_storeys(E[:, :, :2], levels=[0.5, 0.5]), Y)


# Entropic transport keeps some weight on all experts, which costs.
@pytest.mark.parametrize(("geometry", "regret"), [("graph", 0.01), ("sinkhorn", 0.03)])
def test_points_of_experts_are_combined_without_widths(geometry, regret):
    medians = E[:, :, 4]
    fitted = JKOAggregator(quantiles=[0.5], geometry=geometry).fit(medians[:200], Y[:200])
    q = fitted.update_predict(medians[200:], Y[200:])
    assert q.shape == (500, 1) and fitted.weights_.shape == (4, 1) and fitted.weights_[3, 0] == 0
    # A point that lies among the experts': nothing but weights made it.
    assert (q[:, 0] <= medians[200:].max(1) + 1e-9).all() and (q[:, 0] >= medians[200:].min(1) - 1e-9).all()
    losses = np.abs(Y[200:, None] - medians[200:]).mean(0)
    assert np.abs(Y[200:] - q[:, 0]).mean() < (1 + regret) * losses.min()
    left = np.abs(Y[:200] - fitted.predict(medians[:200])[:, 0]).mean() / 2
    assert fitted.score(medians[:200], Y[:200]) == pytest.approx(-left, rel=1e-12)


def test_a_search_and_a_pipeline_take_it():
    flat = E[:300].reshape(300, -1)
    search = GridSearchCV(JKOAggregator(quantiles=LEVELS), {"tau": [0.1, 1.0]}, cv=TimeSeriesSplit(2))
    search.fit(flat, Y[:300])
    best = max(search.cv_results_["mean_test_score"])
    found = clone(search.best_estimator_)
    by_hand = [found.fit(flat[a], Y[a]).score(flat[b], Y[b]) for a, b in TimeSeriesSplit(2).split(flat)]
    assert best == pytest.approx(np.mean(by_hand), rel=1e-12)
    line = make_pipeline(FunctionTransformer(), JKOAggregator(quantiles=LEVELS)).fit(flat, Y[:300])
    np.testing.assert_array_equal(line.predict(flat), JKOAggregator(quantiles=LEVELS).fit(flat, Y[:300]).predict(flat))
