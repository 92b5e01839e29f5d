"""Branch C: calibration, volatility, jumps, and the branch as a whole through its contract."""

import operator
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from usp_sklearn.kernels.contract import Config, Row
from usp_sklearn.kernels.jumpdiffusion import branch, merton, volatility
from usp_sklearn.kernels.jumpdiffusion.branch import standard_law
from usp_sklearn.kernels.jumpdiffusion.calibrate import Fitting, Nets, Transitions, calibrate, moments
from usp_sklearn.kernels.jumpdiffusion.experts import reweigh
from usp_sklearn.kernels.law import LEVELS, Law, crps

WIDTH = 16
BUCKET = 1024


def _rows(y):
    """Rows by plain NumPy: unit .8 local + .2 long-run mean |Δy|, averages of rates .3 .1 .03."""
    n = len(y) - WIDTH
    windows = np.stack([y[i : i + WIDTH] for i in range(n)])[:, ::-1]
    steps = windows[:, :-1] - windows[:, 1:]

    def average(x, r):
        w = (1 - r) ** np.arange(x.shape[1])
        return x @ w / w.sum()

    rough = [average(np.abs(steps), r) for r in (0.06, 0.5, 0.2, 0.08, 0.03)]
    scale = 0.8 * rough[0] + 0.2 * np.abs(np.diff(y)).mean()
    scale = np.where(scale > 0, scale, 1e-9)
    last = windows[:, 0]
    gaps = np.stack([average(windows - last[:, None], r) for r in (0.3, 0.1, 0.03)], 1)
    vol = np.log(np.maximum(np.stack(rough[1:], 1) / scale[:, None], 1e-3))
    empty = np.zeros((n, 0))
    return Row(last, scale, steps / scale[:, None], gaps / scale[:, None], empty, empty, vol), y[WIDTH:]


def _pad(x):
    return jnp.asarray(np.concatenate([x, np.repeat(x[-1:], BUCKET - len(x), 0)]))


@jax.jit
def _train(rows, targets, mask):
    return branch.fit(branch.init(Config(WIDTH, 0, 0, 3), jax.random.key(0)), rows, targets, mask, jax.random.key(1))


@jax.jit
def _walk(state, rows, targets):
    def step(s, each):
        row, y = each
        issued = branch.law(s, row)
        s, info = branch.update(s, row, y)
        return s, (issued, info.status)

    return jax.lax.scan(step, state, (rows, targets))


def _run(y, share=0.6):
    """Prequential laws (n, 2, …) of the rows of ``y``, nets trained on the first ``share`` of them."""
    rows, targets = _rows(y)
    n = len(targets)
    rows, padded = jax.tree.map(_pad, rows), _pad(targets)
    state, info = _train(rows, padded, jnp.arange(BUCKET) < int(share * n))
    state, (laws, status) = _walk(state, rows, padded)
    assert int(jnp.max(status)) == 0
    return jax.tree.map(lambda x: np.asarray(x)[:n], laws), targets, state, info


def _finite(laws):
    return all(np.isfinite(x).all() for x in laws) and (np.diff(laws.q, axis=-1) >= 0).all()


def _merton_series(n, rng, sigma=1.0, intensity=0.05, std=5.0):
    return np.cumsum(rng.normal(size=n) * sigma + rng.poisson(intensity, n) * rng.normal(size=n) * std)


def _mixture_cdf(x, p, terms=60):
    n = np.arange(terms)
    m, v, lam, mu, s2 = (float(a) for a in p)
    each = stats.norm.cdf((np.asarray(x)[..., None] - m - n * mu) / np.sqrt(v + n * s2))
    return (stats.poisson.pmf(n, lam) * each).sum(-1)


# --- parts


