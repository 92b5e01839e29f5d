"""Hidden regimes: mixture quantiles by root finding, the filter against Hamilton's, parameters against batch EM."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from usp_sklearn.io.processes import make_regime_switch
from usp_sklearn.kernels.contract import Row
from usp_sklearn.kernels.dgm import anchor as anchors
from usp_sklearn.kernels.dgm import regimes
from usp_sklearn.kernels.law import LEVELS
from usp_sklearn.kernels.mixture import normal_quantiles

N = 1500


def rows_of(y):
    """Rows of which these members read the level and the unit alone."""
    none = jnp.zeros((len(y), 0))
    return Row(y, jnp.full(len(y), jnp.abs(jnp.diff(y)).mean()), none, none, none, none, none)


@jax.jit
def forecast(y):
    """Quantiles (n − 1, 2, 25) issued along ``y``; starting parameters from its first third, and the last state."""
    rows = jax.tree.map(lambda x: x[:-1], rows_of(y))
    mask = jnp.arange(len(y) - 1) < len(y) // 3
    anchor = anchors.settle(rows, mask)
    state = regimes.fit(regimes.init(jnp.float64), anchor, rows, y[1:], mask)

    def step(state, item):
        row, target = item
        return regimes.update(state, anchor, row, target), regimes.law(state, anchor, row).q

    return *jax.lax.scan(step, state, (rows, y[1:])), anchor


def pinball(q, y):
    e = y[:, None] - q
    return np.maximum(LEVELS * e, (LEVELS - 1) * e).mean()


@pytest.mark.parametrize(("gap", "tolerance"), [(2.0, 1e-4), (12.0, 5e-3)])
def test_mixture_quantiles_solve_the_distribution_function(gap, tolerance):
    rng = np.random.default_rng(0)
    for _ in range(40):
        w, m, s = rng.dirichlet([1, 1]), gap * rng.uniform(-0.5, 0.5, 2), np.exp(rng.uniform(-0.7, 0.7, 2))
        q = np.asarray(normal_quantiles(*map(jnp.asarray, (w, m, s))))
        assert np.abs(w @ norm.cdf(q, m[:, None], s[:, None]) - LEVELS).max() < tolerance
        assert (np.diff(q) >= 0).all()


def test_mixture_quantiles_against_root_finding():
    w, m, s = np.array([0.3, 0.7]), np.array([-1.0, 0.5]), np.array([0.5, 1.5])
    exact = [brentq(lambda x, u=u: w @ norm.cdf(x, m, s) - u, -20, 20, xtol=1e-12) for u in LEVELS]
    error = np.abs(np.asarray(normal_quantiles(*map(jnp.asarray, (w, m, s)))) - exact)
    assert error.max() < 3e-3
    assert error[(LEVELS >= 0.05) & (LEVELS <= 0.9)].max() < 1e-4


def test_filter_is_hamiltons_when_nothing_is_learned(monkeypatch):
    monkeypatch.setattr(regimes, "RATE", 0.0)
    y = make_regime_switch(300, kind="mean", random_state=3)
    a, s, stay = np.array([-2.0, 2.0]), np.array([1.0, 1.3]), np.array([[0.95, 0.05], [0.05, 0.95]])
    one = jnp.ones(())
    member = regimes._start(jnp.stack([jnp.asarray(a), jnp.zeros(2)], -1), jnp.asarray(s**2), one, 0 * one)
    state = jax.tree.map(lambda x: jnp.stack([x, x]), member._replace(count=one * np.inf))
    anchor = anchors.Anchor(0 * one, one, one > 0, -9 * one, 9 * one)
    chance = np.array([0.5, 0.5])
    rows = rows_of(jnp.asarray(y))
    for t, value in enumerate(y[1:]):
        state = regimes.update(state, anchor, jax.tree.map(lambda x, t=t: x[t], rows), jnp.asarray(value))
        joint = (chance @ stay) * norm.pdf(value, a, s)
        chance = joint / joint.sum()
        np.testing.assert_allclose(np.asarray(state.filtered[0]), chance, atol=1e-8)
    np.testing.assert_allclose(np.asarray(state.variance[0]), s**2, atol=1e-9)


def baum_welch(y, sweeps=60):
    """Maximum likelihood of means, deviations and transitions (2, 2), by batch EM with forward–backward smoothing."""
    a, s, stay = np.quantile(y, [0.2, 0.8]), np.array([0.7, 1.3]) * y.std(), np.array([[0.9, 0.1], [0.1, 0.9]])
    for _ in range(sweeps):
        density = norm.pdf(y[:, None], a, s) + 1e-300
        forward, backward = np.empty_like(density), np.ones_like(density)
        chance = np.array([0.5, 0.5])
        for t in range(len(y)):
            joint = (chance @ stay if t else chance) * density[t]
            chance = forward[t] = joint / joint.sum()
        for t in range(len(y) - 2, -1, -1):
            back = stay @ (density[t + 1] * backward[t + 1])
            backward[t] = back / back.sum()
        smooth = forward * backward
        smooth /= smooth.sum(1, keepdims=True)
        pair = forward[:-1, :, None] * stay * (density * backward)[1:, None, :]
        stay = (pair / pair.sum((1, 2), keepdims=True)).sum(0)
        stay /= stay.sum(1, keepdims=True)
        a = (smooth * y[:, None]).sum(0) / smooth.sum(0)
        s = np.sqrt((smooth * (y[:, None] - a) ** 2).sum(0) / smooth.sum(0))
    order = np.argsort(a)
    return a[order], s[order], stay[order][:, order]


@pytest.mark.parametrize("seed", [0, 1])
def test_online_parameters_reach_those_of_batch_em(seed):
    y = make_regime_switch(N, kind="mean", random_state=seed)
    state, _, anchor = forecast(jnp.asarray(y))
    line, variance, stay = (np.asarray(x[0]) for x in (state.line, state.variance, state.stay))
    order = np.argsort(line[:, 0])
    a, s, transitions = baum_welch(y)
    spread = float(anchor.spread)
    np.testing.assert_allclose(float(anchor.centre) + spread * line[order, 0], a, atol=0.1)
    np.testing.assert_allclose(spread * np.sqrt(variance[order]), s, rtol=0.06)
    np.testing.assert_allclose(stay[order][:, order], transitions, atol=0.015)


@pytest.mark.parametrize("kind", ["mean", "variance"])
def test_laws_are_within_one_percent_of_the_ideal_ones(kind):
    gained = []
    for seed in range(3):
        y, ideal = make_regime_switch(N, kind=kind, random_state=seed, return_ideal=True)
        q = np.asarray(forecast(jnp.asarray(y))[1])[:, 0]
        half = slice(N // 2, None)
        gained.append(pinball(q[half], y[1:][half]) / pinball(ideal(LEVELS)[half], y[1:][half]) - 1)
    assert np.mean(gained) < 0.01


def test_an_autoregression_is_found():
    rng = np.random.default_rng(5)
    y = np.zeros(N)
    for t in range(1, N):
        y[t] = 0.8 * y[t - 1] + rng.normal()
    state, q, _ = forecast(jnp.asarray(y))
    slope = (np.asarray(state.line[1, :, 1]) * np.asarray(state.moments[1]).mean(0)[:, 0]).sum()
    weight = np.asarray(state.moments[1]).mean(0)[:, 0].sum()
    assert abs(slope / weight - 0.8) < 0.06
    exact = 0.8 * y[:-1, None] + norm.ppf(LEVELS)
    half = slice(N // 2, None)
    assert pinball(np.asarray(q)[half, 1], y[1:][half]) < 1.01 * pinball(exact[half], y[1:][half])


def test_equivariant_and_finite_on_a_constant_series():
    y = make_regime_switch(400, kind="variance", random_state=7)
    one, two = (np.asarray(forecast(jnp.asarray(v))[1]) for v in (y, 1e3 * y + 7))
    np.testing.assert_allclose((two - 7) / 1e3, one, rtol=1e-9, atol=1e-9)
    flat = np.asarray(forecast(jnp.full(400, 3.0))[1])
    assert np.isfinite(flat).all()
