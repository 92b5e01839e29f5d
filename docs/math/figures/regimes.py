"""Online parameters over batch EM, filtered probabilities over Hamilton's filter, mixture quantiles in the exact F."""

from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import norm

from tests.kernels.test_regimes import baum_welch, rows_of
from usp_sklearn.io.processes import make_regime_switch
from usp_sklearn.kernels.dgm import anchor as anchors
from usp_sklearn.kernels.dgm import regimes
from usp_sklearn.kernels.law import LEVELS
from usp_sklearn.kernels.mixture import normal_quantiles

N, FIT = 3000, 300
BELOW: dict[str, Any] = {"color": "0.75", "lw": 5, "solid_capstyle": "round", "zorder": 1}


@jax.jit
def _walk(y: jax.Array) -> tuple[Any, ...]:
    """Lines, variances, stays and filtered probabilities of the mean-switching member along ``y``; the anchor."""
    rows = jax.tree.map(lambda x: x[:-1], rows_of(y))
    mask = jnp.arange(len(y) - 1) < FIT
    anchor = anchors.settle(rows, mask)

    def step(state: regimes.Regimes, item: Any) -> tuple[regimes.Regimes, Any]:
        new = regimes.update(state, anchor, *item)
        return new, (new.line[0, :, 0], jnp.sqrt(new.variance[0]), new.stay[0], new.filtered[0])

    return *jax.lax.scan(step, regimes.fit(anchor, rows, y[1:], mask), (rows, y[1:]))[1], anchor


def _hamilton(y: NDArray[np.float64], a: Any, s: Any, stay: Any) -> NDArray[np.float64]:
    chance, out = np.array([0.5, 0.5]), np.empty(len(y))
    for t, value in enumerate(y):
        joint = (chance @ stay) * norm.pdf(value, a, s)
        chance = joint / joint.sum()
        out[t] = chance[1]
    return out


def _parameters(levels: plt.Axes, chances: plt.Axes, filtered: plt.Axes) -> None:
    y = make_regime_switch(N, kind="mean", random_state=4)
    line, scale, stay, chance, anchor = (
        np.asarray(x) if isinstance(x, jax.Array) else x for x in _walk(jnp.asarray(y))
    )
    order = np.argsort(line[-1])
    centre, spread = float(anchor.centre), float(anchor.spread)
    means, deviations = centre + spread * line[:, order], spread * scale[:, order]
    a, s, transitions = baum_welch(y)
    t = np.arange(1, N)
    for i, colour in enumerate(("C0", "C3")):
        levels.axhline(a[i], label="batch EM, whole series" if i == 0 else None, **BELOW)
        levels.plot(t, means[:, i], color=colour, lw=1.2, label=f"mean {i + 1}, online")
        levels.axhline(s[i], **BELOW)
        levels.plot(t, deviations[:, i], color=colour, lw=1.2, ls=":", label=f"deviation {i + 1}, online")
        leave = 1 - stay[:, order][:, :, order][:, i, i]
        chances.axhline(1 - transitions[i, i], label="batch EM, whole series" if i == 0 else None, **BELOW)
        chances.plot(t, leave, color=colour, lw=1.2, label=f"leaving regime {i + 1}")
    levels.set(xlabel="outcomes seen", ylim=(-3.2, 4.6), title="parameters of the two regimes")
    levels.legend(fontsize=8, ncols=2, loc="upper right")
    chances.set(xlabel="outcomes seen", ylim=(0, 0.06), title="transition probabilities")
    chances.legend(fontsize=8)
    last = slice(N - 260, N)
    filtered.plot(
        np.arange(N)[last], _hamilton(y, a, s, transitions)[last], label="Hamilton's filter, batch EM", **BELOW
    )
    filtered.plot(t[-260:], chance[-260:, order[1]], color="C3", lw=1.2, label="online member")
    filtered.set(xlabel="outcome", ylim=(-0.05, 1.35), title="probability of the upper regime")
    filtered.legend(fontsize=8, ncols=2, loc="upper center")


def _mixture(ax: plt.Axes) -> None:
    """Error in the distribution function at the 25 levels, over how far the components are apart."""
    gaps = np.linspace(0, 12, 25)
    quantiles = jax.jit(normal_quantiles)
    for ratio, colour in ((1.0, "C0"), (3.0, "C1"), (10.0, "C3")):
        worst = []
        for gap in gaps:
            w, m, s = np.array([0.3, 0.7]), np.array([0.0, gap]), np.array([1.0, ratio])
            q = np.asarray(quantiles(*map(jnp.asarray, (w, m, s))))
            worst.append(np.abs(w @ norm.cdf(q, m[:, None], s[:, None]) - LEVELS).max())
        ax.semilogy(gaps, np.maximum(worst, 1e-16), "o-", ms=3, color=colour, label=f"deviations 1 : {ratio:g}")
    ax.axhline(1e-3, color="k", lw=0.8, ls="--")
    ax.text(12, 1.2e-3, "stated bound", fontsize=8, ha="right", va="bottom")
    ax.set(xlabel="distance of the means", ylim=(1e-9, 1e-1), title="mixture quantiles: largest error of F")
    ax.legend(fontsize=8, loc="lower right")


def draw() -> Figure:
    """Parameter paths, transitions, filter, mixture."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.2))
    _parameters(axes[0, 0], axes[0, 1], axes[1, 0])
    _mixture(axes[1, 1])
    return figure
