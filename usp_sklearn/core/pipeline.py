"""The ensemble as pure functions: prepare, train, issue, learn, step, predict.

A *row* is prepared once (window features, log-signature, identification: nothing that depends on state),
then a *law* is issued for it and stored; when the outcome arrives, the stored law is scored and every
member learns. Laws are thus always made before their outcomes, whatever the horizon: with horizon h the
outcome of a row is learned h − 1 rows later.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ..kernels import law as laws
from ..kernels import signature, window
from ..kernels.contract import Memory, Row
from ..kernels.law import Law
from ..kernels.reading import Reading
from ..kernels.registry import BRANCHES
from ..kernels.window import Local, Raw, Statistics
from . import detached, frozen, orchestrator, stack
from .identification import Identification, identify
from .orchestrator import Orchestrator, Params
from .spec import Spec
from .telemetry import Telemetry


class Prepared(NamedTuple):
    """One row, ready for any state."""

    local: Local
    signature: Array
    identification: Identification
    experts: Array | None


class Pending(NamedTuple):
    """Issued laws whose outcome is still to come: a ring of ``queue`` slots, filled at ``head``, read at ``tail``."""

    row: Prepared
    members: Law
    alive: Array
    issued: Law
    calibrated: Array
    echo: Array
    """(queue, 4) the stack's last errors when the law was made"""
    memo: Any
    """what of the branches' states the law rests on; None where the outcome comes before they move on"""
    head: Array
    tail: Array


class State(NamedTuple):
    """The whole model: branch states, series statistics, weights, diagnostics, stored laws, what rows say of memory."""

    branches: tuple[Any, ...]
    stats: Statistics
    orchestrator: Orchestrator
    pending: Pending
    reading: Reading


class Issued(NamedTuple):
    """What one row yields."""

    law: Law
    calibrated: Array
    """(K,) the law's quantiles before rounding to the series' grid: what the calibration learns from"""
    weights: Array
    emergency: Array
    identification: Identification


def prepare(spec: Spec, params: Params, raw: Raw) -> Prepared:
    """Row-only work for one row."""
    local = window.localise(raw)
    if "D" in spec.branches:
        signs = signature.log_signature(raw.window, raw.width, local.local, spec.config.depth)
    else:
        signs = jnp.zeros(0, raw.window.dtype)
    return Prepared(local, signs, identify(raw.window, raw.width, params.cone), raw.experts)


def standard_row(prepared: Prepared, stats: Statistics) -> Row:
    """The row in the coordinates that every branch shares."""
    return window.standardise(prepared.local, stats, prepared.signature)


Memories = tuple[Memory | None, ...]


def member_laws(spec: Spec, state: State, prepared: Prepared, met: Memories | None = None) -> tuple[Law, Array]:
    """Laws of all members but the stack (leading axis M), made safe, and which of them were usable."""
    row, met = standard_row(prepared, state.stats), met or (None,) * len(spec.branches)
    each = [BRANCHES[b].law(s, row, m) for b, s, m in zip(spec.branches, state.branches, met, strict=True)]
    if prepared.experts is not None:
        each.append(laws.continued(prepared.experts, laws.INDEX_OTHERS))
    stacked = jax.tree.map(lambda *x: jnp.concatenate(x), *each)
    usable = jnp.isfinite(stacked.q).all(-1) & jnp.isfinite(stacked.tail_scale).all(-1)
    q = jnp.where(usable[:, None], jnp.clip(stacked.q, *_reach(state, row)), row.last)
    tail_scale = jnp.where(usable[:, None], stacked.tail_scale, 0.0)
    return Law(q, tail_scale, jnp.where(usable[:, None], stacked.tail_index, laws.INDEX_MIN)), usable


def _reach(state: State, row: Row) -> tuple[Array, Array]:
    """Nothing beyond the running range and a tenth of it is let in: what extrapolates must not drag the ensemble."""
    low, high = jnp.minimum(state.stats.low, row.last), jnp.maximum(state.stats.high, row.last)
    margin = 0.1 * (high - low) + 1e-9 * row.scale
    return low - margin, high + margin


