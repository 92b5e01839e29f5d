"""Signatures and log-signatures of piecewise linear paths, in coordinates of Lyndon words, and their dilation.

The signature of a path x in R^D is S = 1 + S¹ + S² + …, the tensor Sᵏ holding the iterated integrals

    Sᵏ[i₁, …, i_k] = ∫_{t₁ < … < t_k} dx^{i₁}(t₁) … dx^{i_k}(t_k).

Its tensor logarithm L = log S is a Lie series, so most of its entries say the same twice; those at Lyndon words
(words smaller than each of their proper suffixes) determine the rest (Reutenauer 1993, Free Lie algebras).
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import signax
from jax import Array
from numpy.typing import NDArray
from signax import tensor_ops

_NEWTON = 30


@lru_cache
def words(channels: int, depth: int) -> tuple[tuple[int, ...], ...]:
    """Lyndon words over ``channels`` letters of length 1 … ``depth``, shorter first, then by the alphabet (Duval 1988).

    >>> words(2, 3)
    ((0,), (1,), (0, 1), (0, 0, 1), (0, 1, 1))
    """
    found, word = [], [-1]
    while word:
        word[-1] += 1
        found.append(tuple(word))
        word = (word * depth)[:depth]
        while word and word[-1] == channels - 1:
            word.pop()
    return tuple(sorted(found, key=lambda w: (len(w), w)))


def signature(path: Array, depth: int) -> list[Array]:
    """Levels 1 … ``depth`` of the signature of a piecewise linear path (m, D), m ≥ 2; level k has the shape (D,)·k.

    >>> [level.shape for level in signature(jnp.zeros((5, 2)), 3)]
    [(2,), (2, 2), (2, 2, 2)]
    """
    return signax.signature(path, depth, flatten=False)


@partial(jax.jit, static_argnames="depth")
def log_signature(path: Array, depth: int, bound: Array | float | None = None) -> Array:
    """Log-signature (S,) of a piecewise linear path (m, D), m ≥ 2: its entries at :func:`words`.

    With ``bound`` () the path is shrunk as far as needed for ‖result‖ ≤ √2·``bound``, see :func:`shrink`; that is
    finite for large paths too, whose signature would overflow.

    >>> log_signature(jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]), 2).tolist()
    [1.0, 2.0, 1.0]
    """
    if bound is None:
        return _coordinates(path, depth)
    # No squares here: they would overflow before the path does.
    length = jnp.maximum(jnp.abs(jnp.diff(path, axis=0)).sum(), 1.0)
    return shrink(_coordinates(path / length, depth), path.shape[1], depth, bound, length)


def _coordinates(path: Array, depth: int) -> Array:
    levels = tensor_ops.log(signature(path, depth))
    return jnp.concatenate([levels[k].reshape(-1)[at] for k, at in _positions(path.shape[1], depth)])


@lru_cache
def _positions(channels: int, depth: int) -> list[tuple[int, NDArray[np.intp]]]:
    """(k − 1, positions of the Lyndon words of length k in the flat level k); lengths without words are left out."""
    found = []
    for k in range(1, depth + 1):
        chosen = [w for w in words(channels, depth) if len(w) == k]
        if chosen:
            found.append((k - 1, np.ravel_multi_index(np.array(chosen).T, (channels,) * k)))
    return found


def shrink(coordinates: Array, channels: int, depth: int, bound: Array | float, dilation: Array | float = 1.0) -> Array:
    """Dilate a log-signature L (S,) until it is as short as ψ says: level k is multiplied by λᵏ.

    That is the log-signature of the path λx, with the one λ ≤ 1 for which, M = ``bound``²,

        Σ_k λ²ᵏ ‖Lᵏ‖² = ψ(‖L‖²),   ψ(x) = x for x ≤ M,   2M − M²/x for x > M.

    So short vectors stay as they are, high levels give way first, no vector is longer than √2·``bound``, and as ψ is
    increasing no two different log-signatures become one: a tensor normalisation in the sense of Chevyrev & Oberhauser
    (2022), Signature moments to characterize laws of stochastic processes, JMLR 23, their ψ with a = 1, applied to L.

    ``coordinates`` may be of the path x/``dilation``; the result is then that of x, found without forming its powers.

    >>> shrink(jnp.array([3.0, 4.0]), 2, 1, 50.0).tolist()
    [3.0, 4.0]
    """
    order = np.array([len(w) for w in words(channels, depth)])
    tiny = jnp.finfo(coordinates.dtype).tiny
    energy = jnp.log(jnp.maximum(jax.ops.segment_sum(coordinates**2, order - 1, depth), tiny))
    start, limit = jnp.log(dilation), 2 * jnp.log(bound)
    twice = jnp.asarray(2 * np.arange(1, depth + 1), coordinates.dtype)
    longest = jax.nn.logsumexp(energy + twice * start)
    # limit + log 2 at most; below the limit the equation holds at the start and Newton's steps are all zero.
    wanted = jnp.where(longest <= limit, longest, limit + jnp.log1p(-jnp.expm1(limit - longest)))

    def newton(_: int, at: Array) -> Array:
        terms = energy + twice * at
        # Convex and increasing with a slope between 2 and 2·depth: from the right Newton never oversteps the root.
        return at - (jax.nn.logsumexp(terms) - wanted) / (twice @ jax.nn.softmax(terms))

    at = jax.lax.fori_loop(0, _NEWTON, newton, jnp.asarray(start, coordinates.dtype))
    return coordinates * jnp.exp(at * order)
