"""Linear systems without LAPACK: what an exported graph may contain.

XLA lowers ``lax.linalg.tridiagonal_solve`` and ``linalg.solve`` on CPU to custom calls that no other
runtime can load. These are plain scans.
"""

import jax.numpy as jnp
from jax import Array, lax

_Pair = tuple[Array, Array]


def thomas(lower: Array, diag: Array, upper: Array, rhs: Array) -> Array:
    """Solve A x = rhs for tridiagonal A by Thomas' elimination, in two scans of length n.

    Parameters
    ----------
    lower, diag, upper : (n,) arrays
        ``lower[i] = A[i, i-1]`` (``lower[0]`` is ignored), ``diag[i] = A[i, i]``, ``upper[i] = A[i, i+1]``
        (``upper[n-1]`` is ignored).
    rhs : (n,) or (n, k) array
        One or k right-hand sides.

    Returns
    -------
    x : array of the shape of ``rhs``.

    There is no pivoting: stable for diagonally dominant A, and for an M-matrix (positive diagonal,
    non-positive off-diagonals) every operation adds numbers of one sign, so a non-negative ``rhs`` gives
    a non-negative ``x`` in floating point too. Reference: Golub & Van Loan (2013), §4.3.6.

    >>> x = thomas(jnp.array([0.0, -1.0]), jnp.array([2.0, 2.0]), jnp.array([-1.0, 0.0]), jnp.array([1.0, 1.0]))
    >>> x.round(6).tolist()
    [1.0, 1.0]
    """
    lower = lower.at[0].set(0)
    upper = upper.at[-1].set(0)

    def eliminate(carry: _Pair, row: tuple[Array, ...]) -> tuple[_Pair, _Pair]:
        c, d = carry
        low, mid, up, b = row
        pivot = mid - low * c
        out = (up / pivot, (b - low * d) / pivot)
        return out, out

    def substitute(x: Array, row: _Pair) -> _Pair:
        c, d = row
        x = d - c * x
        return x, x

    start = (jnp.zeros_like(diag[0]), jnp.zeros_like(rhs[0]))
    _, reduced = lax.scan(eliminate, start, (lower, diag, upper, rhs))
    _, x = lax.scan(substitute, jnp.zeros_like(rhs[0]), reduced, reverse=True)
    return x


def tridiagonal_product(lower: Array, diag: Array, upper: Array, x: Array) -> Array:
    """A x for the tridiagonal A of :func:`thomas`; ``x`` is (n,) or (n, k).

    >>> one = jnp.ones(3)
    >>> tridiagonal_product(-one, 2 * one, -one, one).tolist()
    [1.0, 0.0, 1.0]
    """
    shape = (-1,) + (1,) * (x.ndim - 1)
    zero = jnp.zeros_like(x[:1])
    before = jnp.concatenate([zero, x[:-1]])
    after = jnp.concatenate([x[1:], zero])
    return lower.reshape(shape) * before + diag.reshape(shape) * x + upper.reshape(shape) * after


def solve_definite(a: Array, b: Array) -> Array:
    """X (n, k) with A X = B for positive definite ``a`` (n, n) and ``b`` (n, k), by Gauss–Jordan elimination.

    Pivots are the diagonal's: they stay positive. Reference: Golub & Van Loan (2013), §4.2.

    >>> solve_definite(jnp.array([[2.0, 1.0], [1.0, 2.0]]), jnp.array([[3.0], [3.0]])).round(6).tolist()
    [[1.0], [1.0]]
    """

    def eliminate(i: Array, both: Array) -> Array:
        row = both[i] / both[i, i]
        column = both[:, i].at[i].set(0.0)
        return (both - column[:, None] * row).at[i].set(row)

    return lax.fori_loop(0, len(a), eliminate, jnp.concatenate([a, b], axis=1))[:, len(a) :]
