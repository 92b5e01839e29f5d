"""Run lengths over a Markov chain and an integral equation; what the adaptive threshold does to heavy tails."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import norm

from tests.core.test_cusum import exact_run_length
from usp_sklearn.core import cusum

SHIFTS = {0.0: "C3", 0.5: "C1", 1.0: "C0", 2.0: "C2"}
SLACK = 0.5
QUIET = jnp.asarray(0.75)
"""A PIT at which the scale statistic stands still, so that the drift statistic is seen alone."""
DEGREES = (3.0, 4.0, 6.0, 10.0, 30.0, np.inf)


def markov_run_length(h: float, shift: float, states: int = 201) -> float:
    """Brook & Evans (1972): the sum on a grid of cells, the run length from one linear system; both sides."""
    width = 2 * h / (2 * states - 1)
    at = np.arange(states) * width

    def one_sided(mean: float) -> float:
        upper = norm.cdf(at - at[:, None] + width / 2 + SLACK - mean)
        moves = np.diff(upper, axis=1, prepend=0.0)
        return float(np.linalg.solve(np.eye(states) - moves, np.ones(states))[0])

    return 1 / (1 / one_sided(shift) + 1 / one_sided(-shift))


@jax.jit
def _alarms(e: jax.Array, h: float, adaptive: bool) -> jax.Array:
    def one(e: jax.Array) -> jax.Array:
        def step(state: cusum.State, x: jax.Array) -> tuple[cusum.State, jax.Array]:
            state, record = cusum.step(state, x, QUIET, h, SLACK, 0, adaptive)
            return state, record.drift

        return jax.lax.scan(step, cusum.init(), e)[1]

    return jax.vmap(one)(e)


def _simulated(x: NDArray[np.float64], h: float = 5.0, adaptive: bool = False, skip: int = 0) -> tuple[float, int]:
    alarms = np.asarray(_alarms(x, h, adaptive))[:, skip:]
    return alarms.size / max(alarms.sum(), 1), int(alarms.sum())


def _run_lengths(ax: plt.Axes, error: plt.Axes) -> None:
    rng = np.random.default_rng(0)
    fine, h = np.linspace(1, 6, 41), np.arange(1.0, 6.5, 0.5)
    noise = rng.normal(size=(300, 2000))
    for shift, colour in SHIFTS.items():
        exact = [markov_run_length(x, shift) for x in fine]
        ax.semilogy(fine, exact, color="0.75", lw=5, label="Markov chain" if shift == 0 else None)
        ax.semilogy(fine, [exact_run_length(x, SLACK, shift) for x in fine], color="k", lw=0.8, ls="--")
        ours = [_simulated(noise + shift, x) for x in h]
        ax.semilogy(h, [a for a, _ in ours], "o", ms=4, color=colour, label=f"ours, shift {shift:g}")
        ratio = np.array([a / exact_run_length(x, SLACK, shift) for (a, _), x in zip(ours, h, strict=True)])
        noise_level = np.array([100 / np.sqrt(n) for _, n in ours])
        error.errorbar(h, 100 * (ratio - 1), 2 * noise_level, fmt="o", ms=4, color=colour, lw=1)
    ax.plot([], [], "k--", lw=0.8, label="integral equation")
    ax.plot(5, 465, "k*", ms=9, label="Hawkins & Olwell")
    ax.plot(5, 10.4, "k*", ms=9)
    ax.set(xlabel="threshold h", ylim=(1, 3e5), title="average run length, k = ½")
    ax.legend(ncols=2, fontsize=8, loc="upper left")
    error.axhspan(-5, 5, color="0.93", label="required")
    error.axhline(0, color="0.5", lw=0.8)
    error.set(
        xlabel="threshold h", ylim=(-12, 12), ylabel="per cent", title="ours over the integral equation, ± 2 s.e."
    )
    error.legend()


def _residuals(nu: float, shape: tuple[int, int], seed: int, change: int | None = None) -> NDArray[np.float64]:
    """Unit variance, one sigma higher from ``change`` on."""
    law = norm() if np.isinf(nu) else scipy.stats.t(nu, scale=np.sqrt((nu - 2) / nu))
    return law.rvs(size=shape, random_state=seed) + (0 if change is None else np.arange(shape[1]) >= change)


def _running(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the exponential average of earlier squares, as the orchestrator does it."""
    out, variance = x.copy(), np.ones(len(x))
    for t in range(x.shape[1]):
        out[:, t] = x[:, t] / np.sqrt(variance)
        variance = 0.94 * variance + 0.06 * x[:, t] ** 2
    return out


def _tails(false: plt.Axes, delay: plt.Axes) -> None:
    at = np.arange(len(DEGREES))
    for adaptive, colour, label in ((False, "C0", "fixed threshold"), (True, "C3", "adaptive threshold")):
        for scale, style in ((np.asarray, "o-"), (_running, "o:")):
            lengths = [
                _simulated(scale(_residuals(nu, (200, 4000), 1)), adaptive=adaptive, skip=cusum.MEMORY)[0]
                for nu in DEGREES
            ]
            false.semilogy(at, lengths, style, ms=4, color=colour, label=label if style == "o-" else None)
        after = [np.asarray(_alarms(_residuals(nu, (1000, 400), 2, 300), 5.0, adaptive))[:, 300:] for nu in DEGREES]
        waits = [np.where(a.any(1), a.argmax(1) + 1, 100).mean() for a in after]
        delay.plot(at, waits, "o-", ms=4, color=colour, label=label)
    false.plot([], [], "o:", ms=4, color="0.4", label="running σ")
    false.axhline(465, color="k", lw=0.8, ls="--")
    false.text(1.5, 490, "normal residuals, fixed", fontsize=8, va="bottom")
    false.axhspan(10, 465 / 2, color="0.93")
    false.text(5, 110, "more than twice the false alarms", fontsize=8, ha="right", va="bottom")
    delay.axhline(exact_run_length(5, SLACK, 1), color="k", lw=0.8, ls="--")
    false.set(ylim=(100, 5e4), title="run length without a change, t residuals")
    delay.set(ylim=(0, 30), title="steps until a shift by 1σ is reported")
    for ax in (false, delay):
        ax.set_xlabel("degrees of freedom")
        ax.set_xticks(at, ["∞" if np.isinf(d) else f"{d:g}" for d in DEGREES])
        ax.legend(loc="upper right")


def draw() -> Figure:
    """Run lengths, their error, false alarms and delays under heavy tails."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.2))
    _run_lengths(axes[0, 0], axes[0, 1])
    _tails(axes[1, 0], axes[1, 1])
    return figure
