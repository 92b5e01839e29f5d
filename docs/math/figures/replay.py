"""Replay net: quantiles it has learned over the true ones, and its score against the ideal."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from usp_sklearn.kernels import replay
from usp_sklearn.kernels.law import LEVELS

NORMAL = norm.ppf(LEVELS)
N, BLOCK = 6000, 500


def _truth(x: np.ndarray) -> np.ndarray:
    return np.sin(2 * x)[:, None] + np.where(x > 0, 1.2, 0.5)[:, None] * NORMAL


@jax.jit
def _walk(x: jax.Array, z: jax.Array) -> tuple[replay.Replay, jax.Array]:
    def step(state: replay.Replay, item: tuple) -> tuple[replay.Replay, jax.Array]:
        t, x, z = item
        return replay.update(state, x, z, NORMAL, t), replay.quantiles(state, x, jnp.asarray(NORMAL), t)

    start = replay.init(x.shape[1], jax.random.key(0))
    return jax.lax.scan(step, start, (jnp.arange(len(z), dtype=jnp.int32), x, z))


def _pinball(q: np.ndarray, z: np.ndarray) -> np.ndarray:
    e = z[:, None] - q
    return np.maximum(LEVELS * e, (LEVELS - 1) * e).mean(1).reshape(-1, BLOCK).mean(1)


def draw() -> Figure:
    """Two panels."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 3))
    exact = _truth(x[:, 0])
    z = np.sin(2 * x[:, 0]) + np.where(x[:, 0] > 0, 1.2, 0.5) * rng.normal(size=N)
    state, q = _walk(jnp.asarray(x), jnp.asarray(z))

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
    line = np.linspace(-2.2, 2.2, 200)
    inputs = jnp.asarray(np.column_stack([line, 0 * line, 0 * line]))
    learned = jax.vmap(lambda v: replay.quantiles(state, v, jnp.asarray(NORMAL), N))(inputs)
    for level, colour in ((0.1, "#d62728"), (0.5, "#1f77b4"), (0.9, "#2ca02c")):
        j = int(np.argmin(np.abs(LEVELS - level)))
        left.plot(line, _truth(line)[:, j], color="0.7", lw=4, label="true" if level == 0.1 else None)
        left.plot(line, learned[:, j], color=colour, lw=1.3, label=f"learned, {level:g}")
    left.set(title="conditional quantiles after 6,000 outcomes", xlabel="first of three inputs", ylabel="outcome")
    left.legend(fontsize=8)

    ideal = _pinball(exact, z)
    steps = np.arange(BLOCK, N + 1, BLOCK)
    right.axhline(0, color="0.7", lw=4, label="ideal")
    right.plot(
        steps, 100 * (_pinball(np.asarray(q), z) / ideal - 1), "o-", ms=3, label="net, issued before each outcome"
    )
    right.plot(steps, 100 * (_pinball(np.broadcast_to(NORMAL, q.shape), z) / ideal - 1), "--", label="base law")
    right.set(title="excess over the ideal score", xlabel="outcomes seen", ylabel="per cent")
    right.legend(fontsize=8)
    return figure
