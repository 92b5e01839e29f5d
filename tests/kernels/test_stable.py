"""Stable laws against closed forms, direct numerical Fourier inversion, scipy and McCulloch's published table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from usp_sklearn.kernels import law as laws
from usp_sklearn.kernels import stable
from usp_sklearn.kernels.stable import table

X = np.array([-40.0, -6.0, -2.5, -1.0, -0.3, 0.0, 0.2, 0.9, 2.0, 5.0, 70.0])


def phase(t, alpha, beta):
    return -beta * 2 / np.pi * t * np.log(t) if alpha == 1 else beta * np.tan(np.pi * alpha / 2) * (t**alpha - t)


def inversion(x, alpha, beta):
    """cdf and pdf by adaptive quadrature of Gil-Pelaez' integrals on the real axis."""
    end, opts = 45 ** (1 / alpha), {"limit": 4000, "epsabs": 1e-12, "epsrel": 1e-12}
    angle = lambda t: x * t - phase(t, alpha, beta)  # noqa: E731
    cdf = integrate.quad(lambda t: np.exp(-(t**alpha)) * np.sin(angle(t)) / t, 0, end, **opts)[0]
    pdf = integrate.quad(lambda t: np.exp(-(t**alpha)) * np.cos(angle(t)), 0, end, **opts)[0]
    return 0.5 + cdf / np.pi, pdf / np.pi


def scipy_stable():
    dist = type(stats.levy_stable)(name="levy_stable_s0")
    dist.parameterization = "S0"
    return dist


@pytest.mark.parametrize(
    ("alpha", "beta", "oracle"),
    [(1.0, 0.0, stats.cauchy()), (2.0, 0.0, stats.norm(scale=2**0.5)), (2.0, 0.7, stats.norm(scale=2**0.5))],
)
def test_closed_forms(alpha, beta, oracle):
    np.testing.assert_allclose(stable.cdf(X, alpha, beta), oracle.cdf(X), atol=1e-11)
    np.testing.assert_allclose(stable.sf(X, alpha, beta), oracle.sf(X), atol=1e-11)
    np.testing.assert_allclose(stable.pdf(X, alpha, beta), oracle.pdf(X), atol=1e-11)
    u = np.array([1e-6, 0.01, 0.3, 0.5, 0.77, 0.999])
    np.testing.assert_allclose(stable.ppf(u, alpha, beta), oracle.ppf(u), rtol=1e-6, atol=1e-9)


def test_levy_law_is_alpha_one_half():
    x = np.geomspace(0.05, 1e6, 40)  # S1(½, 1, 1, 0) is Lévy; in S0 it sits at β γ tan(π/4) = 1
    assert float(stable.to_s0(0.5, 1.0, 0.0)) == pytest.approx(1.0)
    np.testing.assert_allclose(stable.cdf(x, 0.5, 1.0, loc=1.0), stats.levy.cdf(x), atol=2e-4)
    np.testing.assert_allclose(stable.sf(x[-8:], 0.5, 1.0, loc=1.0), stats.levy.sf(x[-8:]), rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.9, 1.0, 1.02, 1.1, 1.4, 1.8, 1.99])
def test_direct_fourier_inversion(alpha):
    for beta in (0.0, 0.35, -0.9, 1.0):
        want = np.array([inversion(x, alpha, beta) for x in X[1:-1]])
        tol = 1e-9 if alpha > 1 else 1e-8
        np.testing.assert_allclose(stable.cdf(X[1:-1], alpha, beta), want[:, 0], atol=tol)
        np.testing.assert_allclose(stable.pdf(X[1:-1], alpha, beta), want[:, 1], atol=10 * tol)


@pytest.mark.parametrize(("alpha", "beta"), [(1.1, 0.5), (1.3, -1.0), (1.5, 0.0), (1.7, 0.8), (1.95, -0.4)])
def test_scipy_levy_stable(alpha, beta):
    x = np.linspace(-12, 12, 25) + 0.031  # off the point near which scipy rounds its argument
    dist = scipy_stable()
    np.testing.assert_allclose(stable.cdf(x, alpha, beta), dist.cdf(x, alpha, beta), atol=1e-8)
    np.testing.assert_allclose(stable.pdf(x, alpha, beta), dist.pdf(x, alpha, beta), atol=1e-8)


