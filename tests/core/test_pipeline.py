"""One model, three ways to run it, one truth; nothing sees the future; every unit is the series' own."""

import numpy as np
import pytest

from usp_sklearn import JKOPredictor, SlidingWindow, Stream, sliding_window

LEVELS = [0.01, 0.1, 0.5, 0.9, 0.99]
WIDTH, TRAIN = 16, 400
STEPS = 500


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(3)
    return 50 + np.cumsum(rng.standard_t(4, size=TRAIN + STEPS + 40))


def _fit(series, **kwargs):
    X, y = sliding_window(series, width=WIDTH)
    model = JKOPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH, random_state=0, **kwargs)
    return model.fit(X[:TRAIN], y[:TRAIN]), X, y


@pytest.fixture(scope="module")
def prequential(series):
    model, X, y = _fit(series)
    return model.update_predict(X[TRAIN : TRAIN + STEPS], y[TRAIN : TRAIN + STEPS], LEVELS)


def test_stream_equals_prequential(series, prequential):
    model, _, _ = _fit(series)
    start = WIDTH + TRAIN
    stream = Stream(model, series[:start], SlidingWindow(width=WIDTH))
    laws = [stream.law.ppf(LEVELS)] + [stream.push(v).ppf(LEVELS) for v in series[start : start + STEPS - 1]]
    np.testing.assert_allclose(laws, prequential, rtol=1e-12, atol=0)


def test_row_by_row_equals_prequential(series, prequential):
    model, X, y = _fit(series)
    rows = []
    for i in range(TRAIN, TRAIN + STEPS):
        rows.append(model.predict_quantiles(X[i : i + 1], LEVELS)[0])
        model.partial_fit(X[i : i + 1], y[i : i + 1])
    np.testing.assert_allclose(rows, prequential, rtol=1e-12, atol=0)


def test_the_future_is_not_seen(series):
    """With the future wildly different, laws issued before it stay the same to the last bit."""
    cut = 100
    model, X, y = _fit(series)
    before = model.update_predict(X[TRAIN : TRAIN + 2 * cut], y[TRAIN : TRAIN + 2 * cut], LEVELS)
    model, X, y = _fit(series)
    X, y = X.copy(), y.copy()
    X[TRAIN + cut :], y[TRAIN + cut - 1 :] = 1e6, -1e6
    after = model.update_predict(X[TRAIN : TRAIN + 2 * cut], y[TRAIN : TRAIN + 2 * cut], LEVELS)
    np.testing.assert_array_equal(before[:cut], after[:cut])


def test_nan_in_the_future_cannot_reach_the_past(series):
    """Poison below the input checks: the compiled walk itself is causal."""
    from usp_sklearn import runtime
    from usp_sklearn.core import engine

    model, X, y = _fit(series)
    rows, outcomes = X[TRAIN : TRAIN + 60], y[TRAIN : TRAIN + 60]
    poisoned_rows, poisoned = rows.copy(), outcomes.copy()
    poisoned_rows[30:], poisoned[29:] = np.nan, np.nan
    with runtime.precision():
        clean = engine.walk(model.state_, model._params(), rows, outcomes)[1]
        dirty = engine.walk(model.state_, model._params(), poisoned_rows, poisoned)[1]
    for a, b in zip(clean, dirty, strict=True):
        np.testing.assert_array_equal(a[:30], b[:30])


@pytest.mark.parametrize(("scale", "shift"), [(1000.0, 0.0), (1.0, 5e4), (1e-3, -7.0)])
def test_equivariance(series, scale, shift):
    model, X, y = _fit(series)
    plain = model.update_predict(X[TRAIN : TRAIN + 100], y[TRAIN : TRAIN + 100], LEVELS)
    model, X, y = _fit(scale * series + shift)
    moved = model.update_predict(X[TRAIN : TRAIN + 100], y[TRAIN : TRAIN + 100], LEVELS)
    # Relative to the numbers issued: adding b rounds the series itself by ε|b|, and the net's training feels that.
    np.testing.assert_allclose(moved, scale * plain + shift, rtol=1e-9, atol=0)


def test_horizon_learns_outcomes_only_when_they_are_known(series):
    """With horizon 5 the law of a row may not depend on outcomes less than 5 rows before it."""

    def walk(y_change):
        X, y = sliding_window(series, width=WIDTH, horizon=5)
        model = JKOPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH, horizon=5, branches=["A"], random_state=0)
        model.fit(X[:TRAIN], y[:TRAIN])
        y = y.copy()
        y[TRAIN + 20 :] += y_change
        return model.update_predict(X[TRAIN : TRAIN + 60], y[TRAIN : TRAIN + 60], LEVELS)

    plain, changed = walk(0.0), walk(100.0)
    np.testing.assert_array_equal(plain[:25], changed[:25])
    assert np.abs(plain[25:] - changed[25:]).max() > 1e-6


def test_stream_equals_prequential_at_a_longer_horizon(series):
    X, y = sliding_window(series, width=WIDTH, horizon=3)

    def fit():
        model = JKOPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH, horizon=3, branches=["A"], random_state=0)
        return model.fit(X[:TRAIN], y[:TRAIN])

    batch = fit().update_predict(X[TRAIN : TRAIN + 50], y[TRAIN : TRAIN + 50], LEVELS)
    # The last training outcome is the series' value 3 steps after the last training row.
    start = WIDTH + TRAIN - 1 + 3
    stream = Stream(fit(), series[:start], SlidingWindow(width=WIDTH, horizon=3))
    laws = [stream.law.ppf(LEVELS)] + [stream.push(v).ppf(LEVELS) for v in series[start : start + 40]]
    np.testing.assert_allclose(laws, batch[2:43], rtol=1e-12)


def test_few_programs_serve_many_shapes(series):
    """Lengths, hyper-parameters and folds share programs: after one fit nothing is compiled any more."""
    import jax.monitoring

    _fit(series)[0].update_predict(*(v[:10] for v in _fit(series)[1:]))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_args, **_kw: (
            compiled.append(name) if name == "/jax/core/compile/backend_compile_duration" else None
        )
    )
    try:
        X, y = sliding_window(series, width=WIDTH)
        for n, tau, h in ((300, 0.5, 4.0), (350, 2.0, 6.0), (390, 1.0, 5.0)):
            model = JKOPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH, tau=tau, cusum_h=h, random_state=1)
            model.fit(X[:n], y[:n]).update_predict(X[n : n + 30], y[n : n + 30])
    finally:
        jax.monitoring.clear_event_listeners()
    assert compiled == []


def test_a_stream_finds_the_season_its_model_was_given():
    """Windows that were never fitted look for the season in the history, as sliding_window did in its first half."""
    rng = np.random.default_rng(2)
    series = 5 * np.sin(2 * np.pi * np.arange(500) / 12) + rng.normal(size=500)
    X, y = sliding_window(series, width=WIDTH)
    model = JKOPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH, branches=["A"], random_state=0).fit(X, y)
    stream = Stream(model, series, SlidingWindow(width=WIDTH))
    assert X.shape[1] > WIDTH + 5
    np.testing.assert_allclose(stream.law.median(), 5 * np.sin(2 * np.pi * 500 / 12), atol=1.5)
