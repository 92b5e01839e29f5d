"""One step of the Jordan–Kinderlehrer–Otto scheme on the simplex of members, in two geometries.

    ρ⁺ = argmin_ρ D(ρ, ρ_t)² / (2τ) + ⟨ρ, ℓ⟩ + λ KL(ρ | π)

*Graph*: D is the discrete Wasserstein metric on the complete graph of members with mobility ρ_i ρ_j and
edge conductance K_ij (Maas 2011; Chow, Huang, Li & Zhou 2012). To first order in τ its step is

    ρ_i ← ρ_i exp(Σ_j K_ij ρ_j (p_j − p_i)),   normalised,   p_i = η ℓ_i + s log(ρ_i/π_i),   η = τ, s = τ λ,

so K ≡ 1 is exponentiated gradient with a (geometric) fixed share, ρ_i ← ρ_i^{1 − s} π_i^s e^{−η ℓ_i}. Losses and prior
pull along the same edges: were the prior to pull past them, the free energy could rise.

*Sinkhorn*: D is entropic transport with cost C/2 between members, marginal ρ_t kept and the other one
relaxed towards q ∝ π e^{−ℓ/λ} (Peyré 2015; Chizat et al. 2018): one half-unbalanced problem a step.
"""

import jax
import jax.numpy as jnp
from jax import Array

EPSILON_MIN = 1e-4
THRESHOLD = 1e-10
FLOOR, LOG_FLOOR = 1e-14, 700.0
"""Weights below the floor carry no mass that could be seen at 1e-10, and would give infinite potentials."""
MAX_ITERATIONS = 2000
INNER = 5
"""Sinkhorn iterations between two looks at convergence."""


def _log(x: Array) -> Array:
    """log with log 0 = −∞ and a finite gradient everywhere."""
    positive = x > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, x, 1.0)), -jnp.inf)


def _times(a: Array, x: Array) -> Array:
    """a·x where 0·(−∞) is 0."""
    return jnp.where(a == 0, 0.0, a * jnp.where(a == 0, 0.0, x))


def conductance(cost: Array, gain: Array | float = 1.0, awake: Array | None = None) -> Array:
    """Edge conductances 1 + a exp(−4 C/mean C) in [1, 1 + a] from pairwise W2² ``cost`` (M, M).

    Mass moves more easily between members whose laws agree. The mean is over pairs of ``awake`` members.

    >>> float(conductance(jnp.ones((3, 3)) - jnp.eye(3), 0.0).max())
    1.0
    """
    pairs = jnp.ones_like(cost) if awake is None else (awake[:, None] & awake).astype(cost.dtype)
    mean = (pairs * cost).sum() / jnp.maximum(pairs.sum(), 1)
    return 1 + gain * jnp.exp(-4 * cost / jnp.where(mean > 0, mean, 1.0))


def graph_step(
    rho: Array, losses: Array, prior: Array, conductance: Array, rate: Array | float, share: Array | float
) -> Array:
    """First-order JKO step in the discrete Wasserstein metric.

    ``rho`` and ``losses`` are (M, K), one simplex per quantile level; ``prior`` (M,), ``conductance`` (M, M)
    symmetric. ``rate`` is the step τ per unit of loss, ``share`` = τ λ in [0, 1] the pull of the prior, along
    the edges of a member at most 1. Columns of the result sum to one.

    >>> rho = graph_step(jnp.full((2, 1), 0.5), jnp.array([[0.0], [1.0]]), jnp.full(2, 0.5), jnp.ones((2, 2)), 1.0, 0.0)
    >>> bool(jnp.allclose(rho[1] / rho[0], jnp.exp(-1.0)))
    True
    """
    rate, share = jnp.asarray(rate, rho.dtype), jnp.asarray(share, rho.dtype)
    return jax.nn.softmax(graph_logits(_log(rho), rho, losses, _log(prior), conductance, rate, share), axis=0)


