"""Draws from α-stable laws by Chambers, Mallows & Stuck, rearranged so that nothing is singular at α = 1.

With U uniform on (−π/2, π/2), W standard exponential, a = α − 1 and T = tan(πα/2), the S1 variable is
X₁ = (sin αU + βT cos αU)·P with P = cos(U)^{−1/α} ((cos aU − βT sin aU)/W)^{−a/α}, and the S0 variable X₁ − βT is

    X₀ = sin(αU)·P + βT·[(cos aU − tan U sin aU − 1)·e^z + (e^z − 1)],     z = (a/α)·ln(W cos U/(cos aU − βT sin aU)),

where the bracket is of order a while T ≈ −2/(πa): each factor is divided by a before it is formed.
References: Chambers, Mallows & Stuck (1976); Weron (1996); Nolan (2020).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike


def _tangent(alpha: Array) -> Array:
    """(α − 1)·tan(πα/2) = −(α − 1)·cot(π(α − 1)/2), −2/π at α = 1."""
    a = alpha - 1
    near = jnp.abs(a) < 1e-4
    safe = jnp.where(near, 1.0, a)
    return jnp.where(near, -(2 / np.pi) * (1 - (np.pi / 2 * a) ** 2 / 3), -safe / jnp.tan(np.pi / 2 * safe))


def _over(numerator: Array, a: Array, limit: Array) -> Array:
    """numerator/a, which is ``limit`` where a vanishes."""
    near = jnp.abs(a) < 1e-12
    return jnp.where(near, limit, numerator / jnp.where(near, 1.0, a))


def to_s0(alpha: ArrayLike, beta: ArrayLike, loc: ArrayLike, scale: ArrayLike = 1.0) -> Array:
    """S0 location of the law whose S1 location is ``loc``; α, β and γ = ``scale`` are the same in both.

    δ₀ = δ₁ + βγ tan(πα/2) for α ≠ 1 and δ₁ + (2/π)βγ ln γ for α = 1: S1 is the one that jumps at α = 1.

    >>> float(to_s0(1.5, 0.5, 0.0, 2.0).round(9))
    -1.0
    """
    alpha, beta, loc, scale = (jnp.asarray(v, jnp.result_type(float, v)) for v in (alpha, beta, loc, scale))
    one = alpha == 1
    tan = jnp.where(one, 0.0, jnp.tan(np.pi / 2 * jnp.where(one, 0.0, alpha)))
    return loc + beta * scale * jnp.where(one, (2 / np.pi) * jnp.log(scale), tan)


def to_s1(alpha: ArrayLike, beta: ArrayLike, loc: ArrayLike, scale: ArrayLike = 1.0) -> Array:
    """S1 location of the law whose S0 location is ``loc``: the inverse of :func:`to_s0`. For α > 1 it is the mean.

    >>> float(to_s1(1.5, 0.5, -1.0, 2.0).round(9))
    0.0
    """
    return 2 * jnp.asarray(loc) - to_s0(alpha, beta, loc, scale)


@partial(jax.jit, static_argnames=("shape", "parametrization"))
def sample(
    key: Array,
    alpha: ArrayLike,
    beta: ArrayLike,
    shape: tuple[int, ...] = (),
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    parametrization: str = "S0",
) -> Array:
    """Independent draws of ``shape``; the parameters broadcast against it. ``loc`` is δ₀, or δ₁ under "S1".

    α in (0, 2], β in [−1, 1], γ = ``scale`` ≥ 0: NaN elsewhere.

    >>> x = sample(jax.random.key(0), 1.0, 0.0, (1000,))
    >>> x.shape, bool(abs(jnp.median(x)) < 0.2)
    ((1000,), True)
    """
    if parametrization not in ("S0", "S1"):
        raise ValueError(f"The 'parametrization' of sample must be 'S0' or 'S1'. Got {parametrization!r} instead.")
    dtype = jnp.result_type(float, alpha, beta, loc, scale)
    alpha, beta, loc, scale = (jnp.asarray(v, dtype) for v in (alpha, beta, loc, scale))
    alpha = jnp.where((alpha > 0) & (alpha <= 2) & (jnp.abs(beta) <= 1) & (scale >= 0), alpha, jnp.nan)
    if parametrization == "S1":
        loc = to_s0(alpha, beta, loc, scale)
    uniform, exponential = jax.random.split(key)
    tiny = jnp.finfo(dtype).tiny
    eps = jnp.finfo(dtype).eps
    angle = np.pi * (jax.random.uniform(uniform, shape, dtype, minval=eps, maxval=1 - eps) - 0.5)
    w = jnp.maximum(jax.random.exponential(exponential, shape, dtype), tiny)
    a, slope = alpha - 1, _tangent(alpha)
    sine = _over(jnp.sin(a * angle), a, angle)
    cos_u = jnp.cos(angle)
    base = jnp.maximum(jnp.cos(a * angle) - beta * slope * sine, tiny)
    rate = jnp.log(w * cos_u / base) / alpha
    z = a * rate
    power = jnp.exp(-(jnp.log(cos_u) + a * jnp.log(base / w)) / alpha)
    bend = _over(-2 * jnp.sin(a * angle / 2) ** 2, a, jnp.zeros_like(angle)) - jnp.tan(angle) * sine
    x = jnp.sin(alpha * angle) * power + beta * slope * (bend * jnp.exp(z) + _over(jnp.expm1(z), a, rate))
    return loc + scale * x
