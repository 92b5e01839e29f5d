"""A quantile net trained by replay: a small correction of a base law, learned online at constant cost.

    q_j(x) = b_j + f_j(x),   f two ReLU layers of 64, its output layer starting at zero, then sorted

Every step is one Adam step (Kingma & Ba 2015) on 16 remembered outcomes, the newest always among them and recent ones
more often, of the pinball loss smoothed over ±.1 (Zheng 2011), with noise on the inputs (Bishop 1995) and decoupled
decay (Loshchilov & Hutter 2019); laws come from averaged weights (Polyak & Juditsky 1992). Without noise and averages
the coverage falls apart.

Inputs, outcomes and weights live on grids of powers of two: training would blow rounding errors up, so there are none
to blow up. The same series in other units, or the same graph on another runtime, then trains to the same bits; single
precision would be too coarse for that, as every runtime sums products in its own order.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from . import lockstep
from .law import LEVELS

WIDTH, BATCH, SIZE = 64, 16, 1024
"""Neurons per layer, points per step, outcomes remembered."""
START = 200
"""Outcomes before the first step of training; until then the law is the base law."""
RATE, DECAY, AVERAGE, NOISE, SMOOTHING = 2e-3, 0.1, 0.99, 0.4, 0.1
FIRST, SECOND, TINY = 0.9, 0.999, 1e-8
"""Adam's moments and its ε."""
GRID, WEIGHT_GRID = 2.0**10, 2.0**20
REACH = 30.0
"""Standardised outcomes are clipped here."""
_AGES: np.ndarray = np.random.default_rng(0).random((251, BATCH - 1)) ** 2
_KNOCKS: np.ndarray = np.random.default_rng(1).normal(size=16_411)


class Replay(NamedTuple):
    """Weights (w,), their average and Adam's moments, one vector each; remembered inputs and outcomes."""

    weights: Array
    average: Array
    first: Array
    second: Array
    inputs: Array
    """(SIZE, p) a ring"""
    outcomes: Array
    """(SIZE,) standardised by the base law"""


def _shapes(p: int) -> tuple[tuple[int, ...], ...]:
    k = len(LEVELS)
    return (p, WIDTH), (WIDTH,), (WIDTH, WIDTH), (WIDTH,), (WIDTH, k), (k,)


def _unpack(weights: Array, p: int) -> list[Array]:
    ends = np.cumsum([int(np.prod(s)) for s in _shapes(p)])
    return [part.reshape(s) for part, s in zip(jnp.split(weights, ends[:-1]), _shapes(p), strict=True)]


def _rounded(x: Array, grid: float) -> Array:
    return jnp.round(x * grid) / grid


def init(p: int, key: Array) -> Replay:
    """Untrained net on ``p`` inputs: no correction."""
    one, two = jax.random.split(key)
    first = jax.random.normal(one, (p, WIDTH)) * np.sqrt(2 / p)
    second = jax.random.normal(two, (WIDTH, WIDTH)) * np.sqrt(2 / WIDTH)
    parts = [jnp.zeros(s) for s in _shapes(p)]
    parts[0], parts[2] = first, second
    weights = _rounded(jnp.concatenate([x.reshape(-1) for x in parts]), WEIGHT_GRID)
    none = jnp.zeros_like(weights)
    return Replay(weights, weights, none, none, jnp.zeros((SIZE, p)), jnp.zeros(SIZE))


def correction(weights: Array, x: Array) -> Array:
    """f (…, 25) of the inputs ``x`` (…, p)."""
    w1, b1, w2, b2, w3, b3 = _unpack(weights, x.shape[-1])
    return jax.nn.relu(jax.nn.relu(x @ w1 + b1) @ w2 + b2) @ w3 + b3


def quantiles(state: Replay, x: Array, base: Array, steps: Array) -> Array:
    """Corrected quantiles (25,) of the standardised outcome: ``base`` (25,), inputs ``x`` (p,), outcomes seen."""
    moved = correction(state.average, _rounded(x, GRID))
    return jnp.sort(base + jnp.where(steps > START, moved, 0.0))


def update(state: Replay, x: Array, z: Array, base: Array, steps: Array, held: Array | None = None) -> Replay:
    """Remember the outcome ``z`` () of the inputs ``x`` (p,) and take one step; ``steps`` outcomes came before it.

    While ``held`` () nothing is trained.
    """
    trains = steps >= START if held is None else (steps >= START) & ~held
    slot = steps % SIZE
    state = state._replace(
        inputs=state.inputs.at[slot].set(_rounded(x, GRID)),
        outcomes=state.outcomes.at[slot].set(_rounded(jnp.clip(z, -REACH, REACH), GRID)),
    )
    return lockstep.cond(trains, lambda s: _train(s, base, steps), lambda s: s, state)


def _train(state: Replay, base: Array, steps: Array) -> Replay:
    p = state.inputs.shape[1]
    held = jnp.minimum(steps + 1, SIZE)
    age = (held * jnp.asarray(_AGES)[steps % _AGES.shape[0]]).astype(jnp.int32)
    pick = (steps - jnp.concatenate([jnp.zeros(1, jnp.int32), age])) % SIZE
    spot = (steps * 7919) % (_KNOCKS.shape[0] - BATCH)
    # Row i of the batch takes the noise from its own place on, all inputs at neighbouring places.
    place = (spot + jnp.arange(BATCH)[:, None] * 1021 + jnp.arange(p)) % _KNOCKS.shape[0]
    x = state.inputs[pick] + NOISE * jnp.asarray(_KNOCKS)[place]
    moved, back = jax.vjp(lambda w: correction(w, x), state.weights)
    error = state.outcomes[pick][:, None] - _rounded(base, WEIGHT_GRID) - moved
    slope = jnp.clip(0.5 - error / (2 * SMOOTHING), 0.0, 1.0) - LEVELS
    (gradient,) = back(slope / BATCH)
    count = (steps - START + 1).astype(state.weights.dtype)
    first = FIRST * state.first + (1 - FIRST) * gradient
    second = SECOND * state.second + (1 - SECOND) * gradient * gradient
    stride = RATE / (1 - FIRST**count)
    size = jnp.sqrt(second) / jnp.sqrt(1 - SECOND**count) + TINY
    weights = _rounded(state.weights * (1 - RATE * DECAY) - stride * first / size, WEIGHT_GRID)
    average = AVERAGE * state.average + (1 - AVERAGE) * weights
    return state._replace(weights=weights, average=average, first=first, second=second)
