"""The JKO orchestrator of one model: mixes members' laws, scores stored ones, moves the weights, watches.

Everything here is diagnostic or weighting state; members' own states live in their branches. Losses and
alarms come from stored laws only.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..kernels import dgm
from ..kernels import law as laws
from ..kernels.contract import Row
from ..kernels.law import LEVELS, MEDIAN, Law
from . import calibration, cusum, flows, frozen, stack
from .identification import Identification
from .spec import STACK, Spec
from .telemetry import BRANCH_ORDER, Telemetry

LOW80, HIGH80 = int(np.searchsorted(LEVELS, 0.1)), int(np.searchsorted(LEVELS, 0.9))
PATIENCE = 50
"""Updates of persistent collapse before branch B sleeps."""
OUTLIER_SIGMAS = 20.0
EMERGENCY = {"off": 0.0, "tilt": 1.0, "force": 2.0}
TILT = 3.0
COVERAGE_RATE = 0.01


class Params(NamedTuple):
    """Tunable hyper-parameters, all arrays: none of them costs a compilation."""

    tau: Array
    epsilon: Array
    lam: Array
    cone: Array
    cusum_h: Array
    cusum_k: Array
    grace: Array
    holder_threshold: Array
    emergency: Array
    calibration: Array


class Orchestrator(NamedTuple):
    """Weights, alarms and calibration of one model."""

    flow: flows.State
    stack: stack.State | None
    cusum: cusum.State
    calibration: calibration.State
    grid: calibration.Grid
    grid_step: Array
    volatility: Array
    size: Array
    coverage: Array
    emergency: Array
    collapse: Array
    ties: Array
    frozen: frozen.State
    weights: Array
    degraded: Array
    entropy: Array


def params(**values: Any) -> Params:
    """Hyper-parameters as float64 scalars; ``emergency`` by name."""
    values["emergency"] = EMERGENCY[values["emergency"]]
    return Params(**{k: np.float64(v) for k, v in values.items()})


def _prior(spec: Spec) -> np.ndarray:
    """Equal mass for every branch, shared equally among its members; experts and the stack count as one each."""
    names = [b for b, _ in spec.members]
    return np.array([1 / (len(set(names)) * names.count(b)) for b in names])


def _membership(spec: Spec) -> np.ndarray:
    """(4, M) incidence of members in branches A–D."""
    return np.array([[float(b == name) for b, _ in spec.members] for name in BRANCH_ORDER])


def init(spec: Spec, params: Params, rows: Row, y: Array, mask: Array) -> Orchestrator:
    """Prior weights; residual scale and share of ties from the training rows."""
    dtype = y.dtype
    real = mask.astype(dtype)
    count = jnp.maximum(real.sum(), 1.0)
    move = jnp.abs(y - rows.last)
    size = (move * real).sum() / count
    ties = ((rows.increments[:, 0] == 0) * real).sum() / count
    zero = jnp.zeros((), dtype)
    prior = jnp.asarray(_prior(spec), dtype)
    return Orchestrator(
        flow=flows.init(prior, laws.N_LEVELS),
        stack=stack.init(len(spec.members) - 1, dtype) if spec.stack else None,
        cusum=cusum.init(dtype),
        calibration=calibration.init(laws.N_LEVELS, dtype),
        grid=calibration.init_grid(dtype),
        grid_step=zero,
        volatility=jnp.where(size > 0, size, rows.scale[0]) ** 2,
        size=jnp.where(size > 0, size, rows.scale[0]),
        coverage=zero + 0.8,
        emergency=jnp.zeros((), bool),
        collapse=jnp.zeros((), jnp.int32),
        ties=ties,
        frozen=frozen.init(),
        weights=_by_branch(spec, prior),
        degraded=jnp.zeros((), bool),
        entropy=zero,
    )


def _by_branch(spec: Spec, weights: Array) -> Array:
    """(4,) weights of the branches from those of the members (M,); the stack's is its members' in proportion."""
    inside = np.array([float(b != STACK) for b, _ in spec.members])
    return jnp.asarray(_membership(spec), weights.dtype) @ weights / jnp.maximum(inside @ weights, 1e-12)


def awake(spec: Spec, state: Orchestrator) -> Array:
    """(M,) False for the DGM law while it has collapsed for long; the stack is not among them."""
    asleep = jnp.asarray([name == "dgm" for branch, name in spec.members if branch != STACK])
    return ~(asleep & (state.collapse > PATIENCE))


def stacked(state: Orchestrator, members: Law, alive: Array, last: Array) -> tuple[Law, Array]:
    """Members and who takes part, with the stack of those alive as one member more."""
    assert state.stack is not None
    q = stack.law(state.stack, members.q, alive, last=last)
    mean = laws.barycentre(members, (alive / jnp.maximum(alive.sum(), 1)).astype(q.dtype))
    fine = jnp.isfinite(q).all() & alive.any()
    one = Law(jnp.where(fine, q, mean.q), mean.tail_scale, mean.tail_index)
    both = jax.tree.map(lambda many, x: jnp.concatenate([many, x[None]]), members, one)
    return both, jnp.append(alive, fine)


def detached(spec: Spec, state: Orchestrator, near: Array) -> Orchestrator:
    """State for a row that does not come next, unless ``near``.

    Weights follow the newest losses: they lie half way, in logarithms, to equal ones. The stack sleeps: its regression
    rests on the newest errors.
    """
    mass = jnp.sqrt(state.flow.mass)
    mass = mass.at[-1].set(0.0) if spec.stack else mass
    return state._replace(flow=state.flow._replace(mass=jnp.where(near, state.flow.mass, mass)))


def emergency(params: Params, state: Orchestrator, identification: Identification) -> Array:
    """Hysteresis on the Hölder exponent: enter one standard error below the threshold, leave above it."""
    h, se = identification.holder, identification.holder_se
    return jnp.where(state.emergency, h < params.holder_threshold, h + se < params.holder_threshold)


def combine(
    spec: Spec,
    params: Params,
    state: Orchestrator,
    members: Law,
    alive: Array,
    alarm: Array,
    last: Array,
    ahead: Array,
) -> tuple[Law, Array, Array]:
    """Issued law, its quantiles before rounding to the series' grid, and the branches' weights (4,)."""
    weights = flows.weights(state.flow, alive)
    in_d = jnp.asarray(_membership(spec)[3] > 0)
    if "D" in spec.branches:
        d = in_d[:, None].astype(weights.dtype)
        tilted = weights * jnp.where(d > 0, TILT, 1.0)
        tilted = tilted / tilted.sum(0)
        forced = jnp.broadcast_to(d / d.sum(), weights.shape)
        weights = jnp.where(alarm & (params.emergency == 1), tilted, weights)
        weights = jnp.where(alarm & (params.emergency == 2), forced, weights)
    if spec.pooling == "linear":
        mixed = laws.mix_cdf(members, weights.mean(1))
    else:
        mixed = laws.barycentre(members, weights)
    calibrated = calibration.apply(state.calibration, mixed.q, params.calibration, ahead=ahead)
    q = calibration.round_about(state.grid_step, last, calibrated)
    law = Law(q, mixed.tail_scale, mixed.tail_index)
    return law, calibrated, _by_branch(spec, weights.mean(1))


def remember(state: Orchestrator, alarm: Array, weights: Array) -> Orchestrator:
    """Keep what the newest issued law was made with."""
    return state._replace(emergency=alarm, weights=weights)


def learn(
    spec: Spec,
    params: Params,
    state: Orchestrator,
    members: Law,
    alive: Array,
    issued: Law,
    calibrated: Array,
    echo: Array,
    row: Row,
    y: Array,
    identification: Identification,
    branches: tuple[Any, ...],
) -> tuple[Orchestrator, Telemetry]:
    """Score the stored laws against their outcome; move weights, calibration and alarms."""
    error = y - issued.q[MEDIAN]
    sigma = jnp.sqrt(state.volatility)
    status, record = cusum.step(
        state.cusum,
        error / sigma,
        laws.cdf(issued, y),
        params.cusum_h,
        params.cusum_k,
        params.grace,
    )
    # A frozen sensor says nothing about the members: weights are held.
    held = frozen.held(state.frozen)
    flow = flows.update(
        state.flow,
        members.q,
        y,
        params.tau,
        params.lam,
        params.epsilon,
        sigma / state.size,
        spec.geometry,
        active=alive,
        ahead=row.steps,
    )
    flow = jax.tree.map(lambda new, old: jnp.where(held, old, new), flow, state.flow)
    flow = flows.reset(flow, record.alarm, spec.geometry)
    stacking = state.stack
    if stacking is not None:
        stacking = stack.update(stacking, members.q[:-1], alive[:-1], y, last=row.last, recent=echo)
    grid = calibration.observe(state.grid, y)
    inside = ((y >= issued.q[LOW80]) & (y <= issued.q[HIGH80])).astype(y.dtype)
    size = state.size + 0.02 * (jnp.minimum(jnp.abs(error), 10 * state.size) - state.size)
    outlier = jnp.abs(error) > OUTLIER_SIGMAS * 1.25 * state.size
    if "B" in spec.branches:
        entropy, _, collapsed = dgm.monitor(branches[spec.branches.index("B")])
    else:
        entropy, collapsed = jnp.zeros((), y.dtype), jnp.zeros((), bool)
    new = state._replace(
        flow=flow,
        stack=stacking,
        cusum=status,
        calibration=calibration.update(state.calibration, calibrated, y, params.calibration),
        grid=grid,
        grid_step=calibration.grid_step(grid),
        volatility=jnp.maximum(0.94 * state.volatility + 0.06 * error**2, (1e-3 * state.size) ** 2),
        size=jnp.maximum(size, 1e-9 * row.scale),
        coverage=state.coverage + COVERAGE_RATE * (inside - state.coverage),
        collapse=jnp.where(collapsed, state.collapse + 1, 0),
        ties=jnp.where(held, state.ties, state.ties + 0.002 * ((row.increments[0] == 0) - state.ties)),
        degraded=~alive.all(),
        entropy=entropy.astype(y.dtype),
    )
    return new, _record(params, new, identification, record, held, outlier)


def idle(params: Params, state: Orchestrator, identification: Identification) -> Telemetry:
    """The record of a step that brought no outcome."""
    off = jnp.zeros((), bool)
    record = cusum.peek(state.cusum, params.cusum_h)
    return _record(params, state, identification, record, off, off)


def _record(
    params: Params,
    state: Orchestrator,
    identification: Identification,
    record: cusum.Record,
    held: Array,
    outlier: Array,
) -> Telemetry:
    mode = jnp.where(state.emergency & (params.emergency > 0), 2, jnp.where(record.grace > 0, 1, 0))
    return Telemetry(
        holder_exponent=identification.holder,
        holder_se=identification.holder_se,
        spectrum_width=identification.spectrum_width,
        quadratic_variation=identification.quadratic_variation,
        cusum_up=record.up,
        cusum_down=record.down,
        adaptive_threshold=record.threshold,
        distance_to_alarm=record.distance,
        kurtosis=record.kurtosis,
        kernel_weights=state.weights,
        dgm_entropy=state.entropy,
        free_energy=state.flow.energy,
        coverage_error=state.coverage - 0.8,
        mode=mode.astype(jnp.int32),
        sinkhorn_converged=state.flow.converged,
        regime_changed=record.alarm,
        emergency=state.emergency,
        degraded=state.degraded,
        mode_collapse=state.collapse > PATIENCE,
        frozen_signal=held,
        outlier=outlier,
    )