def test_moment_equations_of_a_linear_drift():
    """b(m) = c + k·m by a net that is linear to rounding: m = c(eᵏ − 1)/k, P = σ²(e²ᵏ − 1)/2k."""
    c, k, sigma, small = 0.4, -0.9, 0.7, 1e-4
    nets = Nets(1, jax.random.key(0))
    flat = jax.tree.map(jnp.zeros_like, nets)

    def leaves(n):
        return n.drift.hidden.weight, n.drift.out.weight, n.drift.out.bias, n.log_vol.out.bias

    w, v, b, s = leaves(flat)
    nets = eqx.tree_at(leaves, flat, (w.at[0, 0].set(small), v.at[0, 0].set(k / small), b + c, s + np.log(sigma)))
    one = jnp.ones(1)
    data = Transitions(0 * one[:, None], one[:, None], one, 0 * one, one)
    m, p = jax.jit(moments, static_argnums=3)(nets, data, 1.0, 64)
    np.testing.assert_allclose(m[0], c * np.expm1(k) / k, rtol=1e-4)
    np.testing.assert_allclose(p[0], sigma**2 * np.expm1(2 * k) / (2 * k), rtol=1e-4)


def test_drift_and_volatility_of_an_ornstein_uhlenbeck_process():
    rng, n, dt, theta, sigma = np.random.default_rng(0), 3000, 0.3, 1.0, 0.8
    a = np.exp(-theta * dt)
    x = np.zeros(n + 1)
    for i, e in enumerate(rng.normal(size=n)):
        x[i + 1] = a * x[i] + sigma * np.sqrt((1 - a * a) / (2 * theta)) * e
    spread = x.std()
    one = np.ones(n)
    data = Transitions(x[:-1, None] / spread, one[:, None] / spread, np.diff(x), 0 * one, one)
    data = jax.tree.map(jnp.asarray, data)
    fit = jax.jit(partial(calibrate, dt=dt, n_steps=300, batch=256))
    nets, _ = fit(Nets(1, jax.random.key(0)), data, jax.random.key(1), Fitting(rate=0.02))
    grid = np.linspace(*np.quantile(x, [0.05, 0.95]), 101)
    b = np.asarray(jax.vmap(nets.drift)(jnp.asarray(grid)[:, None] / spread))
    s = np.exp(np.asarray(jax.vmap(nets.log_vol)(jnp.asarray(grid)[:, None] / spread)))
    assert np.sqrt(((b + theta * grid) ** 2).mean() / ((theta * grid) ** 2).mean()) < 0.15
    assert np.sqrt(((s - sigma) ** 2).mean()) / sigma < 0.05


def test_variance_recursion_against_a_plain_loop():
    bank = volatility.banks()
    one = type(bank)(*(x[1] for x in bank))  # garch, with leverage
    rng = np.random.default_rng(1)
    errors = rng.standard_t(4, 60)
    h, v = np.ones(20), np.ones(20)
    state = volatility.init(one, jnp.float64)
    state = jax.tree.map(jnp.asarray, state)
    local = jnp.asarray([0.5, 0.7, 1.1, 1.3])
    unit, learned, scale = jnp.asarray(0.8), jnp.asarray(1.2), jnp.asarray(1.0)
    step = jax.jit(lambda s, e, t: volatility.update(one, s, e, unit, learned, local, scale, t, jnp.asarray(True)))
    f = np.r_[np.full(16, 0.8), np.asarray(local)]
    for t, e in enumerate(errors):
        z2 = (e / f) ** 2
        rate = max(1 / (t + 10), 0.002)
        v = v + rate * (np.minimum(z2, 25 * v) - v)
        moving = (1 - one.persistence) * v + (one.react + one.leverage * (e < 0)) * np.minimum(z2, 25 * h)
        moving = moving + (one.persistence - one.react - one.leverage / 2) * h
        h = np.maximum(np.where(one.persistence > 0, moving, v), (1e-3 / f) ** 2)
        state = step(state, jnp.asarray(e), jnp.asarray(float(t)))
    np.testing.assert_allclose(state.variance, h, rtol=1e-10)
    np.testing.assert_allclose(state.target, v, rtol=1e-10)


