"""Paths of the jump diffusion: strong and weak orders on exact solutions, the implicit equation, Merton's law."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from usp_sklearn.kernels.jumpdiffusion.paths import Noise, draw_noise, imex_step, simulate

from .test_jumpdiffusion import MERTON, _merton_cdf


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


def test_one_far_path_does_not_spoil_the_others():
    """A cubic drift and increments of up to seven deviations: every path is its own cubic root."""
    explicit = jnp.linspace(-7.0, 7.0, 101)
    zero = jnp.zeros(101)
    new, residual = imex_step(explicit, 0.5, lambda x: -3.0 * x - 0.5 * x**3, jnp.zeros_like, zero, zero)
    assert float(residual) < 1e-10
    for y, e in zip(np.asarray(new), np.asarray(explicit), strict=True):
        roots = np.roots([0.25, 0.0, 2.5, -e])
        np.testing.assert_allclose(y, roots[np.abs(roots.imag).argmin()].real, atol=1e-9)


def test_strong_order_with_jumps_of_a_price():
    """Geometric motion with jumps S(eᴶ − 1), at most one per coarse step: the exact solution multiplies e^J on."""
    n, paths, a, s = 256, 4000, -0.3, 0.6
    rng = np.random.default_rng(0)
    brownian = rng.normal(size=(n, paths)) / np.sqrt(n)
    sizes = np.zeros((n, paths))
    for first in (40, 150):
        sizes[rng.integers(first, first + 60, paths), np.arange(paths)] = rng.normal(-0.2, 0.3, paths)
    exact = np.exp(a - s * s / 2 + s * brownian.sum(0) + sizes.sum(0))
    error = []
    for factor in (2, 4, 8):
        noise = _coarse(Noise(brownian, sizes), factor)
        noise = Noise(jnp.asarray(noise.brownian), jnp.expm1(noise.jumps))
        path, _ = simulate(jnp.ones(paths), noise, factor / n, lambda x: a * x, lambda x: s * x, lambda x: x)
        error.append(np.sqrt(((np.asarray(path[-1]) - exact) ** 2).mean()))
    np.testing.assert_allclose(_orders(error), 0.5, atol=0.1)
