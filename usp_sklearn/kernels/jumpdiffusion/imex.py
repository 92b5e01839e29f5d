"""Density of a jump diffusion dX = b(x) dt + σ(x) dW + dJ: the Fokker–Planck equation, drift and diffusion
implicit, jumps explicit.

    ∂p/∂t = −∂(b p)/∂x + ½ ∂²(σ² p)/∂x² + λ (k ∗ p − p)

The unknown is the mass m_i of cell i. Between cells the flux is exponentially fitted (Chang & Cooper 1970;
Scharfetter & Gummel 1969) in u = ½σ²p:

    F_{i+½} = (B(−w) u_i − B(w) u_{i+1}) / δ,   w = b δ / (½σ²),   B(w) = w/(eʷ − 1),   δ = distance of centres,

which turns into upwinding where diffusion vanishes; no flux leaves the ends. One step solves
(I + dt·L) m⁺ = m + dt·λ·(K m − m), an M-matrix with unit column sums on the left and, as long as λ·dt ≤ 1,
a stochastic matrix on the right: mass is kept and nothing turns negative. First order in time, second in
space. A jump over an end of the grid lands in the outermost cell.

Reference for the splitting: Cont & Voltchkova (2005).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ..contract import Status
from ..elementary import arcsinh, erf, sinh
from ..linalg import thomas

Jump = Callable[[Array], Array]
"""Cumulative distribution function of one jump."""


class Density(NamedTuple):
    """Cell ``edges`` (N+1,), cell ``mass`` (N,), explicit ``cfl`` number λ·dt, ``status`` of :class:`Status`."""

    edges: Array
    mass: Array
    cfl: Array
    status: Array

    @property
    def density(self) -> Array:
        """(N,) mean density of each cell."""
        return self.mass / jnp.diff(self.edges)


def uniform_edges(low: Array | float, high: Array | float, n: int) -> Array:
    """Edges (n+1,) of ``n`` equal cells; the FFT backend needs these."""
    return low + (high - low) * jnp.linspace(0.0, 1.0, n + 1)


def sinh_edges(radius: Array | float, n: int, finest: Array | float) -> Array:
    """Edges (n+1,) on [−radius, radius], cells of about ``finest`` around 0: core and far jumps share one grid.

    >>> edges = sinh_edges(30.0, 100, 0.1)
    >>> float(edges[-1].round(4)), bool(abs(edges[51] - 0.1) < 0.01)
    (30.0, True)
    """
    share = jnp.clip(finest * n / (2 * jnp.asarray(radius)), 1e-5, 0.999)
    c = lax.fori_loop(0, 20, lambda _, c: arcsinh(c / share), jnp.ones_like(share))  # c/sinh c = share
    return radius * sinh(c * jnp.linspace(-1.0, 1.0, n + 1)) / sinh(c)


def point_mass(edges: Array, x: Array | float) -> Array:
    """Cell masses (N,) of a unit mass at ``x``, shared by two neighbours so that its mean is exact."""
    centre = (edges[1:] + edges[:-1]) / 2
    x = jnp.clip(x, centre[0], centre[-1])
    left = jnp.clip(jnp.searchsorted(centre, x) - 1, 0, centre.shape[0] - 2)
    part = (x - centre[left]) / (centre[left + 1] - centre[left])
    return jnp.zeros_like(centre).at[left].set(1 - part).at[left + 1].add(part)


def _bernoulli(w: Array) -> Array:
    """w/(eʷ − 1), by its series near 0 and without overflow far out."""
    small = jnp.abs(w) < 1e-4
    safe = jnp.where(small, 1.0, jnp.clip(w, -500.0, 500.0))
    return jnp.where(small, 1 - w / 2 + w * w / 12, jnp.where(w < -500.0, -w, safe / jnp.expm1(safe)))


def implicit_matrix(edges: Array, drift: Array, variance: Array, dt: Array | float) -> tuple[Array, Array, Array]:
    """Tridiagonal I + dt·L as (lower, diag, upper), each (N,); columns sum to one.

    ``drift`` (N+1,) is b at the edges (its ends are unused), ``variance`` (N,) is σ² at the centres.
    """
    width, centre = jnp.diff(edges), (edges[1:] + edges[:-1]) / 2
    gap = jnp.diff(centre)
    half = jnp.maximum(variance / 2, 1e-12 * (width[0] + jnp.abs(drift).max()) ** 2 + 1e-30)
    w = drift[1:-1] * gap * 2 / (half[1:] + half[:-1])
    right = dt * _bernoulli(-w) * half[:-1] / (gap * width[:-1])
    left = dt * _bernoulli(w) * half[1:] / (gap * width[1:])
    zero = jnp.zeros_like(right[:1])
    diag = 1 + jnp.concatenate([right, zero]) + jnp.concatenate([zero, left])
    return jnp.concatenate([zero, -right]), diag, jnp.concatenate([-left, zero])


def jump_matrix(edges: Array, jump: Jump) -> Array:
    """Column-stochastic K (N, N): where the mass at a cell's centre lands, P(J ∈ cell i − centre j). Any grid."""
    centre = (edges[1:] + edges[:-1]) / 2
    cut = jump(edges[1:-1, None] - centre[None, :])
    ends = jnp.zeros_like(cut[:1])
    return jnp.maximum(jnp.diff(jnp.concatenate([ends, cut, ends + 1]), axis=0), 0.0)  # rounding of the function


