"""Law against scipy distributions and brute-force integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st
from hypothesis import given, settings
from hypothesis import strategies as hs

from usp_sklearn.kernels import law as laws
from usp_sklearn.kernels.law import LEVELS, N_LEVELS, Law

U = (np.arange(400_000) + 0.5) / 400_000


def _student(nu=5.0, loc=0.0, scale=1.0):
    return laws.from_quantiles(jnp.asarray(loc + scale * st.t.ppf(LEVELS, nu)), 1 / nu)


def _quantile_reference(law, u):
    """The documented quantile function, in NumPy."""
    q, scale, xi = (np.asarray(x) for x in law)
    out = np.interp(u, LEVELS, q)
    low, high = u < LEVELS[0], u > LEVELS[-1]
    out[low] = q[0] - scale[0] * ((LEVELS[0] / u[low]) ** xi[0] - 1) / xi[0]
    out[high] = q[-1] + scale[1] * ((LEVELS[0] / (1 - u[high])) ** xi[1] - 1) / xi[1]
    return out


def test_ppf_is_the_documented_function():
    law = _student()
    np.testing.assert_allclose(laws.ppf(law, jnp.asarray(U[::97])), _quantile_reference(law, U[::97]), rtol=1e-12)


@pytest.mark.parametrize("y", [-40.0, -3.0, -0.1, 0.0, 0.4, 2.0, 9.0])
def test_cdf_and_crps_against_the_integral(y):
    law = _student()
    q = _quantile_reference(law, U)
    assert float(laws.cdf(law, y)) == pytest.approx((q <= y).mean(), abs=5e-6)
    assert float(laws.crps(law, y)) == pytest.approx(np.mean(2 * ((y < q) - U) * (q - y)), rel=2e-6)


def test_moments_against_the_integral_and_the_true_law():
    law = _student(nu=5.0, loc=3.0, scale=2.0)
    q = _quantile_reference(law, U)
    assert float(laws.mean(law)) == pytest.approx(q.mean(), abs=1e-4)
    assert float(laws.std(law)) == pytest.approx(q.std(), rel=2e-3)
    assert float(laws.std(law)) == pytest.approx(2 * st.t.std(5), rel=0.02)
    assert np.isinf(float(laws.std(laws.from_quantiles(law.q, 0.6))))


def test_crps_of_a_normal_law():
    q = laws.from_quantiles(jnp.asarray(st.norm.ppf(LEVELS)), 0.05)
    for y in (-2.0, 0.3, 1.7):
        closed = y * (2 * st.norm.cdf(y) - 1) + 2 * st.norm.pdf(y) - 1 / np.sqrt(np.pi)
        assert float(laws.crps(q, y)) == pytest.approx(closed, abs=4e-3)


def test_w2_is_that_of_two_normals():
    a, b = (laws.from_quantiles(jnp.asarray(m + s * st.norm.ppf(LEVELS))) for m, s in ((0.0, 1.0), (2.0, 1.0)))
    assert float(laws.w2(a, b)) == pytest.approx(2.0, rel=1e-12)


def test_barycentre_of_normals_averages_mean_and_scale():
    pair = jax.tree.map(
        lambda *x: jnp.stack(x),
        *(laws.from_quantiles(jnp.asarray(m + s * st.norm.ppf(LEVELS))) for m, s in ((0, 1), (2, 3))),
    )
    mixed = laws.barycentre(pair, jnp.asarray([0.25, 0.75]))
    np.testing.assert_allclose(mixed.q, 1.5 + 2.5 * st.norm.ppf(LEVELS), rtol=1e-12)


def test_linear_pool_is_the_mixture():
    pair = jax.tree.map(
        lambda *x: jnp.stack(x), *(laws.from_quantiles(jnp.asarray(m + st.norm.ppf(LEVELS)), 0.02) for m in (-2.0, 2.0))
    )
    mixed = laws.mix_cdf(pair, jnp.asarray([0.3, 0.7]))
    truth = 0.3 * st.norm.cdf(np.asarray(mixed.q) + 2) + 0.7 * st.norm.cdf(np.asarray(mixed.q) - 2)
    np.testing.assert_allclose(truth, LEVELS, atol=0.012)


def test_samples_follow_the_law():
    draws = np.asarray(laws.sample(_student(), jax.random.key(0), 20_000))
    assert (
        st.kstest(draws, lambda y: np.asarray(jax.vmap(laws.cdf, (None, 0))(_student(), jnp.asarray(y)))).pvalue > 1e-3
    )


def test_degenerate_law_is_finite():
    law = Law(jnp.ones(N_LEVELS), jnp.zeros(2), jnp.full(2, 0.1))
    assert float(laws.crps(law, 1.0)) == 0.0
    assert float(laws.crps(law, 3.0)) == pytest.approx(2.0)
    assert [float(laws.cdf(law, y)) for y in (0.0, 1.0, 2.0)] == [0.0, 1.0, 1.0]


def _atoms():
    """Laws whose quantile function has flat pieces inside, at an end, everywhere, or nowhere."""
    counts = np.round(2 * st.norm.ppf(LEVELS))
    return {
        "counts": laws.from_quantiles(jnp.asarray(counts)),
        "zeros": laws.from_quantiles(jnp.asarray(np.maximum(st.norm.ppf(LEVELS), 0.0))),
        "constant": Law(jnp.ones(N_LEVELS), jnp.zeros(2), jnp.full(2, 0.1)),
        "constant with tails": Law(jnp.ones(N_LEVELS), jnp.full(2, 0.5), jnp.full(2, 0.1)),
        "none": _student(),
    }


@pytest.mark.parametrize("kind", ["counts", "zeros", "constant", "constant with tails", "none"])
def test_both_ends_of_an_atom_against_the_integral(kind):
    law = _atoms()[kind]
    q = _quantile_reference(law, U)
    for y in (-7.0, -4.0, -1.0, -0.4, 0.0, 1.0, 1.3, 2.0, 5.0, 8.0):
        assert float(laws.cdf_left(law, y)) == pytest.approx((q < y).mean(), abs=5e-6)
        assert float(laws.cdf(law, y)) == pytest.approx((q <= y).mean(), abs=5e-6)


@settings(max_examples=25, deadline=None)
@given(hs.lists(hs.floats(-1e6, 1e6), min_size=N_LEVELS, max_size=N_LEVELS), hs.floats(1e-3, 0.9))
def test_quantiles_never_cross(values, index):
    with jax.enable_x64(True):
        law = laws.from_quantiles(jnp.asarray(values), index)
        q = np.asarray(laws.ppf(law, jnp.linspace(0.001, 0.999, 101)))
    assert (np.diff(q) >= -1e-9 * (1 + np.abs(q[1:]))).all()