def test_a_sleeping_expert_keeps_its_share():
    w = jnp.log(jnp.asarray([0.5, 0.3, 0.2]))
    new = reweigh(w, jnp.asarray([0.3, -1.0, 50.0]), jnp.asarray([True, True, False]))
    np.testing.assert_allclose(jax.nn.softmax(new)[2], 0.2, atol=1e-3)


def test_online_jumps_recover_a_merton_law():
    rng = np.random.default_rng(3)
    n = 20000
    z = 0.8 * rng.normal(size=n)
    count = rng.poisson(0.08, n)
    z += count * -1.0 + np.sqrt(count) * 3.0 * rng.normal(size=n)
    walk = jax.jit(
        lambda s: jax.lax.scan(
            lambda s, each: (merton.update(s, *each), None), s, (jnp.asarray(z), jnp.arange(n, dtype=float))
        )[0]
    )
    p = merton.parameters(walk(merton.start(jnp.float64)))
    np.testing.assert_allclose(np.sqrt(p.variance), 0.8, rtol=0.05)
    np.testing.assert_allclose(p.intensity, 0.08, rtol=0.35)
    np.testing.assert_allclose(np.sqrt(p.spread), 3.0, rtol=0.2)
    x = np.linspace(-8, 8, 201)
    assert np.abs(_mixture_cdf(x, p) - _mixture_cdf(x, (0, 0.64, 0.08, -1, 9))).max() < 0.02


@pytest.mark.parametrize("p", [(0.1, 0.5, 0.1, -2.0, 9.0), (0.0, 0.04, 0.02, 0.0, 900.0), (0.0, 0.2, 1.5, 0.1, 0.5)])
def test_standard_law_is_the_poisson_mixture(p):
    law, status = jax.jit(standard_law)(merton.Jumps(*(jnp.asarray(v) for v in p)))
    assert int(status) == 0
    assert np.abs(_mixture_cdf(np.asarray(law.q), p) - LEVELS).max() < 2e-3


# --- the branch


def test_contract_and_padding():
    y = _merton_series(400, np.random.default_rng(0))
    laws, _, _, info = _run(y)
    assert laws.q.shape == (400 - WIDTH, len(branch.members), len(LEVELS))
    assert laws.tail_scale.shape == laws.tail_index.shape == (400 - WIDTH, 2, 2)
    assert _finite(laws)
    assert int(info.status) == 0
    rows, targets = _rows(y)
    n = int(0.6 * len(targets))
    poisoned = jax.tree.map(lambda x: _pad(x).at[n:].multiply(-7.0), rows)
    poisoned, mask = poisoned._replace(scale=jnp.abs(poisoned.scale)), jnp.arange(BUCKET) < n
    other, _ = _train(poisoned, _pad(targets).at[n:].set(1e6), mask)
    again, _ = _train(jax.tree.map(_pad, rows), _pad(targets), mask)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), other, again)


def test_equivariance():
    y = _merton_series(500, np.random.default_rng(1)) * 0.3
    first = _run(y)[0]
    second = _run(3.7 * y - 12.0)[0]
    size = np.abs(np.diff(y)).mean()
    np.testing.assert_allclose((second.q + 12.0) / 3.7, first.q, rtol=1e-9, atol=1e-9 * size)
    np.testing.assert_allclose(second.tail_scale / 3.7, first.tail_scale, rtol=1e-8)


def test_close_to_the_ideal_law_of_a_merton_walk():
    rng = np.random.default_rng(5)
    y = _merton_series(1000, rng)
    laws, targets, _, _ = _run(y)
    ideal_q = jnp.asarray(
        np.interp(LEVELS, _mixture_cdf(np.linspace(-25, 25, 20001), (0, 1.0, 0.05, 0, 25)), np.linspace(-25, 25, 20001))
    )
    half = len(targets) // 2
    score = np.asarray(crps(Law(*map(jnp.asarray, laws)), jnp.asarray(targets)[:, None]))[half:].mean(0)
    last = _rows(y)[0].last
    tail = jnp.full((len(targets), 2), 2.0), jnp.full((len(targets), 2), 0.1)
    ideal = np.asarray(crps(Law(jnp.asarray(last)[:, None] + ideal_q, *tail), jnp.asarray(targets)))[half:].mean()
    assert (score / ideal < 1.02).all(), score / ideal


