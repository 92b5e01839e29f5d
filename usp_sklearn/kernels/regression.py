"""Recursive least squares with forgetting and robust weights: the linear location of branches A and D.

    k = ω P x / (λ + ω x'Px),   w ← w + k e,   P ← (P − k (Px)')/λ

ω = min(1, h s/|e|)·min(1/s, 30)^g, with s the robust running size of the error e: Huber's weight (1964)
times the inverse of the prevailing error size, so noisy stretches teach less. No variance in P grows beyond
``information.GROWTH`` times its start (:mod:`~usp_sklearn.kernels.information`).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from . import information
from .contract import Row


class Tuning(NamedTuple):
    """Forgetting λ, ridge δ, Huber multiple h, weight exponent g: arrays, so no value costs a compilation."""

    forget: Array
    ridge: Array
    huber: Array
    power: Array


def overlapping(tuning: Tuning, rows: Row) -> Tuning:
    """``tuning`` for outcomes h steps ahead: h neighbouring errors overlap and tell as much as one, so the prior weighs
    h times as much and memory reaches h times further."""
    h = rows.steps.reshape(-1)[0]
    return tuning._replace(ridge=tuning.ridge * h, forget=1 - (1 - tuning.forget) / h)


class Regression(NamedTuple):
    """Coefficients (p,), inverse information (p, p), running error size ()."""

    coef: Array
    cov: Array
    size: Array


def init(p: int, ridge: Array | float, dtype: jnp.dtype) -> Regression:
    """Zero coefficients with prior precision ``ridge``: persistence is where learning starts."""
    return Regression(jnp.zeros(p, dtype), jnp.eye(p, dtype=dtype) / ridge, jnp.asarray(1.0, dtype))


def update(state: Regression, x: Array, target: Array, tuning: Tuning) -> Regression:
    """One observation: features ``x`` (p,), ``target`` () in the same unit."""
    error = target - state.coef @ x
    size = jnp.maximum(state.size, 1e-3)
    weight = jnp.minimum(1.0, tuning.huber * size / jnp.maximum(jnp.abs(error), 1e-12))
    weight = weight * jnp.minimum(1 / size, 30.0) ** tuning.power
    px = state.cov @ x
    pull = weight / (tuning.forget + weight * (x @ px))
    cov = information.after(state.cov, jnp.sqrt(pull) * px, tuning.forget, information.GROWTH / tuning.ridge)
    capped = jnp.minimum(jnp.abs(error), 5 * size + 0.05)
    return Regression(state.coef + pull * error * px, cov, state.size + 0.1 * (capped - state.size))
