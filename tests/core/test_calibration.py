"""Quantile tracking: its long-run guarantee under drift, and the detection of grids."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm, poisson

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


def atoms(kind, n=30_000):
    rng = np.random.default_rng(5)
    return {
        "constant": np.full(n, 0.03),
        "atom": np.where(rng.uniform(size=n) < 0.3, 0.03, rng.normal(size=n)),
        "grid": np.round(rng.normal(size=n)),
    }[kind]


@pytest.mark.parametrize("kind", ["constant", "atom", "grid"])
def test_coverage_holds_where_outcomes_have_atoms(kind):
    """Many levels meet at an atom and cross there by chance: crossings must heal."""
    y = atoms(kind)
    state, issued = walk(y)
    assert (np.diff(issued, axis=1) >= 0).all()
    assert np.abs(np.asarray(state.theta)).max() < 2
    assert np.abs(coverage(y, issued) - LEVELS).max() < 0.02


def largest_shift(reach, rate):
    """The bounds of docs/math/calibration.md for |y − q| ≤ ``reach`` s: outwards and inwards, per level."""
    z = norm.ppf(LEVELS)
    variance = rate * LEVELS * (1 - LEVELS) / (2 * norm.ppf(0.95) * norm.pdf(z))
    outwards = (reach + np.sqrt(reach**2 + 4 * variance)) / 2 + rate
    return outwards, (2 * np.abs(np.arange(len(LEVELS)) - len(LEVELS) // 2) + 1) * outwards.max()


def test_shifts_stay_bounded_against_adversaries():
    """Each sees what was issued and picks the outcome: one per level that pushes its shift out, one in, one greedy."""
    rate, reach, n, k = 0.02, 4.0, 6000, len(LEVELS)
    width = float(calibration.half_width(jnp.asarray(BASE)))
    choices = jnp.linspace(BASE[-1] - reach * width, BASE[0] + reach * width, 41)
    goals = np.concatenate([np.eye(k), -np.eye(k), np.zeros((1, k))])

    def step(state, goal):
        issued = calibration.apply(state, jnp.asarray(BASE), rate)
        options = jax.vmap(lambda y: calibration.update(state, issued, y, rate).theta)(choices)
        outwards = jnp.where(jnp.arange(k) < k // 2, -1, 1) * goal
        value = jnp.where((goal != 0).any(), (options * outwards).sum(1), (options**2).sum(1))
        y = choices[jnp.argmax(value)]
        return calibration.update(state, issued, y, rate), y <= issued

    walks = jax.jit(jax.vmap(lambda goal: jax.lax.scan(lambda s, _: step(s, goal), calibration.init(), None, n)))
    state, hits = walks(jnp.asarray(goals))
    path = rate * np.cumsum(LEVELS - np.asarray(hits), axis=1)
    np.testing.assert_allclose(path[:, -1], np.asarray(state.theta), atol=1e-9)
    side = np.where(np.arange(k) < k // 2, -1, 1) * path
    side = np.where(np.arange(k) == k // 2, np.abs(path), side)
    outwards, inwards = largest_shift(reach, rate)
    assert (side <= outwards).all() and (-side <= inwards).all()
    assert np.abs(path).max() > 0.8 * reach, "the adversaries do move it"
    error = np.abs(np.asarray(hits).mean(1) - LEVELS)
    assert (error <= np.maximum(outwards, inwards) / (rate * n)).all()


def atomic_hits(theta, issued, y, rate):
    """The definition, level by level: how the hits of levels that share the outcome spread over its atom."""
    k, middle = len(LEVELS), len(LEVELS) // 2
    variance = rate * LEVELS * (1 - LEVELS) / (2 * norm.ppf(0.95) * norm.pdf(norm.ppf(LEVELS)))
    out = (y <= issued).astype(float)
    block = np.flatnonzero(issued == y)
    if not len(block):
        return out
    i, j = block[0], block[-1]
    a = 0.0 if i == 0 else (LEVELS[i - 1] + LEVELS[i]) / 2
    b = 1.0 if j == k - 1 else (LEVELS[j] + LEVELS[j + 1]) / 2
    for side in (range(middle, k), range(middle, -1, -1)):
        before = None
        for level in side:
            if i <= level <= j:
                mine = (LEVELS[level] - a) / (b - a)
                if theta[level] ** 2 > variance[level]:
                    mine = 1.0 if before is None else before
                elif before is not None:
                    mine = max(mine, before) if level > middle else min(mine, before)
                out[level] = before = mine
    return out


def test_hits_at_atoms_follow_their_definition():
    rng = np.random.default_rng(12)
    ask = jax.jit(lambda theta, q, y: calibration.hits(calibration.init()._replace(theta=theta), q, y))
    between = 0
    for _ in range(300):
        q = np.sort(rng.integers(-3, 4, size=len(LEVELS)) + rng.choice([0.0, 0.5], size=len(LEVELS)))
        theta = rng.normal(size=len(LEVELS)) * rng.choice([0.0, 0.03, 1.0], size=len(LEVELS))
        y = rng.choice(q) if rng.uniform() < 0.8 else rng.normal()
        got, expected = np.asarray(ask(theta, q, y)), atomic_hits(theta, q, y, calibration.RATE)
        np.testing.assert_allclose(got, expected, atol=1e-12)
        assert (np.diff(got) >= 0).all()
        between += ((got > 0) & (got < 1)).any()
    assert between > 100


def atomic_walk(y, q):
    """Issued quantiles (n, K), and the shifts (n + 1, K) before each outcome and after the last."""

    def step(state, y):
        issued = calibration.apply(state, jnp.asarray(q))
        return calibration.update(state, issued, y), (issued, state.theta)

    state, (issued, theta) = jax.jit(lambda y: jax.lax.scan(step, calibration.init(), y))(jnp.asarray(y))
    return np.asarray(issued), np.concatenate([theta, state.theta[None]])


@pytest.mark.parametrize("mean", [1.0, 4.0])
def test_a_right_law_of_counts_is_left_on_its_atoms(mean):
    """Exact Poisson quantiles: shifts are noise, most quantiles are issued as they came and cost next to nothing."""
    y, q = np.random.default_rng(13).poisson(mean, size=30_000).astype(float), poisson.ppf(LEVELS, mean)
    issued, theta = atomic_walk(y, q)
    assert np.abs(theta).max() < 0.2
    loss = [np.maximum(LEVELS * (y[:, None] - x), (LEVELS - 1) * (y[:, None] - x)).mean() for x in (issued, q)]
    # Plain hits push levels off the atoms they belong to: under half of them stay, and the loss is 0.11 % or more.
    assert (issued == q).mean() > 0.65
    assert loss[0] / loss[1] - 1 < 0.0009


@pytest.mark.parametrize(("mean", "believed"), [(4.0, 4.0), (4.0, 3.0), (0.3, 1.0)])
def test_randomised_coverage_holds_for_right_and_wrong_counts(mean, believed):
    y, q = np.random.default_rng(14).poisson(mean, size=12_000).astype(float), poisson.ppf(LEVELS, believed)
    issued, theta = atomic_walk(y, q)
    hits = np.array([atomic_hits(*row, calibration.RATE) for row in zip(theta, issued, y, strict=False)])
    np.testing.assert_allclose(theta[-1], 0.003 * (LEVELS - hits).sum(0), atol=1e-9)
    # A randomised hit lies between the open and the closed one, and so does its mean.
    opened, closed = ((hit.mean(0) - LEVELS) for hit in (y[:, None] < issued, y[:, None] <= issued))
    assert opened.max() < 0.025 and closed.min() > -0.025
    if mean != believed:
        opened, closed = ((hit.mean(0) - LEVELS) for hit in (y[:, None] < q, y[:, None] <= q))
        assert max(opened.max(), -closed.min()) > 0.1


def test_shifts_stay_bounded_against_adversaries_that_hit_the_quantiles():
    """Outcomes on the quantiles themselves, where levels met by crossing; the law has atoms too."""
    rate, n, k = 0.02, 3000, len(LEVELS)
    law = np.round(2 * BASE) / 2
    width = float(calibration.half_width(jnp.asarray(law)))
    goals = np.concatenate([np.eye(k), -np.eye(k), np.zeros((1, k))])
    low, high = law[0] - width, law[-1] + width
    reach = (high - low) / width

    def step(state, goal):
        issued = calibration.apply(state, jnp.asarray(law), rate)
        choices = jnp.clip(jnp.concatenate([issued, jnp.array([low, high])]), low, high)
        options = jax.vmap(lambda y: calibration.update(state, issued, y, rate).theta)(choices)
        outwards = jnp.where(jnp.arange(k) < k // 2, -1, 1) * goal
        value = jnp.where((goal != 0).any(), (options * outwards).sum(1), (options**2).sum(1))
        y = choices[jnp.argmax(value)]
        new = calibration.update(state, issued, y, rate)
        return new, (new.theta, (y == issued).sum() > 1)

    walks = jax.jit(jax.vmap(lambda goal: jax.lax.scan(lambda s, _: step(s, goal), calibration.init(), None, n)[1]))
    path, tied = (np.asarray(x) for x in walks(jnp.asarray(goals)))
    side = np.where(np.arange(k) < k // 2, -1, 1) * path
    side = np.where(np.arange(k) == k // 2, np.abs(path), side)
    outwards, inwards = largest_shift(reach, rate)
    assert (side <= outwards).all() and (-side <= inwards).all()
    assert np.abs(path).max() < 0.8 * reach
    assert tied.mean() > 0.1, "levels do meet at outcomes"


def test_half_of_the_time_a_right_law_is_left_alone():
    """With a right law θ has the density ∝ max(|θ|, √v) e^{−max(θ², v)/2v}: half of it where nothing is shifted."""
    y = np.random.default_rng(9).normal(size=(40, 12_000))
    exact = jnp.asarray(norm.ppf(LEVELS))

    def step(state, y):
        issued = calibration.apply(state, exact)
        return calibration.update(state, issued, y), (issued - exact)[jnp.array([3, 12, 21])]

    shift = jax.jit(jax.vmap(lambda y: jax.lax.scan(step, calibration.init(), y)[1]))(jnp.asarray(y))
    shift = np.asarray(shift)[:, 2000:]
    np.testing.assert_allclose((shift == 0).mean((0, 1)), 0.5, atol=0.06)
    # The issued noise is below what a plain tracker has: (1 + √e E₁(½)/2)/2 = 0.73 of its variance.
    levels = LEVELS[[3, 12, 21]]
    variance = 0.003 * levels * (1 - levels) / (2 * norm.pdf(norm.ppf(levels)) * norm.ppf(0.95)) * norm.ppf(0.95) ** 2
    np.testing.assert_allclose((shift**2).mean((0, 1)) / variance, 0.73, atol=0.12)


def test_crossings_are_undone_outwards_from_the_median():
    rng = np.random.default_rng(8)
    theta = rng.normal(size=len(LEVELS))
    noise = 0.003 * LEVELS * (1 - LEVELS) / (2 * norm.pdf(norm.ppf(LEVELS)) * norm.ppf(0.95))
    width = np.interp(0.95, LEVELS, BASE) - np.interp(0.05, LEVELS, BASE)
    q = BASE + width / 2 * theta * np.maximum(1 - noise / theta**2, 0)
    middle = len(LEVELS) // 2
    expected = [q[i : middle + 1].min() if i < middle else q[middle : i + 1].max() for i in range(len(LEVELS))]
    got = calibration.apply(calibration.init()._replace(theta=jnp.asarray(theta)), jnp.asarray(BASE))
    np.testing.assert_allclose(np.asarray(got), expected, atol=1e-12)


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