def jump_fft(edges: Array, jump: Jump) -> Callable[[Array], Array]:
    """The product with :func:`jump_matrix` on a uniform grid, as a zero-padded convolution by FFT."""
    n = edges.shape[0] - 1
    width = (edges[-1] - edges[0]) / n
    cut = jump((jnp.arange(1 - n, n - 1) + 0.5) * width)
    zero = jnp.zeros_like(cut[:1])
    kernel = jnp.maximum(jnp.diff(jnp.concatenate([zero, cut, zero + 1])), 0.0)  # shifts 1 − n … n − 1
    size = 4 * n
    image = jnp.fft.rfft(kernel, size)

    def apply(mass: Array) -> Array:
        full = jnp.fft.irfft(image * jnp.fft.rfft(mass, size), size)[: 3 * n - 2]
        full = jnp.maximum(full, 0.0)  # rounding of the transform, of either sign
        body = full[n - 1 : 2 * n - 1]
        return body.at[0].add(full[: n - 1].sum()).at[-1].add(full[2 * n - 1 :].sum())

    return apply


def normal_jump(mean: Array | float, std: Array | float) -> Jump:
    """Distribution function of a N(mean, std²) jump (Merton 1976).

    >>> float(normal_jump(1.0, 2.0)(jnp.asarray(1.0)))
    0.5
    """
    return lambda x: 0.5 + 0.5 * erf((x - mean) / (std * math.sqrt(2)))


def solve_density(
    edges: Array,
    start: Array,
    drift: Callable[[Array], Array],
    variance: Callable[[Array], Array],
    intensity: Array | float,
    jump: Jump,
    time: Array | float = 1.0,
    *,
    n_steps: int,
    backend: str = "fft",
) -> Density:
    """Density of X after ``time`` from the cell masses ``start`` (N,).

    Parameters
    ----------
    edges : (N+1,) increasing cell edges, units of x. Uniform for ``backend="fft"``.
    start : (N,) cell masses, e.g. :func:`point_mass`.
    drift, variance : b(x) and σ²(x), vectorised; units of x and x² per unit of time.
    intensity : λ, jumps per unit of time.
    jump : distribution function of one jump.
    n_steps : steps of size ``time/n_steps``; λ·dt ≤ 1 or ``status`` is ``DIVERGED``.
    backend : "fft" for a uniform grid; "matrix" for any grid and for graphs that may hold no FFT. Both agree
        to rounding.

    >>> edges = uniform_edges(-8.0, 8.0, 128)
    >>> out = solve_density(edges, point_mass(edges, 0.0), jnp.zeros_like, jnp.ones_like, 0.5,
    ...                     normal_jump(0.0, 1.0), n_steps=16, backend="matrix")
    >>> float(out.mass.sum().round(10)), bool((out.mass >= 0).all())
    (1.0, True)
    """
    dt = jnp.asarray(time, edges.dtype) / n_steps
    centre = (edges[1:] + edges[:-1]) / 2
    matrix = implicit_matrix(edges, drift(edges), variance(centre), dt)
    cfl = jnp.asarray(intensity, edges.dtype) * dt
    if backend == "matrix":
        # Solving for all columns at once costs two scans in all; each step is then one product.
        step = thomas(*matrix, (1 - cfl) * jnp.eye(centre.shape[0], dtype=edges.dtype) + cfl * jump_matrix(edges, jump))
        mass = lax.fori_loop(0, n_steps, lambda _, m: step @ m, start)
    elif backend == "fft":
        moved = jump_fft(edges, jump)
        mass = lax.fori_loop(0, n_steps, lambda _, m: thomas(*matrix, (1 - cfl) * m + cfl * moved(m)), start)
    else:
        message = f"The 'backend' parameter of solve_density must be 'fft' or 'matrix'. Got {backend!r} instead."
        raise ValueError(message)
    healthy = (cfl <= 1) & jnp.isfinite(mass).all()
    return Density(edges, mass, cfl, jnp.where(healthy, Status.OK, Status.DIVERGED))
