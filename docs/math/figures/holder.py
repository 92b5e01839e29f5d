"""Exponents of a cascade over their closed form; bias and deviation of both estimators against window length."""

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tests.fractals import binomial_cascade, binomial_tau, fbm
from usp_sklearn.core.identification import identify_rows
from usp_sklearn.kernels import wtmm
from usp_sklearn.kernels.moments import HURST, table

LENGTHS = 2 ** np.arange(5, 13)
COLOURS = {0.3: "C0", 0.5: "C1", 0.7: "C3"}
SEED = 5


@jax.jit
def _tau(x: NDArray[np.float64]) -> jax.Array:
    grid = wtmm.grid(x.size)
    return wtmm.tau(wtmm.skeleton(wtmm.moduli(x, x.size, grid.scales), x.size, grid), x.size, grid)


def _cascade(ax: plt.Axes, error: plt.Axes) -> None:
    q = wtmm.ORDERS
    want = binomial_tau(0.3, q)
    ax.plot(q, want, color="0.7", lw=5, solid_capstyle="round", label="closed form")
    cases = {
        "sides fixed": _tau(binomial_cascade(0.3, 12)),
        "sides drawn, mean of 10": np.mean(
            [_tau(binomial_cascade(0.3, 12, np.random.default_rng(s))) for s in range(10)], axis=0
        ),
    }
    for (label, found), marker in zip(cases.items(), "ox", strict=True):
        ax.plot(q, found, marker, color="C3", ms=4, label=f"maxima lines, {label}")
        error.plot(q, 100 * (np.asarray(found) - want) / np.maximum(np.abs(want), 1), marker + "-", ms=4, label=label)
    error.axhspan(-5, 5, color="0.93", label="required")
    ax.set(xlabel="order q", title="τ(q) of the binomial cascade, p = 0.3, n = 4096")
    error.set(xlabel="order q", ylabel="per cent", ylim=(-8, 8), title="its error, relative to max(|τ|, 1)")
    ax.legend()
    error.legend(ncols=2, loc="lower right")


def _moments(hurst: float, method: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bias and deviation at each of LENGTHS."""
    rows = []
    for n in LENGTHS.tolist():
        paths = fbm(hurst, n, min(300, 2**17 // n), np.random.default_rng([SEED, n]))
        found = np.asarray(identify_rows(paths, float(n), method=method).holder)
        rows.append((found.mean() - hurst, found.std()))
    bias, deviation = np.array(rows).T
    return bias, deviation


def _short(bias_ax: plt.Axes, deviation_ax: plt.Axes) -> None:
    for hurst, colour in COLOURS.items():
        for method, style, label in (("structure", "o-", "structure functions"), ("wtmm", "s--", "maxima lines")):
            bias, deviation = _moments(hurst, method)
            bias_ax.semilogx(LENGTHS, bias, style, ms=4, color=colour, base=2)
            deviation_ax.loglog(LENGTHS, deviation, style, ms=4, color=colour, label=f"H = {hurst}, {label}", base=2)
        theory = [np.sqrt(np.interp(hurst, HURST, table(n).variance[0, -1])) for n in LENGTHS.tolist()]
        deviation_ax.loglog(LENGTHS, theory, color=colour, lw=5, alpha=0.25, base=2)
    bias_ax.axhline(0, color="0.5", lw=0.8)
    bias_ax.set(xlabel="window length n", title="bias on fractional Brownian motion")
    deviation_ax.set(xlabel="window length n", title="standard deviation (bands: the error reported)")
    deviation_ax.set_yticks(ticks := [0.01, 0.02, 0.05, 0.1, 0.2, 0.4], [str(t) for t in ticks])
    deviation_ax.legend(fontsize=7)


def draw() -> Figure:
    """Four panels: τ(q), its error, bias and deviation against the window's length."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.5))
    _cascade(*axes[0])
    _short(*axes[1])
    return figure
