"""Density of Merton's jump diffusion, its error on three grids, and the orders of the path scheme."""

from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from usp_sklearn.kernels.jumpdiffusion import imex
from usp_sklearn.kernels.jumpdiffusion.paths import Noise, draw_noise, simulate

DRIFT, SIGMA, INTENSITY, MEAN, STD = 0.1, 0.5, 0.8, -2.0, 0.7
OURS, ORACLE = "tab:orange", "black"


def _mixture(function: str, x: np.ndarray) -> np.ndarray:
    n = np.arange(40)
    scale = np.sqrt(SIGMA**2 + n * STD**2)
    each = getattr(stats.norm, function)(x[:, None], DRIFT + n * MEAN, scale)
    return (stats.poisson.pmf(n, INTENSITY) * each).sum(1)


@partial(jax.jit, static_argnums=(1, 2))
def _solve(edges: jax.Array, n_steps: int, backend: str) -> imex.Density:
    start, jump = imex.point_mass(edges, 0.0), imex.normal_jump(MEAN, STD)
    drift, variance = (lambda x: DRIFT + 0 * x), (lambda x: SIGMA**2 + 0 * x)
    return imex.solve_density(edges, start, drift, variance, INTENSITY, jump, n_steps=n_steps, backend=backend)


def _density(axes: Axes) -> None:
    edges = imex.uniform_edges(-12.0, 6.0, 512)
    out = _solve(edges, 256, "fft")
    x = np.linspace(-8, 3, 800)
    axes.semilogy(x, _mixture("pdf", x), color=ORACLE, lw=3, alpha=0.35, label="Poisson mixture")
    axes.semilogy((edges[1:] + edges[:-1]) / 2, out.density, color=OURS, lw=1, label="IMEX, 512 cells")
    axes.set(xlim=(-8, 3), ylim=(1e-6, 2), title="Merton density at T = 1", xlabel="x", ylabel="density")
    axes.legend(loc="lower left")


def _error(axes: Axes) -> None:
    for n, shade in ((256, 0.4), (512, 0.7), (1024, 1.0)):
        edges = imex.uniform_edges(-12.0, 6.0, n)
        out = _solve(edges, n // 2, "fft")
        right = np.asarray(edges[1:])
        gap = np.abs(np.cumsum(np.asarray(out.mass)) - _mixture("cdf", right))
        axes.semilogy(right, gap, color=OURS, alpha=shade, lw=1, label=f"{n} cells, {n // 2} steps")
    axes.axhline(1e-3, color="grey", ls=":", lw=1, label="floor 1e-3 (512 cells)")
    axes.set(xlim=(-8, 3), ylim=(1e-8, 1e-2), title="Error of the cdf", xlabel="x", ylabel="|cdf − oracle|")
    axes.legend(loc="lower center", fontsize=7)


def _gaps(a: float, s: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Steps, and end of the scheme's paths minus the exact end, for dX = a X dt + s X dW."""
    n, paths = 256, 20_000
    noise = draw_noise(jax.random.key(0), n, paths, 1 / n, 0.0, 0.0, 1.0)
    exact = np.exp(a - s * s / 2 + s * np.asarray(noise.brownian).sum(0))
    factors, gaps = (4, 8, 16, 32), []
    for factor in factors:
        coarse = Noise(*(x.reshape(n // factor, factor, paths).sum(1) for x in noise))
        path, _ = simulate(jnp.ones(paths), coarse, factor / n, lambda x: a * x, lambda x: s * x)
        gaps.append(np.asarray(path[-1]) - exact)
    return np.array(factors) / n, gaps


def _orders(axes: Axes) -> None:
    h, noisy = _gaps(-0.3, 0.8)
    strong = [np.sqrt((g**2).mean()) for g in noisy]
    weak = [abs(g.mean()) for g in _gaps(-1.0, 0.5)[1]]
    axes.loglog(h, strong[0] * (h / h[0]) ** 0.5, color=ORACLE, lw=3, alpha=0.35, label="slope ½")
    axes.loglog(h, weak[0] * (h / h[0]), color=ORACLE, ls=":", lw=3, alpha=0.35, label="slope 1")
    axes.loglog(h, strong, "o-", color=OURS, lw=1, ms=4, label="root mean square")
    axes.loglog(h, weak, "s-", color="tab:blue", lw=1, ms=4, label="mean")
    axes.set(title="IMEX paths of geometric motions", xlabel="dt", ylabel="error against the exact path")
    axes.set_ylim(1e-3, 1)
    axes.minorticks_off()
    axes.set_xticks(h, [f"1/{round(1 / v)}" for v in h])
    axes.legend(fontsize=7, ncols=2, loc="upper left")


def draw() -> Figure:
    """Three panels: density over its oracle, error, orders."""
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4))
    for panel, paint in zip(axes, (_density, _error, _orders), strict=True):
        paint(panel)
    return figure
