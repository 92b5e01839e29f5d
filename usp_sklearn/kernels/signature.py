"""Branch D: a linear functional of log-signatures of the lifted window, and a net that corrects its law.

The signature of a bare 1-D path is only its total increment, so the window is lifted first: time, lead and
lag channels (:mod:`usp_sklearn.kernels.lifts`). Log-signatures of the whole window and of its most recent parts
are the features; a ridge whose strength is chosen by closed-form leave-one-out starts the recursion. The second member
is a quantile net trained by replay (:mod:`usp_sklearn.kernels.replay`) on the path's features, with the first one's
law as its base.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from . import empirical, linear, lockstep, logsignature, replay, scale
from .contract import Branch, Config, Info, Memory, Row, fine
from .law import Law, affine, from_quantiles
from .lifts import lift
from .linear import Linear
from .regression import Tuning, overlapping
from .replay import Replay
from .window import AVERAGES, VOLATILITY_RATES

MEMBERS = ("ridge", "net")
SPANS = (4, 12)
RIDGES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
TUNING = Tuning(0.9995, 30.0, 2.0, 1.0)


LAGS = (*range(16), 19, 23, 30)
"""Increments the net sees, newest first, as far as the window goes."""


class Signature(NamedTuple):
    """The ridge member, training spread of each log-signature feature (S,), how it learns, law of z, outcomes seen."""

    member: Linear
    spread: Array
    tuning: Tuning
    innovation: Law
    steps: Array
    net: Replay | None
    """None when the net takes no part"""
    echo: Array
    """(2,) the last two z, newest first"""
    shown: Array
    """(m,) places in ``MEMBERS`` of the laws that take part"""


def log_signature(window: Array, width: Array, unit: Array, depth: int) -> Array:
    """Log-signatures of the last 4, the last 12 and all values, concatenated.

    ``window`` (W,) series units, ``width`` the number of real values, ``unit`` the local mean |Δy|. Each part
    is scaled by unit·√n so that a diffusion's features are of order one at every length.
    """
    total = window.shape[0]
    unit = jnp.where(unit > 0, unit, 1.0)
    real = jnp.arange(total) >= total - width
    parts = []
    for span in (*(s for s in SPANS if s < total), total):
        length = jnp.minimum(width, span).astype(window.dtype)
        scaled = (window[-span:] - window[-1]) / (unit * jnp.sqrt(length))
        path = lift(jnp.clip(scaled, -50, 50)[:, None], real[-span:])
        parts.append(logsignature.log_signature(path, depth))
    return jnp.concatenate(parts)


def size(width: int, depth: int) -> int:
    """Number of log-signature features for a window bucket."""
    shape = jax.eval_shape(
        lambda: log_signature(jnp.zeros(width), jnp.asarray(width), jnp.ones(()), depth),
    )
    return int(shape.shape[0])


def features(state: Signature, row: Row) -> Array:
    """Inputs (p,): log-signatures over their spread, gaps, exogenous columns, a constant."""
    signs = jnp.clip(row.signature / state.spread, -8, 8)
    return jnp.concatenate([signs, row.gaps, row.exog, jnp.ones(1, row.last.dtype)])


def init(config: Config, key: Array) -> Signature:
    """Untrained branch; ``key`` starts the net."""
    dtype = jnp.result_type(float)
    s = size(config.width, config.depth)
    tuning = Tuning(*(jnp.asarray(v, dtype) for v in TUNING))
    member = linear.init(s + len(AVERAGES) + config.n_level + config.n_exog + 1, tuning.ridge, dtype)
    steps = jnp.zeros((), jnp.int32)
    lags = sum(lag < config.width - 1 for lag in LAGS)
    p = lags + len(AVERAGES) + config.n_level + config.n_exog + len(VOLATILITY_RATES) + 4 + s
    chosen = branch.chosen(config)
    net = replay.init(p, key) if "net" in chosen else None
    shown = jnp.asarray([MEMBERS.index(m) for m in chosen], jnp.int32)
    spread, echo = jnp.ones(s, dtype), jnp.zeros(2, dtype)
    return Signature(member, spread, tuning, _innovation(member, steps), steps, net, echo, shown)


def _squash(x: Array) -> Array:
    return x / (1 + jnp.abs(x) / 3)


def _inputs(state: Signature, row: Row, loc: Array, size: Array) -> Array:
    """What the net sees (p,): lags, gaps, covariates, log-signatures, volatilities, what the ridge says and missed."""
    lags = row.increments[np.array([lag for lag in LAGS if lag < row.increments.shape[0]])]
    own = jnp.stack([(loc - row.last) / size, *state.echo])
    relative = jnp.clip(jnp.log(size / row.unit), -4, 4)
    signs = row.signature / state.spread
    squashed = _squash(jnp.concatenate([lags, row.gaps, row.exog, own, signs]))
    return jnp.concatenate([squashed, row.volatility, relative[None]])


def _innovation(member: Linear, steps: Array) -> Law:
    return from_quantiles(empirical.quantiles(member.errors, steps))


def leave_one_out(x: Array, target: Array, weight: Array, ridges: Array) -> Array:
    """Mean squared leave-one-out error (r,) for each ridge strength, in closed form (Allen 1974).

    ``x`` (n, p), ``target`` (n,), ``weight`` (n,) zero on padding. e₍ᵢ₎ = eᵢ/(1 − hᵢ), all strengths from one
    eigendecomposition of X'X. Used while fitting only, so LAPACK is allowed.
    """
    weighted = x * weight[:, None]
    values, vectors = jnp.linalg.eigh(weighted.T @ x)
    values = jnp.maximum(values, 0.0)
    rotated = x @ vectors
    projected = rotated.T @ (weight * target)

    def score(ridge: Array) -> Array:
        error = target - rotated @ (projected / (values + ridge))
        leverage = (rotated**2 / (values + ridge)).sum(1) * weight
        out = error / jnp.maximum(1 - leverage, 1e-6)
        return (weight * out**2).sum() / jnp.maximum(weight.sum(), 1.0)

    return jax.vmap(score)(ridges)


def fit(state: Signature, rows: Row, targets: Array, mask: Array, key: Array) -> tuple[Signature, Info]:
    """Spread of the features, ridge strength by leave-one-out; the recursion starts from that strength."""
    real = mask.astype(targets.dtype)
    count = jnp.maximum(real.sum(), 1.0)
    spread = jnp.sqrt((rows.signature**2 * real[:, None]).sum(0) / count)
    state = state._replace(spread=jnp.maximum(spread, 1e-3))
    x = jnp.clip(jax.vmap(features, in_axes=(None, 0))(state, rows), -linear.CLIP, linear.CLIP)
    move = jnp.clip((targets - rows.last) / rows.unit, -8, 8)
    tuning = overlapping(state.tuning, rows)
    ridges = jnp.asarray(RIDGES, targets.dtype) * tuning.ridge / TUNING.ridge
    ridge = ridges[jnp.argmin(leave_one_out(x, move, real, ridges))]
    unit = (jnp.abs(targets - rows.last) * real).sum() / count
    unit = jnp.where(unit > 0, unit, rows.scale[0])
    member = linear.rescale(linear.init(x.shape[1], ridge, x.dtype), unit, rows.steps[0])
    return state._replace(member=member, tuning=tuning._replace(ridge=ridge)), fine(unit)


def memo(state: Signature, row: Row) -> tuple[scale.Memo, Array | None]:
    """What the ridge's size rests on, and the net's inputs."""
    loc, size = linear.predict(state.member, features(state, row), row)
    return scale.features(state.member.scale, row), None if state.net is None else _inputs(state, row, loc, size)


def update(
    state: Signature, row: Row, target: Array, memo: tuple[scale.Memo, Array | None] | None = None
) -> tuple[Signature, Info]:
    """One outcome; the law of z follows whenever a block of errors is complete."""
    x = features(state, row)
    sized, inputs = (None, None) if memo is None else memo
    loc, size = linear.predict(state.member, x, row, sized)
    z = (target - loc) / size
    net = state.net
    if net is not None:
        seen = _inputs(state, row, loc, size) if inputs is None else inputs
        net = replay.update(net, seen, z, state.innovation.q, state.steps, row.held)
    member = linear.update(state.member, x, row, target, state.tuning, state.steps, sized)
    innovation = lockstep.cond(
        empirical.due(state.steps), lambda: _innovation(member, state.steps), lambda: state.innovation
    )
    new = state._replace(
        member=member,
        innovation=innovation,
        steps=state.steps + 1,
        net=net,
        echo=jnp.stack([jnp.clip(z, -replay.REACH, replay.REACH), state.echo[0]]),
    )
    if row.held is not None:
        # What the net remembered of a held step lies where the next one goes.
        was, now = (s._replace(net=None) for s in (state, new))
        new = jax.tree.map(lambda a, b: jnp.where(row.held, a, b), was, now)._replace(net=net)
    return new, fine(target)


def recall(state: Signature, row: Row) -> Memory:
    """Size of the ridge's next error, and its last errors, which the net sees."""
    return Memory(sizes=scale.predict(state.member.scale, row)[None], values=state.echo)


def law(state: Signature, row: Row, memory: Memory | None = None) -> Law:
    """One law per member, leading axis m."""
    loc, size = linear.predict(state.member, features(state, row), row)
    if memory is not None and memory.sizes is not None:
        size, state = memory.sizes[0], state._replace(echo=memory.values)
    base = state.innovation
    q = base.q[None]
    if state.net is not None:
        moved = replay.quantiles(state.net, _inputs(state, row, loc, size), base.q, state.steps)
        q = jnp.stack([base.q, moved])[state.shown]
    tails = (jnp.broadcast_to(x, (len(q), 2)) for x in (base.tail_scale, base.tail_index))
    return affine(Law(q, *tails), loc, size)


branch = Branch("D", MEMBERS, init, fit, update, recall, law, memo)
