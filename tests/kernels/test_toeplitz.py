"""Levinson's recursion against scipy's Toeplitz solver and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from usp_sklearn.kernels import toeplitz


def autocovariance(rng, p):
    x = np.convolve(rng.normal(size=400), rng.normal(size=6))
    x -= x.mean()
    return np.array([x[: len(x) - k] @ x[k:] for k in range(p + 1)]) / len(x)


@pytest.mark.parametrize("p", [1, 2, 7, 32])
def test_yule_walker_solves_the_normal_equations(p):
    r = autocovariance(np.random.default_rng(p), p)
    got = toeplitz.yule_walker(jnp.asarray(r))
    want = linalg.solve_toeplitz(r[:p], r[1:])
    np.testing.assert_allclose(got.coefficients, want, atol=1e-10)
    np.testing.assert_allclose(got.error, r[0] - want @ r[1:], rtol=1e-9)
    np.testing.assert_allclose(got.error, r[0] * np.prod(1 - np.asarray(got.reflections) ** 2), rtol=1e-10)
    assert np.all(np.abs(got.reflections) < 1)


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_general_right_hand_side(n):
    rng = np.random.default_rng(n)
    r, b = autocovariance(rng, n - 1), rng.normal(size=n)
    np.testing.assert_allclose(
        toeplitz.solve_toeplitz(jnp.asarray(r), jnp.asarray(b)), linalg.solve_toeplitz(r, b), rtol=1e-9, atol=1e-10
    )


def test_many_right_hand_sides_by_vmap():
    rng = np.random.default_rng(0)
    r, b = autocovariance(rng, 9), rng.normal(size=(3, 10))
    got = jax.vmap(toeplitz.solve_toeplitz, (None, 0))(jnp.asarray(r), jnp.asarray(b))
    np.testing.assert_allclose(got, linalg.solve_toeplitz(r, b.T).T, rtol=1e-9, atol=1e-10)


def test_an_ar2_process_is_recovered():
    a1, a2 = 0.6, -0.3
    r = [1.0, a1 / (1 - a2)]
    for _ in range(6):
        r.append(a1 * r[-1] + a2 * r[-2])
    got = toeplitz.yule_walker(jnp.array(r))
    np.testing.assert_allclose(got.coefficients, [a1, a2, 0, 0, 0, 0, 0], atol=1e-12)


def test_constant_and_deterministic_series_stay_finite():
    assert np.all(np.asarray(toeplitz.yule_walker(jnp.zeros(5)).coefficients) == 0)
    sine = jnp.cos(0.7 * jnp.arange(8.0))  # perfectly predictable from two values
    fit = toeplitz.yule_walker(sine)
    np.testing.assert_allclose(fit.coefficients, [2 * np.cos(0.7), -1, 0, 0, 0, 0, 0], atol=1e-6)
    assert abs(float(fit.error)) < 1e-12


def test_no_lapack_and_reverse_mode():
    r = jnp.asarray(autocovariance(np.random.default_rng(3), 6))
    text = jax.jit(toeplitz.yule_walker).lower(r).as_text()
    assert "custom_call" not in text
    f = lambda r: toeplitz.yule_walker(r).error  # noqa: E731
    g, h = jax.grad(f)(r), 1e-6
    numeric = [(f(r.at[k].add(h)) - f(r.at[k].add(-h))) / (2 * h) for k in range(7)]
    np.testing.assert_allclose(g, numeric, rtol=1e-4, atol=1e-7)
