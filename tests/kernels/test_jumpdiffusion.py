"""IMEX density, path simulator and calibration against closed forms and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.linalg import expm

from usp_sklearn.kernels.contract import Status
from usp_sklearn.kernels.jumpdiffusion import imex
from usp_sklearn.kernels.jumpdiffusion.density import density_law, density_quantiles
from usp_sklearn.kernels.law import LEVELS, ppf

MERTON = {"drift": 0.1, "sigma": 1.0, "intensity": 0.8, "mean": -1.0, "std": 1.5}


def _merton_cdf(x, drift, sigma, intensity, mean, std, terms=40):
    n = np.arange(terms)
    weight = stats.poisson.pmf(n, intensity)
    scale = np.sqrt(sigma**2 + n * std**2)
    return (weight * stats.norm.cdf((x[:, None] - drift - n * mean) / scale)).sum(1)


def _solve_merton(edges, n_steps, backend, intensity=None, time=1.0):
    p = MERTON
    lam = p["intensity"] if intensity is None else intensity
    start = imex.point_mass(edges, 0.0)
    drift, variance = (lambda x: jnp.full_like(x, p["drift"])), (lambda x: jnp.full_like(x, p["sigma"] ** 2))
    return imex.solve_density(edges, start, drift, variance, lam, imex.normal_jump(p["mean"], p["std"]), time,
                              n_steps=n_steps, backend=backend)


def test_merton_512_points_against_the_poisson_mixture():
    edges = imex.uniform_edges(-16.0, 12.0, 512)
    out = _solve_merton(edges, 256, "fft")
    cdf = np.cumsum(np.asarray(out.mass))
    assert np.abs(cdf - _merton_cdf(np.asarray(edges[1:]), **MERTON)).max() < 1e-3
    assert abs(cdf[-1] - 1) < 1e-10
    assert (np.asarray(out.mass) >= 0).all()
    assert int(out.status) == Status.OK


def test_fft_and_matrix_agree():
    edges = imex.uniform_edges(-7.0, 6.0, 128)  # tight on purpose: jumps over the ends must agree too
    first, second = _solve_merton(edges, 32, "fft"), _solve_merton(edges, 32, "matrix")
    np.testing.assert_allclose(first.mass, second.mass, rtol=0, atol=1e-12)
    rng = np.random.default_rng(0)
    m = rng.dirichlet(np.ones(128))
    jump = imex.normal_jump(0.7, 2.0)
    np.testing.assert_allclose(imex.jump_fft(edges, jump)(jnp.asarray(m)), imex.jump_matrix(edges, jump) @ m, atol=1e-14)
    np.testing.assert_allclose(np.asarray(imex.jump_matrix(edges, jump)).sum(0), 1.0, atol=1e-14)


def test_stretched_grid_reaches_the_same_law_with_fewer_points():
    edges = imex.sinh_edges(20.0, 160, 0.05)
    out = _solve_merton(edges, 64, "matrix")
    assert np.abs(np.cumsum(np.asarray(out.mass)) - _merton_cdf(np.asarray(edges[1:]), **MERTON)).max() < 3e-3
    assert abs(float(out.mass.sum()) - 1) < 1e-10


def test_order_in_time_is_one():
    """Against the matrix exponential of the same space discretisation, built here by NumPy."""
    edges = imex.uniform_edges(-8.0, 8.0, 96)
    p = MERTON
    fine = 1e-6
    low, mid, up = (np.asarray(v) for v in imex.implicit_matrix(
        edges, jnp.full(97, p["drift"]), jnp.full(96, p["sigma"] ** 2), fine))
    generator = -(np.diag(mid - 1) + np.diag(low[1:], -1) + np.diag(up[:-1], 1)) / fine
    jumps = np.asarray(imex.jump_matrix(edges, imex.normal_jump(p["mean"], p["std"])))
    exact = expm(generator + p["intensity"] * (jumps - np.eye(96))) @ np.asarray(imex.point_mass(edges, 0.0))
    error = [np.abs(np.asarray(_solve_merton(edges, n, "matrix").mass) - exact).max() for n in (64, 128, 256)]
    order = np.diff(np.log(error)) / np.log(0.5)
    np.testing.assert_allclose(order, 1.0, atol=0.1)


def test_order_in_space_is_two():
    """Stationary law of an Ornstein–Uhlenbeck process: the fixed point of the drift–diffusion operator."""
    error = []
    for n in (24, 48, 96):
        edges = imex.uniform_edges(-5.0, 6.0, n)
        start = jnp.full(n, 1 / n)
        out = imex.solve_density(edges, start, lambda x: -2 * (x - 0.3), lambda x: jnp.full_like(x, 4.0), 0.0,
                                 imex.normal_jump(0.0, 1.0), 400.0, n_steps=50, backend="matrix")
        exact = np.diff(stats.norm.cdf(np.asarray(edges), 0.3, 1.0))
        error.append(np.abs(np.cumsum(np.asarray(out.mass) - exact)).max())
    order = np.log2(np.array(error[:-1]) / np.array(error[1:]))
    assert (order > 1.9).all(), (error, order)


def test_state_dependent_volatility_keeps_mass_and_moments():
    """Geometric Brownian motion: E X = e^{at}, Var known; drift and diffusion both depend on x."""
    a, s = 0.3, 0.4
    edges = imex.uniform_edges(0.0, 8.0, 400)
    out = imex.solve_density(edges, imex.point_mass(edges, 1.0), lambda x: a * x, lambda x: (s * x) ** 2, 0.0,
                             imex.normal_jump(0.0, 1.0), 0.5, n_steps=200, backend="fft")
    centre, mass = np.asarray(edges[1:] + edges[:-1]) / 2, np.asarray(out.mass)
    mean = (mass * centre).sum()
    assert (mass >= 0).all()
    np.testing.assert_allclose(mass.sum(), 1, atol=1e-10)
    np.testing.assert_allclose(mean, np.exp(a * 0.5), rtol=2e-3)
    np.testing.assert_allclose((mass * centre**2).sum(), np.exp((2 * a + s**2) * 0.5), rtol=4e-3)


def test_pure_advection_upwinds_without_oscillation():
    edges = imex.uniform_edges(-2.0, 6.0, 160)
    out = imex.solve_density(edges, imex.point_mass(edges, 0.0), lambda x: jnp.full_like(x, 3.0), jnp.zeros_like, 0.0,
                             imex.normal_jump(0.0, 1.0), 1.0, n_steps=100, backend="matrix")
    centre = np.asarray(edges[1:] + edges[:-1]) / 2
    assert (np.asarray(out.mass) >= 0).all()
    np.testing.assert_allclose((np.asarray(out.mass) * centre).sum(), 3.0, atol=1e-6)


def test_explicit_part_past_its_limit_is_detected():
    edges = imex.uniform_edges(-8.0, 8.0, 64)
    assert int(_solve_merton(edges, 4, "matrix", intensity=3.9).status) == Status.OK
    bad = _solve_merton(edges, 4, "matrix", intensity=9.0)
    assert int(bad.status) == Status.DIVERGED
    assert float(bad.cfl) == pytest.approx(2.25)


def test_matrix_backend_holds_no_fft_and_no_custom_call():
    edges = imex.uniform_edges(-8.0, 8.0, 64)
    text = jax.jit(lambda e: density_law(e, _solve_merton(e, 8, "matrix").mass)).lower(edges).as_text()
    assert "fft" not in text
    assert "custom_call" not in text
    assert "stablehlo.sort" not in text


def test_unknown_backend_is_an_error():
    with pytest.raises(ValueError, match="backend"):
        _solve_merton(imex.uniform_edges(-8.0, 8.0, 16), 4, "dct")


def test_quantiles_and_tails_of_a_density():
    """A Student law put on cells exactly: quantiles at the levels and beyond come back."""
    edges = np.sinh(np.linspace(-6, 6, 2001))
    mass = np.diff(stats.t.cdf(edges, 4))
    q = density_quantiles(jnp.asarray(edges), jnp.asarray(mass), jnp.asarray(LEVELS))
    np.testing.assert_allclose(q, stats.t.ppf(LEVELS, 4), atol=2e-3)
    law = density_law(jnp.asarray(edges), jnp.asarray(mass))
    np.testing.assert_allclose(ppf(law, jnp.array([1e-3, 0.999])), stats.t.ppf([1e-3, 0.999], 4), rtol=0.02)
    np.testing.assert_allclose(law.tail_index, 0.25, atol=0.07)
