"""JKOAggregator: prequential, equivariant, robust, and clear about what is wrong."""

import pickle

import jax
import numpy as np
import pytest
from sklearn.base import clone

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
        got.append(pieces.predict(E[start])[None])
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
    np.testing.assert_allclose(model.predict(E[205]), q[5], rtol=0, atol=1e-12)


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
        (E[:10, 0], Y[:10], r"shape \(n, experts, levels\)"),
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
    for params in ({"tau": 0.0}, {"geometry": "euclid"}, {"quantiles": [0.5, 0.1]}, {"calibration": -1.0}):
        with pytest.raises(ValueError, match="parameter"):
            clone(model).set_params(**params).fit(E[:10], Y[:10])
    with pytest.raises(ValueError, match="expects 3 experts"):
        model.predict(E[:2, :2])
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        JKOAggregator().predict(E)
