"""Long-run coverage whatever the members do: online quantile tracking, and rounding to a series' own grid.

Every level's quantile is shifted by a multiple of the law's width that follows its hits (Gibbs & Candès 2021;
Angelopoulos, Candès & Tibshirani 2023):

    q_l ← q_l + s θ_l (1 − v_l/θ_l²)₊,   θ_l ← θ_l + γ (τ_l − h_l),   s = (q(.95) − q(.05))/2,

and crossings are undone outwards from the median, by running maxima above and minima below. The hit h_l is
1{y ≤ q_l}, and at an atom of the law the chance of a randomised hit (:func:`hits`).
v_l = γ τ_l (1 − τ_l)/(2 f_l) is the variance θ has when the law is right and f_l its density per s (taken from the
normal law): James and Stein's factor keeps that noise out of laws that need no correction. Summing the recursion,
|mean of h_l − τ_l| ≤ |θ_l|/(γ n) at every level: coverage is right in the long run against any sequence for which θ
stays bounded. It does if |y − q_l| ≤ B s: with θ* − v/θ* = B, a shift is at most θ* + γ outwards and (2 d + 1)(θ* + γ)
inwards, d the level's rank from the median (docs/math/calibration.md). Sorting instead would hand one level's hits to
another, and levels that crossed, at an atom say, would push each other apart for ever.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtri

from ..kernels.law import LEVELS

RATE = 0.003
BOOST = 8.0
"""Largest factor of the adaptive rate."""
DRIFT_RATE = 0.02
LOW, HIGH = 0.05, 0.95
_HALF_WIDTH = 1.6448536269514722
"""s of the standard normal law"""
WINDOW = 500
SHARE_ON_GRID = 0.95
LEAST_MOVES = 20
TOLERANCE = 1e-4
"""Distance from a multiple, in grid steps, that is put down to rounding of the data."""
INNER = (0.2, 0.8)
"""Levels that are rounded to a grid. Beyond them a quantile may stay between two points of the grid: rounded, both ends
of an interval would take in whole atoms, and its coverage with them."""
LARGEST = 1e4
"""A step finer than this share of the largest move is rounding of the data, not a grid worth keeping."""


class State(NamedTuple):
    """Shifts (K,) in half-widths and the running coverage error (K,) behind the adaptive rate."""

    theta: Array
    drift: Array


def init(n_levels: int = len(LEVELS), dtype: jnp.dtype | None = None) -> State:
    """No shift."""
    return State(jnp.zeros(n_levels, dtype), jnp.zeros(n_levels, dtype))


def half_width(q: Array, levels: Array | np.ndarray = LEVELS) -> Array:
    """s = (q(.95) − q(.05))/2 of sorted quantiles ``q`` (K,), the outermost ones where levels end earlier."""
    levels = jnp.asarray(levels, q.dtype)
    low, high = jnp.interp(jnp.asarray([LOW, HIGH], q.dtype), levels, q)
    return (high - low) / 2


def _noise(rate: Array | float, levels: Array) -> Array:
    """v (K,), the variance of shifts that a right law needs none of."""
    z = ndtri(levels)
    density = _HALF_WIDTH / np.sqrt(2 * np.pi) * jnp.exp(-0.5 * z * z)
    return rate * levels * (1 - levels) / (2 * density)


def apply(
    state: State,
    q: Array,
    rate: Array | float = RATE,
    levels: Array | np.ndarray = LEVELS,
    ahead: Array | float = 1.0,
) -> Array:
    """Calibrated quantiles (K,) that do not cross, in the unit of ``q``; ``rate`` is the one of :func:`update`.

    >>> q = jnp.linspace(-1.0, 1.0, len(LEVELS))
    >>> bool((apply(init(), q) == q).all())
    True
    """
    # Hits of outcomes h steps away hang together over h rows, which makes their noise h times as large.
    noise = ahead * _noise(rate, jnp.asarray(levels, q.dtype))
    real = jnp.clip(1 - noise / jnp.maximum(state.theta**2, 1e-30), 0.0, 1.0)
    return _uncross(q + half_width(q, levels) * real * state.theta, levels)


def _rank(levels: Array | np.ndarray, dtype: jnp.dtype) -> Array:
    """(K,) places of the levels, counted from the one nearest to one half."""
    return jnp.arange(len(levels)) - jnp.argmin(jnp.abs(jnp.asarray(levels, dtype) - 0.5))


def _uncross(q: Array, levels: Array | np.ndarray) -> Array:
    """Running maxima of ``q`` (K,) upwards and minima downwards from the level nearest to one half."""
    rank = _rank(levels, q.dtype)
    above = jax.lax.cummax(jnp.where(rank < 0, -jnp.inf, q))
    below = jax.lax.cummin(jnp.where(rank > 0, jnp.inf, q), reverse=True)
    return jnp.where(rank < 0, below, above)


def hits(
    state: State, issued: Array, y: Array, rate: Array | float = RATE, levels: Array | np.ndarray = LEVELS
) -> Array:
    """Hits h (K,) of the quantiles ``issued`` (K,) by the outcome ``y`` (): 1{y ≤ q_l}, and in between at an atom.

    Let q_i = … = q_j = y. The outcome is on an atom whose ends F(y−) and F(y) the grid knows to half a cell: a midway
    between τ_{i−1} and τ_i, b between τ_j and τ_{j+1} (0 and 1 beyond the grid). Its randomised transform
    U' = a + U (b − a), U uniform, is uniform under a law with these ends (Smith 1985), and

        h_l = P(U' ≤ τ_l) = (τ_l − a)/(b − a),   i ≤ l ≤ j,

    is then τ_l on average: such levels stay where they are, where plain hits push them all off the atom. A level counts
    as on the atom if it is not shifted, θ_l² ≤ v_l. One that is and yet shares y, because its crossing was undone,
    takes h of its neighbour towards the median, which set its quantile: the hits of levels that crossed must not
    differ, or they would push each other apart for ever (docs/math/calibration.md).

    >>> law = jnp.asarray(np.where(LEVELS < 0.275, 0.0, 1.0))
    >>> hits(init(), law, jnp.asarray(0.0))[:8].round(2).tolist()
    [0.02, 0.04, 0.09, 0.18, 0.36, 0.55, 0.73, 0.91]
    """
    levels = jnp.asarray(levels, issued.dtype)
    rank = _rank(levels, issued.dtype)
    tied = y == issued
    edges = jnp.concatenate([jnp.zeros(1, levels.dtype), (levels[1:] + levels[:-1]) / 2, jnp.ones(1, levels.dtype)])
    low, high = jnp.where(tied, edges[:-1], 1.0).min(), jnp.where(tied, edges[1:], 0.0).max()
    share = (levels - low) / jnp.where(high > low, high - low, 1.0)
    still = tied & (state.theta**2 <= _noise(rate, levels))
    first = tied & ~jnp.where(rank > 0, jnp.roll(tied, 1), (rank < 0) & jnp.roll(tied, -1))
    # Levels that are neither take what the running extremum brings them from the median's side.
    known, value = still | first, jnp.where(still, share, 1.0)
    above = jax.lax.cummax(jnp.where(known & (rank >= 0), value, -jnp.inf))
    below = jax.lax.cummin(jnp.where(known & (rank <= 0), value, jnp.inf), reverse=True)
    return jnp.where(tied, jnp.where(rank < 0, below, above), y <= issued)


def update(
    state: State,
    issued: Array,
    y: Array,
    rate: Array | float = RATE,
    levels: Array | np.ndarray = LEVELS,
    adaptive: Array | bool = False,
) -> State:
    """Learn from the outcome ``y`` () of the calibrated quantiles ``issued`` (K,); ``rate`` 0 switches it off.

    ``adaptive`` multiplies a level's rate by up to ``BOOST`` while its recent hits are off by more than chance.
    """
    levels = jnp.asarray(levels, issued.dtype)
    error = levels - hits(state, issued, y, rate, levels)
    drift = state.drift + DRIFT_RATE * (error - state.drift)
    # Standard deviation of an exponential average of Bernoulli errors: a miss beyond two of them is real.
    chance = jnp.sqrt(levels * (1 - levels) * DRIFT_RATE / (2 - DRIFT_RATE))
    boost = jnp.where(adaptive, jnp.clip(jnp.abs(drift) / chance - 1, 1.0, BOOST), 1.0)
    return State(state.theta + rate * boost * error, drift)


class Grid(NamedTuple):
    """Recent absolute increments of the outcomes: whether a series lives on a grid."""

    moves: Array
    """(WINDOW,) ring buffer, NaN where nothing has been seen"""
    count: Array
    last: Array
    """() newest outcome, NaN at first"""


def init_grid(dtype: jnp.dtype | None = None, window: int = WINDOW) -> Grid:
    """Nothing seen."""
    return Grid(jnp.full(window, jnp.nan, dtype), jnp.zeros((), jnp.int32), jnp.full((), jnp.nan, dtype))


def observe(grid: Grid, y: Array) -> Grid:
    """Add the outcome ``y`` ()."""
    window = grid.moves.shape[0]
    move = jnp.abs(y - grid.last)
    # Differences of equal decimals may leave a few units in the last place.
    move = jnp.where(move <= 1e-12 * jnp.abs(y), 0.0, move)
    moves = grid.moves.at[grid.count % window].set(move)
    seen = jnp.isfinite(grid.last)
    return Grid(jnp.where(seen, moves, grid.moves), jnp.where(seen, (grid.count + 1) % window, 0), y)


def grid_step(grid: Grid) -> Array:
    """Step of the grid (), or 0 if there is none.

    The smallest non-zero recent increment, if 95 % of the increments are its multiples.
    """
    moves = grid.moves
    moved = moves > 0
    step = jnp.where(moved, moves, jnp.inf).min()
    safe = jnp.where(jnp.isfinite(step), step, 1.0)
    ratio = jnp.where(jnp.isfinite(moves), moves, 0.0) / safe
    known = jnp.isfinite(moves)
    on_grid = known & (jnp.abs(ratio - jnp.round(ratio)) < TOLERANCE)
    enough = (moved.sum() >= LEAST_MOVES) & (on_grid.sum() >= SHARE_ON_GRID * known.sum()) & (ratio.max() < LARGEST)
    return jnp.where(enough, safe, 0.0)


def round_about(
    step: Array, centre: Array, q: Array, levels: Array | np.ndarray = LEVELS, inner: tuple[float, float] = INNER
) -> Array:
    """Sorted quantiles (K,) with those at ``inner`` levels on the grid of ``step`` () through ``centre`` ().

    The outer ones give way where a rounded one passes them. Unchanged where ``step`` is 0.
    """
    levels = jnp.asarray(levels, q.dtype)
    safe = jnp.where(step > 0, step, 1.0)
    rounds = (levels > inner[0]) & (levels < inner[1])
    rounded = centre + safe * jnp.round((q - centre) / safe)
    low, high = jnp.where(rounds, rounded, jnp.inf).min(), jnp.where(rounds, rounded, -jnp.inf).max()
    outer = jnp.where(levels <= inner[0], jnp.minimum(q, low), jnp.maximum(q, high))
    return jnp.where(step > 0, jnp.where(rounds, rounded, outer), q)


def round_to_grid(grid: Grid, q: Array, levels: Array | np.ndarray = LEVELS) -> Array:
    """:func:`round_about` the newest outcome on the series' own grid; unchanged where there is none."""
    return round_about(grid_step(grid), grid.last, q, levels)
