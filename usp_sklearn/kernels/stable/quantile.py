"""Quantiles of the α-stable law to full precision: Newton on the log of the smaller tail, kept in a bracket.

With y = asinh x the log of a stable tail is nearly linear in y, so Newton's steps are good from far away; a step
that leaves the bracket is replaced by bisection. The derivative is implicit: dx = (du − F_α dα − F_β dβ)/f.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..law import EDGE, Law
from ..law import ppf as law_ppf
from .density import STRAIGHT, standardise, tails_and_pdf

_REACH = 80.0
"""asinh of the largest quantile looked for."""
_STEPS = 80


def solve(u: Array, alpha: Array, beta: Array, start: Array) -> Array:
    """x with F(x) = u for arrays of one shape (n,) and 0 < u < 1, starting from ``start`` (n,)."""
    tiny = jnp.finfo(u.dtype).tiny
    left = u < 0.5
    goal = jnp.log(jnp.maximum(jnp.where(left, u, 1 - u), tiny))
    eps = float(jnp.finfo(u.dtype).eps)

    def step(carry: tuple) -> tuple:
        n, y, low, high, active = carry
        x = jnp.sinh(y)
        lower, upper, density = tails_and_pdf(x, alpha, beta)
        tail = jnp.maximum(jnp.where(left, lower, upper), tiny)
        miss = jnp.where(left, 1.0, -1.0) * (jnp.log(tail) - goal)
        low, high = jnp.where(miss < 0, y, low), jnp.where(miss >= 0, y, high)
        newton = y - miss * tail / jnp.maximum(density * jnp.cosh(y), tiny)
        # a miss under √eps squares away in one more step; one under the rounding of the tail itself cannot improve
        noise = jnp.where(jnp.abs(x) > STRAIGHT, 0.0, 2 * eps)
        settled = ~(jnp.abs(miss) > eps**0.5) | (jnp.abs(tail - jnp.exp(goal)) <= noise)
        # where the tail is rounding noise its slope is too; every eighth step halves the bracket whatever happens
        sound = (newton >= low) & (newton <= high) & (tail > 4 * noise) & (settled | (n % 8 < 7))
        new = jnp.where(sound, newton, jnp.where(settled, y, (low + high) / 2))
        return n + 1, jnp.where(active, new, y), low, high, active & ~settled

    def unfinished(carry: tuple) -> Array:
        return (carry[0] < _STEPS) & carry[4].any()

    y = jnp.clip(jnp.arcsinh(start), -_REACH / 2, _REACH / 2)
    far = jnp.full_like(y, _REACH)
    return jnp.sinh(jax.lax.while_loop(unfinished, step, (0, y, -far, far, jnp.full(y.shape, True)))[1])


def _start(u: Array, alpha: Array, beta: Array) -> Array:
    """Quantile by the stored table; its tails where the table ends, its edge where α leaves it."""
    from .table import standard_law

    law = standard_law(alpha, beta)
    inner = jnp.clip(u, EDGE * 1e-8, 1 - EDGE * 1e-8)
    return law_ppf(Law(*law), inner)[0]


@jax.custom_jvp
def _ppf(u: Array, alpha: Array, beta: Array) -> Array:
    start = jax.vmap(_start)(u, alpha, beta)
    inside = (u > 0) & (u < 1)
    x = solve(jnp.where(inside, u, 0.5), alpha, beta, start)
    outer = jnp.where(u == 0, -jnp.inf, jnp.where(u == 1, jnp.inf, jnp.nan)) + 0 * alpha
    return jnp.where(inside, x, outer)


@_ppf.defjvp
def _ppf_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    u, alpha, beta = primals
    du, dalpha, dbeta = tangents
    x = _ppf(u, alpha, beta)
    _, shift = jax.jvp(lambda p, b: tails_and_pdf(x, p, b)[0], (alpha, beta), (dalpha, dbeta))
    return x, (du - shift) / tails_and_pdf(x, alpha, beta)[2]


@jax.jit
def ppf(u: ArrayLike, alpha: ArrayLike, beta: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    """Quantile of S0(α, β, scale, loc) at probability ``u``, units of ``loc``; all arguments broadcast.

    Infinite at 0 and 1, NaN outside, and where the parameters leave the domain of `cdf`. Differentiable.

    >>> float(ppf(0.75, 1.0, 0.0).round(10))  # Cauchy
    1.0
    """
    u, alpha, beta, loc, scale = standardise(u, alpha, beta, loc, scale)
    x = _ppf(u.ravel(), alpha.ravel(), beta.ravel()).reshape(u.shape)
    return loc + scale * x
