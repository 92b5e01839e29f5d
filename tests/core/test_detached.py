"""Laws of a frozen model: the next row's is the stream's own, any other row is told what it says of short memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usp_sklearn import JKOPredictor, LevyPredictor, PredictiveDistribution, runtime, sliding_window
from usp_sklearn.core import detached, engine, pipeline

LEVELS = [0.01, 0.1, 0.5, 0.9, 0.99]
WIDTH, TRAIN = 16, 884
FAR = slice(TRAIN + 6, TRAIN + 486)
SETS = (["A"], ["A", "D"], ["A", "B", "C", "D"])


@pytest.fixture(scope="module")
def series():
    """A walk whose volatility changes every 50 steps, and is low where the training rows end."""
    rng = np.random.default_rng(0)
    sigma = np.exp(np.repeat(rng.normal(size=29), 50)[:1400])
    sigma[840:900] = 0.2
    return 100 + np.cumsum(sigma * rng.normal(size=1400))


def _fit(series, branches=("A",), width=WIDTH, **kwargs):
    X, y = sliding_window(series, width=width, horizon=kwargs.get("horizon", 1), season=None)
    model = JKOPredictor(width=width, n_level=X.shape[1] - width, branches=list(branches), random_state=0, **kwargs)
    return model.fit(X[:TRAIN], y[:TRAIN]), X, y


@pytest.fixture(scope="module", params=SETS, ids="".join)
def fitted(request, series):
    return _fit(series, request.param)


def _own(model, X):
    """Quantiles (n, 25) of rows that all meet the state's own memory: what a frozen model knows without reading."""
    spec, params, held = engine.spec(model.state_.shape.layout), model._params(), model.state_.state

    def law(raw):
        state = jax.tree.map(jnp.asarray, held)
        return pipeline.law_of(spec, params, state, pipeline.prepare(spec, params, raw))[2].law

    with runtime.precision():
        return jax.jit(jax.vmap(law))(engine.raw(model.state_.shape.layout, X, 64))


def test_the_next_row_is_the_streams_own(fitted):
    """It meets the state's memory and weights to the last bit; programs of different shapes round differently."""
    model, X, y = fitted
    spec, params, held = engine.spec(model.state_.shape.layout), model._params(), model.state_.state

    def meet(raw):
        state = jax.tree.map(jnp.asarray, held)
        prepared = pipeline.prepare(spec, params, raw)
        row = pipeline.standard_row(prepared, state.stats)
        then, met = detached.meet(spec, state, prepared.local, row, raw.width)
        return detached.recall(spec, state.branches, row), met, then.orchestrator

    with runtime.precision():
        own, met, status = jax.jit(jax.vmap(meet))(engine.raw(model.state_.shape.layout, X[TRAIN:], 8))
        walked = engine.walk(model.state_, params, X[TRAIN : TRAIN + 8], y[TRAIN : TRAIN + 8])[1]
        issued = engine.predict(model.state_, params, X[TRAIN : TRAIN + 1])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b[0]), own, met)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b), status, held.orchestrator)
    for a, b in zip(issued, walked, strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-12)
    assert all(
        (np.asarray(a) != np.asarray(b))[1:].any() for a, b in zip(*map(jax.tree.leaves, (own, met)), strict=True)
    )
    np.testing.assert_allclose(
        model.predict_quantiles(X[FAR], LEVELS)[0], model.predict_quantiles(X[FAR][:1], LEVELS)[0]
    )


def test_rows_stand_alone(fitted):
    model, X, _ = fitted
    rows = X[FAR][:60]
    whole = model.predict_quantiles(rows, LEVELS)
    order = np.random.default_rng(1).permutation(60)
    np.testing.assert_array_equal(model.predict_quantiles(rows[order], LEVELS), whole[order])
    np.testing.assert_array_equal(model.predict_quantiles(rows[7:19], LEVELS), whole[7:19])