@pytest.mark.parametrize("kind", ["constant", "steps", "trend", "burst", "outlier", "short"])
def test_hostile_series(kind):
    """No NaN, no crossing, a finite width; after an outlier of thousands of units the law is soon sane again."""
    rng = np.random.default_rng(2)
    n = 26 if kind == "short" else 600
    y = {
        "constant": np.full(n, 4.2),
        "steps": np.repeat(rng.normal(size=n // 50 + 1), 50)[:n],
        "trend": np.exp(np.linspace(0, 12, n)) + rng.normal(size=n),
        "burst": np.where(np.arange(n) > 400, 100.0, 1.0) * rng.normal(size=n),
        "outlier": rng.normal(size=n) + np.where(np.arange(n) == 420, 5e3, 0.0),
        "short": rng.normal(size=n),
    }[kind]
    laws = _run(y)[0]
    assert _finite(laws)
    width = laws.q[:, :, -1] - laws.q[:, :, 0]
    assert (width > 0).all()
    assert (width < 1e3 * (np.ptp(y) + 1)).all()
    if kind == "constant":
        assert width.max() < 1e-5
    if kind == "outlier":
        inner = laws.q[:, :, -4] - laws.q[:, :, 3]  # 90 %: two wild values in 400 do belong to the outermost 1 %
        before, after = inner[300:400].mean(0), inner[480:].mean(0)
        assert (after < 1.3 * before).all(), (before, after)


def test_volatility_is_followed():
    rng = np.random.default_rng(4)
    n = 900
    level = np.where((np.arange(n) // 150) % 2 == 0, 1.0, 6.0)
    laws, _, _, _ = _run(np.cumsum(level * rng.normal(size=n)))
    width = np.log(laws.q[:, :, 18] - laws.q[:, :, 6])
    truth = np.log(level[WIDTH:])
    for m in range(2):
        assert np.corrcoef(width[400:, m], truth[400:])[0, 1] > 0.8


def test_batched_walk_equals_single_walks():
    """Under vmap the solver runs for the batch at once, and yet changes nobody else's law."""
    series = [_merton_series(200, np.random.default_rng(s)) for s in (7, 8)]
    rows, targets = zip(*(_rows(y) for y in series), strict=True)
    stack = jax.tree.map(lambda a, b: jnp.stack([_pad(a), _pad(b)]), *rows), jnp.stack([_pad(t) for t in targets])
    start = branch.init(Config(WIDTH, 0, 0, 3), jax.random.key(0))
    # The second series is forty outcomes ahead: their solvers are due at different steps.
    starts = jax.tree.map(lambda x: jnp.stack([x, x]), start)
    starts = starts._replace(steps=jnp.asarray([0, 40], jnp.int32))
    _, (both, _) = jax.jit(jax.vmap(_walk))(starts, *stack)
    for i in range(2):
        one = jax.tree.map(operator.itemgetter(i), (starts, *stack))
        _, (alone, _) = _walk(*one)
        np.testing.assert_allclose(both.q[i, :150], alone.q[:150], rtol=1e-9, atol=1e-9)


def test_graphs_hold_no_custom_call_no_fft():
    state = jax.eval_shape(lambda k: branch.init(Config(WIDTH, 0, 0, 3), k), jax.random.key(0))
    rows, _ = _rows(np.arange(40.0))
    row = jax.tree.map(lambda x: jnp.asarray(x[0]), rows)
    for text in (
        jax.jit(branch.update).lower(state, row, jnp.asarray(1.0)).as_text(),
        jax.jit(branch.law).lower(state, row).as_text(),
    ):
        assert "custom_call" not in text
        assert "stablehlo.fft" not in text
        assert "callback" not in text
