"""A bank of variance recursions, mixed by likelihood: the filtered volatility σ_t of both members.

Expert i measures errors in its own unit f_i (a constant, the learned σ(x), the window's local roughness) and,
with e = error/f_i, capped at c standard deviations, runs (Glosten, Jagannathan & Runkle 1993)

    h ← (1 − π) v + α e² + γ e² 1{e < 0} + (π − α − γ/2) h,       π the persistence,
    v ← v + r (e² − v),                                           variance targeting, r → 0.002.

log σ_t is the weighted mean of log(f_i √h_i).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .experts import reweigh, student

FLOOR = 1e-3
"""σ_t is at least this fraction of the row's unit."""
TARGET_RATE = 0.002
N_LOCAL = 4
"""Experts that read the window's own roughness."""


class Bank(NamedTuple):
    """Constants of the experts (M,): how strongly h reacts (α, γ), persistence π, which unit (0 constant,
    1 learned σ(x), 2 + j roughness j of the row); () cap c."""

    react: np.ndarray
    leverage: np.ndarray
    persistence: np.ndarray
    unit: np.ndarray
    cap: np.ndarray


class Filter(NamedTuple):
    """Per expert (M,): variance h, its target v, log weight."""

    variance: Array
    target: Array
    log_weight: Array


def _bank(rows: list[tuple[float, float, float, int]], cap: float) -> Bank:
    rows = rows + [(0.0, 0.0, 0.0, 2 + j) for j in range(N_LOCAL)]
    react, leverage, persistence, unit = (np.array(column) for column in zip(*rows, strict=True))
    return Bank(react, leverage, persistence, unit, np.array(cap))


def banks() -> Bank:
    """The two members' banks, stacked on a leading axis: jumps, then garch."""
    grid = [(a, 0.0, p, 0) for p in (0.9, 0.97, 0.995) for a in (0.04, 0.1, 0.2) if a < p]
    learned = [(0.0, 0.0, 0.0, 1)] + [(a, 0.0, p, 1) for a, p in ((0.04, 0.97), (0.1, 0.97), (0.1, 0.9), (0.1, 0.995))]
    lever = [(a, g, p, 0) for a, g in ((0.02, 0.1), (0.05, 0.2)) for p in (0.9, 0.97, 0.995)]
    constant = [(0.0, 0.0, 0.0, 0)]
    jumps = _bank(constant + grid + learned + [(0.06, 0.0, 1.0, 0)], 3.0)
    garch = _bank(constant + grid + lever, 5.0)
    return Bank(*(np.stack(pair) for pair in zip(jumps, garch, strict=True)))


def init(bank: Bank, dtype: jnp.dtype) -> Filter:
    """Unit variance, equal weights, for banks of any leading shape."""
    one = jnp.ones(bank.react.shape, dtype)
    return Filter(one, one, jnp.zeros_like(one))


def _units(bank: Bank, constant: Array, learned: Array, local: Array) -> Array:
    """Each expert's unit f (M,), units of the series."""
    return jnp.concatenate([constant[None], learned[None], local])[jnp.asarray(bank.unit)]


def _each(bank: Bank, state: Filter, f: Array, scale: Array) -> Array:
    return jnp.maximum(f * jnp.sqrt(state.variance), FLOOR * scale)


def sigma(bank: Bank, state: Filter, constant: Array, learned: Array, local: Array, scale: Array) -> Array:
    """σ_t (), units of the series, for one bank; ``local`` (4,) and ``scale`` () likewise."""
    each = _each(bank, state, _units(bank, constant, learned, local), scale)
    return jnp.exp((jax.nn.softmax(state.log_weight) * jnp.log(each)).sum())


def update(
    bank: Bank,
    state: Filter,
    error: Array,
    constant: Array,
    learned: Array,
    local: Array,
    scale: Array,
    count: Array,
    honest: Array,
    ahead: Array | float = 1.0,
    then: Filter | None = None,
) -> Filter:
    """One ``error`` (), units of the series. The learned unit competes only where ``honest``: on rows it was
    not trained on. Likelihoods of errors ``ahead`` steps away overlap and count as one;
    ``then`` is the filter they were forecast with, if it has moved on."""
    f = _units(bank, constant, learned, local)
    each = _each(bank, state if then is None else then, f, scale)
    log_weight = reweigh(state.log_weight, student(error, each) / ahead, honest | (jnp.asarray(bank.unit) != 1))
    e2 = (error / f) ** 2
    capped = jnp.minimum(e2, bank.cap**2 * state.variance)
    react = bank.react + bank.leverage * (error < 0)
    keep = bank.persistence - bank.react - bank.leverage / 2
    rate = jnp.maximum(1 / (count + 10), TARGET_RATE)
    target = state.target + rate * (jnp.minimum(e2, bank.cap**2 * state.target) - state.target)
    moving = (1 - bank.persistence) * target + react * capped + keep * state.variance
    variance = jnp.where(jnp.asarray(bank.persistence) > 0, moving, target)
    floor = (FLOOR * scale / f) ** 2
    return Filter(jnp.maximum(variance, floor), jnp.maximum(target, floor), log_weight)