def test_a_poisoned_row_harms_no_other(fitted):
    model, X, _ = fitted
    rows = X[FAR][:60]
    with runtime.precision():
        clean = engine.predict(model.state_, model._params(), rows)
        poisoned = engine.predict(model.state_, model._params(), np.where(np.arange(60)[:, None] < 30, rows, np.nan))
    for a, b in zip(clean, poisoned, strict=True):
        np.testing.assert_array_equal(a[:30], b[:30])


def test_predict_changes_nothing(fitted):
    model, X, _ = fitted
    before = jax.tree.map(lambda x: np.array(x, copy=True), model.state_)
    model.predict_quantiles(X, LEVELS)
    jax.tree.map(np.testing.assert_array_equal, before, model.state_)


@pytest.mark.parametrize(("scale", "shift"), [(1000.0, 0.0), (1.0, 5e4)])
def test_equivariance(series, fitted, scale, shift):
    model, X, _ = fitted
    plain = model.predict_quantiles(X[FAR], LEVELS)
    moved, Z, _ = _fit(scale * series + shift, model.branches)
    np.testing.assert_allclose(moved.predict_quantiles(Z[FAR], LEVELS), scale * plain + shift, rtol=1e-9, atol=0)


def test_volatility_that_the_stream_last_left_low_is_seen_in_the_rows(fitted):
    """Without the reading laws of wild rows stay as narrow as the last outcomes were."""
    model, X, y = fitted
    rows, y = X[FAR], y[FAR]
    own = jax.tree.map(
        lambda *x: np.concatenate(x)[: len(rows)], *[_own(model, rows[i : i + 64]) for i in range(0, 480, 64)]
    )
    stale, read = PredictiveDistribution(own), model.predict_distribution(rows)
    assert read.crps(y).mean() < 0.97 * stale.crps(y).mean()

    def cover(law):
        low, high = law.ppf([0.1, 0.9]).T
        return ((y >= low) & (y <= high)).mean()

    assert cover(stale) < 0.62 < 0.68 < cover(read)


def test_all_horizons_are_read(series):
    X, Y = sliding_window(series, width=WIDTH, horizon=3, multi=True, season=None)
    model = LevyPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH).fit(X[:TRAIN], Y[:TRAIN])
    frozen = model.predict_distribution(X[FAR])
    assert np.isfinite(frozen.law.q).all()
    low, high = np.moveaxis(frozen.ppf([0.1, 0.9]), -1, 0)
    assert (((Y[FAR] >= low) & (Y[FAR] <= high)).mean(0) > 0.65).all()
    first = model.predict_quantiles(X[TRAIN : TRAIN + 64], LEVELS)[0]
    np.testing.assert_allclose(
        first, model.update_predict(X[TRAIN : TRAIN + 64], Y[TRAIN : TRAIN + 64], LEVELS)[0], rtol=1e-12
    )


@pytest.mark.parametrize(("width", "horizon"), [(2, 1), (11, 1), (16, 1), (16, 3)])
def test_only_the_next_row_continues_the_stream(series, width, horizon):
    """Windows that are padded to their bucket too; it moves on with the stream."""
    model, X, y = _fit(series, width=width, horizon=horizon)

    def near(rows):
        engine_ = model.state_
        spec, layout = engine.spec(engine_.shape.layout), engine_.shape.layout
        with runtime.precision():
            raw = engine.raw(layout, rows, len(rows))
            local = jax.vmap(partial(pipeline.prepare, spec, model._params()))(raw).local
            pending = jax.tree.map(jnp.asarray, engine_.state.pending)
            flags = jax.vmap(partial(detached.continues, spec, pending))(local, raw.width)
        return np.flatnonzero(flags)

    np.testing.assert_array_equal(near(X), [TRAIN])
    for i in range(TRAIN, TRAIN + 3):
        model.partial_fit(X[i : i + 1], y[i : i + 1])
    np.testing.assert_array_equal(near(X), [TRAIN + 3])


def test_windows_of_one_value_count_as_the_next(series):
    X, y = series[:-1, None], series[1:]
    model = LevyPredictor().fit(X[:TRAIN], y[:TRAIN])
    rows = X[TRAIN : TRAIN + 64]
    np.testing.assert_array_equal(model.predict_distribution(rows).law.q, _own(model, rows).q)
