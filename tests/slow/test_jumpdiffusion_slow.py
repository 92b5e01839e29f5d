"""Branch C at the sizes of its acceptance: nets from 5,000 transitions, laws against known ones."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from usp_sklearn.kernels.contract import Config, Row
from usp_sklearn.kernels.jumpdiffusion import branch
from usp_sklearn.kernels.jumpdiffusion.calibrate import Fitting, Nets, Transitions, calibrate
from usp_sklearn.kernels.law import LEVELS, pinball

WIDTH = 16


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


def _ornstein_uhlenbeck(n, dt, rng):
    """dX = −X dt + dW, by its exact transition."""
    a, x = np.exp(-dt), np.zeros(n + 1)
    for i, e in enumerate(rng.normal(size=n)):
        x[i + 1] = a * x[i] + np.sqrt((1 - a * a) / 2) * e
    return x, lambda g: -g, np.ones_like


def _cox_ingersoll_ross(n, dt, rng):
    """dX = (1 − X) dt + ½ √X dW, by its exact non-central χ² transition."""
    x = np.ones(n + 1)
    c = 2 / ((1 - np.exp(-dt)) * 0.25)
    for i in range(n):
        x[i + 1] = rng.noncentral_chisquare(16.0, 2 * c * x[i] * np.exp(-dt)) / (2 * c)
    return x, lambda g: 1 - g, lambda g: 0.5 * np.sqrt(g)


@cache
def _fit(dt):
    return jax.jit(partial(calibrate, dt=dt, n_steps=1000, batch=256, substeps=3))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("process", [_ornstein_uhlenbeck, _cox_ingersoll_ross])
def test_drift_and_volatility_from_five_thousand_steps(process, seed):
    """Steps of half a relaxation time. What bounds the drift's error is the time observed, not the estimator: at a
    step of 0.2 least squares told that the drift is linear errs by up to 17 % on CIR, and the nets alike."""
    dt = 0.5
    x, drift, vol = process(5000, dt, np.random.default_rng(seed))
    centre, spread, unit = np.median(x), x.std(), np.abs(np.diff(x)).mean() / np.sqrt(dt)
    one = np.ones(5000)
    data = Transitions((x[:-1, None] - centre) / spread, one[:, None] * unit / spread, np.diff(x) / unit, 0 * one, one)
    data = jax.tree.map(jnp.asarray, data)
    nets, _ = _fit(dt)(Nets(1, jax.random.key(0)), data, jax.random.key(1), Fitting(rate=0.02))
    grid = np.linspace(*np.quantile(x, [0.05, 0.95]), 200)
    seen = jnp.asarray((grid - centre) / spread)[:, None]
    b, s = np.asarray(jax.vmap(nets.drift)(seen)) * unit, np.exp(np.asarray(jax.vmap(nets.log_vol)(seen))) * unit

    def error(found, truth):
        return np.sqrt(((found - truth) ** 2).mean() / (truth**2).mean())

    assert error(b, drift(grid)) < 0.15
    assert error(s, vol(grid)) < 0.15


def _rows(y):
    windows = np.stack([y[i : i + WIDTH] for i in range(len(y) - WIDTH)])[:, ::-1]
    last = windows[:, 0]
    steps = windows[:, :-1] - windows[:, 1:]

    def average(x, r):
        w = (1 - r) ** np.arange(x.shape[1])
        return x @ w / w.sum()

    scale = 0.8 * average(np.abs(steps), 0.06) + 0.2 * np.abs(np.diff(y)).mean()
    gaps = np.stack([average(windows - last[:, None], r) for r in (0.3, 0.1, 0.03)], 1) / scale[:, None]
    vol = np.log(np.stack([average(np.abs(steps), r) for r in (0.5, 0.2, 0.08, 0.03)], 1) / scale[:, None])
    empty = np.zeros((len(last), 0))
    return jax.tree.map(jnp.asarray, Row(last, scale, steps / scale[:, None], gaps, empty, empty, vol))


@jax.jit
def _walk(rows, targets, mask):
    start = branch.init(Config(WIDTH, 0, 0, 3), jax.random.key(0))
    state, _ = branch.fit(start, rows, targets, mask, jax.random.key(1))

    def step(s, each):
        row, y = each
        issued = branch.law(s, row)
        return branch.update(s, row, y)[0], issued.q

    return jax.lax.scan(step, state, (rows, targets))[1]


def _excess(y, ideal):
    """Mean pinball loss of both members over the last 40 %, over that of the ideal quantiles (n, K)."""
    targets = jnp.asarray(y[WIDTH:])
    n = len(targets)
    cut = int(0.6 * n)
    q = _walk(_rows(y), targets, jnp.arange(n) < cut)
    loss = np.asarray(pinball(q, targets[:, None]))[cut:].mean((0, 2))
    return loss / np.asarray(pinball(jnp.asarray(ideal[WIDTH:]), targets))[cut:].mean()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_merton_walk_within_two_percent(seed):
    rng = np.random.default_rng(seed)
    n = 3000
    y = np.cumsum(rng.normal(size=n) + rng.poisson(0.05, n) * rng.normal(size=n) * 5)
    grid = np.linspace(-40, 40, 40001)
    k = np.arange(20)
    cdf = (stats.poisson.pmf(k, 0.05) * stats.norm.cdf(grid[:, None] / np.sqrt(1 + 25 * k))).sum(1)
    before = np.r_[0.0, y[:-1]]
    assert (_excess(y, before[:, None] + np.interp(LEVELS, cdf, grid)) < 1.02).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_garch_with_student_innovations_within_two_percent(seed):
    """Variance .05 + .1 e² + .85 h, innovations t₅ of unit variance; the series is the return itself."""
    rng = np.random.default_rng(seed)
    n = 3000
    z = rng.standard_t(5, n) * np.sqrt(0.6)
    h, y, sigma = 1.0, np.zeros(n), np.zeros(n)
    for i in range(n):
        sigma[i] = np.sqrt(h)
        y[i] = sigma[i] * z[i]
        h = 0.05 + 0.1 * y[i] ** 2 + 0.85 * h
    ideal = sigma[:, None] * stats.t.ppf(LEVELS, 5) * np.sqrt(0.6)
    assert (_excess(y, ideal) < 1.02).all()
