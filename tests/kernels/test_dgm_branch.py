"""Branch B as a whole: the double well, robustness, equivariance, the contract, and its parts against NumPy."""

import doctest
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm, t

from usp_sklearn.kernels import law as laws
from usp_sklearn.kernels.contract import Config, Row, Status
from usp_sklearn.kernels.dgm import branch, buffer, estimate, field, monitor, volatility

WIDTH, BUCKET = 12, 1024
RATES = np.array([0.3, 0.1, 0.03, 0.01, 0.002])
M = len(branch.members)


def make_rows(y: np.ndarray) -> Row:
    """Rows of a series by plain loops: what the shared standardisation provides, in NumPy."""
    n, d = len(y), np.diff(y, prepend=y[0])
    size = np.abs(d)
    local = cum = size[1:11].mean() + 1e-9 * np.abs(y[:10]).mean() + 1e-12
    slow, gaps, scale = np.full(5, y[0], float), np.empty((n, 5)), np.empty(n)
    for i in range(n):
        local += 0.03 * (size[i] - local)
        cum += (size[i] - cum) / (i + 10)
        scale[i] = 0.8 * local + 0.2 * cum + 1e-9 * abs(y[i]) + 1e-12
        slow += RATES * (y[i] - slow)
        gaps[i] = (slow - y[i]) / scale[i]
    lags = np.zeros((n, WIDTH - 1))
    for k in range(WIDTH - 1):
        lags[k:, k] = d[: n - k] / scale[k:]
    none = np.zeros((n, 0))
    return Row(y.astype(float), scale, lags, gaps, none, none, none)


@jax.jit
def _fit(state, rows, targets, mask):
    return branch.fit(state, rows, targets, mask, jax.random.key(1))


@jax.jit
def _walk(state, rows, targets, live):
    def step(s, item):
        row, target, real = item
        law = branch.law(s, row)
        new, info = branch.update(s, row, target)
        new = jax.tree.map(lambda a, b: jnp.where(real, a, b), new, s)
        return new, (law, info.status, monitor(new))

    return jax.lax.scan(step, state, (rows, targets, live))


def _padded(a, n):
    return jnp.asarray(np.concatenate([a, np.ones((n - len(a), *a.shape[1:]))]))


def run(y: np.ndarray, split: int):
    """Fit on the first ``split`` values, walk the rest: state after fit, laws (m, 4, …), final state, watch."""
    rows, n = make_rows(y), len(y)
    first = max(0, split - 1 - BUCKET)
    chunk = jax.tree.map(lambda a: _padded(a[first : split - 1], BUCKET), rows)
    mask = jnp.arange(BUCKET) < split - 1 - first
    state = branch.init(Config(WIDTH, 2, 0, 3), jax.random.key(0))
    fitted, info = _fit(state, chunk, _padded(y[first + 1 : split], BUCKET), mask)
    m = n - split
    test = jax.tree.map(lambda a: _padded(a[split - 1 : n - 1], BUCKET), rows)
    last, (law, status, seen) = _walk(fitted, test, _padded(y[split:], BUCKET), jnp.arange(BUCKET) < m)
    cut = jax.tree.map(lambda a: a[:m], (law, status, seen))
    return fitted, *cut, last, info


def crps(law, y) -> np.ndarray:
    """Mean CRPS (4,) of the members."""
    return np.asarray(jax.vmap(laws.crps)(law, jnp.repeat(jnp.asarray(y)[:, None], M, 1))).mean(0)


def double_well(n: int, seed: int):
    """Euler path of dX = (X − X³)dt + 0.65 dW, 20 steps of 0.02 between observations, and its ideal CRPS per target."""
    rng = np.random.default_rng(seed)
    x, path = 1.0, np.empty(n)
    for i in range(n):
        for e in rng.standard_normal(20):
            x += (x - x**3) * 0.02 + 0.65 * np.sqrt(0.02) * e
        path[i] = x
    return path


def ideal_double_well(path: np.ndarray, seed: int, draws: int = 1500) -> float:
    """Mean CRPS of the true one-step law, by simulation from every state, with the fair (unbiased) estimator."""
    rng = np.random.default_rng(seed)
    x = np.repeat(path[:-1, None], draws, 1)
    for _ in range(20):
        x += (x - x**3) * 0.02 + 0.65 * np.sqrt(0.02) * rng.standard_normal(x.shape)
    x.sort(axis=1)
    spread = (x * (2 * np.arange(1, draws + 1) - draws - 1)).sum(1) / (draws * (draws - 1.0))
    return float((np.abs(x - path[1:, None]).mean(1) - spread).mean())


@pytest.fixture(scope="module")
def well():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        y = double_well(1800, 5)
        return y, run(y, 1000)


def test_double_well_is_within_reach_of_the_ideal_law(well):
    y, (_, law, _, _, _, _) = well
    ideal = ideal_double_well(y[999:], 6)
    score = crps(law, y[1000:]) / ideal
    assert (score[[0, 1, 3]] < [1.025, 1.045, 1.06]).all()


