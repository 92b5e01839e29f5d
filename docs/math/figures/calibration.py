"""Coverage under drift over its bound, shifts at an atom and against adversaries, and what a right law is spared."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm

from tests.core.test_calibration import adversary, largest_shift
from usp_sklearn.core import calibration
from usp_sklearn.kernels.law import LEVELS

EXACT = norm.ppf(LEVELS)
HALF = float(norm.ppf(0.95))
K = len(LEVELS)


@jax.jit
def _walk(y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Hits (n, K) and shifts (n, K) of the law N(0, 1) under our calibration."""

    def step(state: calibration.State, y: jax.Array) -> tuple[calibration.State, tuple[jax.Array, jax.Array]]:
        issued = calibration.apply(state, jnp.asarray(EXACT))
        new = calibration.update(state, issued, y)
        return new, (y <= issued, new.theta)

    hits, theta = jax.lax.scan(step, calibration.init(), y)[1]
    return hits, theta


def _drift(ax: plt.Axes, levels: plt.Axes) -> None:
    y = adversary(60_000)
    hits, theta = (np.asarray(x) for x in _walk(jnp.asarray(y)))
    n = np.arange(1, len(y) + 1)
    raw = y[:, None] <= EXACT
    shown = np.unique(np.logspace(1.5, np.log10(len(y)), 300).astype(int)) - 1
    at = int(np.searchsorted(LEVELS, 0.9))
    running = np.abs(np.cumsum(hits[:, at]) / n - LEVELS[at])
    bound = np.abs(theta[:, at]) / (calibration.RATE * n)
    ax.loglog(n[shown], np.abs(np.cumsum(raw[:, at]) / n - LEVELS[at])[shown], color="C0", lw=1, label="not calibrated")
    ax.loglog(n[shown], bound[shown], color="0.75", lw=5, label="|θ|/(γ n)")
    ax.loglog(n[shown], running[shown], color="C3", lw=1.2, label="calibrated")
    reach = np.abs((y - EXACT[at]) / HALF).max()
    ax.loglog(n[shown], largest_shift(reach, calibration.RATE)[0][at] / calibration.RATE / n[shown], "k--", lw=0.8)
    ax.text(2500, 5, "(θ* + γ)/(γ n)", fontsize=8)
    ax.set(xlabel="outcomes n", ylim=(1e-4, 30), title="|coverage − 0.9| under drift")
    ax.legend(loc="lower left", fontsize=8)
    levels.plot(LEVELS, raw.mean(0) - LEVELS, "s-", ms=3, color="C0", label="not calibrated")
    levels.plot(LEVELS, hits.mean(0) - LEVELS, "o-", ms=3, color="C3", label="calibrated")
    levels.axhline(0, color="0.5", lw=0.8)
    levels.set(xlabel="level τ", title="coverage − τ after 60,000 outcomes")
    levels.legend(fontsize=8)


def _sorted(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest shift along ``y`` if quantiles that cross were sorted: NumPy."""
    theta, out, q = np.zeros(K), np.empty(len(y)), EXACT
    noise = calibration.RATE * LEVELS * (1 - LEVELS) / (2 * HALF * norm.pdf(q))
    for t, value in enumerate(y):
        shift = theta * np.maximum(1 - noise / np.maximum(theta**2, 1e-30), 0)
        theta += calibration.RATE * (LEVELS - (value <= np.sort(q + HALF * shift)))
        out[t] = np.abs(theta).max()
    return out


def _atom(ax: plt.Axes) -> None:
    rng = np.random.default_rng(5)
    n = 30_000
    y = np.where(rng.uniform(size=n) < 0.3, 0.03, rng.normal(size=n))
    ours = np.abs(np.asarray(_walk(jnp.asarray(y))[1])).max(1)
    constant = np.abs(np.asarray(_walk(jnp.full(n, 0.03))[1])).max(1)
    t = np.arange(1, n + 1)
    ax.loglog(t, _sorted(y), color="0.6", lw=1.2, label="sorted, 30 % at one value")
    ax.loglog(t, ours, color="C3", lw=1.2, label="ours, 30 % at one value")
    ax.loglog(t, constant, color="C1", lw=1.2, label="ours, constant outcomes")
    ax.set(xlabel="outcomes n", ylim=(1e-3, 300), title="largest shift |θ| where outcomes have atoms")
    ax.legend(fontsize=8, loc="upper left")


def _noise(ax: plt.Axes) -> None:
    """θ of one level under the right law: its stationary density, flat where nothing is shifted."""
    y = np.random.default_rng(9).normal(size=(60, 10_000))
    at = K // 2
    theta = np.asarray(jax.vmap(lambda y: _walk(y)[1][:, at])(jnp.asarray(y)))[:, 2000:].ravel()
    deviation = np.sqrt(calibration.RATE * 0.25 / (2 * HALF * norm.pdf(0)))
    x = np.linspace(-4, 4, 401)

    def density(v: float) -> float:
        return max(abs(v), 1) * float(np.exp(-max(v * v, 1) / 2))

    ax.plot(
        x, [density(v) / quad(density, -9, 9, points=[-1, 1])[0] for v in x], color="0.75", lw=5, label="closed form"
    )
    # θ lives on multiples of γ/2: cells of four of them each.
    cells = (4 * np.arange(-16, 17) - 0.5) * calibration.RATE / 2 / deviation
    counts, edges = np.histogram(theta / deviation, bins=cells, density=True)
    ax.stairs(counts, edges, color="C3", lw=1.2, label="ours, median")
    ax.axvspan(-1, 1, color="0.93", zorder=0)
    ax.text(0, 0.05, "half of the time\nno shift", ha="center", fontsize=8)
    ax.set(xlabel="θ/√v", ylim=(0, 0.42), title="θ when the law is right")
    ax.legend(fontsize=8, loc="upper left")


def draw() -> Figure:
    """Coverage along a drift, by level, atoms, noise."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.2))
    _drift(axes[0, 0], axes[0, 1])
    _atom(axes[1, 0])
    _noise(axes[1, 1])
    return figure
