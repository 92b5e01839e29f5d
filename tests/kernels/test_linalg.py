"""The scan-based tridiagonal solver and the elimination against SciPy's banded LAPACK and dense NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_banded

from usp_sklearn.kernels.linalg import solve_definite, thomas, tridiagonal_product


def _dominant(n, seed):
    rng = np.random.default_rng(seed)
    lower, upper = rng.normal(size=n), rng.normal(size=n)
    return lower, np.abs(lower) + np.abs(upper) + rng.uniform(0.1, 1, n), upper, rng


def _dense(lower, diag, upper):
    return np.diag(diag) + np.diag(lower[1:], -1) + np.diag(upper[:-1], 1)


@pytest.mark.parametrize("n", [2, 7, 160])
@pytest.mark.parametrize("columns", [None, 3])
def test_against_banded_lapack(n, columns):
    lower, diag, upper, rng = _dominant(n, n)
    rhs = rng.normal(size=n if columns is None else (n, columns))
    band = np.zeros((3, n))
    band[0, 1:], band[1], band[2, :-1] = upper[:-1], diag, lower[1:]
    want = solve_banded((1, 1), band, rhs)
    got = jax.jit(thomas)(*map(jnp.asarray, (lower, diag, upper, rhs)))
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_product_is_the_dense_product():
    lower, diag, upper, rng = _dominant(9, 3)
    for x in (rng.normal(size=9), rng.normal(size=(9, 4))):
        got = tridiagonal_product(*map(jnp.asarray, (lower, diag, upper, x)))
        np.testing.assert_allclose(got, _dense(lower, diag, upper) @ x, rtol=1e-14, atol=1e-14)


def test_m_matrix_keeps_sign_and_mass():
    """Column sums of one and an M-matrix: the solution stays non-negative with the same sum."""
    rng = np.random.default_rng(0)
    n = 200
    out_left, out_right = rng.uniform(0, 1e3, n), rng.uniform(0, 1e3, n)
    out_left[0] = out_right[-1] = 0
    diag = 1 + out_left + out_right
    lower, upper = np.r_[0, -out_right[:-1]], np.r_[-out_left[1:], 0]
    rhs = np.zeros(n)
    rhs[3] = 1.0
    x = np.asarray(thomas(*map(jnp.asarray, (lower, diag, upper, rhs))))
    assert (x >= 0).all()
    np.testing.assert_allclose(x.sum(), 1.0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 5, 80])
def test_elimination_of_definite_systems(n):
    rng = np.random.default_rng(n)
    half = rng.normal(size=(n, 2 * n))
    a, b = half @ half.T + 0.1 * np.eye(n), rng.normal(size=(n, 3))
    got = jax.jit(solve_definite)(jnp.asarray(a), jnp.asarray(b))
    np.testing.assert_allclose(got, np.linalg.solve(a, b), rtol=1e-9, atol=1e-11)


def test_no_custom_calls_in_the_graph():
    spec = jax.ShapeDtypeStruct((16,), jnp.float64)
    square, columns = jax.ShapeDtypeStruct((16, 16), jnp.float64), jax.ShapeDtypeStruct((16, 2), jnp.float64)
    assert "custom_call" not in jax.jit(solve_definite).lower(square, columns).as_text()
    text = jax.jit(thomas).lower(spec, spec, spec, spec).as_text()
    assert "custom_call" not in text
    assert "fft" not in text


def test_gradient_matches_finite_differences():
    lower, diag, upper, rng = _dominant(6, 1)
    rhs = rng.normal(size=6)

    def loss(d):
        return (thomas(jnp.asarray(lower), d, jnp.asarray(upper), jnp.asarray(rhs)) ** 2).sum()

    grad = jax.grad(loss)(jnp.asarray(diag))
    for i in range(6):
        step = np.eye(6)[i] * 1e-6
        want = (
            np.sum(np.linalg.solve(_dense(lower, diag + step, upper), rhs) ** 2)
            - np.sum(np.linalg.solve(_dense(lower, diag - step, upper), rhs) ** 2)
        ) / 2e-6
        np.testing.assert_allclose(grad[i], want, rtol=1e-6, atol=1e-8)
