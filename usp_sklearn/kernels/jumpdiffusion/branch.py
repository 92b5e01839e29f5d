"""Branch C: a jump diffusion with learned drift, filtered volatility and online jumps, beside a GARCH mixture.

    y_{t+h} = y_t + drift + σ_t Z

"jumps": Z is the value after one unit of time of a jump diffusion whose parameters follow the standardised
residuals (:mod:`.merton`) and whose density is solved anew every :data:`PERIOD` outcomes by the IMEX scheme
(:mod:`.imex`). "garch": Z has the recency-weighted empirical law of its own standardised residuals, with
leverage in the volatility (:mod:`.volatility`). Both share :mod:`.drift`.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .. import empirical, lockstep
from ..contract import Branch, Config, Info, Memory, Row, Status, fine
from ..empirical import Empirical
from ..law import EDGE, LEVELS, Law
from ..law import affine as affine_law
from . import drift, imex, merton, volatility
from .calibrate import Fitting, Nets, Transitions, calibrate
from .density import density_law
from .drift import Drift, Place
from .merton import Jumps
from .volatility import Filter

MEMBERS = ("jumps", "garch")
PERIOD = 64
"""Outcomes between two solutions of the density."""
POINTS, STEPS = 128, 64
ROWS = 2048
"""Transitions the nets are trained on, at most."""
SHARE = 0.6
"""Oldest part of the rows that trains the nets; on the remainder they must prove themselves."""
TAIL_INDEX = 0.15
_BANKS = volatility.banks()


class JumpDiffusion(NamedTuple):
    """State of the branch."""

    nets: Nets
    place: Place
    trained: Array
    """() outcomes the nets were trained on: they compete from there on"""
    steps: Array
    """() outcomes seen, integer"""
    drift: Drift
    filter: Filter
    jumps: tuple[merton.Statistics, Law] | None
    """what "jumps" has learned and its law of Z, from the density; None when it takes no part"""
    errors: tuple[Empirical, Law] | None
    """residuals over σ_t of "garch" and their empirical law of Z; None when it takes no part"""


class _View(NamedTuple):
    """What the state says of a row: net displacement, alternatives (2, 3), location (2,), local units (4,),
    σ(x) and σ_t (2,)."""

    net: Array
    moves: Array
    loc: Array
    local: Array
    learned: Array
    sigma: Array


def standard_law(jumps: Jumps) -> tuple[Law, Array]:
    """Law of the jump diffusion after one unit of time, started at 0, and the solver's status.

    >>> one = jnp.ones(())
    >>> law, status = standard_law(Jumps(0 * one, one, 0.001 * one, 0 * one, one))
    >>> bool(abs(law.q[12]) < 1e-2), int(status)
    (True, 0)
    """
    sigma, s, mu = jnp.sqrt(jumps.variance), jnp.sqrt(jumps.spread), jnp.abs(jumps.mean)
    several = 1 + 2 * jumps.intensity
    radius = jnp.abs(jumps.drift) + 7 * sigma + several * mu + 4.5 * s * jnp.sqrt(several)
    edges = imex.sinh_edges(radius, POINTS, 0.12 * sigma)
    out = imex.solve_density(
        edges,
        imex.point_mass(edges, 0.0),
        lambda x: jnp.broadcast_to(jumps.drift, x.shape),
        lambda x: jnp.broadcast_to(jumps.variance, x.shape),
        jumps.intensity,
        imex.normal_jump(jumps.mean, s),
        n_steps=STEPS,
        backend="matrix",
    )
    return density_law(edges, out.mass), out.status.astype(jnp.int32)


def init(config: Config, key: Array) -> JumpDiffusion:
    """Untrained branch: no drift, unit volatility."""
    dtype = jnp.result_type(float)
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    steps, errors = jnp.zeros((), jnp.int32), empirical.init(dtype=dtype)
    start, chosen = _empirical_law(errors, steps), branch.chosen(config)
    return JumpDiffusion(
        nets=Nets(drift.N_FEATURES, key, dtype),
        place=Place(zero, one, one, zero),
        # Nets that nobody trains never compete.
        trained=zero if "jumps" in chosen else zero + jnp.inf,
        steps=steps,
        drift=drift.init(dtype),
        filter=volatility.init(_BANKS, dtype),
        jumps=(merton.start(dtype), start) if "jumps" in chosen else None,
        errors=(errors, start) if "garch" in chosen else None,
    )


def _median(x: Array, mask: Array) -> Array:
    n = jnp.maximum(mask.sum(), 1)
    ordered = jnp.sort(jnp.where(mask, x, jnp.inf))
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def _measure(rows: Row, targets: Array, mask: Array) -> Place:
    """Robust centre and spread of the level, mean size of a displacement."""
    centre = _median(rows.last, mask)
    spread = 1.4826 * _median(jnp.abs(rows.last - centre), mask)
    n = jnp.maximum(mask.sum(), 1)
    unit = jnp.where(mask, jnp.abs(targets - rows.last), 0.0).sum() / n
    unit = jnp.where(unit > 0, unit, jnp.where(mask, rows.scale, 0.0).sum() / n)
    return Place(centre, jnp.maximum(spread, unit), unit, centre)


def fit(state: JumpDiffusion, rows: Row, targets: Array, mask: Array, key: Array) -> tuple[JumpDiffusion, Info]:
    """Measure the series and train the nets on the oldest part of the rows; the rest is learned step by step."""
    place = _measure(rows, targets, mask)
    state = state._replace(drift=drift.init(place.unit.dtype, rows.steps[0]))
    if state.jumps is None:
        return state._replace(place=place), fine(place.unit)
    seen = jnp.cumsum(mask)
    n = seen[-1]
    trained = jnp.ceil(SHARE * n).astype(seen.dtype)
    first = jnp.maximum(trained - ROWS, 0)
    pick = jnp.searchsorted(seen, first + 1 + jnp.arange(min(ROWS, mask.shape[0])))
    inside = (first + jnp.arange(pick.shape[0])) < trained
    chosen = jax.tree.map(lambda x: x[jnp.minimum(pick, mask.shape[0] - 1)], (rows, targets))
    part, outcome = chosen
    data = Transitions(
        jax.vmap(lambda r: drift.features(place, r, 5.0))(part),
        jax.vmap(lambda r: drift.slope(place, r))(part),
        jnp.clip((outcome - part.last) / part.scale, -50.0, 50.0),
        jnp.log(place.unit / part.scale),
        inside.astype(targets.dtype),
    )
    nets, losses = calibrate(state.nets, data, key, Fitting(freedom=5.0, rate=0.01, penalty=0.02), n_steps=150)
    finite = jnp.isfinite(losses[-1])
    nets = jax.tree.map(lambda new, old: jnp.where(jnp.isfinite(new).all(), new, old), nets, state.nets)
    state = state._replace(nets=nets, place=place, trained=trained.astype(state.trained.dtype))
    status = jnp.where(finite, Status.OK, Status.DIVERGED).astype(jnp.int32)
    return state, Info(status, jnp.asarray(losses.shape[0], jnp.int32), losses[-1])


def _view(state: JumpDiffusion, row: Row) -> _View:
    net, learned = drift.learned(state.nets, state.place, row)
    moves = drift.alternatives(state.drift, state.place, row, net)
    rough = jnp.concatenate([row.volatility, jnp.zeros(volatility.N_LOCAL, row.last.dtype)])[: volatility.N_LOCAL]
    local = row.scale * jnp.exp(rough)
    sigma = jax.vmap(volatility.sigma, in_axes=(0, 0, None, None, None, None))(
        _BANKS, state.filter, state.place.unit, learned, local, row.scale
    )
    return _View(net, moves, drift.location(state.drift, row, moves), local, learned, sigma)


def _choose(flag: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(flag, a, b), new, old)


def _empirical_law(errors: Empirical, steps: Array) -> Law:
    """Quantiles of the residuals; the tails continue the slope beyond the 5 % points with a mild Pareto index."""
    q = empirical.quantiles(errors, steps)
    scale = jnp.stack([q[3] - q[0], q[-1] - q[-4]]) / math.log(LEVELS[3] / EDGE)
    return Law(q, scale, jnp.full(2, TAIL_INDEX, q.dtype))


def _solve(jumps: merton.Statistics, old: Law, steps: Array) -> tuple[Law, Array]:
    """Law of Z of "jumps", anew every :data:`PERIOD` outcomes and early on, and the solver's status."""
    due = (steps % PERIOD == PERIOD - 1) | (steps == 7) | (steps == 23)
    fine = jnp.asarray(Status.OK, jnp.int32)
    new, status = lockstep.cond(due, lambda j: standard_law(merton.parameters(j)), lambda j: (old, fine), jumps)
    return _choose(status == Status.OK, new, old), status


