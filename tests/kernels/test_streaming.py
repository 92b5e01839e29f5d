"""Recursions of the linear members against batch NumPy: regression, empirical law, scale head, coordinates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usp_sklearn.kernels import empirical, regression, scale, window
from usp_sklearn.kernels.contract import Row
from usp_sklearn.kernels.law import LEVELS
from usp_sklearn.kernels.regression import Tuning


def test_recursive_least_squares_is_the_weighted_ridge():
    rng = np.random.default_rng(0)
    x, forget, ridge = rng.normal(size=(300, 6)), 0.98, 3.0
    y = x @ rng.normal(size=6) + 0.1 * rng.normal(size=300)
    tuning = Tuning(forget, ridge, 1e9, 0.0)
    state, _ = jax.lax.scan(
        lambda s, row: (regression.update(s, row[0], row[1], tuning), None),
        regression.init(6, ridge, jnp.float64),
        (jnp.asarray(x), jnp.asarray(y)),
    )
    w = forget ** np.arange(299, -1, -1)
    gram = (x * w[:, None]).T @ x + ridge * forget**300 * np.eye(6)
    np.testing.assert_allclose(state.coef, np.linalg.solve(gram, x.T @ (w * y)), rtol=1e-9)
    assert np.trace(state.cov) == pytest.approx(np.trace(np.linalg.inv(gram)), rel=1e-9)


def test_huber_weight_resists_outliers():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 3))
    y = x @ np.array([1.0, -2.0, 0.5]) + 0.1 * rng.normal(size=2000)
    y[::20] += 50.0

    def learn(huber):
        state, _ = jax.lax.scan(
            lambda s, row: (regression.update(s, row[0], row[1], Tuning(0.9999, 1.0, huber, 0.0)), None),
            regression.init(3, 1.0, jnp.float64),
            (jnp.asarray(x), jnp.asarray(y)),
        )
        return np.abs(np.asarray(state.coef) - [1.0, -2.0, 0.5]).max()

    assert learn(2.0) < 0.03 < learn(1e9)


def _stream(values):
    def step(carry, value):
        state, steps = carry
        state = empirical.push(state, value, steps)
        state = jax.lax.cond(empirical.due(steps), lambda s: empirical.merge(s, steps), lambda s: s, state)
        return (state, steps + 1), None

    (state, steps), _ = jax.lax.scan(step, (empirical.init(jnp.float64), jnp.int32(0)), jnp.asarray(values))
    return state, steps - 1


def test_sorted_buffer_holds_the_newest_values_in_order():
    values = np.random.default_rng(2).normal(size=empirical.SIZE + 80 * empirical.BLOCK).round(1)
    state, _ = _stream(values)
    np.testing.assert_array_equal(state.value, np.sort(values[-empirical.SIZE :]))
    np.testing.assert_array_equal(values[np.asarray(state.stamp)], state.value)


def test_weighted_quantiles_against_numpy():
    values = np.random.default_rng(3).standard_t(3, size=3 * empirical.SIZE)
    state, last = _stream(values)
    recent = values[-empirical.SIZE :]
    w = 0.5 ** (np.arange(empirical.SIZE)[::-1] / empirical.HALF_LIFE)
    order = np.argsort(recent)
    middle = (np.cumsum(w[order]) - w[order] / 2) / w.sum()
    np.testing.assert_allclose(empirical.quantiles(state, last), np.interp(LEVELS, middle, recent[order]), rtol=1e-9)


def test_tilted_quantiles_follow_the_kernel():
    values = np.random.default_rng(4).normal(size=2 * empirical.SIZE)
    state, last = _stream(values)
    q = np.asarray(empirical.quantiles(state, last, (state.value > 0).astype(float)))
    assert q.min() >= 0


def _row(last=0.0, unit=1.0):
    return Row(
        jnp.asarray(last), jnp.asarray(unit), jnp.ones(15), jnp.zeros(3), jnp.zeros(0), jnp.zeros(0), jnp.zeros(4)
    )


def test_scale_head_learns_the_size_of_errors():
    errors = 3.0 * np.random.default_rng(5).standard_t(5, size=4000)
    state, _ = jax.lax.scan(
        lambda s, e: (scale.update(s, _row(), e), None), scale.init(jnp.asarray(1.0)), jnp.asarray(errors)
    )
    assert float(scale.predict(state, _row())) == pytest.approx(np.abs(errors).mean(), rel=0.2)


def test_standardised_rows_do_not_see_shift_and_scale():
    rng = np.random.default_rng(6)
    w, level = rng.normal(size=16).cumsum(), rng.normal(size=4)
    stats = window.Statistics(*(jnp.asarray(v) for v in (0.7, 1.0, 1.0, 10.0, -3.0, 3.0, np.zeros(0), np.ones(0))))

    def row(a, b):
        raw = window.Raw(jnp.zeros(0), jnp.asarray(a * level + b), jnp.asarray(a * w + b), jnp.asarray(16))
        scaled = stats._replace(roughness=a * stats.roughness)
        return window.standardise(window.localise(raw), scaled, jnp.zeros(0))

    one, other = row(1.0, 0.0), row(250.0, -4e3)
    # Whether the signal is held is the model's to say, not the row's.
    assert one.held is None and other.held is None
    for first, second in zip(one[2:-1], other[2:-1], strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-9)


def test_padding_a_window_changes_nothing():
    w = np.random.default_rng(7).normal(size=16).cumsum()

    def local(values):
        return window.localise(window.Raw(jnp.zeros(0), jnp.zeros(0), jnp.asarray(values), jnp.asarray(16)))

    plain, padded = local(w), local(np.concatenate([np.full(16, w[0]), w]))
    np.testing.assert_allclose(padded.increments[:15], plain.increments, rtol=1e-12)
    for name in ("last", "gaps", "local", "volatility"):
        np.testing.assert_allclose(getattr(padded, name), getattr(plain, name), rtol=1e-12)
