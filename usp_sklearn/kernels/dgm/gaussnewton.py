"""Levenberg–Marquardt steps for the net of :mod:`kolmogorov`: what Adam leaves, second order takes.

    (JᵀWJ + λ diag JᵀWJ) Δ = JᵀW r,   θ ← θ − Δ where that lowers the loss, and then λ/2, otherwise 4λ

r (n,) are the weighted residuals of a fresh block of collocation points, J their derivatives in the weights, W the
weights of the loss that grows linearly. Fresh points keep a few hundred weights from fitting the points instead of
the equation; λ ≥ 1e-3 averages over the blocks. It factorises a dense matrix with LAPACK, so it is for solving a
given diffusion to a small error, and no part of the branch.

References: Levenberg (1944); Marquardt (1963).
"""

import jax
import jax.numpy as jnp
from jax import Array

from . import kolmogorov
from .kolmogorov import Coefficients, Trainer

LEAST, MOST = 1e-3, 1e3
"""Bounds on λ."""


def refine(trainer: Trainer, coefficients: Coefficients, steps: int = 40, batch: int = 1200) -> tuple[Trainer, Array]:
    """``steps`` damped Gauss–Newton steps on ``batch`` fresh points each; returns the loss history (steps,).

    Meant to follow a few hundred steps of :func:`kolmogorov.train`. The cost of a step grows as batch·weights².

    >>> ou = jax.tree_util.Partial(lambda x: (-x, 1.0 + 0.0 * x))
    >>> start = kolmogorov.init(jax.random.key(0), width=6)
    >>> spoiled = start._replace(net=start.net._replace(weights=start.net.weights.at[-1].set(0.2)))
    >>> _, losses = refine(spoiled, ou, steps=6, batch=200)
    >>> bool(losses[-1] < losses[0] / 10)
    True
    """
    reach, shape = trainer.net.reach, trainer.net.weights.shape

    def step(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], Array]:
        weights, damping, drawn = carry
        points = kolmogorov.known(coefficients, reach, *kolmogorov.collocation(drawn, batch, reach))
        share = jnp.exp(-(points.z**2) / 12)

        def residual(w: Array, p: kolmogorov.Known) -> Array:
            return kolmogorov.residual_at(trainer.net._replace(weights=w), p)

        def losses(w: Array) -> tuple[Array, Array]:
            r = share * residual(w, points)
            return r, jnp.mean(jnp.sqrt(1 + r * r / 4) - 1) * 8

        r, loss = losses(weights)
        slopes = jax.vmap(jax.grad(lambda w, p: residual(w, p)[0]), (None, 0))(weights, kolmogorov.single(points))
        robust = (1 + r * r / 4) ** -0.25
        jacobian = (share * robust)[:, None] * slopes.reshape(batch, -1)
        normal = jacobian.T @ jacobian
        diagonal = jnp.diagonal(normal)
        normal = normal + jnp.diag(damping * (diagonal + 1e-6 * diagonal.mean()))
        move = jax.scipy.linalg.solve(normal, jacobian.T @ (r * robust), assume_a="pos")
        trial = weights - move.reshape(shape)
        better = losses(trial)[1] < loss
        damping = jnp.clip(damping * jnp.where(better, 0.5, 4.0), LEAST, MOST)
        return (jnp.where(better, trial, weights), damping, drawn + batch), loss

    start = trainer.net.weights, jnp.asarray(0.1, reach.dtype), trainer.drawn
    (weights, _, drawn), history = jax.lax.scan(step, start, length=steps)
    return trainer._replace(net=trainer.net._replace(weights=weights), drawn=drawn % 1_000_003), history
