"""Deep Galerkin solvers against closed forms, Riccati equations, Cole–Hopf and a finite-difference density."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

from tests.diffusions import Polynomial, density_cdf
from usp_sklearn.kernels.dgm import kolmogorov, optimiser, pde, watch

KEY = jax.random.key(0)


OU = Polynomial(np.array([-1.3, 0.0]), np.array([0.6, 0.0]))
WELL = Polynomial(np.array([0.5, -0.5]), np.array([0.35, 0.0]))
SLOPED = Polynomial(np.array([-0.4, 0.0]), np.array([0.45, 0.3]))
POINTS = np.linspace(-2.0, 2.0, 81)
STATES = np.linspace(-1.4, 1.4, 8)


@jax.jit
def _train(trainer, coefficients):
    return kolmogorov.train(trainer, coefficients, 4000, 2e-2)


def _start():
    return kolmogorov.init(KEY, width=32, reach=2.0)


def _spoiled(net):
    """The net with a random output layer, which starts at zero otherwise."""
    return net._replace(weights=net.weights.at[-1].set(0.3 * jax.random.normal(KEY, net.weights.shape[1:])))


def _error(trainer, coefficients):
    mu, sigma = (lambda x: coefficients(x)[0]), (lambda x: coefficients(x)[1])
    exact = np.stack([density_cdf(mu, sigma, s, POINTS) for s in STATES])
    cdf = kolmogorov.cdf(trainer.net, coefficients, 1.0, STATES[:, None], POINTS)
    return float(np.abs(np.asarray(cdf) - exact).max())


def test_ou_cdf_is_exact_and_training_keeps_it():
    mean, sd = STATES * np.exp(-1.3), 0.6 * np.sqrt((1 - np.exp(-2.6)) / 2.6)
    exact = norm.cdf((POINTS - mean[:, None]) / sd)
    for trainer, tolerance in ((_start(), 1e-12), (_train(_start(), OU)[0], 1e-4)):
        cdf = kolmogorov.cdf(trainer.net, OU, 1.0, STATES[:, None], POINTS)
        np.testing.assert_allclose(cdf, exact, atol=tolerance)


def test_ou_is_learned_from_a_wrong_start():
    """With a random output layer the exact start is spoiled; the residual alone leads back."""
    start = _start()
    spoiled = start._replace(net=_spoiled(start.net))
    assert _error(spoiled, OU) > 0.05
    assert _error(_train(spoiled, OU)[0], OU) < 0.008


@pytest.mark.parametrize("coefficients", [WELL, SLOPED], ids=["well", "sloped"])
def test_nonlinear_diffusions_against_finite_differences(coefficients):
    before = _error(_start(), coefficients)
    trained, losses = _train(_start(), coefficients)
    after = _error(trained, coefficients)
    assert after < 0.008
    assert after < before / 2
    assert losses[-50:].mean() < losses[:5].mean() / 20
    cdf = np.asarray(kolmogorov.cdf(trained.net, coefficients, 1.0, STATES[:, None], np.linspace(-3, 3, 301)))
    assert (np.diff(cdf, axis=1) > -1e-4).all()
    assert cdf.min() >= 0 and cdf.max() <= 1


def test_residual_matches_the_equation_by_finite_differences():
    """√τ·residual of g = Φ⁻¹(V), with every derivative of V taken by differences of the public cdf's score."""
    net = _spoiled(_start().net)
    q, x, z = np.array([0.5, 0.9]), np.array([0.3, -0.8]), np.array([0.7, -1.1])
    mu, sigma = SLOPED(x)
    k = x + z * sigma * q

    def g(tau, x):
        s = SLOPED(x)[1]
        return np.asarray(kolmogorov.score(net, SLOPED, tau, jnp.asarray(x), jnp.asarray((k - x) / (s * np.sqrt(tau)))))

    h, tau = 1e-4, q * q
    g0, up, down = g(tau, x), g(tau, x + h), g(tau, x - h)
    g_x, g_xx, g_t = (up - down) / (2 * h), (up - 2 * g0 + down) / h**2, (g(tau + h, x) - g(tau - h, x)) / (2 * h)
    expected = q * (g_t - mu * g_x - 0.5 * sigma**2 * (g_xx - g0 * g_x**2))
    got = kolmogorov.residual(net, SLOPED, jnp.asarray(q), jnp.asarray(x), jnp.asarray(z))
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_black_scholes_call():
    """Undiscounted call on a log price: boundary, terminal and interior losses together."""
    var = 0.04

    def price(t, x):
        s = np.sqrt(var * (1 - t))
        return np.exp(x) * norm.cdf((x + 0.5 * s * s) / s) - norm.cdf((x - 0.5 * s * s) / s)

    solution, report = pde.solve_pde(
        lambda x, v_x, v_xx: 0.5 * var * (v_xx[0, 0] - v_x[0]),
        lambda x: jnp.maximum(jnp.exp(x[0]) - 1, 0.0),
        lambda t, x: jnp.where(x[0] > 0, jnp.exp(x[0]) - 1, 0.0),
        (np.array([-1.0]), np.array([1.0])),
        1.0,
        key=KEY,
        steps=4000,
        rate=1e-2,
    )
    x = np.linspace(-0.6, 0.6, 41)
    got = jax.vmap(lambda p: solution(0.0, p[None]))(x)
    np.testing.assert_allclose(got, price(0.0, x), atol=0.006)
    assert (np.asarray(report.loss[0]) > 0).all()
    assert report.loss[-100:].sum(1).mean() < 1e-3
    assert 0.3 < float(report.variance_ratio) < 1.2


