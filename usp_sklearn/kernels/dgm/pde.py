"""Deep Galerkin method for terminal value problems V_t + H(x, V_x, V_xx) = 0, V(T, x) = g(x), in one to ten dimensions.

    loss = mean (V_t + H)² + mean (V(T, ·) − g)² + mean over the faces of the box (V − b)²

with fresh points every iteration, Adam, the gradient clipped at norm 10 and the step halved after more than five
clipped iterations in a row. ``hard=True`` builds the terminal condition in, V = g + (T − t)·net, and drops its loss.
References: Sirignano & Spiliopoulos (2018); E, Han & Jentzen (2017) for the high-dimensional examples.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .optimiser import descend, start
from .watch import entropy_difference, variance_ratio

Hamiltonian = Callable[[Array, Array, Array], Array]
"""(x (d,), V_x (d,), V_xx (d, d)) → ()"""
Condition = Callable[[Array], Array]
"""Terminal condition: x (d,) → ()"""
Boundary = Callable[[Array, Array], Array]
"""Boundary value: (t (), x (d,)) → () on the faces of the box"""
Sampler = Callable[[Array, int], tuple[Array, Array]]
"""(key, n) → interior times (n,) and states (n, d)"""


class Solution(eqx.Module):
    """V as a callable: ``solution(t, x)`` with t () and x (d,); a pytree, so it may be vmapped, jitted and saved."""

    mlp: eqx.nn.MLP
    low: Array
    high: Array
    horizon: Array
    terminal: Condition = eqx.field(static=True)
    hard: bool = eqx.field(static=True)

    def __call__(self, t: Array | float, x: Array) -> Array:
        """V(t, x), a scalar."""
        scaled = 2 * (x - self.low) / (self.high - self.low) - 1
        left = self.horizon - t
        out = self.mlp(jnp.concatenate([jnp.atleast_1d(2 * left / self.horizon - 1), scaled]))
        return self.terminal(x) + left * out if self.hard else out


class Diagnostics(NamedTuple):
    """What the training did.

    ``loss`` (steps, 3) interior, terminal and boundary parts; ``residual`` () root mean square of V_t + H after
    training, at fresh interior points; ``clipped`` and ``halvings`` () counts; ``entropy`` () H[V(0, ·)] − H[g] over
    the domain in nats; ``variance_ratio`` () of the same two.
    """

    loss: Array
    residual: Array
    clipped: Array
    halvings: Array
    entropy: Array
    variance_ratio: Array


def residual(solution: Callable[[Array, Array], Array], hamiltonian: Hamiltonian, t: Array, x: Array) -> Array:
    """V_t + H(x, V_x, V_xx) at one point t (), x (d,)."""
    v_t = jax.jvp(lambda s: solution(s, x), (t,), (jnp.ones_like(t),))[1]
    slope = jax.grad(partial(solution, t))
    v_x, bend = jax.linearize(slope, x)
    v_xx = jax.vmap(bend)(jnp.eye(x.shape[0], dtype=x.dtype))
    return v_t + hamiltonian(x, v_x, v_xx)


def faces(key: Array, n: int, low: Array, high: Array) -> Array:
    """``n`` uniform points (n, d) on the faces of the box."""
    d = low.shape[0]
    k1, k2, k3 = jax.random.split(key, 3)
    x = jax.random.uniform(k1, (n, d), low.dtype, low, high)
    axis = jax.random.randint(k2, (n, 1), 0, d)
    side = jnp.where(jax.random.bernoulli(k3, shape=(n, 1)), high, low)
    return jnp.where(jnp.arange(d) == axis, side, x)


@partial(jax.jit, static_argnames=("hamiltonian", "boundary", "sampler", "steps", "batch", "static"))
def _train(
    weights: Solution,
    static: Solution,
    key: Array,
    rate: Array,
    hamiltonian: Hamiltonian,
    boundary: Boundary | None,
    sampler: Sampler | None,
    steps: int,
    batch: int,
) -> tuple[Solution, Diagnostics]:
    frozen = eqx.combine(weights, static)
    low, high, horizon, terminal = frozen.low, frozen.high, frozen.horizon, frozen.terminal

    def rebuild(mlp: eqx.nn.MLP) -> Solution:
        return eqx.tree_at(lambda s: s.mlp, frozen, eqx.combine(mlp, static.mlp))

    def interior(key: Array) -> tuple[Array, Array]:
        if sampler is not None:
            return sampler(key, batch)
        k1, k2 = jax.random.split(key)
        t = jax.random.uniform(k1, (batch,), low.dtype) * horizon
        return t, jax.random.uniform(k2, (batch, low.shape[0]), low.dtype, low, high)

    def loss(mlp: eqx.nn.MLP, key: Array) -> tuple[Array, Array]:
        solution = rebuild(mlp)
        k1, k2 = jax.random.split(key)
        t, x = interior(k1)
        parts = [jnp.mean(jax.vmap(partial(residual, solution, hamiltonian))(t, x) ** 2)]
        gap = jnp.zeros((), x.dtype)
        if not frozen.hard:
            gap = jnp.mean(jax.vmap(lambda p: solution(horizon, p) - terminal(p))(x) ** 2)
        parts.append(gap)
        edge = jnp.zeros((), x.dtype)
        if boundary is not None:
            points = faces(k2, batch, low, high)
            edge = jnp.mean(jax.vmap(lambda s, p: solution(s, p) - boundary(s, p))(t, points) ** 2)
        parts.append(edge)
        losses = jnp.stack(parts)
        return losses.sum(), losses

    def body(carry: tuple, i: Array) -> tuple[tuple, Array]:
        mlp, opt = carry
        grads, parts = jax.grad(loss, has_aux=True)(mlp, jax.random.fold_in(key, i))
        decayed = rate * (0.01 + 0.99 * 0.5 * (1 + jnp.cos(jnp.pi * i / steps)))
        return descend(mlp, opt, grads, decayed), parts

    (mlp, opt), history = jax.lax.scan(body, (weights.mlp, start(weights.mlp)), jnp.arange(steps))
    solution = rebuild(mlp)
    x = jax.random.uniform(jax.random.fold_in(key, steps), (1024, low.shape[0]), low.dtype, low, high)
    first, last = jax.vmap(partial(solution, jnp.zeros_like(horizon)))(x), jax.vmap(terminal)(x)
    t, inner = interior(jax.random.fold_in(key, steps + 1))
    left = jnp.sqrt(jnp.mean(jax.vmap(partial(residual, solution, hamiltonian))(t, inner) ** 2))
    report = Diagnostics(
        history, left, opt.clipped, opt.halvings, entropy_difference(first, last), variance_ratio(first, last)
    )
    return eqx.filter(solution, eqx.is_inexact_array), report


def solve_pde(
    hamiltonian: Hamiltonian,
    terminal: Condition,
    boundary: Boundary | None,
    domain: tuple[Array, Array],
    horizon: float,
    *,
    key: Array,
    width: int = 32,
    depth: int = 2,
    steps: int = 2000,
    batch: int = 128,
    rate: float = 5e-3,
    hard: bool = False,
    sampler: Sampler | None = None,
) -> tuple[Solution, Diagnostics]:
    """Solve V_t + H(x, V_x, V_xx) = 0 on the box ``domain`` = (low (d,), high (d,)) for t in [0, ``horizon``].

    ``sampler`` overrides the uniform interior points, e.g. with paths of the process where the box is mostly empty.

    >>> import numpy as np
    >>> heat = lambda x, v_x, v_xx: 0.5 * v_xx[0, 0]
    >>> solution, report = solve_pde(heat, lambda x: x[0] ** 2, lambda t, x: x[0] ** 2 + 1 - t,
    ...     (np.array([-1.0]), np.array([1.0])), 1.0, key=jax.random.key(0), steps=300, hard=True, width=8)
    >>> bool(abs(solution(0.0, jnp.zeros(1)) - 1.0) < 0.05)
    True
    """
    dtype = jnp.result_type(float)
    low, high = (jnp.asarray(side, dtype) for side in domain)
    mlp = eqx.nn.MLP(low.shape[0] + 1, "scalar", width, depth, jnp.tanh, key=key, dtype=dtype)
    solution = Solution(mlp, low, high, jnp.asarray(horizon, dtype), terminal, hard)
    weights, static = eqx.partition(solution, eqx.is_inexact_array)
    trained, report = _train(
        weights,
        static,
        jax.random.fold_in(key, 1),
        jnp.asarray(rate, dtype),
        hamiltonian,
        boundary,
        sampler,
        steps,
        batch,
    )
    return eqx.combine(trained, static), report
