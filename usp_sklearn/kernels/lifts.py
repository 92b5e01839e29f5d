"""Lifts: what is done to a sampled path before its signature is taken, so that the signature sees more of it.

The signature of a bare one-dimensional path is a function of its total increment. Each lift gives it something else to
see: ``leadlag`` the quadratic variation, ``time`` the clock, ``basepoint`` and ``reset`` the level.
"""

from collections.abc import Iterable

import jax.numpy as jnp
from jax import Array

LIFTS = ("basepoint", "reset", "leadlag", "time")
"""In the order they are applied: the order in which a caller names them says nothing."""
LEVEL = frozenset({"basepoint", "reset"})
"""Lifts after which the signature is no longer invariant to shifts of the path."""


def names(n_channels: int, lifts: Iterable[str]) -> tuple[str, ...]:
    """Names of the lifted path's channels: the clock, the visibility, then the values (or leads and lags).

    >>> names(1, ("time", "leadlag"))
    ('time', 'lead', 'lag')
    >>> names(2, ("reset",))
    ('visible', 'value0', 'value1')
    """
    lifts = set(lifts)
    stems = ("lead", "lag") if "leadlag" in lifts else ("value",)
    ends = [""] if n_channels == 1 else [str(c) for c in range(n_channels)]
    front = [name for lift, name in (("time", "time"), ("reset", "visible")) if lift in lifts]
    return (*front, *(stem + end for stem in stems for end in ends))


def lift(values: Array, real: Array, lifts: Iterable[str] = ("time", "leadlag")) -> Array:
    """Lifted path (m, D) of a sampled path.

    ``values`` (n, C) are the samples x₁ … x_n, oldest first; ``real`` (n,) marks those that are not padding, which
    repeats the oldest real value on the left and changes no signature. D and the channels' order: :func:`names`.

    - ``basepoint``: 0, x₁, …, x_n.
    - ``reset`` (invisibility reset): (x₁, 1), …, (x_n, 1), (x_n, 0), (0, 0).
    - ``leadlag``: (x₁, x₁), (x₂, x₁), (x₂, x₂), …, (x_n, x_n); the area between lead and lag of a channel is half its
      quadratic variation. Visibility and time step with the lead.
    - ``time``: a channel that rises by equal steps from 0 to 1.

    References: Flint, Hambly & Lyons (2016), Discretely sampled signals and the rough Hoff process; Morrill, Fermanian,
    Kidger & Lyons (2020), A generalised signature method for multivariate time series feature extraction.

    >>> lift(jnp.array([[1.0], [3.0]]), jnp.ones(2, bool)).tolist()
    [[0.0, 1.0, 1.0], [1.0, 3.0, 1.0], [1.0, 3.0, 3.0]]
    """
    lifts, dtype = set(lifts), values.dtype
    step = real[1:] & real[:-1]
    visible = jnp.ones(len(values), dtype)
    zero, live = jnp.zeros_like(values[:1]), jnp.ones(1, bool)
    if "basepoint" in lifts:
        values, visible, step = _join(zero, values), _join(visible[:1], visible), _join(live, step)
    if "reset" in lifts:
        values = _join(values, values[-1:], zero)
        visible, step = _join(visible, jnp.zeros(2, dtype)), _join(step, live, live)
    clock = _join(jnp.zeros(1, dtype), jnp.cumsum(step.astype(dtype)))
    clock = clock / jnp.maximum(clock[-1], 1.0)
    front = [column for name, column in (("time", clock), ("reset", visible)) if name in lifts]
    plain = jnp.stack(front, 1) if front else jnp.zeros((len(values), 0), dtype)
    if "leadlag" not in lifts:
        return jnp.column_stack([plain, values])
    plain, values = jnp.repeat(plain, 2, axis=0), jnp.repeat(values, 2, axis=0)
    return jnp.column_stack([plain[1:], values[1:], values[:-1]])


def _join(*parts: Array) -> Array:
    return jnp.concatenate(parts)
