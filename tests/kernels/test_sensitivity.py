"""Malliavin weights and pathwise derivatives against Black & Scholes, Merton's series, a matrix exponential of the
backward equation, and finite differences on common random numbers (an explicit Euler scheme in NumPy)."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.linalg import expm

from usp_sklearn.kernels.jumpdiffusion.paths import Noise, draw_noise, simulate
from usp_sklearn.kernels.jumpdiffusion.sensitivity import (
    bismut_elworthy_li,
    estimate,
    girsanov,
    malliavin_weights,
    pathwise,
    weighted,
)

S0, K, RATE, SIGMA = 100.0, 105.0, 0.03, 0.25
INTENSITY, MEAN, STD = 0.7, -0.1, 0.15


def _black_scholes(rate=RATE, sigma=SIGMA, spot=S0):
    """Undiscounted call and digital for T = 1 with their delta and gamma, and the call's vega."""
    d1 = (np.log(spot / K) + rate + sigma**2 / 2) / sigma
    d2, pdf = d1 - sigma, stats.norm.pdf
    growth = np.exp(rate)
    call = np.array(
        [
            growth * spot * stats.norm.cdf(d1) - K * stats.norm.cdf(d2),
            growth * stats.norm.cdf(d1),
            growth * pdf(d1) / (spot * sigma),
        ]
    )
    digital = np.array([stats.norm.cdf(d2), pdf(d2) / (spot * sigma), -d1 * pdf(d2) / (spot * sigma) ** 2])
    return call, digital, growth * spot * pdf(d1)


def _merton():
    """Merton's series: Black & Scholes given n jumps, rate and variance shifted."""
    n = np.arange(25)
    total = np.sqrt(SIGMA**2 + n * STD**2)
    rate = RATE + n * (MEAN + STD**2 / 2)
    each = [_black_scholes(r, s)[:2] for r, s in zip(rate, total, strict=True)]
    return np.tensordot(stats.poisson.pmf(n, INTENSITY), np.array(each), 1)


def _call(s):
    return jnp.maximum(s - K, 0.0)


def _digital(s):
    return jnp.where(s > K, 1.0, 0.0)


def _agree(found, truth, limit):
    """Within four standard errors, and a standard error below ``limit``."""
    assert abs(float(found.value) - truth) < 4 * float(found.error), (found, truth)
    assert float(found.error) < limit, (found, truth)


@jax.jit
def _log_weights(noise):
    """In x = log S, whose scheme is exact."""
    start, dt = np.log(S0), 1 / noise.brownian.shape[0]
    return malliavin_weights(start, noise, dt, lambda x: RATE - SIGMA**2 / 2 + 0 * x, lambda x: SIGMA + 0 * x)


@jax.jit
def _price_weights(noise):
    """In S: volatility σS, jumps S(eᴶ − 1)."""
    noise = noise._replace(jumps=jnp.expm1(noise.jumps))
    dt = 1 / noise.brownian.shape[0]
    return malliavin_weights(S0, noise, dt, lambda s: RATE * s, lambda s: SIGMA * s, lambda s: s)


@pytest.mark.parametrize("jumps", [False, True])
def test_call_and_digital_in_the_logarithm(jumps):
    """Additive jumps, no discretisation error at all, four steps. Errors in units of the call's (≈ 60, 60) and the
    digital's (≈ 1.6, 3) derivatives by log S."""
    noise = draw_noise(jax.random.key(3), 4, 200_000, 0.25, INTENSITY * jumps, MEAN, STD)
    weights = _log_weights(noise)
    for payoff, truth, limit in zip(
        (_call, _digital), _merton() if jumps else _black_scholes()[:2], (50.0, 1.0), strict=True
    ):
        values = payoff(jnp.exp(weights.terminal))
        _agree(estimate(values), truth[0], 0.003 * limit)
        _agree(weighted(values, weights.delta), truth[1] * S0, 0.01 * limit)
        _agree(weighted(values, weights.gamma), truth[2] * S0**2 + truth[1] * S0, 0.08 * limit)


