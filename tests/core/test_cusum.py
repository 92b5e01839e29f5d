"""CUSUM against published run lengths, their integral equation, a NumPy recursion and scipy's kurtosis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.stats import norm

from usp_sklearn.core import cusum


@jax.jit
def _many(e, pit, h, k, adaptive):
    def one(e, pit):
        def step(state, row):
            state, record = cusum.step(state, *row, h, k, 0, adaptive)
            return state, (record.drift, record.scale)

        return jax.lax.scan(step, cusum.init(), (e, pit))[1]

    return jax.vmap(one)(e, pit)


def run_length(law, shift=0.0, factor=1.0, h=5.0, k=0.5, adaptive=False, ewma=False, n=5000, chains=400):
    """Average steps between alarms of location, of scale and of either; sums restart at zero, so it is a renewal.

    ``ewma`` divides by the running scale that the orchestrator uses instead of the true one.
    """
    x = law.rvs(size=(chains, n), random_state=0) * factor + shift
    e, variance = x.copy(), np.ones(chains)
    for t in range(n if ewma else 0):
        e[:, t] /= np.sqrt(variance)
        variance = 0.94 * variance + 0.06 * x[:, t] ** 2
    drift, scale = (np.asarray(a) for a in _many(e, law.cdf(x), h, k, adaptive))
    return tuple(a.size / max(a.sum(), 1) for a in (drift, scale, drift | scale))


def exact_run_length(h, k, shift):
    """Page's integral equation L(z) = 1 + L(0) F(k − z) + ∫₀ʰ L(x) f(x + k − z) dx on Gauss–Legendre nodes.

    Two sides: rates of alarms add up (van Dobben de Bruyn 1968), since one sum is zero when the other alarms.
    """
    x, w = np.polynomial.legendre.leggauss(40)
    x, w = (x + 1) * h / 2, w * h / 2
    z = np.append(0.0, x)

    def one_sided(mean):
        kernel = np.column_stack([norm.cdf(k - z - mean), w * norm.pdf(x + k - z[:, None] - mean)])
        return np.linalg.solve(np.eye(len(z)) - kernel, np.ones(len(z)))[0]

    return 1 / (1 / one_sided(shift) + 1 / one_sided(-shift))


def test_run_lengths_of_hawkins_and_olwell():
    assert exact_run_length(5, 0.5, 0) == pytest.approx(465, abs=0.5)
    assert exact_run_length(5, 0.5, 1) == pytest.approx(10.4, abs=0.05)
    drift, scale, either = run_length(norm())
    assert drift == pytest.approx(465, rel=0.05)
    assert scale > 10_000
    assert either == pytest.approx(465, rel=0.1), "the scale statistic adds little to the false alarms"
    shifted, _, _ = run_length(norm(), shift=1.0)
    assert shifted == pytest.approx(10.4, rel=0.05)


@pytest.mark.parametrize(("h", "k", "shift"), [(3, 0.5, 0), (4, 0.5, 0), (5, 0.25, 0.5), (4, 0.5, 2), (2, 1, 0.5)])
def test_run_lengths_solve_pages_integral_equation(h, k, shift):
    exact = exact_run_length(h, k, shift)
    drift, _, _ = run_length(norm(), shift=shift, h=float(h), k=float(k), n=2000, chains=300)
    # Run lengths scatter by about their mean: four standard errors of their average.
    assert drift == pytest.approx(exact, rel=4 * np.sqrt(exact / 600_000))


@pytest.mark.parametrize("ewma", [False, True])
def test_heavy_tails_raise_false_alarms_at_most_twofold(ewma):
    t4 = scipy.stats.t(4, scale=1 / np.sqrt(2))
    # The estimate's noise alone makes the fixed threshold's alarms 2.7 times as frequent under the running scale.
    drift, _, either = run_length(t4, adaptive=True, ewma=ewma, chains=200)
    assert drift > 465 / 2
    assert either > 465 / 2


def test_heavy_tails_during_warm_up():
    """κ is held at 3 and the scale known."""
    t4 = scipy.stats.t(4, scale=1 / np.sqrt(2))
    early, _, _ = run_length(t4, n=cusum.MEMORY, chains=4000, adaptive=True)
    assert early > 465 / 2


def test_the_running_scale_costs_normal_residuals_little():
    drift, _, _ = run_length(norm(), adaptive=True, ewma=True, chains=200)
    assert drift > 465


def test_a_change_of_variance_is_caught():
    assert run_length(norm(), factor=2.0, n=1000)[1] < 50
    assert run_length(norm(), factor=0.5, n=1000)[1] < 60


def _walk(e, **options):
    def step(state, x):
        return cusum.step(state, x, jnp.asarray(0.5), **options)

    return jax.jit(lambda e: jax.lax.scan(step, cusum.init(), e))(jnp.asarray(e))


def test_equals_the_plain_recursion():
    rng = np.random.default_rng(3)
    e = rng.standard_t(5, size=900)
    _, record = _walk(e, grace=20)
    up = down = 0.0
    grace = 0
    for t, x in enumerate(e):
        up, down = max(0.0, up + x - 0.5), max(0.0, down - x - 0.5)
        window = e[max(0, t - 251) : t + 1]
        kappa = scipy.stats.kurtosis(window, fisher=False) if t >= 251 else 3.0
        limit = 5.0 * (1 + np.log(max(kappa, 3.0) / 3.0))
        alarm = max(up, down) > limit and grace == 0
        assert float(record.up[t]) == pytest.approx(up, abs=1e-9)
        assert float(record.down[t]) == pytest.approx(down, abs=1e-9)
        assert float(record.kurtosis[t]) == pytest.approx(kappa, rel=1e-9)
        assert float(record.threshold[t]) == pytest.approx(limit, rel=1e-9)
        assert float(record.distance[t]) == pytest.approx(1 - max(up, down) / limit, abs=1e-9)
        assert bool(record.drift[t]) == alarm
        if bool(record.alarm[t]):
            up = down = 0.0
        elif grace > 0:
            up, down = min(up, limit), min(down, limit)
        grace = 20 if bool(record.alarm[t]) else max(grace - 1, 0)


def test_alarm_restarts_the_sums_and_starts_the_grace_period():
    _, record = _walk(np.full(60, 2.0), grace=20)
    alarms = np.flatnonzero(np.asarray(record.alarm))
    assert alarms[0] == 3
    # A shift that lasts is reported again as soon as the grace period is over, not before.
    assert (np.diff(alarms) == 21).all() and len(alarms) >= 3
    assert float(record.up[4]) == pytest.approx(1.5)


def test_peek_changes_nothing_and_raises_no_alarm():
    state, record = _walk(np.linspace(0, 1, 40))
    seen = cusum.peek(state, 5.0)
    assert float(seen.up) == float(state.up) and not bool(seen.alarm)
    assert float(seen.threshold) == pytest.approx(float(record.threshold[-1]))


def test_bad_residuals_and_constant_ones_stay_finite():
    state, record = _walk(np.array([np.nan, np.inf, -np.inf, 1.0]))
    assert all(np.isfinite(np.asarray(x, dtype=float)).all() for x in jax.tree.leaves((state, record)))
    _, record = _walk(np.zeros(600))
    assert float(record.kurtosis[-1]) == 3.0