def test_linear_quadratic_control_against_riccati():
    a, b, q, r, last, s = -0.5, 1.0, 1.0, 0.5, 1.2, 0.4

    def riccati(_, p):
        return [2 * a * p[0] - b * b / r * p[0] ** 2 + q, s * s * p[0]]

    p, c = solve_ivp(riccati, [0, 1], [last, 0], rtol=1e-10, atol=1e-12).y[:, -1]
    solution, _ = pde.solve_pde(
        lambda x, v_x, v_xx: (
            a * x[0] * v_x[0] - b * b / (4 * r) * v_x[0] ** 2 + q * x[0] ** 2 + 0.5 * s * s * v_xx[0, 0]
        ),
        lambda x: last * x[0] ** 2,
        None,
        (np.array([-1.5]), np.array([1.5])),
        1.0,
        key=KEY,
        width=24,
        steps=3000,
        batch=64,
        rate=1e-2,
    )
    x = np.linspace(-1.2, 1.2, 25)
    np.testing.assert_allclose(jax.vmap(lambda v: solution(0.0, v[None]))(x), p * x * x + c, atol=0.01)


def test_quadratic_cost_hjb_against_cole_hopf():
    """V_t + V_xx − V_x² = 0: V(0, 0) = −log E exp(−g(√2 W_1)) by Gauss–Hermite quadrature."""
    solution, _ = pde.solve_pde(
        lambda x, v_x, v_xx: v_xx[0, 0] - v_x[0] ** 2,
        lambda x: jnp.log(0.5 * (1 + x[0] ** 2)),
        None,
        (np.array([-4.0]), np.array([4.0])),
        1.0,
        key=KEY,
        width=24,
        steps=2000,
        batch=96,
        hard=True,
    )
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    for x in (0.0, 0.7):
        exact = -np.log(weights @ (2 / (1 + (x + np.sqrt(2) * nodes) ** 2)) / weights.sum())
        assert abs(float(solution(0.0, jnp.array([x]))) - exact) < 0.01


def test_clipping_and_step_halving():
    """Seven gradients beyond the norm: six trip the halving once, a small one in between restarts the count."""
    params = {"w": jnp.ones(3)}
    big, small = {"w": jnp.full(3, 1e4)}, {"w": jnp.full(3, 1e-2)}
    state = optimiser.start(params)
    for grads in [big] * 5 + [small] + [big] * 5:
        params, state = optimiser.descend(params, state, grads, 1e-3)
    assert int(state.halvings) == 0 and int(state.clipped) == 10
    params, state = optimiser.descend(params, state, big, 1e-3)
    assert int(state.halvings) == 1 and float(state.factor) == 0.5 and int(state.streak) == 0
    moved, state = optimiser.descend(params, state, {"w": jnp.full(3, jnp.nan)}, 1e-3)
    assert bool(jnp.isfinite(moved["w"]).all())


def test_clipped_gradient_has_norm_ten():
    params = jnp.zeros(2)
    _, state = optimiser.descend(params, optimiser.start(params), jnp.array([300.0, 400.0]), 1e-3)
    # Adam's first moment after one step is a tenth of the gradient it was given
    np.testing.assert_allclose(np.linalg.norm(state.adam.mu) * 10, 10.0, rtol=1e-12)


def test_entropy_difference_against_numpy_histogram():
    rng = np.random.default_rng(3)
    a, b = rng.uniform(size=4000), rng.beta(2, 5, size=4000)
    a[:2], edges = (0.0, 1.0), np.linspace(0, 1, 51)

    def entropy(v):
        p = np.histogram(v, edges)[0] / v.size
        return -(p[p > 0] * np.log(p[p > 0])).sum()

    got = watch.entropy_difference(jnp.asarray(b), jnp.asarray(a))
    np.testing.assert_allclose(got, entropy(b) - entropy(a), atol=1e-9)


def test_watch_flags_a_flat_solution_only():
    terminal = jnp.asarray(np.arange(400) % 2, float)
    flat = watch.watch(0.5 + 0.001 * terminal, terminal)
    fine = watch.watch(jnp.asarray(norm.cdf(np.linspace(-3, 3, 400))), terminal)
    assert bool(flat.collapsed) and float(flat.entropy) <= 0.0 and float(flat.ratio) < 0.01
    assert not bool(fine.collapsed) and float(fine.entropy) > 0
