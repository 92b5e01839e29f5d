"""The branch contract: what a model must offer to issue laws beside the others.

    init(config, key)                    -> State            config: Config, key: PRNG key
    fit(state, rows, targets, mask, key) -> State, Info      rows: Row with a leading axis, mask (n,): which are real
    update(state, row, target, memo)     -> State, Info      one step, constant cost
    recall(state, row)                   -> Memory           the short memory that the law of the row rests on
    law(state, row, memory)              -> Law              one law per member, leading axis = members
    memo(state, row)                     -> pytree           what learning from the row's outcome needs of the past

A row that does not come next finds a memory of other times in the state: what else is known of it can then be handed
to ``law``; without (None) it is the state's own, ``recall(state, row)``.
An outcome h > 1 steps ahead comes when the state has moved on, on errors that overlap with the one to be learned: what
the law was made with is then stored beside it as its memo. Without one (None), the state is still that of the law.
All are pure functions over pytrees of arrays: they never raise, log or call back.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .law import Law


class Config(NamedTuple):
    """Static shapes of one compiled ensemble, each already rounded up to its bucket."""

    width: int
    n_level: int
    n_exog: int
    depth: int
    members: tuple[str, ...] | None = None
    """the members of a branch that take part, None for all; what the others need alone is neither kept nor learned"""


class Row(NamedTuple):
    """One row of X in the coordinates every branch shares; see :func:`usp_sklearn.kernels.window.standardise`."""

    last: Array
    """() newest value y_t, units of the series"""
    scale: Array
    """() the unit every other field is measured in: blend of local and long-run mean |Δy|, > 0"""
    increments: Array
    """(width − 1,) y_{t−k} − y_{t−k−1} over scale, newest first; zero where the window is shorter"""
    gaps: Array
    """(G,) slow averages of the window, then level-context columns, minus y_t, over scale"""
    exog: Array
    """(n_exog,) exogenous columns standardised by training statistics"""
    signature: Array
    """(S,) log-signature features of the lifted window (empty when no branch asks for them)"""
    volatility: Array
    """(V,) log of local mean |Δy| at several rates, relative to scale"""
    reach: Array | None = None
    """() mean |y_{t+h} − y_t| over mean |Δy|, what the horizon does to the size of a move; None for one"""
    ahead: Array | None = None
    """() steps ahead of the outcome, h: errors of h neighbouring rows overlap and count as one; None for one"""
    held: Array | None = None
    """() whether the signal is frozen, so that what learns from paths is to stay as it is; None where nobody says"""

    @property
    def steps(self) -> Array:
        """() h."""
        return jnp.ones_like(self.scale) if self.ahead is None else self.ahead

    @property
    def unit(self) -> Array:
        """() size of an outcome's move, units of the series: with it every horizon looks alike to a prior."""
        return self.scale if self.reach is None else self.scale * self.reach


class Memory(NamedTuple):
    """Short memory of a branch: what the newest outcomes left in its state, and the next will change. None: no such."""

    sizes: Array | None = None
    """(a,) > 0, of the errors to come, units of the series"""
    factors: Array | None = None
    """(b,) > 0, without unit"""
    chances: Array | None = None
    """(c, 2) of the two hidden regimes"""
    values: Array | None = None
    """(d,) any numbers without unit"""


class Info(NamedTuple):
    """What happened inside: status (0 = fine, see Status), iterations used, residual reached."""

    status: Array
    iterations: Array
    residual: Array


class Status:
    """Status codes a branch may return; the shell turns them into warnings and errors."""

    OK = 0
    NOT_CONVERGED = 1
    COLLAPSED = 2
    DIVERGED = 3


def fine(like: Array) -> Info:
    """The Info of a step that cannot fail, in the dtype of ``like``."""
    return Info(jnp.zeros((), jnp.int32), jnp.ones((), jnp.int32), jnp.zeros((), like.dtype))


class Branch(NamedTuple):
    """One branch: its name, its members' names and the functions of the contract."""

    name: str
    members: tuple[str, ...]
    init: Callable[[Config, Array], Any]
    fit: Callable[[Any, Row, Array, Array, Array], tuple[Any, Info]]
    update: Callable[..., tuple[Any, Info]]
    recall: Callable[[Any, Row], Memory]
    law: Callable[..., Law]
    memo: Callable[[Any, Row], Any]

    def chosen(self, config: Config) -> tuple[str, ...]:
        """Names of the members that take part, in the branch's order: the order of their laws."""
        return self.members if config.members is None else tuple(m for m in self.members if m in config.members)
