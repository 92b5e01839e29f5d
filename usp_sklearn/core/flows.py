"""Several gradient flows of different rates side by side, and Bernstein aggregation on top: no rate to tune.

Each flow is a :func:`jko.graph_step` on a simplex per quantile level. Its losses are the members' pinball
losses (or their linearisation at the flow's own mix), partly pooled over levels, centred, in units of their
running mean size:

    ℓ = p · mean_levels(ℓ) + (1 − p) ℓ,   z = clip((ℓ − mean_members ℓ)/s, −10, 50),   s ← s + .02 (min(|ℓ|, 3 s) − s)

The cap is wide and the scale slow: a member that extrapolates wildly must be dropped at once. The flows' mixes are
weighed per level by Bernstein online aggregation with the gradient trick and second-order rates
(Wintenberger 2017; Berrisch & Ziel 2021), half smoothed over levels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..kernels.law import LEVELS
from . import jko

SHARE = np.array([0.002, 0.0001, 0.01, 0.0001, 0.0001])
RATE = np.array([0.5, 0.2, 2.0, 0.1, 0.02])
POOLED = np.array([0.5, 1.0, 0.5, 0.5, 0.5])
LINEAR = np.array([False, False, False, True, True])
"""The flows: pull of the prior, rate, share of the loss pooled over levels, whether losses are linearised."""
RESETS = np.array([False, True, False, False, False])
"""Flows that an alarm sends back to the prior: one forgets, the others remember, the layer above finds out who was
right. Sending all of them back costs 0.6 % on real series (docs/deviations.md)."""
N_FLOWS = len(RATE)
LAM = 0.1
"""The λ at which the flows have the shares above; shares are proportional to τ λ."""
GAIN = 1.0
MEMORY = 0.02
CAP, GAIN_CAP, SCALE_CAP = 50.0, 10.0, 3.0
"""Largest scaled loss and gain of a member. Gains are capped sooner: on linearised losses a member far out would
otherwise come back with every outcome on its side."""
SMOOTHING = 0.5
FLOOR = 60.0
"""A member's log-weight is kept within this of the best one's: it can always come back."""
SINKHORN_RATE, SINKHORN_LAM = 1.0, 10.0
"""Sinkhorn's τ at tau = 1, relative to the mean W2² between members, and its λ at lam = 1, per unit of scaled loss."""
COUPLING = 0.1
"""α of the regularisation ε_t = max(1e-4, ε₀ (1 + α σ_t))."""
TINY = 1e-300


class State(NamedTuple):
    """Weights of every flow and what moves them; M members, K levels, F flows."""

    prior: Array
    """(M,) π"""
    logits: Array
    """(M, F, K) log-weights, largest zero. Members lead: sums over them run along contiguous memory."""
    mass: Array
    """(M, F, K) their exponentials, kept because exponentials are what a step costs"""
    blend: Array
    """(F, K) weights of the flows, one simplex per level"""
    regret: Array
    """(F, K) second-order corrected regrets of the flows"""
    variance: Array
    """(F, K) sums of their squares"""
    spread: Array
    """(F, K) largest absolute regret so far"""
    scale: Array
    """(F,) running mean size of centred losses, units of the series; 0 before the first"""
    cost: Array
    """(M, M) running W2² between the members' laws, units of the series squared"""
    energy: Array
    """() free energy ⟨ρ, z⟩ + λ KL(ρ | π) of the newest weights and losses"""
    converged: Array
    """() whether the newest Sinkhorn step converged; always true in the graph geometry"""


def init(prior: Array, n_levels: int = len(LEVELS)) -> State:
    """All flows at ``prior`` (M,), which need not be normalised; zeros are members that do not exist.

    >>> state = init(jnp.ones(3), 5)
    >>> weights(state).shape
    (3, 5)
    """
    prior = jnp.asarray(prior) / jnp.sum(prior)
    m = prior.shape[0]
    zero = jnp.zeros((N_FLOWS, n_levels), prior.dtype)
    logits = jnp.broadcast_to(_prior_logits(prior)[:, None, None], (m, N_FLOWS, n_levels))
    return State(
        prior=prior,
        logits=logits,
        mass=jnp.exp(logits),
        blend=jnp.full_like(zero, 1 / N_FLOWS),
        regret=zero,
        variance=zero,
        spread=zero,
        scale=zero[:, 0],
        cost=jnp.zeros((m, m), prior.dtype),
        energy=jnp.zeros((), prior.dtype),
        converged=jnp.ones((), bool),
    )


def _prior_logits(prior: Array) -> Array:
    return jnp.where(prior > 0, jnp.log(jnp.where(prior > 0, prior, 1.0) / prior.max()), -jnp.inf)


def _awake(state: State, active: Array | None) -> Array:
    real = state.prior > 0
    return real if active is None else real & active


def _flow_weights(state: State, awake: Array) -> Array:
    """(M, F, K) weights of the awake members."""
    rho = jnp.where(awake[:, None, None], state.mass, 0.0)
    return rho * (1 / jnp.maximum(rho.sum(0), TINY))


