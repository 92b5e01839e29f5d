"""CUSUM against published run lengths, a NumPy recursion and scipy's kurtosis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from usp_sklearn.core import cusum


@jax.jit
def _many(e, pit, grace, adaptive):
    def one(e, pit):
        def step(state, row):
            state, record = cusum.step(state, *row, 5.0, 0.5, grace, adaptive)
            return state, (record.drift, record.scale)

        return jax.lax.scan(step, cusum.init(), (e, pit))[1]

    return jax.vmap(one)(e, pit)


def run_length(law, shift=0.0, factor=1.0, adaptive=False, n=5000, chains=400, seed=0):
    """Average steps between alarms of location, of scale and of either; sums restart at zero, so it is a renewal."""
    x = law.rvs(size=(chains, n), random_state=seed) * factor + shift
    drift, scale = (np.asarray(a) for a in _many(x, law.cdf(x), 0, adaptive))
    return tuple(a.size / max(a.sum(), 1) for a in (drift, scale, drift | scale))


def test_run_lengths_of_hawkins_and_olwell():
    drift, scale, either = run_length(scipy.stats.norm())
    assert drift == pytest.approx(465, rel=0.05)
    assert scale > 10_000
    assert either == pytest.approx(465, rel=0.1), "the scale statistic adds little to the false alarms"
    shifted, _, _ = run_length(scipy.stats.norm(), shift=1.0)
    assert shifted == pytest.approx(10.4, rel=0.05)


def test_heavy_tails_raise_false_alarms_at_most_twofold():
    t4 = scipy.stats.t(4, scale=1 / np.sqrt(2))
    drift, _, either = run_length(t4, adaptive=True)
    assert drift > 465 / 2
    assert either > 465 / 2
    # Warm-up, where κ is held at 3.
    early, _, _ = run_length(t4, n=cusum.MEMORY, chains=4000, adaptive=True)
    assert early > 465 / 2


def test_a_change_of_variance_is_caught():
    normal = scipy.stats.norm()
    assert run_length(normal, factor=2.0, n=1000)[1] < 50
    assert run_length(normal, factor=0.5, n=1000)[1] < 60


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