def _collect(errors: Empirical, z: Array, steps: Array, old: Law) -> tuple[Empirical, Law]:
    """Residuals and law of Z of "garch" after one more residual."""
    errors = empirical.push(errors, z, steps)

    def merge(e: Empirical) -> tuple[Empirical, Law]:
        merged = empirical.merge(e, steps)
        return merged, _empirical_law(merged, steps)

    return lockstep.cond(empirical.due(steps), merge, lambda e: (e, old), errors)


def memo(state: JumpDiffusion, row: Row) -> Filter:
    """The filter that σ_t comes from."""
    return state.filter


def update(state: JumpDiffusion, row: Row, target: Array, memo: Filter | None = None) -> tuple[JumpDiffusion, Info]:
    """One outcome: volatility, drift, jumps and residuals; constant cost but for the solver's turn."""
    view = _view(state if memo is None else state._replace(filter=memo), row)
    error = target - view.loc
    z = jnp.clip(error / view.sigma, -1e3, 1e3)
    count = state.steps.astype(z.dtype)
    honest = count >= state.trained
    axes = (0, 0, 0, *[None] * 7, None if memo is None else 0)
    bank = jax.vmap(volatility.update, in_axes=axes)(
        _BANKS,
        state.filter,
        error,
        state.place.unit,
        view.learned,
        view.local,
        row.scale,
        count,
        honest,
        row.steps,
        memo,
    )
    jumps, errors, status = state.jumps, state.errors, jnp.asarray(Status.OK, jnp.int32)
    if jumps is not None:
        statistics = merton.update(jumps[0], z[0], count)
        density, status = _solve(statistics, jumps[1], state.steps)
        jumps = statistics, density
    if errors is not None:
        errors = _collect(errors[0], z[1], state.steps, errors[1])
    state = state._replace(
        place=drift.follow(state.place, target, count),
        drift=drift.update(state.drift, state.place, row, view.net, view.moves, view.sigma, target, honest),
        filter=bank,
        jumps=jumps,
        errors=errors,
        steps=state.steps + 1,
    )
    return state, Info(status, jnp.ones((), jnp.int32), jnp.abs(z[0]))


def recall(state: JumpDiffusion, row: Row) -> Memory:
    """σ_t of both members."""
    return Memory(sizes=_view(state, row).sigma)


def law(state: JumpDiffusion, row: Row, memory: Memory | None = None) -> Law:
    """One law per member, leading axis m."""
    view = _view(state, row)
    sigma = view.sigma if memory is None or memory.sizes is None else memory.sizes
    each = [
        affine_law(part[1], view.loc[i], sigma[i])
        for i, part in enumerate((state.jumps, state.errors))
        if part is not None
    ]
    return jax.tree.map(lambda *x: jnp.stack(x), *each)


branch = Branch("C", MEMBERS, init, fit, update, recall, law, memo)
