"""Symmetric Toeplitz systems by Levinson's recursion: O(p²), scan-based, no LAPACK.

With autocovariances r₀ … r_p the Yule–Walker (discrete Wiener–Hopf) equations Σ_j a_j r_{|i−j|} = r_i give the best
linear predictor a of order p. Each order k adds the reflection κ = (r_{k+1} − Σ_j a_j r_{k+1−j})/e and shrinks the
error e by 1 − κ². A direction in which e has vanished (a constant or perfectly predicted series) gets κ = 0.
References: Levinson (1947); Durbin (1960); Golub & Van Loan, Matrix Computations, §4.7.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

FLOOR = 1e-14
"""Error, as a share of r₀, below which the recursion adds nothing."""


class Predictor(NamedTuple):
    """Coefficients (p,) on the last p values, newest first; error variance (); reflections κ (p,)."""

    coefficients: Array
    error: Array
    reflections: Array


def _lagged(r: Array, p: int) -> Array:
    """(2p + 1,) r_p … r_0 and p zeros: the slice of p values from p − k is r_k, r_{k−1}, …, r_0, 0, …."""
    return jnp.concatenate([r[::-1], jnp.zeros(p, r.dtype)])


def _extend(a: Array, e: Array, k: Array, history: Array, r_next: Array, floor: Array) -> tuple[Array, Array, Array]:
    """Predictor of order k + 1 and its error from the one of order k; ``history`` (p,) is r_k, r_{k−1}, …."""
    p = a.shape[0]
    live = e > floor
    kappa = jnp.where(live, (r_next - a @ history) / jnp.where(live, e, 1.0), 0.0)
    backward = jnp.roll(a[::-1], k - p)
    a = a - kappa * backward + kappa * (jnp.arange(p) == k)
    return a, e * (1 - kappa * kappa), kappa


def yule_walker(r: Array) -> Predictor:
    """Best linear predictor from autocovariances ``r`` (p + 1,), r₀ ≥ 0 (Durbin's recursion).

    >>> fit = yule_walker(0.5 ** jnp.arange(4.0))  # AR(1) with coefficient ½
    >>> fit.coefficients.round(6).tolist(), float(fit.error)
    ([0.5, 0.0, 0.0], 0.75)
    """
    p = r.shape[0] - 1
    lagged, floor = _lagged(r, p), FLOOR * r[0]

    def step(carry: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], Array]:
        history = jax.lax.dynamic_slice_in_dim(lagged, p - k, p)
        a, e, kappa = _extend(*carry, k, history, r[k + 1], floor)
        return (a, e), kappa

    (a, e), kappa = jax.lax.scan(step, (jnp.zeros(p, r.dtype), r[0]), jnp.arange(p))
    return Predictor(a, e, kappa)


def solve_toeplitz(r: Array, b: Array) -> Array:
    """x (n,) with Σ_j r_{|i−j|} x_j = b_i for the positive definite Toeplitz matrix of first column ``r`` (n,).

    >>> solve_toeplitz(jnp.array([2.0, 1.0]), jnp.array([3.0, 3.0])).tolist()
    [1.0, 1.0]
    """
    n = r.shape[0]
    r_next = jnp.concatenate([r, jnp.zeros(1, r.dtype)])
    lagged, floor = _lagged(r_next, n), FLOOR * r[0]

    def step(carry: tuple[Array, Array, Array], k: Array) -> tuple[tuple[Array, Array, Array], None]:
        x, a, e = carry
        history = jax.lax.dynamic_slice_in_dim(lagged, n - k, n)
        live = e > floor
        mu = jnp.where(live, (b[k] - x @ history) / jnp.where(live, e, 1.0), 0.0)
        x = x - mu * jnp.roll(a[::-1], k - n) + mu * (jnp.arange(n) == k)
        a, e, _ = _extend(a, e, k, history, r_next[k + 1], floor)
        return (x, a, e), None

    zero = jnp.zeros(n, r.dtype)
    return jax.lax.scan(step, (zero, zero, r[0]), jnp.arange(n))[0][0]