@pytest.mark.parametrize("jumps", [False, True])
def test_call_and_digital_in_the_price_itself(jumps):
    """Volatility σS and jumps S(eᴶ − 1): the variation changes with every increment and across every jump."""
    noise = draw_noise(jax.random.key(4), 32, 50_000, 1 / 32, INTENSITY * jumps, MEAN, STD)
    weights = _price_weights(noise)
    for payoff, truth, limit in zip(
        (_call, _digital), _merton() if jumps else _black_scholes()[:2], (50.0, 1.0), strict=True
    ):
        values = payoff(weights.terminal)
        _agree(weighted(values, weights.delta), truth[1], 0.02 * limit / S0)
        _agree(weighted(values, weights.gamma), truth[2], 0.16 * limit / S0**2)


def test_pathwise_delta_and_vega():
    noise = draw_noise(jax.random.key(5), 4, 100_000, 0.25, 0.0, 0.0, 1.0)
    _, delta, _ = _black_scholes()[0]

    def price(spot, sigma):
        start = jnp.broadcast_to(jnp.log(spot), (100_000,))
        path, _ = simulate(
            start,
            noise,
            0.25,
            lambda x: RATE - sigma**2 / 2 + 0 * x,
            lambda x: sigma + 0 * x,
        )
        return _call(jnp.exp(path[-1]))

    _agree(jax.jit(lambda s: pathwise(lambda s: price(s, SIGMA), s))(S0)[1], delta, 0.003)
    _agree(jax.jit(lambda v: pathwise(lambda v: price(S0, v), v))(SIGMA)[1], _black_scholes()[2], 0.5)


# A double well with a volatility that depends on the state and two-sided jumps.
def _well(x):
    return x - x**3


def _vol(x):
    return 0.7 + 0.2 * np.sin(x) if isinstance(x, np.ndarray) else 0.7 + 0.2 * jnp.sin(x)


WELL = {"intensity": 0.5, "mean": 0.2, "std": 0.5}
START = 0.2


def _smooth(x):
    return np.tanh(2 * x) if isinstance(x, np.ndarray) else jnp.tanh(2 * x)


def _indicator(x):
    return (x > 0.5) * 1.0


def _backward(f, push=0.0, n=601, reach=5.0):
    """E f(X_1 | X_0 = x) on a grid: exp of the generator by central differences, jumps by linear interpolation."""
    x = np.linspace(-reach, reach, n)
    h = x[1] - x[0]
    a, b = _vol(x) ** 2 / (2 * h * h), (_well(x) + push) / (2 * h)
    g = np.diag(-2 * a) + np.diag((a + b)[:-1], 1) + np.diag((a - b)[1:], -1)
    g[0] = g[-1] = 0.0
    size = np.linspace(-3, 3, 241) * WELL["std"] * 1.5 + WELL["mean"]
    mass = stats.norm.pdf(size, WELL["mean"], WELL["std"])
    mass /= mass.sum()
    jump = np.zeros((n, n))
    for s, m in zip(size, mass, strict=True):
        at = np.clip((x + s + reach) / h, 0, n - 1.001)
        low = at.astype(int)
        jump[np.arange(n), low] += m * (1 - at + low)
        jump[np.arange(n), low + 1] += m * (at - low)
    u = expm(g + WELL["intensity"] * (jump - np.eye(n))) @ f(x)
    near = np.argmin(np.abs(x - START))
    fit = np.polynomial.Polynomial.fit(x[near - 6 : near + 7] - START, u[near - 6 : near + 7], 4)
    return fit(0.0), fit.deriv()(0.0), fit.deriv(2)(0.0)


@cache
def _well_weights():
    noise = draw_noise(jax.random.key(6), 64, 50_000, 1 / 64, **WELL)
    return noise, jax.jit(lambda noise: malliavin_weights(START, noise, 1 / 64, _well, _vol))(noise)


@pytest.mark.parametrize("payoff", [_smooth, _indicator])
def test_double_well_with_jumps_against_the_backward_equation(payoff):
    """Discretisation errors, about 1/64 of each number, stay below the standard errors allowed."""
    _, weights = _well_weights()
    values, truth = payoff(weights.terminal), _backward(payoff)
    _agree(estimate(values), truth[0], 0.01)
    _agree(weighted(values, weights.delta), truth[1], 0.01)
    _agree(weighted(values, weights.gamma), truth[2], 0.03)


