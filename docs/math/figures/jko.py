"""The graph step over a brute-force minimiser, its error in τ, and energies that only descend."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tests.core.test_jko import graph_minimiser, problem
from tests.core.test_sinkhorn import kl, sinkhorn_minimiser, transport
from usp_sklearn.core import jko

TAU = np.logspace(-3, 0, 13)
LAM = 0.7
BELOW = {"color": "0.75", "lw": 5, "solid_capstyle": "round"}


def _step(
    rho: NDArray[np.float64],
    loss: NDArray[np.float64],
    prior: NDArray[np.float64],
    edges: NDArray[np.float64],
    tau: float,
) -> NDArray[np.float64]:
    column = jko.graph_step(jnp.asarray(rho)[:, None], jnp.asarray(loss)[:, None], prior, edges, tau, tau * LAM)
    return np.asarray(column)[:, 0]


def _edges(seed: int) -> tuple[NDArray[np.float64], ...]:
    rho, prior, loss, edges = problem(seed)
    return rho, prior, loss, (edges + edges.T) / 2


def _minimiser(weights: plt.Axes, error: plt.Axes) -> None:
    rho, prior, loss, edges = _edges(1)
    exact = np.array([graph_minimiser(rho, prior, loss, edges, tau, LAM) for tau in TAU])
    ours = np.array([_step(rho, loss, prior, edges, tau) for tau in TAU])
    for i in range(len(rho)):
        weights.semilogx(TAU, exact[:, i], label="brute force" if i == 0 else None, **BELOW)
        weights.semilogx(TAU, ours[:, i], color="C3", lw=1.2, label="graph step" if i == 0 else None)
    weights.set(xlabel="step τ", title="weights of four members after one step")
    weights.legend(loc="center left", bbox_to_anchor=(0.02, 0.3))
    error.loglog(TAU, np.abs(ours - exact).max(1), "o-", ms=4, color="C3", label="graph step")
    equal = np.ones_like(edges)
    exact = np.array([graph_minimiser(rho, prior, loss, equal, tau, LAM) for tau in TAU])
    ours = np.array([_step(rho, loss, prior, equal, tau) for tau in TAU])
    error.loglog(TAU, np.abs(ours - exact).max(1), "s-", ms=4, color="C1", label="graph step, K ≡ 1")
    cost = edges * (1 - np.eye(len(rho)))
    taus = TAU[6:]
    moved = [jko.sinkhorn_step(*map(jnp.asarray, (rho, loss, prior, cost)), t, LAM, 0.3)[0] for t in taus]
    exact = np.array([sinkhorn_minimiser(rho, prior, loss, cost, t, LAM, 0.3) for t in taus])
    error.loglog(
        taus, np.maximum(np.abs(np.array(moved) - exact).max(1), 1e-11), "^-", ms=4, color="C0", label="Sinkhorn step"
    )
    error.loglog(TAU, 0.1 * TAU**2, "k:", lw=1, label="∝ τ²")
    error.axhline(1e-6, color="k", ls="--", lw=1)
    error.text(1, 1.4e-6, "required", fontsize=8, va="bottom", ha="right")
    error.set(xlabel="step τ", ylim=(1e-14, 1), title="largest distance from the minimiser")
    error.legend(loc="lower left", ncols=2, fontsize=8)


def _energy(ax: plt.Axes) -> None:
    """Repeated steps, losses frozen; the minimum −λ log Σ π e^{−ℓ/λ} is known in closed form."""
    rng = np.random.default_rng(21)
    m, lam, tau = 6, 0.3, 0.5
    law = rng.normal(size=(m, 2))
    edges = np.asarray(jko.conductance(jnp.asarray(((law[:, None] - law) ** 2).sum(-1))))
    prior, start, loss = rng.dirichlet(np.full(m, 3.0)), rng.dirichlet(np.ones(m)), rng.normal(size=m)
    least = -lam * np.log((prior * np.exp(-loss / lam)).sum())

    def excess(pulled_along_edges: bool, k: NDArray[np.float64]) -> list[float]:
        now, out = start, []
        for _ in range(120):
            out.append(float(now @ loss + lam * kl(now, prior) - least))
            if pulled_along_edges:
                column = jko.graph_step(now[:, None], loss[:, None], prior, k, tau, tau * lam)
                now = np.maximum(np.asarray(column)[:, 0], 1e-300)
            else:
                flow = k @ (now * loss) - loss * (k @ now)
                now = now ** (1 - tau * lam) * prior ** (tau * lam) * np.exp(tau * flow)
                now = now / now.sum()
        return out

    ax.semilogy(np.maximum(excess(False, edges), 1e-16), color="0.6", label="prior pulls past the edges")
    ax.semilogy(np.maximum(excess(True, np.ones_like(edges)), 1e-16), color="C1", label="ours, K ≡ 1")
    ax.semilogy(np.maximum(excess(True, edges), 1e-16), color="C3", label="ours, K by agreement")
    ax.set(xlabel="steps with frozen losses", ylim=(1e-16, 10), title="free energy above its minimum")
    ax.legend(loc="upper right")


def _chain(ax: plt.Axes) -> None:
    rho, prior, loss, cost = _edges(2)
    cost = cost * (1 - np.eye(len(rho)))
    tau, lam = 0.5, 0.8
    q = prior * np.exp(-loss / lam)
    q = q / q.sum()
    for epsilon, colour in ((0.1, "C3"), (0.3, "C1"), (1.0, "C0")):
        step = jax.jit(
            lambda r, e=epsilon: jko.sinkhorn_step(r, *map(jnp.asarray, (loss, prior, cost)), tau, lam, e)[0]
        )
        path = [rho]
        for _ in range(40):
            path.append(np.asarray(step(jnp.asarray(path[-1]))))
        ends = np.array([lam * kl(r, q) for r in path])
        pairs = np.array([transport(a, b, cost / (2 * tau), epsilon) for a, b in pairwise(path)])
        chain = ends[:-1] + pairs + ends[1:]
        ax.semilogy(chain[:-10] - chain[-1], "-", color=colour, label=f"chain energy, ε = {epsilon}")
        ax.semilogy(ends[:-10], ":", color=colour)
    ax.plot([], [], "k:", label="λ KL(ρ | q)")
    ax.set(xlabel="steps with frozen losses", ylim=(1e-9, 5), title="Sinkhorn: the chain descends, the blur stays")
    ax.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.05))


def draw() -> Figure:
    """Minimiser, error, energy of graph steps, energy of Sinkhorn steps."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.2))
    _minimiser(axes[0, 0], axes[0, 1])
    _energy(axes[1, 0])
    _chain(axes[1, 1])
    return figure
