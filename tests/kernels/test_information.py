"""The matrix of recursive least squares over long runs: against direct inverses, exactly symmetric, bounded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usp_sklearn.kernels import information, regression
from usp_sklearn.kernels.dgm.field import COV_MAX, recurse

FORGET, LONG = 0.998, 60_000


@pytest.fixture(scope="module")
def regressors():
    """Correlated columns, and one that is always zero."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(LONG, 6)) @ rng.normal(size=(6, 6))
    x[:, 3] = 0.0
    return x


def passed(x, most=1e6):
    """P after all rows of ``x``, from the identity."""

    def step(cov, row):
        px = cov @ row
        return information.after(cov, px / jnp.sqrt(FORGET + row @ px), FORGET, most), None

    return np.asarray(jax.jit(lambda x: jax.lax.scan(step, jnp.eye(x.shape[1]), x)[0])(jnp.asarray(x)))


def test_is_the_inverse_of_the_weighted_sums(regressors):
    x = regressors[:400, [0, 1, 2, 4, 5]]
    ages = FORGET ** np.arange(400)[::-1]
    sums = (ages[:, None] * x).T @ x + FORGET**400 * np.eye(5)
    np.testing.assert_allclose(passed(x), np.linalg.inv(sums), rtol=1e-9, atol=1e-12)


def test_no_rounding_builds_up_and_no_direction_winds_up(regressors):
    cov = passed(regressors, most=50.0)
    assert (cov == cov.T).all()
    assert cov[3, 3] == pytest.approx(50.0) and np.diagonal(cov).max() <= 50.0 * (1 + 1e-12)
    # The other directions are what they would be without the one that never moves.
    rest = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(cov[np.ix_(rest, rest)], passed(regressors[:, rest]), rtol=1e-9)
    assert np.linalg.eigvalsh(cov).min() > 0


def test_a_regression_still_learns_after_a_long_time_with_a_column_of_zeros(regressors):
    tuning = regression.Tuning(*(jnp.asarray(v) for v in (0.995, 1.0, 3.0, 0.0)))
    true = np.array([1.0, -1.0, 0.5, 0.0, 0.2, 0.0])
    x = jnp.asarray(regressors)
    noise = np.random.default_rng(1).normal(size=LONG)
    y = jnp.asarray(regressors @ true + noise)
    later = jnp.asarray(regressors @ -true + noise)

    @jax.jit
    def run(state, x, y):
        return jax.lax.scan(lambda s, xy: (regression.update(s, *xy, tuning), None), state, (x, y))[0]

    state = run(regression.init(6, 1.0, x.dtype), x, y)
    np.testing.assert_allclose(state.coef, true, atol=0.3)
    np.testing.assert_allclose(run(state, x[:2000], later[:2000]).coef, -true, atol=0.3)


def test_the_branches_recursions_stay_symmetric_and_bounded(regressors):
    x = jnp.asarray(regressors)

    @jax.jit
    def run(x):
        def step(cov, row):
            return recurse(jnp.zeros(6), cov, row, jnp.asarray(0.0), 1.0, 0.99)[1], None

        return jax.lax.scan(step, jnp.eye(6), x)[0]

    cov = np.asarray(run(x))
    assert (cov == cov.T).all() and cov[3, 3] == pytest.approx(COV_MAX) and np.linalg.eigvalsh(cov).min() > 0