def weights(state: State, active: Array | None = None, tilt: Array | None = None) -> Array:
    """Combined weights (M, K), one simplex per level.

    ``active`` (M,) bool: sleeping members get zero, the others share their mass. ``tilt`` (M,) multiplies the
    prior: since weights are the prior times what was learned, it multiplies them too.
    """
    w = (state.blend * _flow_weights(state, _awake(state, active))).sum(1)
    if tilt is not None:
        w = w * tilt[:, None]
    return w / jnp.maximum(w.sum(0), TINY)


def combine(
    state: State, quantiles: Array, active: Array | None = None, tilt: Array | None = None
) -> tuple[Array, Array]:
    """W2 barycentre (K,), sorted, of the members' ``quantiles`` (M, K), and the weights (M, K) it was made with.

    Members with a quantile that is not finite sleep for this step.
    """
    active, quantiles = _sanitise(state, quantiles, active)
    w = weights(state, active, tilt)
    return jnp.sort((w * quantiles).sum(0)), w


def _sanitise(state: State, quantiles: Array, active: Array | None) -> tuple[Array, Array]:
    awake = _awake(state, active) & jnp.isfinite(quantiles).all(1)
    return awake, jnp.where(awake[:, None], quantiles, 0.0)


def reset(state: State, alarm: Array | bool = True, geometry: str = "graph") -> State:
    """Weights of the flows that ``RESETS`` names back to the prior, maximum entropy, where ``alarm`` ().

    The flows of ``geometry="sinkhorn"`` are one and the same, so it goes back whole.
    """
    gone = ((jnp.asarray(RESETS) | (geometry == "sinkhorn")) & alarm)[None, :, None]
    logits = jnp.where(gone, _prior_logits(state.prior)[:, None, None], state.logits)
    return state._replace(logits=logits, mass=jnp.where(gone, jnp.exp(logits), state.mass))


def update(
    state: State,
    quantiles: Array,
    y: Array,
    tau: Array | float = 1.0,
    lam: Array | float = LAM,
    epsilon: Array | float = 0.05,
    sigma: Array | float = 0.0,
    geometry: str = "graph",
    *,
    active: Array | None = None,
    levels: Array | np.ndarray = LEVELS,
    share: Array | float = 1.0,
    ahead: Array | float = 1.0,
) -> State:
    """Score the stored ``quantiles`` (M, K) at ``levels`` (K,) against the outcome ``y`` () and move the weights.

    ``tau`` multiplies every flow's rate, ``lam`` is the price of leaving the prior, ``share`` multiplies the
    prior's pull, ``epsilon`` and ``sigma`` set the regularisation of ``geometry="sinkhorn"``, which replaces
    every flow by one Sinkhorn step on losses pooled over levels. Sleeping members keep their share.
    Outcomes ``ahead`` steps away bring losses that hang together over as many steps and tell as much as one.
    """
    tau = tau / ahead
    awake, quantiles = _sanitise(state, quantiles, active)
    levels = jnp.asarray(levels, quantiles.dtype)
    rho = _flow_weights(state, awake)
    mixes = (rho * quantiles[:, None]).sum(0)
    mix = (state.blend * mixes).sum(0)
    z, scale = _losses(state, quantiles, mixes, y, levels, awake, rho)
    cost = state.cost + MEMORY * (_w2_squared(quantiles, awake, levels) - state.cost)
    if geometry == "sinkhorn":
        logits, converged = _sinkhorn(state, z, cost, tau, lam, epsilon, sigma)
    else:
        logits, converged = _graph(state, rho, z, cost, awake, tau, lam, share), jnp.ones((), bool)
    moved = state._replace(logits=logits, mass=jnp.exp(logits), scale=scale, cost=cost, converged=converged)
    moved = _bernstein(moved, mix, mixes, y, levels, ahead)
    return moved._replace(energy=_energy(moved, z, lam))


def _losses(
    state: State, q: Array, mixes: Array, y: Array, levels: Array, awake: Array, rho: Array
) -> tuple[Array, Array]:
    """Scaled losses (M, F, K), zero on average over awake members, and the new scales (F,)."""
    n, k = jnp.maximum(awake.sum(), 1).astype(q.dtype), q.shape[1]
    raw = jnp.maximum(levels * (y - q), (levels - 1) * (y - q))
    slope = (y <= mixes) - levels
    # Centring over members and pooling over levels are matrix products, which the compiler evaluates once;
    # as reductions it would recompute them inside each of their many uses.
    real = awake.astype(q.dtype)
    centre = real[:, None] * (jnp.eye(len(q), dtype=q.dtype) - real / n)
    both = centre @ jnp.concatenate([raw, q], 1)
    pools = [jnp.asarray(p / k + (1 - p) * np.eye(k), q.dtype) for p in POOLED]
    parts = [(slope[f] * both[:, k:] if LINEAR[f] else both[:, :k]) @ pools[f] for f in range(N_FLOWS)]
    loss = jnp.stack(parts, 1)
    size = jnp.abs(loss).sum((0, 2)) / (n * loss.shape[2])
    grown = state.scale + MEMORY * (jnp.minimum(size, SCALE_CAP * state.scale) - state.scale)
    scale = jnp.where(state.scale <= 0, size, grown)
    z = jnp.clip(loss * (1 / jnp.where(scale > 0, scale, 1.0))[:, None], -GAIN_CAP, CAP)
    # A sleeping member is charged what the mix is charged, so that it neither gains nor loses.
    return jnp.where(awake[:, None, None], z, (rho * z).sum(0)), scale