def test_continuous_across_alpha_one():
    alphas = 1 + np.array([-1e-3, -1.01e-4, -0.99e-4, -1e-6, -1e-11, 0.0, 1e-11, 1e-6, 0.99e-4, 1.01e-4, 1e-3])
    f = jax.vmap(lambda a: jnp.stack([stable.cdf(1.3, a, 0.7), stable.pdf(1.3, a, 0.7)]))
    slope = np.diff(f(alphas), axis=0)[[0, 2, -3, -1]] / np.diff(alphas)[[0, 2, -3, -1], None]
    np.testing.assert_allclose(slope, np.broadcast_to(slope[:1], slope.shape), rtol=5e-3)
    np.testing.assert_allclose(f(alphas)[4:7], np.broadcast_to(f(alphas)[5], (3, 2)), atol=1e-11)


def test_smooth_in_alpha_from_099_to_101():
    """S0 has no seam at α = 1: third differences over the interval are as small as a smooth function's."""
    alpha = np.linspace(0.99, 1.01, 41)
    x, beta = np.array([-3.0, 0.4, 8.0])[:, None, None], np.array([-1.0, 0.0, 0.7])[:, None]
    for f in (stable.cdf, stable.pdf):
        third = np.diff(np.asarray(f(x, alpha, beta)), n=3, axis=-1) / np.diff(alpha)[0] ** 3
        scale = np.abs(third).max(-1, keepdims=True) + 1
        assert np.all(np.abs(np.diff(third, axis=-1)) < 0.5 * scale)
    np.testing.assert_allclose(stable.cdf(X, 1 + 1e-9, 0.0), stats.cauchy.cdf(X), atol=1e-8)


def test_far_tails_keep_their_relative_accuracy():
    """Bergström's series in powers of x^{−α} (Zolotarev 1986, §2.5), good to rounding so far out."""
    x, k = np.array([100.0, 1e3, 1e4, 1e6, 1e9])[:, None], np.arange(1, 13)
    alpha = np.array([0.8, 1.1, 1.5, 1.9, 1.99])[:, None, None, None]
    beta = np.array([0.0, 0.6, -0.8])[:, None, None]
    bt = beta * np.tan(np.pi * alpha / 2)
    size, turn, y = np.hypot(1, bt), np.pi * alpha / 2 + np.arctan(bt), x + bt
    terms = (-1.0) ** (k + 1) * special.gamma(alpha * k) / special.factorial(k) * size**k * np.sin(k * turn) / np.pi
    terms = terms * y ** (-alpha * k)
    a, b, at = alpha[..., 0], beta[..., 0], x[:, 0]
    np.testing.assert_allclose(stable.sf(at, a, b), terms.sum(-1), rtol=1e-10)
    np.testing.assert_allclose(stable.pdf(at, a, b), (alpha * k * terms / y).sum(-1), rtol=1e-10)
    u = 10.0 ** -np.array([4, 6, 8, 12, 18])
    np.testing.assert_allclose(stable.cdf(stable.ppf(u, a, b), a, b), np.broadcast_to(u, (5, 3, 5)), rtol=1e-9)


def test_outside_the_domain_is_nan_and_infinite_x_has_its_limit():
    alpha, beta = np.array([0.4, 2.1, 1.5, 1.5, 1.5, 0.5, 2.0]), np.array([0, 0, 1.1, 0, 0, -1, 1])
    scale = np.array([1, 1, 1, 0, -1, 1, 1.0])
    for f in (stable.cdf, stable.sf, stable.pdf, stable.ppf):
        assert np.isnan(f(0.5, alpha, beta, 0.0, scale)).tolist() == [True] * 5 + [False] * 2
    draws = stable.sample(jax.random.key(0), np.array([0.0, 2.1, 1.5, 0.3]), np.array([0.0, 0.0, -1.1, 0.0]), (4,))
    assert np.isnan(draws).tolist() == [True, True, True, False]
    ends = np.array([-np.inf, np.inf])
    assert stable.cdf(ends, 1.5, 0.3).tolist() == [0, 1] and stable.sf(ends, 1.5, 0.3).tolist() == [1, 0]
    assert stable.pdf(ends, 1.5, 0.3).tolist() == [0, 0]


