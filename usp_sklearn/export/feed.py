"""The window buffer as a pure function: what :class:`~usp_sklearn.WindowBuffer` keeps, updated inside a graph."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from ..api.context import ContextState, Plan, known, track


class Feed(NamedTuple):
    """Values a row is built from; ``ring`` (size,) is written at ``count`` modulo its size."""

    count: Array
    origin: Array
    sums: Array
    averages: Array
    ring: Array
    cycle_sums: Array
    cycle_means: Array


def start(context: ContextState) -> Feed:
    """What a buffer that has seen a value holds; copies, as the buffer writes in place."""
    memory = context.memory
    kept = context.sums, context.averages, context.ring[: context.size], memory.sums, memory.means
    return Feed(np.int32(context.count), np.float64(context.origin), *(np.array(x) for x in kept))


def push(plan: Plan, width: int, feed: Feed, value: Array) -> tuple[Feed, Array]:
    """Learn y_t (); returns the columns ``[level context | window]`` of the row that ends with it.

    The recursions are those of :mod:`usp_sklearn.api.context`.
    """
    t, size = feed.count, feed.ring.shape[0]
    x = value - feed.origin
    ring = feed.ring.at[t % size].set(value)
    rates = np.array(plan.averages)
    sums = feed.sums + x
    slow = rates * x - (rates - 1.0) * feed.averages
    averages = jnp.where(t < (1.0 / rates).astype(int), sums / (t + 1), slow)

    def past(back: np.ndarray) -> Array:
        return ring[(t - back) % size]

    tracks = list(dict.fromkeys(track(p) for p in plan.profiles))
    season = np.array([m for m, _, _ in tracks], np.int32)
    rate = np.array([a for _, a, _ in tracks])
    lead = np.array([h for _, _, h in tracks], np.int32)
    first = (np.cumsum(season) - season).astype(np.int32)
    before = jnp.where(lead > 0, past(lead) - feed.origin, 0.0)
    new = jnp.where(t >= lead, x - before, 0.0)
    cell, cycle = first + t % season, t // season
    total = feed.cycle_sums[cell] + new
    means = jnp.where(
        cycle < (1.0 / rate).astype(int), total / (cycle + 1), rate * new - (rate - 1.0) * feed.cycle_means[cell]
    )
    feed = Feed(
        t + 1,
        feed.origin,
        sums,
        averages,
        ring,
        feed.cycle_sums.at[cell].set(total),
        feed.cycle_means.at[cell].set(means),
    )
    level = jnp.zeros(len(plan.names)).at[np.arange(len(rates))].set(averages + feed.origin)
    at_lags, at_profiles = plan.places()
    if plan.backs:
        backs = np.array(plan.backs, np.int32)
        level = level.at[at_lags].set(jnp.where(backs <= t, past(backs), value))
    if plan.profiles:
        whose = np.array([tracks.index(track(p)) for p in plan.profiles], np.int32)
        ahead = np.array([p.ahead for p in plan.profiles], np.int32)
        of_steps = np.array([p.of_steps for p in plan.profiles])
        since = np.array([known(p.season, p.ahead, p.season) for p in plan.profiles], np.int32)
        mean = feed.cycle_means[first[whose] + (t + ahead) % season[whose]]
        columns = jnp.where(since <= t, mean + jnp.where(of_steps, value, feed.origin), value)
        level = level.at[at_profiles].set(columns)
    return feed, jnp.concatenate([level, past(np.arange(width - 1, -1, -1, dtype=np.int32))])
