"""Stable laws over scipy, their tails over Bergström's series, and standard errors over Fisher's bound."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy import special, stats

from usp_sklearn.kernels import stable

ORACLE = {"color": "#b8c0c8", "lw": 5, "solid_capstyle": "round"}
COLOURS = ("#3b6fb0", "#5fa8a0", "#e0a03f", "#c8321f")


def series(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """1 − F at large x (n,) by twelve terms of the series in x^{−α}."""
    k, bt = np.arange(1, 13), beta * np.tan(np.pi * alpha / 2)
    turn = np.pi * alpha / 2 + np.arctan(bt)
    factor = (-1.0) ** (k + 1) * special.gamma(alpha * k) / special.factorial(k) * np.hypot(1, bt) ** k
    return (factor * np.sin(k * turn) * (x[:, None] + bt) ** (-alpha * k)).sum(1) / np.pi


def draw() -> Figure:
    """Three panels: densities, far tails, differences."""
    dist = type(stats.levy_stable)(name="levy_stable_s0")
    dist.parameterization = "S0"
    figure, (body, tail, error) = plt.subplots(1, 3, figsize=(11, 3.5))
    x, far = np.linspace(-6, 6, 121) + 0.013, np.geomspace(60, 1e8, 40)
    for (alpha, beta), colour in zip(((1.1, 0.8), (1.5, -0.5), (1.8, 0.5), (2.0, 0.0)), COLOURS, strict=True):
        label = f"α = {alpha}, β = {beta}"
        pdf, cdf = (np.asarray(f(x, alpha, beta)) for f in (stable.pdf, stable.cdf))
        want = dist.pdf(x, alpha, beta)
        body.plot(x, want, **ORACLE)
        body.plot(x, pdf, color=colour, lw=1.3, label=label)
        error.semilogy(x, np.abs(cdf - dist.cdf(x, alpha, beta)) + 1e-18, ".", ms=3, color=colour, label=label)
        if alpha < 2:
            sf = np.asarray(stable.sf(far, alpha, beta))
            tail.loglog(far, series(far, alpha, beta), **ORACLE)
            tail.loglog(far, sf, color=colour, lw=1.3, label=label)
    body.plot([], [], **ORACLE, label="scipy")
    body.set(title="density in S0", xlabel="x", ylabel="f(x)")
    body.legend(fontsize=7)
    tail.plot([], [], **ORACLE, label="series")
    tail.set(title="upper tail, relative error below 1e-10", xlabel="x", ylabel="1 − F(x)")
    tail.legend(fontsize=7)
    error.set(title="|cdf − scipy|", xlabel="x", ylim=(1e-18, 1e-12))
    error.legend(fontsize=7)
    return figure
