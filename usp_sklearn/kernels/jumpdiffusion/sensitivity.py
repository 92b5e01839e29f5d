"""How expectations of a jump diffusion move with its start and its parameters: Malliavin weights and pathwise.

For a pay-off that jumps (an indicator, a digital option) no derivative can pass under E f(X_T). Bismut, Elworthy
and Li move it onto the driving noise instead, with J = ∂X/∂x the first variation,

    ∂ₓ E f(X_T) = E[ f(X_T) δ(h) ],   h_s = J_s / (T σ(X_s)),   δ(h) = ∫₀ᵀ h_s dW_s.

On the grid of :func:`.paths.simulate` this is done without a further error. A shift h_k of the increment ΔW_k moves
the next state exactly as a shift of the start does, for n⁻¹ of its size, when

    h_k = (1/n) ∂ₓE_k J_k / σ(X_k),   E_k = X_k + σ(X_k) ΔW_k + c(X_k) ΔJ_k,

whatever the implicit drift. Since h_k looks at ΔW_k itself its divergence is a discrete Skorokhod integral,

    δ(h) = Σ_k ( h_k ΔW_k/dt − ∂h_k/∂ΔW_k ),

so that E[f δ(h)] *is* the derivative of the simulated expectation, for every dt. Doing it twice gives gamma:
∂ₓ² E f = E[ f (δ(h)² − D_h δ(h) + ∂ₓ δ(h)) ], the last two terms by one more forward derivative along the path.

References: Elworthy & Li (1994), Formulae for the derivatives of heat semigroups, J. Funct. Anal. 125; Fournié,
Lasry, Lebuchoux, Lions & Touzi (1999), Applications of Malliavin calculus to Monte Carlo methods in finance,
Finance Stoch. 3; Glasserman (2003), Monte Carlo Methods in Financial Engineering, ch. 7.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .paths import Coefficient, Noise, imex_step

_State = tuple[Array, Array, Array]
"""X, its first variation and the weight so far."""


class Estimate(NamedTuple):
    """A Monte Carlo mean and its standard error, each ()."""

    value: Array
    error: Array


class Greeks(NamedTuple):
    """E f(X_T) and its first and second derivative in the start; units f, f/x, f/x²."""

    price: Estimate
    delta: Estimate
    gamma: Estimate


class Weights(NamedTuple):
    """Per path: X_T and the mean-zero weights of the first and second derivative in the start, each (n_paths,)."""

    terminal: Array
    delta: Array
    gamma: Array


def estimate(sample: Array) -> Estimate:
    """Mean and standard error of independent draws (n,).

    >>> estimate(jnp.array([1.0, 3.0]))
    Estimate(value=Array(2., dtype=float...), error=Array(1., dtype=float...))
    """
    return Estimate(sample.mean(), sample.std(ddof=1) / jnp.sqrt(sample.shape[0]))


def weighted(values: Array, weight: Array) -> Estimate:
    """E[f·weight] from ``values`` of f (n,), the weight, of mean zero, serving as its own control variate.

    The coefficient comes from the same draws, which costs a bias of order 1/n, far below the error.
    """
    product = values * weight
    centred = weight - weight.mean()
    variance = (centred**2).mean()
    share = jnp.where(variance > 0, (product * centred).mean() / jnp.where(variance > 0, variance, 1.0), 0.0)
    return estimate(product - share * weight)


def _divergence(push: Coefficient, brownian: Array, dt: Array | float) -> tuple[Array, Array]:
    """Shift h of one increment and its term of the discrete Skorokhod integral; ``push`` is ΔW ↦ h."""
    h, slope = jax.jvp(push, (brownian,), (jnp.ones_like(brownian),))
    return h, h * brownian / dt - slope


def malliavin_weights(
    start: Array | float,
    noise: Noise,
    dt: Array | float,
    drift: Coefficient,
    volatility: Coefficient,
    amplitude: Coefficient = jnp.ones_like,
) -> Weights:
    """Weights of the derivatives in the start, which serve every f at once: ∂ₓ E f = E[f·delta], ∂ₓ² E f = E[f·gamma].

    Parameters
    ----------
    start : () or (n_paths,), units of x.
    noise : increments of :func:`.paths.draw_noise`, (n_steps, n_paths), over steps of ``dt``.
    drift, volatility, amplitude : b, σ > 0 and c of :func:`.paths.simulate`, twice differentiable.

    The weights' standard deviations are about 1/(σ√T) and √2/(σ²T): a short horizon or a small σ is dear.

    >>> noise = Noise(jnp.array([[0.3], [-0.1]]), jnp.zeros((2, 1)))
    >>> out = malliavin_weights(0.0, noise, 0.5, jnp.zeros_like, jnp.ones_like)
    >>> [round(float(w[0]), 6) for w in (out.delta, out.gamma)]  # W_T/T and (W_T² − T)/T²
    [0.2, -0.96]
    """
    n_steps, n_paths = noise.brownian.shape

    def step(state: _State, brownian: Array, jumps: Array) -> tuple[_State, Array]:
        x, variation, weight = state

        def explicit(x: Array, w: Array) -> Array:
            return x + volatility(x) * w + amplitude(x) * jumps

        def push(w: Array) -> Array:
            _, moved = jax.jvp(lambda x: explicit(x, w), (x,), (variation,))
            return moved / (n_steps * volatility(x))

        def advance(x: Array) -> Array:
            return imex_step(x, dt, drift, volatility, brownian, jumps, amplitude)[0]

        h, term = _divergence(push, brownian, dt)
        new, changed = jax.jvp(advance, (x,), (variation,))
        return (new, changed, weight + term), h

    def body(carry: tuple[_State, _State], each: Noise) -> tuple[tuple[_State, _State], None]:
        state, rate = carry
        _, h = step(state, *each)
        # Along (−1, h) the start moves back as fast as the noise pushes on: the rate of δ(h) is D_h δ(h) − ∂ₓ δ(h).
        return jax.jvp(lambda s, w: step(s, w, each.jumps)[0], (state, each.brownian), (rate, h)), None

    x = jnp.broadcast_to(jnp.asarray(start, noise.brownian.dtype), (n_paths,))
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)
    (state, rate), _ = lax.scan(body, ((x, one, zero), (-one, zero, zero)), noise)
    terminal, _, delta = state
    return Weights(terminal, delta, delta**2 - rate[2])


def bismut_elworthy_li(
    payoff: Callable[[Array], Array],
    start: Array | float,
    noise: Noise,
    dt: Array | float,
    drift: Coefficient,
    volatility: Coefficient,
    amplitude: Coefficient = jnp.ones_like,
) -> Greeks:
    """E f(X_T), delta and gamma in the start, without a derivative of f, which may jump.

    Arguments as in :func:`malliavin_weights`; ``payoff`` is f, (n_paths,) → (n_paths,). The errors are statistical;
    what is estimated is the derivative of the scheme's own expectation, which is O(dt) from the diffusion's.

    >>> from usp_sklearn.kernels.jumpdiffusion.paths import draw_noise
    >>> noise = draw_noise(jax.random.key(0), 4, 4000, 0.25, 0.0, 0.0, 1.0)
    >>> out = bismut_elworthy_li(lambda x: 1.0 * (x > 0), 0.0, noise, 0.25, jnp.zeros_like, jnp.ones_like)
    >>> abs(float(out.delta.value) - 0.3989) < 4 * float(out.delta.error) < 0.05  # the normal density at 0
    True
    """
    weights = malliavin_weights(start, noise, dt, drift, volatility, amplitude)
    values = payoff(weights.terminal)
    return Greeks(estimate(values), weighted(values, weights.delta), weighted(values, weights.gamma))


def girsanov(
    payoff: Callable[[Array], Array],
    at: Array | float,
    start: Array | float,
    noise: Noise,
    dt: Array | float,
    drift: Callable[[Array, Array], Array],
    volatility: Coefficient,
    amplitude: Coefficient = jnp.ones_like,
) -> Estimate:
    """∂ E f(X_T)/∂θ at θ = ``at`` for a parameter of the drift ``drift(θ, x)``, f as rough as it likes.

    The weight is the score of Girsanov's density, ∫ ∂_θ b(X_s)/σ(X_s) dW_s; on the grid again a Skorokhod integral,
    because an implicit drift looks at the end of its step. Parameters of σ have no such weight of bounded
    variance: take :func:`pathwise`.

    >>> from usp_sklearn.kernels.jumpdiffusion.paths import draw_noise
    >>> noise = draw_noise(jax.random.key(0), 4, 4000, 0.25, 0.0, 0.0, 1.0)
    >>> out = girsanov(lambda x: 1.0 * (x > 0), 0.0, 0.0, noise, 0.25, lambda m, x: m + 0 * x, jnp.ones_like)
    >>> abs(float(out.value) - 0.3989) < 4 * float(out.error) < 0.05  # X_T = m + W_T, T = 1
    True
    """
    theta = jnp.asarray(at, noise.brownian.dtype)

    def body(carry: tuple[Array, Array], each: Noise) -> tuple[tuple[Array, Array], None]:
        x, weight = carry

        def advance(w: Array) -> Array:
            return imex_step(x, dt, lambda y: drift(theta, y), volatility, w, each.jumps, amplitude)[0]

        def push(w: Array) -> Array:
            new = advance(w)
            _, moved = jax.jvp(lambda t: drift(t, new), (theta,), (jnp.ones_like(theta),))
            return dt * moved / volatility(x)

        _, term = _divergence(push, each.brownian, dt)
        return (advance(each.brownian), weight + term), None

    x = jnp.broadcast_to(jnp.asarray(start, noise.brownian.dtype), noise.brownian.shape[1:])
    (terminal, weight), _ = lax.scan(body, (x, jnp.zeros_like(x)), noise)
    return weighted(payoff(terminal), weight)


def pathwise(sample: Callable[[Array], Array], at: Array | float) -> tuple[Estimate, Estimate]:
    """E f and its derivative in any parameter, by differentiating the simulation: for an f without jumps.

    ``sample`` maps the parameter () to draws of f (n,) on fixed noise. Of smaller variance than a weight where
    it applies; silently wrong (zero, for a digital) where f jumps.

    >>> from usp_sklearn.kernels.jumpdiffusion.paths import draw_noise, simulate
    >>> noise = draw_noise(jax.random.key(0), 8, 100, 0.125, 0.0, 0.0, 1.0)
    >>> def terminal(x):
    ...     return simulate(jnp.full(100, x), noise, 0.125, lambda x: -x, jnp.ones_like)[0][-1]
    >>> round(float(pathwise(terminal, 1.0)[1].value), 4)  # (1 + dt)⁻⁸
    0.3897
    """
    at = jnp.asarray(at, jnp.result_type(float))
    values, slopes = jax.jvp(sample, (at,), (jnp.ones_like(at),))
    return estimate(values), estimate(slopes)
