"""IMEX density against closed forms and SciPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import exp1
from scipy import special, stats
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


# Any coefficients, any jumps.


def _check(edges, out, exact, limit, every=1):
    """Largest error of the cdf at the right edges, mass, sign and status."""
    mass = np.asarray(out.mass)
    assert np.abs(np.cumsum(mass)[::every] - exact(np.asarray(edges[1:])[::every])).max() < limit
    assert abs(mass.sum() - 1) < 1e-10
    assert (mass >= 0).all()
    assert int(out.status) == Status.OK


def _diffusion(edges, start, drift, variance, time, n_steps):
    solve = partial(imex.solve_density, n_steps=n_steps)
    return jax.jit(
        lambda edges: solve(
            edges, imex.point_mass(edges, start), drift, variance, 0.0, imex.normal_jump(0.0, 1.0), time
        )
    )(edges)


def test_ornstein_uhlenbeck_density_is_its_normal():
    """dX = 2(0.5 − X) dt + 0.8 dW from 2, over 0.7."""
    edges = imex.uniform_edges(-3.0, 4.0, 512)
    out = _diffusion(edges, 2.0, lambda x: 2 * (0.5 - x), lambda x: 0.64 + 0 * x, 0.7, 1024)
    mean, std = 0.5 + 1.5 * np.exp(-1.4), np.sqrt(0.16 * -np.expm1(-2.8))
    _check(edges, out, lambda x: stats.norm.cdf(x, mean, std), 1e-3)


@pytest.mark.parametrize(("level", "sigma", "power"), [(1.0, 0.5, 1), (0.3, 1.0, 2)])
def test_cox_ingersoll_ross_density_is_its_noncentral_chi_squared(level, sigma, power):
    """dX = (θ − X) dt + σ√X dW from 0.7, over 0.8. The second violates Feller's condition, 2θ < σ²: its density is
    infinite at 0, which asks for cells that shrink towards 0."""
    edges = 6.0 * jnp.linspace(0.0, 1.0, 513) ** power
    out = _diffusion(edges, 0.7, lambda x: level - x, lambda x: sigma**2 * x, 0.8, 512)
    c = 2 / (-np.expm1(-0.8) * sigma**2)
    freedom, shift = 4 * level / sigma**2, 2 * c * 0.7 * np.exp(-0.8)
    _check(edges, out, lambda x: stats.ncx2.cdf(2 * c * x, freedom, shift), 1e-3)


DRIFT, SIGMA = 0.1, 0.6


def _fourier(exponent):
    """Distribution function after one unit of time by Gil-Pelaez, for jumps of the given characteristic exponent."""
    u = np.linspace(1e-9, 30.0, 20001)
    image = np.exp(1j * u * DRIFT - 0.5 * (SIGMA * u) ** 2 + exponent(u)) / u

    def cdf(x):
        return 0.5 - np.trapezoid((np.exp(-1j * np.outer(x, u)) * image).imag, u, axis=1) / np.pi

    return cdf


def _kou():
    """Double-exponential jumps (Kou 2002)."""
    up, rise, fall, intensity = 0.4, 2.0, 1.2, 1.5

    def jump(x):
        below, above = jnp.exp(fall * jnp.minimum(x, 0.0)), jnp.exp(-rise * jnp.maximum(x, 0.0))
        return jnp.where(x < 0, (1 - up) * below, 1 - up * above)

    return (
        (intensity, jump, 0.0, 0.0),
        lambda u: intensity * (up * rise / (rise - 1j * u) + (1 - up) * fall / (fall + 1j * u) - 1),
    )


def _uniform():
    """Jumps uniform on (−0.5, 1.5)."""
    return (
        1.5,
        lambda x: jnp.clip((x + 0.5) / 2, 0, 1),
        0.0,
        0.0,
    ), lambda u: 1.5 * (np.exp(0.5j * u) * np.sinc(u / np.pi) - 1)


def _variance_gamma():
    """Infinitely many jumps, Lévy density 1.5 e^{−3x}/x and 1.5 e^{−2|x|}/|x|: those below ε = 0.1 become a drift and
    a variance (Cont & Voltchkova 2005, §4.1)."""
    c, rates, eps = 1.5, (3.0, 2.0), 0.1
    above, below = (c * special.exp1(r * eps) for r in rates)
    intensity = above + below
    drift = c * (-np.expm1(-rates[0] * eps) / rates[0] + np.expm1(-rates[1] * eps) / rates[1])
    variance = c * sum((1 - np.exp(-r * eps) * (1 + r * eps)) / r**2 for r in rates)

    def jump(x):
        right = 1 - c * exp1(rates[0] * jnp.maximum(x, eps)) / intensity
        left = c * exp1(rates[1] * jnp.maximum(-x, eps)) / intensity
        return jnp.where(x > 0, right, left)

    return (intensity, jump, drift, variance), lambda u: -c * (np.log(1 - 1j * u / 3) + np.log(1 + 1j * u / 2))


@pytest.mark.parametrize("jumps", [_kou, _uniform, _variance_gamma])
def test_any_jumps_against_fourier_inversion(jumps):
    (intensity, jump, drift, variance), exponent = jumps()
    edges = imex.uniform_edges(-14.0, 12.0, 512)
    out = jax.jit(
        lambda edges: imex.solve_density(
            edges,
            imex.point_mass(edges, 0.0),
            lambda x: DRIFT + drift + 0 * x,
            lambda x: SIGMA**2 + variance + 0 * x,
            intensity,
            jump,
            n_steps=256,
        )
    )(edges)
    _check(edges, out, _fourier(exponent), 1e-3, every=4)
