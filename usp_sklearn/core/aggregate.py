"""Online combination of any experts' quantiles: stack, two-layer flow, calibration, rounding, as one step.

issue:  experts (M, K) → the stack joins them → weights per level → calibrated → rounded to the series' grid;
learn:  every stage is told the outcome of what it had issued.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from . import calibration, flows, stack

MARGIN, RANGE_WARM = 0.5, 100
"""Experts are clipped to the outcomes' running range widened by this share, once so many outcomes were seen."""
CHUNKS = (256, 8)
"""Rows are walked in chunks of these lengths, the last one padded: two programs per number of experts and levels."""


class Params(NamedTuple):
    """Tunable numbers, arrays all: none of them costs a compilation."""

    tau: Any
    lam: Any
    epsilon: Any
    share: Any
    rate: Any
    """γ of the calibration, 0 for none"""
    boost: Any
    """whether the calibration's rate adapts"""
    stack: Any
    """whether the stack takes part"""
    grid: Any
    """whether quantiles are rounded to the series' grid"""


class State(NamedTuple):
    """What the combination has learned."""

    flow: flows.State
    stack: stack.State
    calibration: calibration.State
    grid: calibration.Grid
    volatility: Array
    """() fast over slow running size of the median's errors, the σ_t of the Sinkhorn regularisation"""
    size: Array
    """(2,) the two sizes"""
    reach: Array
    """(2,) smallest and largest outcome so far"""


def init(n_experts: int, n_levels: int, params: Params, dtype: jnp.dtype | None = None) -> State:
    """Equal weights; the stack is one member more."""
    member = jnp.asarray(params.stack, dtype)
    prior = jnp.concatenate([jnp.ones(n_experts, dtype), member[None]])
    one = jnp.ones((), prior.dtype)
    return State(
        flow=flows.init(prior, n_levels),
        stack=stack.init(n_experts, prior.dtype),
        calibration=calibration.init(n_levels, prior.dtype),
        grid=calibration.init_grid(prior.dtype),
        volatility=one,
        size=jnp.zeros(2, prior.dtype),
        reach=jnp.asarray([jnp.inf, -jnp.inf], prior.dtype),
    )


def issue(state: State, experts: Array, levels: Array, params: Params) -> tuple[Array, Array, Array]:
    """Quantiles (K,), the weights (M + 1, K) behind them, and the calibrated quantiles before rounding."""
    members, _, _ = _members(state, experts, levels)
    mixed, weights = flows.combine(state.flow, members)
    calibrated = calibration.apply(state.calibration, mixed, params.rate, levels)
    rounded = jnp.where(params.grid, calibration.round_to_grid(state.grid, calibrated, levels), calibrated)
    return rounded, weights, calibrated


def _members(state: State, experts: Array, levels: Array) -> tuple[Array, Array, Array]:
    """Members (M + 1, K), the clipped experts (M, K) and which of them are awake (M,).

    One expert that extrapolates would otherwise spoil every combination until it is dropped.
    """
    awake = jnp.isfinite(experts).all(1)
    low, high = state.reach
    margin = MARGIN * (high - low)
    clipped = jnp.clip(experts, low - margin, high + margin)
    clipped = jnp.where(awake[:, None] & (state.stack.count >= RANGE_WARM), clipped, experts)
    return jnp.concatenate([clipped, stack.law(state.stack, clipped, awake, levels)[None]]), clipped, awake


def learn(
    state: State, experts: Array, calibrated: Array, y: Array, levels: Array, params: Params, geometry: str
) -> State:
    """Move everything on the outcome ``y`` () of the experts' stored quantiles."""
    members, experts, awake = _members(state, experts, levels)
    error = jnp.abs(y - jnp.interp(0.5, levels, calibrated))
    size = jnp.where(state.size > 0, state.size + jnp.array([0.1, 0.01], y.dtype) * (error - state.size), error)
    return State(
        flow=flows.update(
            state.flow,
            members,
            y,
            params.tau,
            params.lam,
            params.epsilon,
            state.volatility,
            geometry,
            levels=levels,
            share=params.share,
        ),
        stack=stack.update(state.stack, experts, awake, y, levels),
        calibration=calibration.update(state.calibration, calibrated, y, params.rate, levels, params.boost),
        grid=calibration.observe(state.grid, y),
        volatility=size[0] / jnp.where(size[1] > 0, size[1], 1.0),
        size=size,
        reach=jnp.stack([jnp.minimum(state.reach[0], y), jnp.maximum(state.reach[1], y)]),
    )


@partial(jax.jit, static_argnames="geometry")
def _walk(
    state: State, experts: Array, y: Array, real: Array, levels: Array, params: Params, geometry: str
) -> tuple[State, tuple[Array, Array]]:
    def step(state: State, row: tuple[Array, Array, Array]) -> tuple[State, tuple[Array, Array]]:
        experts, y, real = row
        q, weights, calibrated = issue(state, experts, levels, params)
        moved = jax.lax.cond(
            real, lambda s: learn(s, experts, calibrated, y, levels, params, geometry), lambda s: s, state
        )
        return moved, (q, weights.mean(1))

    return jax.lax.scan(step, state, (experts, y, real))


@jax.jit
def _predict(state: State, experts: Array, levels: Array, params: Params) -> Array:
    return jax.lax.map(lambda e: issue(state, e, levels, params)[0], experts)


def _chunks(n: int) -> list[tuple[int, int, int]]:
    """(start, stop, padded length) of the chunks that cover n rows."""
    out, start, (long, short) = [], 0, CHUNKS
    while start < n:
        length = long if n - start > 4 * short else short
        out.append((start, min(start + length, n), length))
        start += length
    return out


def _pad(x: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([x, np.repeat(x[-1:], length - len(x), axis=0)]) if len(x) < length else x


def walk(
    state: State, experts: np.ndarray, y: np.ndarray, levels: np.ndarray, params: Params, geometry: str
) -> tuple[State, np.ndarray, np.ndarray]:
    """Prequential pass over rows (n, M, K): final state, issued quantiles (n, K), mean weights (n, M + 1)."""
    quantiles, weights = [], []
    for start, stop, length in _chunks(len(y)):
        real = np.arange(length) < stop - start
        state, (q, w) = _walk(
            state, _pad(experts[start:stop], length), _pad(y[start:stop], length), real, levels, params, geometry
        )
        quantiles.append(np.asarray(q)[: stop - start])
        weights.append(np.asarray(w)[: stop - start])
    return jax.tree.map(np.asarray, state), np.concatenate(quantiles), np.concatenate(weights)


def predict(state: State, experts: np.ndarray, levels: np.ndarray, params: Params) -> np.ndarray:
    """Quantiles (n, K) of rows (n, M, K), each as if it came next."""
    out = [
        np.asarray(_predict(state, _pad(experts[start:stop], length), levels, params))[: stop - start]
        for start, stop, length in _chunks(len(experts))
    ]
    return np.concatenate(out)


def weights(state: State) -> np.ndarray:
    """Weights (M + 1, K) of the next combination if nobody sleeps; the last row is the stack's."""
    return np.asarray(flows.weights(state.flow))
