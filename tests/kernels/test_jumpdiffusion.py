"""IMEX density and path simulator against closed forms and SciPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.linalg import expm

from usp_sklearn.kernels.contract import Status
from usp_sklearn.kernels.jumpdiffusion import imex
from usp_sklearn.kernels.jumpdiffusion.density import density_law, density_quantiles
from usp_sklearn.kernels.jumpdiffusion.paths import draw_noise, imex_step, simulate
from usp_sklearn.kernels.law import LEVELS, ppf

MERTON = {"drift": 0.1, "sigma": 1.0, "intensity": 0.8, "mean": -1.0, "std": 1.5}


def _merton_cdf(x, drift, sigma, intensity, mean, std, terms=40):
    n = np.arange(terms)
    weight = stats.poisson.pmf(n, intensity)
    scale = np.sqrt(sigma**2 + n * std**2)
    return (weight * stats.norm.cdf((x[:, None] - drift - n * mean) / scale)).sum(1)


@partial(jax.jit, static_argnames=("n_steps", "backend"))
def _solve(edges, start, slope, level, variance, intensity, mean, std, time, n_steps, backend):
    """Drift level + slope·x; variance v₀ + v₁x² with ``variance`` = (v₀, v₁): one program for all tests of a shape."""
    return imex.solve_density(
        edges,
        start,
        lambda x: level + slope * x,
        lambda x: variance[0] + variance[1] * x * x,
        intensity,
        imex.normal_jump(mean, std),
        time,
        n_steps=n_steps,
        backend=backend,
    )


def _solve_merton(edges, n_steps, backend, intensity=MERTON["intensity"]):
    p = MERTON
    return _solve(
        edges,
        imex.point_mass(edges, 0.0),
        0.0,
        p["drift"],
        (p["sigma"] ** 2, 0.0),
        intensity,
        p["mean"],
        p["std"],
        1.0,
        n_steps,
        backend,
    )


def _diffuse(edges, start, slope, level, variance, time, n_steps):
    return _solve(edges, start, slope, level, variance, 0.0, 0.0, 1.0, time, n_steps, "matrix")


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
    matrix = np.asarray(imex.jump_matrix(edges, jump))
    np.testing.assert_allclose(imex.jump_fft(edges, jump)(jnp.asarray(m)), matrix @ m, atol=1e-14)
    np.testing.assert_allclose(matrix.sum(0), 1.0, atol=1e-14)


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
    low, mid, up = (
        np.asarray(v)
        for v in imex.implicit_matrix(edges, jnp.full(97, p["drift"]), jnp.full(96, p["sigma"] ** 2), fine)
    )
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
        out = _diffuse(edges, start, -2.0, 0.6, (4.0, 0.0), 400.0, 50)
        exact = np.diff(stats.norm.cdf(np.asarray(edges), 0.3, 1.0))
        error.append(np.abs(np.cumsum(np.asarray(out.mass) - exact)).max())
    order = np.log2(np.array(error[:-1]) / np.array(error[1:]))
    assert (order > 1.9).all(), (error, order)


def test_state_dependent_volatility_keeps_mass_and_moments():
    """Geometric Brownian motion: E X = e^{at}, Var known; drift and diffusion both depend on x."""
    a, s = 0.3, 0.4
    edges = imex.uniform_edges(0.0, 8.0, 400)
    out = _diffuse(edges, imex.point_mass(edges, 1.0), a, 0.0, (0.0, s * s), 0.5, 200)
    centre, mass = np.asarray(edges[1:] + edges[:-1]) / 2, np.asarray(out.mass)
    mean = (mass * centre).sum()
    assert (mass >= 0).all()
    np.testing.assert_allclose(mass.sum(), 1, atol=1e-10)
    np.testing.assert_allclose(mean, np.exp(a * 0.5), rtol=2e-3)
    np.testing.assert_allclose((mass * centre**2).sum(), np.exp((2 * a + s**2) * 0.5), rtol=4e-3)


def test_pure_advection_upwinds_without_oscillation():
    edges = imex.uniform_edges(-2.0, 6.0, 160)
    out = _diffuse(edges, imex.point_mass(edges, 0.0), 0.0, 3.0, (0.0, 0.0), 1.0, 100)
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


def _coarse(noise, factor):
    return jax.tree.map(lambda x: x.reshape(x.shape[0] // factor, factor, -1).sum(1), noise)


def _orders(error):
    return np.diff(np.log(error)) / np.log(2)


def test_strong_order_is_a_half_for_geometric_noise_and_one_for_additive():
    """Against the exact solutions along the same Brownian paths; steps of 1/64, 1/32, 1/16."""
    n, paths, a, s = 512, 2000, -0.3, 0.8
    noise = draw_noise(jax.random.key(0), n, paths, 1 / n, 0.0, 0.0, 1.0)
    w = np.cumsum(np.asarray(noise.brownian), axis=0)
    gbm = np.exp((a - s * s / 2) + s * w[-1])
    fine = np.arange(1, n + 1) / n
    kernel = np.exp(-2.0 * (1 - fine))[:, None] * w  # ∫ e^{−2(1−t)} dW by parts, then trapezia
    ou = np.exp(-2.0) + s * (w[-1] - 2.0 * (kernel.mean(0) - kernel[-1] / (2 * n)))
    geometric, additive = [], []
    for factor in (8, 16, 32):
        each, dt = _coarse(noise, factor), factor / n
        path, worst = simulate(jnp.ones(paths), each, dt, lambda x: a * x, lambda x: s * x)
        assert float(worst) < 1e-7
        geometric.append(np.sqrt(((np.asarray(path[-1]) - gbm) ** 2).mean()))
        path, _ = simulate(jnp.ones(paths), each, dt, lambda x: -2.0 * x, lambda x: jnp.full_like(x, s))
        additive.append(np.sqrt(((np.asarray(path[-1]) - ou) ** 2).mean()))
    np.testing.assert_allclose(_orders(geometric), 0.5, atol=0.1)
    np.testing.assert_allclose(_orders(additive), 1.0, atol=0.1)


def test_weak_order_is_one():
    """Means of a geometric motion, the error's noise removed by the exact solution on the same paths."""
    n, paths, a, s = 64, 20000, -1.0, 0.5
    noise = draw_noise(jax.random.key(1), n, paths, 1 / n, 0.0, 0.0, 1.0)
    exact = np.exp((a - s * s / 2) + s * np.asarray(noise.brownian).sum(0))
    error = []
    for factor in (4, 8, 16):
        path, _ = simulate(jnp.ones(paths), _coarse(noise, factor), factor / n, lambda x: a * x, lambda x: s * x)
        error.append(abs((np.asarray(path[-1]) - exact).mean()))
    np.testing.assert_allclose(_orders(error), 1.0, atol=0.1)


