"""A law over the distribution it holds: tails, closed-form CRPS over integrals, barycentre and linear pool."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats as st
from matplotlib.figure import Figure
from scipy.integrate import quad

from usp_sklearn.kernels import law as laws
from usp_sklearn.kernels.law import LEVELS, Law

BELOW = {"color": "0.75", "lw": 5, "solid_capstyle": "round"}
NU = 3.0


def _student(nu: float, loc: float = 0.0, scale: float = 1.0) -> Law:
    return laws.from_quantiles(jnp.asarray(loc + scale * st.t.ppf(LEVELS, nu)), 1 / nu)


def _quantile(u: float, law: Law) -> float:
    """The documented quantile function, plain Python."""
    q, scale, index = (np.asarray(x) for x in law)
    if u < LEVELS[0]:
        return float(q[0] - scale[0] * ((LEVELS[0] / u) ** index[0] - 1) / index[0])
    if u > LEVELS[-1]:
        return float(q[-1] + scale[1] * ((LEVELS[0] / (1 - u)) ** index[1] - 1) / index[1])
    return float(np.interp(u, LEVELS, q))


def _tails(ax: plt.Axes) -> None:
    y = np.logspace(-0.5, 2, 200)
    survival = jax.vmap(lambda law, v: 1 - laws.cdf(law, v), (None, 0))
    ax.loglog(y, st.t.sf(y, NU), label="t with 3 degrees of freedom", **BELOW)
    ax.loglog(y, survival(_student(NU), jnp.asarray(y)), color="C3", lw=1.2, label="ours, tail index 1/3")
    ax.loglog(y, survival(_student(NU)._replace(tail_index=jnp.full(2, 1e-3)), jnp.asarray(y)), "C0:", label="index 0")
    ax.axhline(LEVELS[0], color="k", lw=0.8, ls="--")
    ax.text(0.35, LEVELS[0] * 0.85, "grid ends at 0.005", fontsize=8, va="top")
    ax.set(xlabel="y", ylim=(1e-7, 1), title="P(Y > y)")
    ax.legend(loc="lower left", fontsize=8)


def _score(law: Law, y: float) -> float:
    """CRPS by adaptive quadrature of its definition, cut where the integrand has kinks."""
    cut = float(laws.cdf(law, y))
    kinks = np.unique(np.concatenate([[1e-13], LEVELS, [cut, 1 - 1e-13]]))
    parts = [
        quad(lambda u: 2 * ((u > cut) - u) * (_quantile(u, law) - y), a, b, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
        for a, b in pairwise(kinks)
    ]
    return float(np.sum(parts))


def _crps(ax: plt.Axes, error: plt.Axes) -> None:
    y = np.linspace(-6, 6, 25)
    ours = jax.vmap(laws.crps, (None, 0))
    normal = laws.from_quantiles(jnp.asarray(st.norm.ppf(LEVELS)), 0.05)
    closed = y * (2 * st.norm.cdf(y) - 1) + 2 * st.norm.pdf(y) - 1 / np.sqrt(np.pi)
    heavy = _student(NU)
    integral = np.array([_score(heavy, v) for v in y])
    ax.plot(y, integral, label="integral, t₃", **BELOW)
    ax.plot(y, closed, color="0.55", lw=5, solid_capstyle="round", label="normal law's own")
    ax.plot(y, ours(heavy, jnp.asarray(y)), color="C3", lw=1.2, label="ours, t₃")
    ax.plot(y, ours(normal, jnp.asarray(y)), color="C0", lw=1.2, label="ours, normal")
    ax.set(xlabel="outcome y", title="CRPS in closed form")
    ax.legend(fontsize=8, loc="upper center")
    error.semilogy(
        y, np.abs(ours(heavy, jnp.asarray(y)) - integral), "o-", ms=4, color="C3", label="t₃, from the integral"
    )
    error.semilogy(
        y, np.abs(ours(normal, jnp.asarray(y)) - closed), "s-", ms=4, color="C0", label="normal, from the true law's"
    )
    error.set(xlabel="outcome y", ylim=(3e-18, 1), title="error of the CRPS: formula, grid")
    error.legend(fontsize=8, loc="center", bbox_to_anchor=(0.5, 0.6))


def _mixtures(ax: plt.Axes) -> None:
    """Two normal laws, weights ½: the barycentre is N(1, 1) again, the pool has two modes."""
    pair = jax.tree.map(
        lambda *x: jnp.stack(x), *(laws.from_quantiles(jnp.asarray(m + st.norm.ppf(LEVELS)), 0.02) for m in (-1.5, 3.5))
    )
    half = jnp.asarray([0.5, 0.5])
    y = np.linspace(-5, 7, 241)
    middle, pool = st.norm.cdf(y, 1), 0.5 * st.norm.cdf(y, -1.5) + 0.5 * st.norm.cdf(y, 3.5)
    cdf = jax.vmap(laws.cdf, (None, 0))
    ax.plot(y, middle, label="N(1, 1)", **BELOW)
    ax.plot(y, pool, color="0.55", lw=5, solid_capstyle="round", label="½ N(−1.5, 1) + ½ N(3.5, 1)")
    ax.plot(y, cdf(laws.barycentre(pair, half), jnp.asarray(y)), color="C3", lw=1.2, label="ours, W2 barycentre")
    ax.plot(y, cdf(laws.mix_cdf(pair, half), jnp.asarray(y)), color="C0", lw=1.2, label="ours, linear pool")
    ax.set(xlabel="y", ylim=(0, 1.45), title="two laws mixed: distribution functions")
    ax.legend(fontsize=8, loc="upper left")


def draw() -> Figure:
    """Tails, CRPS, its error, the two mixtures."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.2))
    _tails(axes[0, 0])
    _mixtures(axes[0, 1])
    _crps(axes[1, 0], axes[1, 1])
    return figure
