"""Paths of a jump diffusion: drift implicit by Anderson-accelerated fixed point, diffusion and jumps explicit.

    X⁺ = X + b(X⁺) dt + σ(X) ΔW + c(X) ΔJ

Implicit drift stays stable where b is stiff; σ and the amplitude c of the jumps are taken at the left end, as
Itô asks. Strong order ½ (1 where σ and c are constant), weak order 1. Fixed point by
:class:`jaxopt.AndersonAcceleration` (Pollock & Rebholz 2021); jumps are compound Poisson with normal sizes
(Merton 1976). Derivatives of any order come from the implicit function theorem, not from the iterations.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jaxopt
from jax import Array, lax

Coefficient = Callable[[Array], Array]


class Noise(NamedTuple):
    """Brownian increments and jump increments, each (n_steps, n_paths), units √time·1 and of x."""

    brownian: Array
    jumps: Array


def imex_step(
    x: Array,
    dt: Array | float,
    drift: Coefficient,
    volatility: Coefficient,
    brownian: Array,
    jumps: Array,
    amplitude: Coefficient = jnp.ones_like,
    *,
    history: int = 3,
    maxiter: int = 12,
    tol: float = 1e-10,
) -> tuple[Array, Array]:
    """One step for paths ``x`` (n,): the new x and the largest residual of the implicit equation.

    ``history`` (≥ 2) is the m of Anderson's method. The map iterated is y + (right side − y)/max(1 − dt·b'(y), ¼):
    the same fixed point as the plain map's, yet contractive however stiff b is. Where dt·b' nears 1 the equation
    itself is ambiguous; look at the residual.

    >>> x, residual = imex_step(jnp.ones(2), 0.5, lambda x: -4.0 * x, jnp.zeros_like, jnp.zeros(2), jnp.zeros(2))
    >>> x.round(6).tolist(), bool(residual < 1e-6)
    ([0.333333, 0.333333], True)
    """
    explicit = x + volatility(x) * brownian + amplitude(x) * jumps

    def gap(y: Array) -> Array:
        return explicit + dt * drift(y) - y

    def solve(function: Coefficient, guess: Array) -> Array:
        def fixed_point(y: Array) -> Array:
            # The plain map y ↦ y + f(y) spreads residuals over many magnitudes, which Anderson's ridge can't serve.
            value, slope = jax.jvp(function, (y,), (jnp.ones_like(y),))
            return y + value / jnp.maximum(-slope, 0.25)

        solver = jaxopt.AndersonAcceleration(
            fixed_point,
            history_size=history,
            maxiter=maxiter,
            tol=tol,
            ridge=1e-10,
            implicit_diff=False,
        )
        y = solver.run(guess).params
        # The acceleration mixes all paths, so that an extreme one holds up the others; plain Newton steps don't.
        return lax.fori_loop(0, 3, lambda _, y: fixed_point(y), y)

    # Paths don't meet each other, so the Jacobian of the gap is diagonal.
    y = lax.custom_root(gap, lax.stop_gradient(explicit), solve, lambda g, v: v / g(jnp.ones_like(v)))
    return y, jnp.abs(gap(y)).max()


def draw_noise(
    key: Array,
    n_steps: int,
    n_paths: int,
    dt: Array | float,
    intensity: Array | float,
    mean: Array | float,
    std: Array | float,
    dtype: jnp.dtype | None = None,
) -> Noise:
    """Brownian and compound Poisson increments: ``intensity`` jumps per unit of time, sizes N(mean, std²).

    >>> draw_noise(jax.random.key(0), 4, 3, 0.1, 1.0, 0.0, 1.0).jumps.shape
    (4, 3)
    """
    first, second, third = jax.random.split(key, 3)
    shape = (n_steps, n_paths)
    brownian = jax.random.normal(first, shape, dtype) * jnp.sqrt(dt)
    count = jax.random.poisson(second, intensity * dt, shape).astype(brownian.dtype)
    jumps = count * mean + jnp.sqrt(count) * std * jax.random.normal(third, shape, dtype)
    return Noise(brownian, jumps)


def simulate(
    start: Array,
    noise: Noise,
    dt: Array | float,
    drift: Coefficient,
    volatility: Coefficient,
    amplitude: Coefficient = jnp.ones_like,
) -> tuple[Array, Array]:
    """Paths (n_steps, n_paths) from ``start`` (n_paths,), driven by ``noise``, and the worst residual met.

    ``amplitude`` is c(x), a jump's size per unit of ``noise.jumps``: 1 for additive jumps; x, with noise e^J − 1,
    for jumps of a price.

    >>> noise = draw_noise(jax.random.key(0), 8, 5, 0.1, 0.0, 0.0, 1.0)
    >>> path, worst = simulate(jnp.zeros(5), noise, 0.1, lambda x: -x, jnp.ones_like)
    >>> path.shape, bool(worst < 1e-6)
    ((8, 5), True)
    """

    def body(x: Array, each: Noise) -> tuple[Array, tuple[Array, Array]]:
        new, residual = imex_step(x, dt, drift, volatility, each.brownian, each.jumps, amplitude)
        return new, (new, residual)

    _, (path, residual) = lax.scan(body, start, noise)
    return path, residual.max()