def graph_logits(
    log_rho: Array, rho: Array, losses: Array, log_prior: Array, conductance: Array, rate: Array, share: Array
) -> Array:
    """:func:`graph_step` in log-weights (M, K), before normalisation; ``log_rho`` up to a constant per level."""
    reach = conductance @ rho
    pull = jnp.minimum(share * reach, 1.0)
    entropy = _times(rho, log_rho) - _times(rho, log_prior[:, None])
    inflow = conductance @ (rate * rho * losses + share * entropy)
    return _times(1 - pull, log_rho) + _times(pull, log_prior[:, None]) + inflow - rate * losses * reach


def epsilon(base: Array | float, coupling: Array | float, sigma: Array | float) -> Array:
    """Entropic regularisation ε_t = max(1e-4, ε₀ (1 + α σ_t)): blurrier transport in volatile times."""
    return jnp.maximum(EPSILON_MIN, base * (1 + coupling * jnp.asarray(sigma)))


def sinkhorn_step(
    rho: Array,
    losses: Array,
    prior: Array,
    cost: Array,
    tau: Array | float,
    lam: Array | float,
    epsilon: Array | float,
) -> tuple[Array, Array]:
    """JKO step in entropic transport: new weights (M,) and whether Sinkhorn converged ().

    Minimises ⟨P, C⟩/(2τ) + ε ⟨P, log P⟩ + λ KL(P'1 | q) over plans P with P1 = ρ, q ∝ π e^{−ℓ/λ}, and returns
    P'1: the problem ``LinearProblem(geom, a=ρ, b=q, tau_a=1, tau_b=λ/(λ + ε))`` of ott-jax. ``rho``, ``losses``,
    ``prior`` are (M,), ``cost`` (M, M) holds W2² between the members' laws in the unit in which ``epsilon`` is
    given, ``lam`` > 0. Falls back to the prior if the iteration fails. Differentiable in every argument,
    through the iterations (the implicit function theorem would need a linear solve).

    >>> two = jnp.full(2, 0.5)
    >>> moved, fine = sinkhorn_step(two, jnp.array([0.0, 1.0]), two, 1 - jnp.eye(2), 0.5, 1.0, 0.1)
    >>> bool(fine), bool(moved[0] > moved[1])
    (True, True)
    """
    # Only this geometry needs ott, and ott takes half a second and matplotlib to import.
    from ott.geometry.geometry import Geometry
    from ott.math.fixed_point_loop import fixpoint_iter_backprop

    lam, epsilon = jnp.asarray(lam, rho.dtype), jnp.asarray(epsilon, rho.dtype)
    soft = lam / (lam + epsilon)
    log_target = jax.nn.log_softmax(jnp.maximum(_log(prior), -LOG_FLOOR) - losses / lam)
    log_start = jnp.log(jnp.maximum(rho, FLOOR) / jnp.maximum(rho, FLOOR).sum())
    # ott's Sinkhorn object keeps tau_b as static data, one compilation per λ and ε; its geometry and loop do not.
    geometry = Geometry(cost_matrix=cost / (2 * tau), epsilon=epsilon)

    def body(_, constants, state, last):
        geometry, log_start, log_target, soft = constants
        f, g, _ = state
        new = soft * geometry.update_potential(f, g, log_target, axis=0)
        f = geometry.update_potential(f, new, log_start, axis=1)
        return f, new, jnp.abs(new - g).max() / geometry.epsilon

    def unfinished(_, constants, state):
        return state[2] > THRESHOLD

    zero = jnp.zeros_like(rho)
    f, g, change = fixpoint_iter_backprop(
        unfinished,
        body,
        0,
        MAX_ITERATIONS,
        INNER,
        (geometry, log_start, log_target, soft),
        (zero, zero, jnp.asarray(jnp.inf, rho.dtype)),
    )
    moved = geometry.marginal_from_potentials(f, g, axis=0)
    total = moved.sum()
    fine = (change <= THRESHOLD) & jnp.isfinite(total) & (total > 0)
    return jnp.where(fine, moved / jnp.where(fine, total, 1.0), prior / prior.sum()), fine
