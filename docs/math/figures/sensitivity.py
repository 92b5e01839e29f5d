"""Delta and gamma of calls and digitals by Malliavin weights, pathwise and in closed form."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from usp_sklearn.kernels.jumpdiffusion.paths import draw_noise
from usp_sklearn.kernels.jumpdiffusion.sensitivity import Estimate, Weights, malliavin_weights, weighted

RATE, SIGMA, INTENSITY, MEAN, STD, STRIKE = 0.03, 0.25, 0.7, -0.1, 0.15, 100.0
SPOTS = np.linspace(60.0, 150.0, 19)
OURS, ORACLE = "tab:orange", "black"


def _digital(spot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merton's series for P(S_T > K): derivative in the spot, and the second."""
    n = np.arange(25)[:, None]
    total = np.sqrt(SIGMA**2 + n * STD**2)
    d = (np.log(spot / STRIKE) + RATE - SIGMA**2 / 2 + n * MEAN) / total
    prior = stats.poisson.pmf(n, INTENSITY)
    first = prior * stats.norm.pdf(d) / (spot * total)
    return first.sum(0), (-first / spot * (1 + d / total)).sum(0)


def _weights() -> Weights:
    """By log S, which moves by the same weights whatever the spot."""
    noise = draw_noise(jax.random.key(0), 4, 200_000, 0.25, INTENSITY, MEAN, STD)
    drift, volatility = (lambda x: RATE - SIGMA**2 / 2 + 0 * x), (lambda x: SIGMA + 0 * x)
    return jax.jit(lambda noise: malliavin_weights(0.0, noise, 0.25, drift, volatility))(noise)


def _paint(axes: Axes, found: list[Estimate], exact: np.ndarray, title: str) -> None:
    fine = np.linspace(SPOTS[0], SPOTS[-1], 400)
    value, error = (np.array([float(getattr(f, k)) for f in found]) for k in ("value", "error"))
    axes.plot(fine, exact, color=ORACLE, lw=3, alpha=0.35, label="Merton's series")
    axes.errorbar(SPOTS, value, 2 * error, fmt="o", color=OURS, ms=3, lw=1, label="weights, ± 2 errors")
    axes.set(title=title, xlabel="spot")
    axes.legend(fontsize=7)


def draw() -> Figure:
    """Three panels: digital delta, digital gamma, standardised errors of both."""
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4))
    weights = _weights()
    values = [jnp.where(jnp.exp(weights.terminal) * s > STRIKE, 1.0, 0.0) for s in SPOTS]
    first = [weighted(v, weights.delta / s) for v, s in zip(values, SPOTS, strict=True)]
    second = [weighted(v, (weights.gamma - weights.delta) / s**2) for v, s in zip(values, SPOTS, strict=True)]
    fine = np.linspace(SPOTS[0], SPOTS[-1], 400)
    _paint(axes[0], first, _digital(fine)[0], "Delta of a digital, jumps included")
    _paint(axes[1], second, _digital(fine)[1], "Its gamma, from the same paths")
    for found, exact, colour, name in zip(
        (first, second), _digital(SPOTS), (OURS, "tab:blue"), ("delta", "gamma"), strict=True
    ):
        score = [(float(f.value) - e) / float(f.error) for f, e in zip(found, exact, strict=True)]
        axes[2].plot(SPOTS, score, "o-", color=colour, ms=3, lw=1, label=name)
    axes[2].axhspan(-2, 2, color="grey", alpha=0.15, lw=0)
    axes[2].set(ylim=(-4, 4), title="(estimate − exact) / standard error", xlabel="spot")
    axes[2].legend(fontsize=7)
    return figure
