"""Branch C at the sizes of its acceptance: laws against known ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from usp_sklearn.kernels.contract import Config, Row
from usp_sklearn.kernels.jumpdiffusion import branch
from usp_sklearn.kernels.law import LEVELS, pinball

WIDTH = 16


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


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
