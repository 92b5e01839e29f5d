"""Branch D: its lifted window, and the ridge's strength against brute-force leave-one-out and a batch refit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.kernels.iterated import lyndon, signature, tensor_log
from usp_sklearn.kernels import regression
from usp_sklearn.kernels import signature as branch
from usp_sklearn.kernels.regression import Tuning


@pytest.mark.parametrize("width", [16, 11])
def test_features_are_log_signatures_of_the_last_4_12_and_all_values(width):
    """Spans, lead–lag with a clock, unit and padding, re-derived in NumPy."""
    window = np.random.default_rng(0).normal(size=16).cumsum()
    window[: 16 - width] = window[16 - width]
    found = branch.log_signature(jnp.asarray(window), jnp.asarray(width), jnp.asarray(0.7), 3)
    expected = []
    for span in (4, 12, 16):
        values = window[-min(span, width) :]
        n = len(values)
        scaled = (values - values[-1]) / (0.7 * np.sqrt(n))
        clock = np.arange(n) / (n - 1)
        path = [[0.0, scaled[0], scaled[0]]]
        for i in range(1, n):
            path += [[clock[i], scaled[i], scaled[i - 1]], [clock[i], scaled[i], scaled[i]]]
        levels = tensor_log(signature(np.array(path), 3))
        expected += [levels[len(w)][w] for w in lyndon(3, 3)]
    assert len(found) == branch.size(16, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_padding_does_not_change_the_features():
    window = np.random.default_rng(3).normal(size=16).cumsum()
    padded = np.concatenate([np.full(16, window[0]), window])
    short = branch.log_signature(jnp.asarray(window), jnp.asarray(16), jnp.asarray(1.0), 3)
    long = branch.log_signature(jnp.asarray(padded), jnp.asarray(16), jnp.asarray(1.0), 3)
    np.testing.assert_allclose(long, short, rtol=1e-9, atol=1e-12)


def _data(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    return x, x @ rng.normal(size=5) + rng.normal(size=n)


@pytest.mark.parametrize("real", [40, 35, 3])
def test_leave_one_out_against_brute_force(real):
    """Padding and fewer rows than features included."""
    (x, y), ridges = _data(40, 4), np.array([0.1, 1.0, 10.0])
    weight = (np.arange(40) < real).astype(float)
    found = branch.leave_one_out(jnp.asarray(x), jnp.asarray(y), jnp.asarray(weight), jnp.asarray(ridges))
    for ridge, value in zip(ridges, found, strict=True):
        errors = []
        for i in range(real):
            keep = [j for j in range(real) if j != i]
            w = np.linalg.solve(x[keep].T @ x[keep] + ridge * np.eye(5), x[keep].T @ y[keep])
            errors.append((y[i] - x[i] @ w) ** 2)
        assert np.isclose(value, np.mean(errors), rtol=1e-9)


def test_recursion_without_forgetting_is_the_ridge_that_leave_one_out_scores():
    """The strength chosen in batch is the strength the recursion starts from: both solve (X'X + δI) w = X'y."""
    (x, y), ridge = _data(80, 5), 7.0
    tuning = Tuning(1.0, ridge, 1e9, 0.0)
    state, _ = jax.lax.scan(
        lambda s, row: (regression.update(s, row[0], row[1], tuning), None),
        regression.init(5, ridge, jnp.float64),
        (jnp.asarray(x), jnp.asarray(y)),
    )
    np.testing.assert_allclose(state.coef, np.linalg.solve(x.T @ x + ridge * np.eye(5), x.T @ y), rtol=1e-9)
