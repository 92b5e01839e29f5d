"""Log-signatures over iisignature's, the depth control over its definition, leave-one-out over brute force."""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import brentq

from usp_sklearn.kernels.logsignature import log_signature, words
from usp_sklearn.kernels.signature import leave_one_out

TABLE = np.load(Path(__file__).parents[3] / "tests" / "kernels" / "data" / "logsignature.npz")
BOUND = 10.0
BELOW = {"color": "0.7", "lw": 4, "solid_capstyle": "round"}
OURS = {"color": "C3", "lw": 1.2}


def _ours(channels: int, depth: int) -> NDArray[np.float64]:
    paths = jnp.asarray(TABLE[f"paths_{channels}"])
    return np.asarray(jax.vmap(lambda path: log_signature(path, depth))(paths))


def _coefficients(ax: plt.Axes) -> None:
    """One path of three channels: 32 words up to length 4."""
    letters = ["".join("xyz"[i] for i in word) for word in words(3, 4)]
    at = np.arange(len(letters))
    ax.bar(at, TABLE["values_3_4"][0], color="0.8", label="iisignature 0.24")
    ax.plot(at, _ours(3, 4)[0], "o", ms=3, color="C3", label="ours")
    ax.set_xticks(at, letters, rotation=90, fontsize=6)
    ax.set_yscale("symlog", linthresh=1e-3)
    ax.set_ylim(-0.2, 9)
    ax.axhline(0, color="0.5", lw=0.8)
    ax.set_title("log-signature at the Lyndon words, depth 4")
    ax.legend(loc="upper right")


def _errors(ax: plt.Axes) -> None:
    depths = np.arange(1, 6)
    for channels in range(1, 5):
        # Exact agreement has no logarithm: it is drawn at the bottom.
        error = [np.abs(_ours(channels, d) - TABLE[f"values_{channels}_{d}"]).max() for d in depths]
        ax.semilogy(depths, np.maximum(error, 1e-17), "o-", ms=4, label=f"{channels} channel{'s' * (channels > 1)}")
    ax.axhline(1e-10, color="k", ls="--", lw=1)
    ax.text(1, 2e-10, "required", fontsize=8)
    ax.set(xlabel="depth", ylim=(5e-18, 1e-8), title="largest difference from iisignature")
    ax.set_xticks(depths)
    ax.legend(ncols=2, loc="center", bbox_to_anchor=(0.5, 0.6))


def _depth_control(ax: plt.Axes) -> None:
    path, order = TABLE["paths_3"][0], np.array([len(w) for w in words(3, 4)])
    base, sizes = TABLE["values_3_4"][0], np.logspace(-1, 3, 81)

    def defined(size: float) -> float:
        """The definition by bisection on iisignature's numbers: ψ of the squared length."""
        plain = size**order * base
        squared = float(plain @ plain)
        wanted = squared if squared <= BOUND**2 else 2 * BOUND**2 - BOUND**4 / squared
        root = brentq(lambda x: np.sum((x**order * plain) ** 2) - wanted, 0, 2, xtol=1e-15)
        return float(np.linalg.norm(root**order * plain))

    ours = jax.vmap(lambda s: log_signature(s * jnp.asarray(path), 4, BOUND))(jnp.asarray(sizes))
    ax.loglog(sizes, [np.linalg.norm(s**order * base) for s in sizes], color="C0", ls=":", label="no depth control")
    ax.loglog(sizes, [defined(s) for s in sizes], label="definition, bisection", **BELOW)
    ax.loglog(sizes, np.linalg.norm(ours, axis=1), label="ours, Newton", **OURS)
    ax.axhline(np.sqrt(2) * BOUND, color="k", ls="--", lw=1)
    ax.text(0.1, 1.9 * BOUND, "√2 · bound", fontsize=8)
    ax.set(xlabel="size of the path", ylim=(0.05, 1e4), title="length of the coefficients, depth 4")
    ax.legend(loc="lower right")


def _ridge(ax: plt.Axes) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 20))
    y = x @ rng.normal(size=20) * 0.3 + rng.normal(size=60) * 2
    ridges = np.logspace(-1, 4, 26)
    ours = np.asarray(leave_one_out(jnp.asarray(x), jnp.asarray(y), jnp.ones(60), jnp.asarray(ridges)))
    brute = []
    for ridge in ridges:
        left = [np.delete(np.arange(60), i) for i in range(60)]
        fits = [np.linalg.solve(x[k].T @ x[k] + ridge * np.eye(20), x[k].T @ y[k]) for k in left]
        brute.append(np.mean([(y[i] - x[i] @ w) ** 2 for i, w in enumerate(fits)]))
    ax.semilogx(ridges, brute, label="60 refits", **BELOW)
    ax.semilogx(ridges, ours, label="ours, closed form", **OURS)
    ax.plot(ridges[np.argmin(ours)], ours.min(), "o", color="C3", ms=5)
    ax.text(0.03, 0.1, f"largest relative\ndifference {np.abs(ours / brute - 1).max():.0e}", transform=ax.transAxes)
    ax.set(xlabel="ridge δ", title="leave-one-out error, n = 60, p = 20")
    ax.legend(loc="upper right")


def draw() -> Figure:
    """Coefficients, their error, depth control, ridge."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.2))
    for panel, ax in zip((_coefficients, _errors, _depth_control, _ridge), axes.flat, strict=True):
        panel(ax)
    return figure
