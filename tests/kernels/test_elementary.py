"""Elementary functions against scipy and NumPy."""

import jax
import numpy as np
import pytest
import scipy.special

from usp_sklearn.kernels import elementary
from usp_sklearn.runtime import precision

X = np.concatenate(
    [
        np.random.default_rng(0).normal(scale=3, size=4000),
        *(s * np.array([0.0, 1e-300, 1e-12, 0.999999, 1.0, 1.000001, 7.99, 8.0, 8.01, 26.0]) for s in (-1, 1)),
    ]
)


@pytest.mark.parametrize(
    ("name", "oracle", "x"),
    [
        ("erf", scipy.special.erf, np.concatenate([X, [1e5, -1e5, np.inf, -np.inf]])),
        ("ndtr", scipy.special.ndtr, np.concatenate([X[X > -11], [np.inf, -np.inf]])),
        ("sinh", np.sinh, np.concatenate([X, 50 * X])),
        ("arcsinh", np.arcsinh, np.concatenate([X, 1e7 * X, 1e9 * X, [1e300, -1e300, np.inf]])),
    ],
)
def test_to_the_last_places(name, oracle, x):
    with precision():
        ours = np.asarray(jax.jit(getattr(elementary, name))(x))
    with np.errstate(over="ignore"):
        expected = oracle(x)
    np.testing.assert_allclose(ours, expected, rtol=1e-14 if name == "ndtr" else 2e-15, atol=0)


@pytest.mark.parametrize("name", ["erf", "ndtr", "sinh", "arcsinh"])
def test_not_a_number_stays_one_and_slopes_are_finite(name):
    function = getattr(elementary, name)
    with precision():
        assert np.isnan(function(np.nan))
        slopes = jax.vmap(jax.grad(function))(np.concatenate([X[X != 0], [30.0, -30.0]]))
    assert np.isfinite(slopes).all()