def _euler(x, brownian, jumps, dt):
    for w, j in zip(brownian, jumps, strict=True):
        x = x + _well(x) * dt + _vol(x) * w + j
    return x


def test_double_well_against_finite_differences_on_common_random_numbers():
    (noise, weights), h = _well_weights(), 0.02
    start = np.full(noise.brownian.shape[1], START)
    brownian, jumps = np.asarray(noise.brownian), np.asarray(noise.jumps)
    up, down = (_smooth(_euler(start + s, brownian, jumps, 1 / 64)) for s in (h, -h))
    truth = (up - down).mean() / (2 * h)

    def sample(x):
        return _smooth(simulate(jnp.broadcast_to(x, start.shape), noise, 1 / 64, _well, _vol)[0][-1])

    _, smooth = jax.jit(lambda x: pathwise(sample, x))(START)
    np.testing.assert_allclose(smooth.value, truth, rtol=0.01)  # two schemes, each O(dt) from the truth
    _agree(smooth, truth, 0.01)
    _agree(weighted(_smooth(weights.terminal), weights.delta), truth, 0.01)


def test_weights_are_exact_for_the_scheme_itself():
    """One coarse step, stiff drift, σ′ ≠ 0 and a jump coefficient: derivatives of E f by Gauss–Hermite quadrature
    over the one increment. The correction ∂h/∂ΔW is what makes this hold; Itô's sum alone is off by O(√dt)."""
    dt, jump = 0.5, 0.3
    node, weight = np.polynomial.hermite_e.hermegauss(60)
    weight = weight / weight.sum()
    noise = Noise(jnp.asarray(node * np.sqrt(dt))[None], jnp.full((1, 60), jump))
    model = (lambda x: -3.0 * x - 0.5 * x**3, lambda x: 1.0 + 0.3 * jnp.sin(x), lambda x: 1.0 + 0.1 * x)

    def expectation(x):
        path, _ = simulate(jnp.broadcast_to(x, (60,)), noise, dt, *model)
        return (weight * jnp.cos(path[-1])).sum()

    out = jax.jit(lambda x: malliavin_weights(x, noise, dt, *model))(0.4)
    f = np.cos(np.asarray(out.terminal))
    h = 1e-3
    up, mid, down = (float(expectation(jnp.asarray(0.4 + s))) for s in (h, 0.0, -h))
    np.testing.assert_allclose((weight * f * np.asarray(out.delta)).sum(), (up - down) / (2 * h), rtol=1e-5)
    np.testing.assert_allclose((weight * f * np.asarray(out.gamma)).sum(), (up - 2 * mid + down) / h**2, rtol=1e-4)
    assert abs((weight * np.asarray(out.delta)).sum()) < 1e-10
    assert abs((weight * np.asarray(out.gamma)).sum()) < 1e-9


def test_drift_parameter_by_girsanov():
    """Of an indicator under the drift x − x³ + θ, against the backward equation at θ = ±0.02."""
    noise, _ = _well_weights()
    found = jax.jit(lambda noise: girsanov(_indicator, 0.0, START, noise, 1 / 64, lambda t, x: _well(x) + t, _vol))(
        noise
    )
    _agree(found, (_backward(_indicator, 0.02)[0] - _backward(_indicator, -0.02)[0]) / 0.04, 0.01)


def test_bismut_elworthy_li_is_the_weights_with_a_payoff():
    noise = draw_noise(jax.random.key(9), 4, 100, 0.25, 0.0, 0.0, 1.0)
    model = (lambda x: -x, lambda x: 1.0 + 0 * x)
    greeks = jax.jit(lambda noise: bismut_elworthy_li(_indicator, 0.1, noise, 0.25, *model))(noise)
    weights = jax.jit(lambda noise: malliavin_weights(0.1, noise, 0.25, *model))(noise)
    values = _indicator(weights.terminal)
    wanted = estimate(values), weighted(values, weights.delta), weighted(values, weights.gamma)
    np.testing.assert_allclose(np.array(greeks), np.array(wanted), rtol=1e-9)