def test_implicit_drift_is_solved_where_the_explicit_scheme_explodes():
    """dt·b' = −20, and a stiff cubic: the implicit equation holds to 1e-8."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=6))
    zero = jnp.zeros(6)
    new, residual = imex_step(x, 1.0, lambda x: -20.0 * x, jnp.zeros_like, zero, zero)
    np.testing.assert_allclose(new, x / 21, rtol=1e-6)
    one = jnp.asarray([1.5])
    new, residual = imex_step(one, 0.5, lambda x: x - x**3, jnp.zeros_like, one[:1] * 0, one[:1] * 0, maxiter=40)
    root = np.roots([0.5, 0.0, 0.5, -1.5])
    np.testing.assert_allclose(new[0], root[np.isreal(root)].real[0], rtol=1e-8)
    assert float(residual) < 1e-8


def test_merton_paths_have_the_moments_of_the_compound_poisson_sum():
    n, paths = 16, 40000
    p = MERTON
    noise = draw_noise(jax.random.key(2), n, paths, 1 / n, p["intensity"], p["mean"], p["std"])
    drift, vol = (lambda x: jnp.full_like(x, p["drift"])), (lambda x: jnp.full_like(x, p["sigma"]))
    x = np.asarray(simulate(jnp.zeros(paths), noise, 1 / n, drift, vol)[0][-1])
    lam, mu, s = p["intensity"], p["mean"], p["std"]
    variance = p["sigma"] ** 2 + lam * (mu**2 + s**2)
    third = lam * (mu**3 + 3 * mu * s**2)
    assert abs(x.mean() - (p["drift"] + lam * mu)) < 4 * np.sqrt(variance / paths)
    np.testing.assert_allclose(x.var(), variance, rtol=0.04)
    np.testing.assert_allclose(((x - x.mean()) ** 3).mean(), third, rtol=0.15)
    assert stats.kstest(x, lambda v: _merton_cdf(np.atleast_1d(v), **p)).pvalue > 1e-3
