"""Estimation of drift and volatility: damped Fisher scoring on the training rows, one recursive step per row after.

    minimise  Σ ρ(z_i) + κ log S(x_i) + ½ (θ − θ₀)ᵀ Λ (θ − θ₀),   z = (y − m(x))/S(x) from the moment flow,
    Fisher information  Σ ∂m ∂mᵀ/S² + 2 ∂log S ∂log Sᵀ + Λ

ρ is Student's (ν = 10). With a trained net the scores are taken at z = Φ⁻¹(V), so what the moment flow misses is
corrected; the flow then supplies only the instruments. Reference: Levenberg (1944) for the damping.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .. import information
from . import kolmogorov
from .field import N_BASIS, Field, bounded, location_score, penalty, precision, recurse, scale_score


def pack(field: Field) -> Array:
    """θ (21,): drift then log-volatility."""
    return jnp.concatenate([field.drift, field.shape])


def unpack(theta: Array, unit: Array) -> Field:
    """The field of θ within its bounds."""
    return bounded(Field(theta[:N_BASIS], theta[N_BASIS:], unit))


class Moments(NamedTuple):
    """Mean and log standard deviation at a level, each () with its gradient (21,) in θ."""

    mean: Array
    log_sd: Array
    mean_grad: Array
    log_sd_grad: Array


def moments(field: Field, x: Array) -> Moments:
    """Moments one horizon ahead of level ``x`` ()."""

    def both(theta: Array) -> Array:
        mean, var = kolmogorov.flow(Field(theta[:N_BASIS], theta[N_BASIS:], field.unit), 1.0, x)
        return jnp.stack([mean, 0.5 * jnp.log(var)])

    theta = pack(field)
    # forward mode: the primal part does not depend on the direction and is computed once
    value = both(theta)
    grads = jax.vmap(lambda e: jax.jvp(both, (theta,), (e,))[1])(jnp.eye(theta.shape[0], dtype=theta.dtype))
    return Moments(value[0], value[1], grads[:, 0], grads[:, 1])


class _Point(NamedTuple):
    """One iterate of Fisher scoring: θ, loss, gradient, information, damping."""

    theta: Array
    loss: Array
    grad: Array
    info: Array
    damping: Array


def _evaluate(theta: Array, start: Array, unit: Array, x: Array, move: Array, mask: Array, damping: Array) -> _Point:
    field = unpack(theta, unit)
    theta = pack(field)
    m = jax.vmap(moments, (None, 0))(field, x)
    sd = jnp.exp(m.log_sd)
    z = (x + move - m.mean) / sd
    prior = precision(unit)
    off = theta - start
    loss = (mask * penalty(z, m.log_sd)).sum() + 0.5 * off @ prior @ off
    jm = m.mean_grad * (mask / sd)[:, None]
    js = m.log_sd_grad * mask[:, None]
    grad = location_score(z) @ jm + 2 * scale_score(z) @ js - prior @ off
    return _Point(theta, loss, grad, jm.T @ jm + 2 * js.T @ js + prior, damping)


def scoring(start: Array, unit: Array, x: Array, move: Array, mask: Array, steps: int = 12) -> tuple[Field, Array]:
    """Damped Fisher scoring from the prior mean ``start`` (21,): the field, and its inverse information (21, 21)."""

    def body(_: int, p: _Point) -> _Point:
        damped = p.info + jnp.diag(p.damping * jnp.diagonal(p.info))
        trial = _evaluate(p.theta + jnp.linalg.solve(damped, p.grad), start, unit, x, move, mask, p.damping / 5)
        better = trial.loss < p.loss
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), trial, p._replace(damping=p.damping * 4 + 1e-4))

    # the first pass, from an infinite loss with no gradient, evaluates the start: one compiled body serves all
    n, one = start.shape[0], jnp.ones((), x.dtype)
    point = _Point(start, jnp.inf * one, jnp.zeros_like(start), jnp.eye(n, dtype=x.dtype), 0.01 * one)
    point = jax.lax.fori_loop(0, steps + 1, body, point)
    return unpack(point.theta, unit), information.start(jnp.linalg.inv(point.info))


def polish(field: Field, cov: Array, start: Array, z: Array, x: Array, mask: Array) -> Field:
    """One half-length scoring step with the net's residuals ``z`` (n,) at levels ``x`` (n,)."""
    m = jax.vmap(moments, (None, 0))(field, x)
    jm = m.mean_grad * (mask * jnp.exp(-m.log_sd))[:, None]
    grad = location_score(z) @ jm + 2 * (scale_score(z) * mask) @ m.log_sd_grad
    grad = grad - precision(field.unit) @ (pack(field) - start)
    return unpack(pack(field) + jnp.clip(0.5 * cov @ grad, -0.3, 0.3), field.unit)


def learn(field: Field, cov: Array, x: Array, z: Array, v: Array, forget: float) -> tuple[Field, Array]:
    """One recursive step at level ``x`` with residual ``z`` met under local volatility ``v``, all ()."""
    m = moments(field, x)
    theta = pack(field)
    u = z / v
    theta, cov = recurse(theta, cov, m.mean_grad * jnp.exp(-m.log_sd) / v, location_score(u), 1.0, forget)
    theta, cov = recurse(theta, cov, m.log_sd_grad, scale_score(u), 0.5, 1.0)
    return unpack(theta, field.unit), cov