def test_double_well_drift_and_coverage(well):
    y, (fitted, law, status, seen, _, info) = well
    x = np.linspace(-1.2, 1.2, 5)
    anchor = fitted.anchor
    mu, sigma = fitted.diffusion.field((jnp.asarray(x) - anchor.centre) / anchor.spread)
    np.testing.assert_allclose(np.asarray(mu * anchor.spread), 0.4 * (x - x**3), atol=0.13)
    np.testing.assert_allclose(np.asarray(sigma * anchor.spread), 0.65 * np.sqrt(0.4), rtol=0.15)
    q = law.q[:, :2]
    covered = (y[1000:, None] >= q[:, :, 4]) & (y[1000:, None] <= q[:, :, -5])
    assert (np.abs(np.asarray(covered).mean(0) - 0.8) < 0.05).all()
    assert not np.asarray(seen.collapsed).any() and (np.asarray(status) == Status.OK).all()
    assert int(info.status) == Status.OK and np.isfinite(float(info.residual))
    assert ((np.asarray(seen.ratio) > 0.3) & (np.asarray(seen.ratio) < 1.2)).all()


def test_ou_against_its_exact_law():
    rng = np.random.default_rng(2)
    y = np.zeros(1800)
    for i in range(1, 1800):
        y[i] = 0.9 * y[i - 1] + rng.standard_normal()
    _, law, _, _, _, _ = run(y, 1000)
    z = y[1000:] - 0.9 * y[999:-1]
    ideal = (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)).mean()
    assert (crps(law, y[1000:])[[0, 1, 3]] / ideal < [1.02, 1.03, 1.02]).all()


def test_heavy_tailed_walk_against_its_exact_quantiles():
    rng = np.random.default_rng(7)
    step = rng.standard_t(3, 1800)
    y = np.cumsum(step)
    _, law, _, _, _, _ = run(y, 1000)
    exact = jnp.asarray(t.ppf(laws.LEVELS, 3))
    e = jnp.asarray(step[1000:])
    ideal = np.asarray(laws.pinball(jnp.broadcast_to(exact, (800, 25)), e)).mean()
    got = np.asarray(laws.pinball(law.q, jnp.repeat(jnp.asarray(y[1000:])[:, None], M, 1))).mean((0, 2))
    assert (got[[0, 1, 3]] / ideal < [1.035, 1.05, 1.05]).all()


def test_shift_and_scale_equivariance(well):
    y, (_, law, _, _, _, _) = well
    _, moved, _, _, _, _ = run(37.0 * y - 5000.0, 1000)
    a = np.asarray(moved.q[:100])
    np.testing.assert_allclose(a, 37.0 * np.asarray(law.q[:100]) - 5000.0, rtol=1e-7)


@pytest.mark.parametrize("case", ["constant", "few", "outliers", "trend", "white", "alternating"])
def test_hard_series_give_finite_ordered_laws(case):
    rng = np.random.default_rng(1)
    y = {
        "constant": np.full(400, 3.0),
        "few": np.cumsum(rng.standard_normal(60)),
        "outliers": np.cumsum(rng.standard_normal(700)) + 30.0 * (rng.random(700) < 0.02) * rng.standard_t(2, 700),
        "trend": 0.5 * np.arange(700) + np.cumsum(rng.standard_normal(700)),
        "white": rng.standard_normal(700),
        "alternating": np.where(np.arange(700) % 2, 1.0, -1.0) + 0.1 * rng.standard_normal(700),
    }[case]
    split = 11 if case == "few" else len(y) // 2
    fitted, law, _, seen, last, _ = run(y, split)
    for leaf in jax.tree.leaves((law, fitted, last, seen)):
        assert np.isfinite(np.asarray(leaf, float)).all()
    assert (np.diff(np.asarray(law.q), axis=-1) >= 0).all()
    assert np.isfinite(np.asarray(laws.mean(law))).all()
    if case == "constant":
        assert np.abs(np.asarray(law.q) - 3.0).max() < 1e-3
    if case == "trend":
        # far outside the training levels the law is that of a walk, not of a return to them
        e = np.abs(np.asarray(law.q[:, :2, laws.MEDIAN]) - y[split - 1 : -1, None]).max()
        assert e < 6.0
    if case == "white":
        assert (crps(law, y[split:]) < 1.12 * 0.5642).all()


