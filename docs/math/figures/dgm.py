"""Predictive laws by the Deep Galerkin net over Monte Carlo and closed forms."""

import jax
import matplotlib.pyplot as plt
import numpy as np
from jax.tree_util import Partial
from matplotlib.figure import Figure
from scipy.stats import norm

from usp_sklearn.kernels.dgm import gaussnewton, kolmogorov

ORACLE = {"color": "#b8c0c8", "lw": 5, "solid_capstyle": "round"}
COLOURS = ("#3b6fb0", "#5fa8a0", "#e0a03f", "#c8321f")


def well(x):
    """Double well: μ = x − x³, σ = ½."""
    return x - x**3, 0.5 + 0.0 * x


def market(x):
    """Geometric Brownian motion of the price 1 + x: 5 % drift, 30 % volatility."""
    return 0.05 * (1 + x), 0.3 * (1 + x)


def euler(x0: float, k: np.ndarray, paths: int = 200_000, steps: int = 200) -> np.ndarray:
    """P(X_1 ≤ k) of the double well by Euler's scheme with antithetic noise."""
    rng, x, dt = np.random.default_rng(0), np.full((2, paths // 2), x0), 1 / steps
    for _ in range(steps):
        z = rng.standard_normal(paths // 2)
        x = x + (x - x**3) * dt + 0.5 * np.sqrt(dt) * np.stack([z, -z])
    return np.searchsorted(np.sort(x.ravel()), k, side="right") / paths


def solved(coefficients, reach: float) -> kolmogorov.Net:
    """1,500 steps of Adam, 40 of Gauss–Newton."""

    @jax.jit
    def run() -> kolmogorov.Net:
        start = kolmogorov.init(jax.random.key(0), width=16, reach=reach)
        trainer, _ = kolmogorov.train(start, coefficients, 1500, 2e-2)
        return gaussnewton.refine(trainer, coefficients)[0].net

    return run()


def draw() -> Figure:
    """Three panels: double well, Black–Scholes, differences."""
    figure, (left, middle, error) = plt.subplots(1, 3, figsize=(11, 3.5))
    bent, price = Partial(well), Partial(market)
    net, k = solved(bent, 2.0), np.linspace(-2, 2, 161)
    for x0, colour in zip((-0.8, 0.0, 0.4, 1.2), COLOURS, strict=True):
        want, got = euler(x0, k), np.asarray(kolmogorov.cdf(net, bent, 1.0, x0, k))
        left.plot(k, want, **ORACLE)
        left.plot(k, got, color=colour, lw=1.3, label=f"from x = {x0}")
        error.plot(k, got - want, color=colour, lw=1, label=f"well, {x0}")
    net, k = solved(price, 0.6), np.linspace(-0.9, 2, 161)
    for x0, colour in zip((-0.4, 0.0, 0.4), COLOURS[:3], strict=True):
        want = norm.cdf((np.log((1 + k) / (1 + x0)) - 0.05 + 0.045) / 0.3)
        got = np.asarray(kolmogorov.cdf(net, price, 1.0, x0, k))
        middle.plot(1 + k, want, **ORACLE)
        middle.plot(1 + k, got, color=colour, lw=1.3, label=f"from {1 + x0:.1f}")
        error.plot(k, got - want, "--", color=colour, lw=1, label=f"price, {1 + x0:.1f}")
    left.plot([], [], **ORACLE, label="200,000 Euler paths")
    left.set(title="double well, horizon 1", xlabel="k", ylabel="P(X₁ ≤ k)", xlim=(-3.6, 2.1))
    middle.plot([], [], **ORACLE, label="lognormal")
    middle.set(title="Black–Scholes, 30 % volatility", xlabel="price")
    error.set(title="net − oracle", xlabel="k or return", ylim=(-0.012, 0.012))
    left.legend(fontsize=7, loc="upper left")
    middle.legend(fontsize=7)
    error.legend(fontsize=6.5, ncols=2)
    return figure