def test_reflection_tails_and_affine_form():
    np.testing.assert_allclose(stable.cdf(-X, 1.3, 0.6), stable.sf(X, 1.3, -0.6), atol=1e-12)
    np.testing.assert_allclose(stable.cdf(3 + 2 * X, 1.3, 0.6, 3.0, 2.0), stable.cdf(X, 1.3, 0.6), atol=1e-12)
    np.testing.assert_allclose(stable.pdf(3 + 2 * X, 1.3, 0.6, 3.0, 2.0), stable.pdf(X, 1.3, 0.6) / 2, atol=1e-12)
    for alpha, beta in ((1.2, 0.3), (1.6, -0.5), (1.85, 0.9)):  # 1 − F ~ (1 + β) Γ(α) sin(πα/2)/π · x^{−α}
        x = 1e5
        lead = (1 + beta) * stats.gamma.pdf(1, 1) * np.e * np.sin(np.pi * alpha / 2) / np.pi
        lead *= np.exp(float(jax.scipy.special.gammaln(alpha)))
        assert float(stable.sf(x, alpha, beta)) * x**alpha == pytest.approx(lead, rel=2e-3)


@pytest.mark.parametrize("name", ["cdf", "pdf", "ppf"])
def test_derivatives_by_finite_differences(name):
    """In x (or u), α, β, δ and γ, under jit and vmap."""
    x, alpha, beta = [0.7, -4.0, 2.0, 80.0, 0.0], [1.4, 1.1, 1.0, 1.7, 0.8], [0.3, -0.8, 0.5, 0.2, 0.0]
    if name == "ppf":
        x = [0.7, 0.01, 0.5, 0.99, 0.3]
    at, f, step = np.array([x, alpha, beta, [0.2] * 5, [1.5] * 5]), getattr(stable, name), 1e-5
    got = jax.jit(jax.vmap(jax.grad(f, (0, 1, 2, 3, 4))))(*at)
    moves = np.stack([step * np.eye(5), -step * np.eye(5)])[..., None]
    up, down = np.asarray(f(*np.moveaxis(at + moves, 2, 0)))
    np.testing.assert_allclose(got, (up - down) / (2 * step), rtol=2e-5, atol=1e-7)


def test_ppf_inverts_cdf():
    rng = np.random.default_rng(0)
    alpha, beta = rng.uniform(0.7, 2, 300), rng.choice([-1, 1, 0.2, -0.6], 300)
    u = np.concatenate([rng.uniform(0, 1, 200), 10 ** rng.uniform(-8, -2, 100)])
    np.testing.assert_allclose(stable.cdf(stable.ppf(u, alpha, beta), alpha, beta), u, rtol=1e-6, atol=1e-12)
    ends = np.asarray(stable.ppf(np.array([0.0, 1.0, -0.1, 1.1]), 1.5, 0.2))
    assert ends[0] == -np.inf and ends[1] == np.inf and np.isnan(ends[2:]).all()


def test_mcculloch_published_table():
    """Table III of McCulloch (1986), column ν_β = 0: the α that belongs to a ratio ν_α.

    It was interpolated from quantiles of its day: its last entry is 0.004 off what the exact Cauchy ratio implies.
    """
    nu = [2.5, 2.6, 2.7, 2.8, 3.0, 3.2, 3.5, 4.0, 5.0, 6.0]
    published = [1.916, 1.808, 1.729, 1.664, 1.563, 1.484, 1.391, 1.279, 1.128, 1.029]
    alpha = np.linspace(1.0, 2.0, 201)
    q = np.asarray(stable.ppf(np.array([0.05, 0.25, 0.75, 0.95]), alpha[:, None], 0.0))
    ratio = (q[:, 3] - q[:, 0]) / (q[:, 2] - q[:, 1])
    np.testing.assert_allclose(np.interp(nu, ratio[::-1], alpha[::-1]), published, atol=4e-3)


def points(n=400, low=1.0):
    rng = np.random.default_rng(1)
    alpha, beta = rng.uniform(low, 2, n), rng.uniform(-1, 1, n)
    beta[::7], beta[1::7] = 1, -1
    alpha[:50], alpha[50:100] = 2 - 10 ** rng.uniform(-5, -1, 50), low
    return alpha, beta


def test_table_quantiles():
    alpha, beta = points()
    got = np.asarray(jax.vmap(stable.quantiles)(alpha, beta))
    want = np.asarray(stable.ppf(laws.LEVELS, alpha[:, None], beta[:, None]))
    assert np.max(np.abs(got - want) / np.maximum(np.abs(want), 1)) < 1e-3
    assert np.quantile(np.abs(got - want) / np.maximum(np.abs(want), 1), 0.99) < 1e-4
    assert np.all(np.diff(got, axis=1) > 0)
    np.testing.assert_allclose(
        jax.vmap(stable.quantiles)(alpha, -beta), -got[:, ::-1], rtol=1e-12, atol=1e-6 * (beta == 0).any()
    )