def test_before_any_fit_the_law_follows_the_row():
    y = 100 + np.cumsum(np.random.default_rng(4).standard_normal(60))
    rows = make_rows(y)
    state = branch.init(Config(WIDTH, 2, 0, 3), jax.random.key(0))
    row = jax.tree.map(lambda a: jnp.asarray(a[20]), rows)
    law = jax.jit(branch.law)(state, row)
    assert law.q.shape == (M, 25) and np.isfinite(np.asarray(law.q)).all()
    np.testing.assert_allclose(np.asarray(law.q[:, laws.MEDIAN]), y[20], atol=0.2)
    masked = jnp.zeros(BUCKET, bool)
    chunk = jax.tree.map(lambda a: _padded(a, BUCKET), rows)
    same, _ = _fit(state, chunk, _padded(y, BUCKET), masked)
    for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_custom_calls_callbacks_or_sorts_in_the_online_graph():
    rows = make_rows(np.cumsum(np.random.default_rng(4).standard_normal(30)))
    row = jax.tree.map(lambda a: jnp.asarray(a[20]), rows)
    state = branch.init(Config(WIDTH, 2, 0, 3), jax.random.key(0))

    def step(s, r, target):
        return branch.law(s, r), branch.update(s, r, target)

    text = jax.jit(step).lower(state, row, row.last).as_text()
    assert not re.search(r"custom_call|stablehlo\.fft|stablehlo\.sort", text)


def test_buffer_against_brute_force():
    rng = np.random.default_rng(8)
    b, kept = buffer.empty(64), []
    push = jax.jit(buffer.push)
    for i, v in enumerate(rng.standard_normal(150)):
        b, kept = push(b, v, float(i)), [*kept, (v, float(i))]
        value = np.asarray(b.value)
        assert (np.diff(value) >= 0).all()
    recent = sorted(kept[-64:])
    np.testing.assert_allclose(b.value, [v for v, _ in recent])
    np.testing.assert_allclose(b.mark, [m for _, m in recent])
    w = 0.5 ** ((149 - np.array([m for _, m in recent]) + 1) / 40.0)
    np.testing.assert_allclose(buffer.recency(b, 40.0), w)
    rank = (np.cumsum(w) - w / 2) / w.sum()
    expected = np.interp(laws.LEVELS, rank, np.asarray(b.value))
    np.testing.assert_allclose(buffer.quantiles(b, jnp.asarray(w)), expected, rtol=1e-10)


def test_residual_law_shrinks_to_normal_only_when_it_is():
    rng = np.random.default_rng(9)
    for draw, shape in ((rng.standard_normal, "normal"), (lambda n: rng.standard_t(2, n), "heavy")):
        b = buffer.empty(1024)._replace(value=jnp.sort(jnp.asarray(draw(1024))), time=jnp.arange(1024.0))
        q = np.asarray(buffer.shrunk(b, jnp.ones(1024), buffer.NORMAL))
        raw = np.asarray(buffer.quantiles(b, jnp.ones(1024)))
        if shape == "normal":
            assert np.abs(q - norm.ppf(laws.LEVELS)).max() < np.abs(raw - norm.ppf(laws.LEVELS)).max() + 1e-12
        else:
            np.testing.assert_allclose(q, raw, rtol=0.1, atol=0.05)


def test_recursion_equals_batch_ridge():
    rng = np.random.default_rng(10)
    x, y = rng.standard_normal((80, 4)), rng.standard_normal(80)
    w, cov = jnp.zeros(4), jnp.eye(4) * 0.5
    for a, b in zip(x, y, strict=True):
        w, cov = field.recurse(w, cov, jnp.asarray(a), jnp.asarray(b) - jnp.asarray(a) @ w, 1.0, 1.0)
    np.testing.assert_allclose(w, np.linalg.solve(x.T @ x + 2 * np.eye(4), x.T @ y), rtol=1e-9)
    np.testing.assert_allclose(cov, np.linalg.inv(x.T @ x + 2 * np.eye(4)), rtol=1e-8, atol=1e-12)


def test_moment_gradients_against_finite_differences():
    rng = np.random.default_rng(11)
    theta = np.concatenate([0.4 * rng.standard_normal(10), 0.1 * rng.standard_normal(10), [-0.7]])
    unit, x = jnp.asarray(0.4), jnp.asarray(0.3)
    at = jax.jit(jax.vmap(lambda p: estimate.moments(estimate.unpack(p, unit), x)))
    m = at(jnp.asarray(np.concatenate([theta[None], theta + 1e-5 * np.eye(21), theta - 1e-5 * np.eye(21)])))
    np.testing.assert_allclose(m.mean_grad[0], (m.mean[1:22] - m.mean[22:]) / 2e-5, atol=1e-7)
    np.testing.assert_allclose(m.log_sd_grad[0], (m.log_sd[1:22] - m.log_sd[22:]) / 2e-5, atol=1e-7)


def test_volatility_follows_a_change_of_scale():
    rng = np.random.default_rng(12)
    z = np.concatenate([rng.standard_normal(600), 3 * rng.standard_normal(600)])
    state = volatility.calm(jnp.result_type(float))
    state, v = jax.lax.scan(lambda s, e: (volatility.follow(s, e), volatility.level(s)), state, jnp.asarray(z))
    v = np.asarray(v)
    assert abs(v[300:600].mean() - 1) < 0.12
    assert abs(v[900:].mean() - 3) < 0.4


def test_examples():
    result = doctest.testmod(buffer)
    assert result.attempted > 0 and result.failed == 0