def _w2_squared(q: Array, awake: Array, levels: Array) -> Array:
    """W2² (M, M) between members' laws, by the quadrature of the level cells."""
    edges = jnp.concatenate([jnp.zeros(1, q.dtype), (levels[1:] + levels[:-1]) / 2, jnp.ones(1, q.dtype)])
    centred = jnp.where(awake[:, None], q - jnp.where(awake[:, None], q, 0.0).sum(0) / jnp.maximum(awake.sum(), 1), 0.0)
    gram = (centred * jnp.diff(edges)) @ centred.T
    size = jnp.diagonal(gram)
    both = awake[:, None] & awake
    return jnp.where(both, jnp.maximum(size[:, None] + size - 2 * gram, 0.0), 0.0)


def _graph(
    state: State,
    rho: Array,
    z: Array,
    cost: Array,
    awake: Array,
    tau: Array | float,
    lam: Array | float,
    share: Array | float,
) -> Array:
    """One :func:`jko.graph_step` per flow, in log-weights."""
    rate = tau * jnp.asarray(RATE, z.dtype)
    pull = jnp.clip(share * tau * lam / LAM * jnp.asarray(SHARE, z.dtype), 0.0, 1.0)
    edges = jko.conductance(cost, GAIN, awake)
    # All flows and levels side by side: one matrix product instead of one per flow.
    m, f, k = rho.shape
    logits, rho, z = (x.reshape(m, f * k) for x in (state.logits, rho, z))
    rate, pull = jnp.repeat(rate, k), jnp.repeat(pull, k)
    moved = jko.graph_logits(logits, rho, z, _prior_logits(state.prior), edges, rate, pull)
    return _trim(state, moved.reshape(m, f, k))


def _sinkhorn(
    state: State,
    z: Array,
    cost: Array,
    tau: Array | float,
    lam: Array | float,
    epsilon: Array | float,
    sigma: Array | float,
) -> tuple[Array, Array]:
    """One :func:`jko.sinkhorn_step` on pooled losses; every flow and level gets its weights."""
    mean = cost.mean()
    relative = cost / jnp.where(mean > 0, mean, 1.0)
    start = _flow_weights(state, state.prior > 0)[:, 0, 0]
    blur = jko.epsilon(epsilon, COUPLING, sigma)
    rho, fine = jko.sinkhorn_step(
        start, z[:, 1, 0], state.prior, relative, tau * SINKHORN_RATE, lam * SINKHORN_LAM, blur
    )
    logits = jnp.log(jnp.maximum(rho, TINY))
    return _trim(state, jnp.broadcast_to(logits[:, None, None], state.logits.shape)), fine


def _trim(state: State, logits: Array) -> Array:
    real = (state.prior > 0)[:, None, None]
    logits = logits - jnp.where(real, logits, -jnp.inf).max(0)
    return jnp.where(real, jnp.maximum(logits, -FLOOR), -jnp.inf)


def _bernstein(state: State, mix: Array, mixes: Array, y: Array, levels: Array, ahead: Array | float) -> State:
    """Second-order aggregation of the flows' ``mixes`` (F, K), in units of the running loss."""
    unit = jnp.where(state.scale[0] > 0, state.scale[0], 1.0)
    gain = jnp.clip(((y <= mix) - levels) * (mix - mixes) / unit, -CAP, CAP)
    spread = jnp.maximum(state.spread, ahead * jnp.abs(gain))
    variance = state.variance + ahead * gain**2
    rate = jnp.minimum(0.5 / jnp.maximum(spread, 1e-12), jnp.sqrt(np.log(N_FLOWS) / jnp.maximum(variance, 1e-12)))
    regret = state.regret + 0.5 * (gain * (1 - rate * ahead * gain) - spread * (rate * gain < -0.5))
    sharp = jax.nn.softmax(jnp.log(rate) + rate * regret, axis=0)
    blend = (1 - SMOOTHING) * sharp + SMOOTHING * sharp.mean(1, keepdims=True)
    return state._replace(blend=blend, regret=regret, variance=variance, spread=spread)


def _energy(state: State, z: Array, lam: Array | float) -> Array:
    """Free energy of the combined weights on the pooled losses, all averaged over levels."""
    w = weights(state).mean(1)
    ratio = jnp.where(w > 0, w, 1.0) / jnp.where(state.prior > 0, state.prior, 1.0)
    return (w * z[:, 0].mean(1)).sum() + lam * (w * jnp.log(ratio)).sum()