def law_of(
    spec: Spec, params: Params, state: State, prepared: Prepared, met: Memories | None = None
) -> tuple[Law, Array, Issued]:
    """Members' laws, which of them take part, and the law issued for one row; state is not changed.

    ``met`` are the branches' short memories that the row meets, unless they are the state's own.
    """
    members, usable = member_laws(spec, state, prepared, met)
    alive = usable & orchestrator.awake(spec, state.orchestrator)
    if spec.stack:
        members, alive = orchestrator.stacked(state.orchestrator, members, alive, prepared.local.last)
        # The stack extrapolates too: its widths are those of the members' mean law, which one of them can collapse.
        members = members._replace(q=jnp.clip(members.q, *_reach(state, standard_row(prepared, state.stats))))
    emergency = orchestrator.emergency(params, state.orchestrator, prepared.identification)
    issued, calibrated, weights = orchestrator.combine(
        spec,
        params,
        state.orchestrator,
        members,
        alive,
        emergency,
        prepared.local.last,
        state.stats.ahead,
    )
    return members, alive, Issued(issued, calibrated, weights, emergency, prepared.identification)


def _memo(spec: Spec, state: State, prepared: Prepared) -> Any:
    row = standard_row(prepared, state.stats)
    return tuple(BRANCHES[b].memo(s, row) for b, s in zip(spec.branches, state.branches, strict=True))


def issue(spec: Spec, params: Params, state: State, prepared: Prepared) -> tuple[State, Law]:
    """Issue the law for a row and store it with the row until its outcome comes."""
    members, alive, issued = law_of(spec, params, state, prepared)
    pending, stacking = state.pending, state.orchestrator.stack
    store = partial(jax.tree.map, lambda ring, new: ring.at[pending.head % spec.queue].set(new))
    pending = Pending(
        store(pending.row, prepared),
        store(pending.members, members),
        store(pending.alive, alive),
        store(pending.issued, issued.law),
        store(pending.calibrated, issued.calibrated),
        pending.echo if stacking is None else store(pending.echo, stacking.recent),
        None if pending.memo is None else store(pending.memo, _memo(spec, state, prepared)),
        pending.head + 1,
        pending.tail,
    )
    status = orchestrator.remember(state.orchestrator, issued.emergency, issued.weights)
    return state._replace(pending=pending, orchestrator=status), issued.law


def stored(spec: Spec, state: State, ahead: Array | int = 0) -> Pending:
    """The stored law ``ahead`` after the oldest, with its row and what it was made of."""
    slot = (state.pending.tail + ahead) % spec.queue
    return jax.tree.map(lambda ring: ring[slot], state.pending._replace(head=None, tail=None))


def learn(spec: Spec, params: Params, state: State, y: Array, ahead: Array | int = 0) -> tuple[State, Telemetry]:
    """The outcome of the law stored ``ahead`` after the oldest: score it, move the weights, teach the members."""
    prepared, members, alive, issued, calibrated, echo, memo, *_ = stored(spec, state, ahead)
    row, memos = standard_row(prepared, state.stats), [None] * len(spec.branches) if memo is None else memo
    watched = state.orchestrator
    watched = watched._replace(frozen=frozen.update(watched.frozen, row.increments[0], watched.ties))
    row = row._replace(held=frozen.held(watched.frozen))
    each = zip(spec.branches, state.branches, memos, strict=True)
    branches = tuple(BRANCHES[b].update(s, row, y, m)[0] for b, s, m in each)
    stats = window.learn(state.stats, prepared.local)
    stats = stats._replace(low=jnp.minimum(stats.low, y), high=jnp.maximum(stats.high, y))
    status, record = orchestrator.learn(
        spec, params, watched, members, alive, issued, calibrated, echo, row, y, prepared.identification,
        branches,
    )  # fmt: skip
    pending = state.pending._replace(tail=state.pending.tail + 1)
    return State(branches, stats, status, pending, state.reading), record