def test_table_tails_continue_the_law():
    alpha, beta = points()
    law = jax.vmap(stable.standard_law)(alpha, beta)
    u = np.array([2.5e-3, 1e-3, 2e-4])
    for level in (u, 1 - u):
        got = np.asarray(laws.ppf(law, level))
        want = np.asarray(stable.ppf(level, alpha[:, None], beta[:, None]))
        error = np.abs(got / want - 1)
        assert np.median(error) < 0.01 and np.quantile(error[100:], 0.9) < 0.04 and error.max() < 0.5
    assert np.all(law.tail_index <= laws.INDEX_MAX) and np.all(law.tail_index >= laws.INDEX_MIN)
    assert np.all(law.tail_index <= np.maximum(1 / alpha, laws.INDEX_MIN)[:, None] + 1e-6)
    for got, want in zip(law[1:], stable.tail(alpha[7], beta[7]), strict=False):
        np.testing.assert_array_equal(got[7], want)


def test_fit_quantiles_inverts_the_table():
    alpha, beta = points(low=1.06)
    alpha = np.minimum(alpha, 1.94)
    a, b, scale, loc = jax.vmap(lambda a, b: stable.fit_quantiles(-2 + 3 * stable.quantiles(a, b)))(alpha, beta)
    np.testing.assert_allclose(a, alpha, atol=5e-4)
    np.testing.assert_allclose(b, beta, atol=0.02)
    np.testing.assert_allclose(scale, 3.0, rtol=5e-3)
    np.testing.assert_allclose(loc, -2.0, atol=0.03)


def test_fit_quantiles_is_defined_everywhere():
    rng = np.random.default_rng(2)
    odd = [np.zeros(25), np.full(25, 7.0), np.sort(rng.normal(size=25)), np.sort(rng.standard_cauchy(25) ** 3)]
    odd += [np.concatenate([np.zeros(24), [1e9]]), np.linspace(-1, 1, 25), np.repeat([-1e-12, 1e12], [12, 13])]
    a, b, scale, loc = jax.vmap(stable.fit_quantiles)(jnp.asarray(np.stack(odd)))
    for v in (a, b, scale, loc):
        assert np.all(np.isfinite(v))
    assert np.all((a >= table.ALPHA_MIN) & (a <= 2)) and np.all(np.abs(b) <= 1) and np.all(scale >= 0)
    assert float(scale[1]) == 0 and float(loc[1]) == 7


def test_fast_path_is_exportable_and_small():
    exported = jax.jit(lambda q: stable.standard_law(*stable.fit_quantiles(q)[:2])).lower(jnp.zeros(25)).as_text()
    assert "custom_call" not in exported and "callback" not in exported
    assert table.PATH.stat().st_size < 300_000


@pytest.mark.parametrize(("alpha", "beta"), [(0.8, -1.0), (1.0, 0.5), (1.0 + 1e-9, 0.5), (1.5, 0.0), (2.0, 0.5)])
def test_sampler(alpha, beta):
    for seed in range(2):
        x = stable.sample(jax.random.key(seed), alpha, beta, (5000,))
        assert stats.kstest(np.asarray(stable.cdf(x, alpha, beta)), "uniform").pvalue > 1e-3


def test_sampler_is_continuous_and_knows_s1():
    key = jax.random.key(5)
    one, near = (stable.sample(key, a, 0.7, (1000,)) for a in (1.0, 1 + 1e-7))
    np.testing.assert_allclose(one, near, rtol=1e-4, atol=1e-5)
    x = stable.sample(key, 1.5, 0.5, (20000,), loc=3.0, scale=2.0, parametrization="S1")
    assert stats.kstest(np.asarray(stable.cdf(x, 1.5, 0.5, 3 - 1.0, 2.0)), "uniform").pvalue > 1e-3
    for alpha in (0.7, 1.0, 1.6):
        assert float(stable.to_s1(alpha, 0.4, stable.to_s0(alpha, 0.4, 1.0, 3.0), 3.0)) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="parametrization"):
        stable.sample(key, 1.5, 0.0, (2,), parametrization="S2")
