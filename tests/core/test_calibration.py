"""Quantile tracking: its long-run guarantee under drift, and the detection of grids."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usp_sklearn.core import calibration
from usp_sklearn.kernels.law import LEVELS

BASE = np.sort(np.quantile(np.random.default_rng(0).normal(size=20_000), LEVELS))


def walk(y, q=BASE, **options):
    """Issued quantiles (n, K) and the last state; the law stays the same however wrong it is."""

    def step(state, y):
        issued = calibration.apply(state, jnp.asarray(q))
        return calibration.update(state, issued, y, **options), issued

    state, issued = jax.jit(lambda y: jax.lax.scan(step, calibration.init(), y))(jnp.asarray(y))
    return state, np.asarray(issued)


def coverage(y, issued):
    return (y[:, None] <= issued).mean(0)


def adversary(n, seed=0):
    """Level, width and shape of the outcomes wander and jump while the law believes in N(0, 1)."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    width = 1 + 0.8 * np.sin(t / 700) + (t > n / 2)
    return width * rng.standard_t(4, size=n) + np.sin(t / 300) + 1.5 * (t // 2500 % 2)


def test_coverage_holds_in_the_long_run_under_drift():
    y = adversary(60_000)
    raw = coverage(y, np.broadcast_to(BASE, (len(y), len(BASE))))
    state, issued = walk(y)
    got = coverage(y, issued)
    assert np.abs(raw - LEVELS).max() > 0.05
    # The guarantee is |θ|/(γ n); this stream ends with shifts of up to 3.5 half-widths at the outer levels.
    np.testing.assert_allclose(np.abs(got - LEVELS), np.abs(np.asarray(state.theta)) / (0.003 * len(y)), atol=1e-9)
    assert np.abs(got - LEVELS).max() < 0.02


def test_adaptive_rate_keeps_coverage_under_drift():
    y = adversary(20_000)
    raw = coverage(y, np.broadcast_to(BASE, (len(y), len(BASE))))
    got = coverage(y, walk(y, adaptive=True)[1])
    # Rates that follow the errors give up the exact identity below for speed, a little on the safe side.
    assert np.abs(got - LEVELS).max() < min(0.03, np.abs(raw - LEVELS).max() / 2)


def test_miscoverage_is_bounded_by_the_shift():
    y = adversary(5000, 1)

    def step(state, y):
        issued = calibration.apply(state, jnp.asarray(BASE))
        return calibration.update(state, issued, y, 0.003), y <= issued

    state, hits = jax.lax.scan(step, calibration.init(), jnp.asarray(y))
    np.testing.assert_allclose(np.asarray(state.theta), 0.003 * (LEVELS - np.asarray(hits)).sum(0), atol=1e-12)


def test_adaptive_rate_recovers_sooner_from_a_jump():
    rng = np.random.default_rng(2)
    y = rng.normal(size=3000) + 3.0 * (np.arange(3000) >= 1500)
    slow, fast = (walk(y, adaptive=a)[1] for a in (False, True))
    after = slice(1500, 2200)
    middle = len(LEVELS) // 2
    errors = [abs((y[after] <= q[after, middle]).mean() - 0.5) for q in (slow, fast)]
    assert errors[1] < 0.7 * errors[0]


def test_calibrated_laws_change_little_and_never_cross():
    y = np.random.default_rng(3).normal(size=4000)
    _, issued = walk(y)
    assert (np.diff(issued, axis=1) >= 0).all()
    assert np.abs(issued[-1] - BASE)[5:-5].max() < 0.2
    _, off = walk(y, rate=0.0)
    np.testing.assert_array_equal(off, np.broadcast_to(BASE, off.shape))


def test_is_equivariant_to_shift_and_scale():
    y = adversary(500)
    _, one = walk(y)
    _, two = walk(1e3 * y + 7, 1e3 * BASE + 7)
    np.testing.assert_allclose((two - 7) / 1e3, one, atol=1e-9)


def grid_of(y):
    return jax.jit(lambda y: jax.lax.scan(lambda g, v: (calibration.observe(g, v), 0.0), calibration.init_grid(), y))(
        jnp.asarray(y)
    )[0]


@pytest.mark.parametrize("step", [1.0, 0.25, 0.01])
def test_a_grid_is_found_and_quantiles_fall_on_it(step):
    rng = np.random.default_rng(4)
    y = 100 + np.round(np.cumsum(rng.integers(-3, 4, size=400)) * step, 6)
    grid = grid_of(y)
    assert float(calibration.grid_step(grid)) == pytest.approx(step, rel=1e-6)
    q = np.asarray(calibration.round_to_grid(grid, jnp.asarray(y[-1] + BASE * step)))
    places = (q - y[-1]) / step
    inner = (LEVELS > 0.2) & (LEVELS < 0.8)
    np.testing.assert_allclose(places[inner], np.round(places[inner]), atol=1e-6)
    outer = (LEVELS < 0.1) | (LEVELS > 0.9)
    np.testing.assert_allclose(places[outer], BASE[outer], atol=1e-6)
    assert (np.diff(q) >= 0).all()


def test_a_few_values_off_the_grid_are_forgiven_but_not_many():
    rng = np.random.default_rng(5)
    y = np.cumsum(rng.integers(-3, 4, size=400)).astype(float)
    few, many = y.copy(), y.copy()
    few[[50, 150]] += 0.5 * 3
    many[::8] += 1.37
    assert float(calibration.grid_step(grid_of(np.round(few * 2) / 2))) > 0
    assert float(calibration.grid_step(grid_of(many))) == 0


def test_continuous_constant_and_short_series_have_no_grid():
    rng = np.random.default_rng(6)
    for y in (rng.normal(size=500), np.full(500, 3.0), np.arange(10.0)):
        grid = grid_of(y)
        assert float(calibration.grid_step(grid)) == 0
        np.testing.assert_array_equal(np.asarray(calibration.round_to_grid(grid, jnp.asarray(BASE))), BASE)


def test_only_recent_increments_count():
    rng = np.random.default_rng(7)
    y = np.concatenate([rng.normal(size=300), np.cumsum(rng.integers(-2, 3, size=700)).astype(float)])
    assert float(calibration.grid_step(grid_of(y))) == pytest.approx(1.0)