class Output(NamedTuple):
    """What one step yields: the law it issued, the record of the outcome it learned."""

    law: Law
    telemetry: Telemetry


def step(
    spec: Spec,
    params: Params,
    state: State,
    raw: Raw,
    y: Array,
    learns: Array | bool,
    issues: Array | bool,
    ahead: Array | int = 0,
) -> tuple[State, Output]:
    """Learn an outcome if ``learns``, then issue the law of a row if ``issues``."""
    row = prepare(spec, params, raw)
    state, record = jax.lax.cond(
        learns,
        lambda s: learn(spec, params, s, y, ahead),
        lambda s: (s, orchestrator.idle(params, s.orchestrator, row.identification)),
        state,
    )
    state, law = jax.lax.cond(
        issues,
        lambda s: issue(spec, params, s, row),
        lambda s: (s, jax.tree.map(lambda ring: ring[0], s.pending.issued)),
        state,
    )
    # A condition of its own: what it computes is not fused with the law, whose last bits stay the same.
    seen = jax.lax.cond(
        issues, lambda s: detached.learn(spec, s, standard_row(row, s.stats)), lambda s: s.reading, state
    )
    return state._replace(reading=seen), Output(law, record)


def predict(spec: Spec, params: Params, state: State, raw: Raw) -> Issued:
    """Laws for independent rows (leading axis a bucket) from a frozen state."""
    return jax.vmap(partial(law_anywhere, spec, params, state))(raw)


def law_anywhere(spec: Spec, params: Params, state: State, raw: Raw) -> Issued:
    """The law of one row, which need not be the one that comes next; if it is, that of :func:`law_of`."""
    prepared = prepare(spec, params, raw)
    state, met = detached.meet(spec, state, prepared.local, standard_row(prepared, state.stats), raw.width)
    return law_of(spec, params, state, prepared, met)[2]


def train(spec: Spec, params: Params, raw: Raw, y: Array, mask: Array, key: Array, ahead: Array) -> State:
    """Train what cannot be learned step by step, on rows with a leading axis (padded; ``mask`` marks the real).
    Outcomes are ``ahead`` () steps away.

    The caller then walks the training rows (:mod:`usp_sklearn.core.programs`), which trains the recursive members and
    the weights on laws issued before their outcomes.
    """
    stats = window.measure(raw, y, mask, ahead)
    prepared = jax.vmap(partial(prepare, spec, params))(raw)
    rows = jax.vmap(standard_row, in_axes=(0, None))(prepared, stats)
    keys = jax.random.split(key, (len(spec.branches), 2))
    branches = tuple(
        BRANCHES[b].fit(BRANCHES[b].init(spec.of(b), k[0]), rows, y, mask, k[1])[0]
        for b, k in zip(spec.branches, keys, strict=True)
    )
    one = jax.tree.map(lambda x: jnp.zeros((spec.queue, *x.shape[1:]), x.dtype), prepared)
    m, zero = len(spec.members), jnp.zeros((), jnp.int32)
    two = jnp.zeros((spec.queue, 2), y.dtype)
    empty = Law(jnp.zeros((spec.queue, laws.N_LEVELS), two.dtype), two, two + laws.INDEX_MIN)
    members = jax.tree.map(lambda x: jnp.repeat(x[:, None], m, axis=1), empty)
    status = orchestrator.init(spec, params, rows, y, mask)
    alive = jnp.ones((spec.queue, m), bool)
    echo = jnp.zeros((spec.queue, stack.N_ERRORS if spec.stack else 0), raw.window.dtype)
    pending = Pending(one, members, alive, empty, empty.q, echo, None, zero, zero)
    seen = detached.begin(spec, branches, jax.tree.map(lambda x: x[0], rows), stats.roughness)
    state = State(branches, stats, status, pending, seen)
    if spec.queue > 1:
        first = jax.tree.map(lambda x: x[0], prepared)
        blank = jax.tree.map(lambda x: jnp.zeros((spec.queue, *x.shape), x.dtype), _memo(spec, state, first))
        state = state._replace(pending=pending._replace(memo=blank))
    return state
