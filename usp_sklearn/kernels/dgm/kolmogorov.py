"""Predictive CDF of a diffusion by a Deep Galerkin net: Kolmogorov's backward equation for every terminal level.

For dX = μ(X) dτ + σ(X) dW the function V(τ, x; k) = P(X_{t+τ} ≤ k | X_t = x) solves

    V_τ = μ V_x + ½ σ² V_xx,   V(0, x; k) = 1{x ≤ k}

for the whole family of k at once. The net learns it in the ansatz V = Φ(g), g = ζ + √τ·N(√τ, x, ζ) with
ζ = (k − x)/(σ(x)√τ), in which the terminal condition is built in. g obeys g_τ = μ g_x + ½σ²(g_xx − g g_x²);
multiplied by √τ this has no singularity left at τ = 0, and it needs derivatives of N along two directions only:
u = (½√τ-scaled time and ζ) once and v = (σ√τ ∂_x − A ∂_ζ) twice. They are carried through the net by hand.
N is the exact answer of the locally linearised diffusion plus a tanh net, so an untrained net is already right for
Ornstein–Uhlenbeck states and for random walks, and training supplies what bends the law.

References: Sirignano & Spiliopoulos (2018), DGM; Ozaki (1992), local linearisation.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import elementary
from .optimiser import Guarded, descend, start

Coefficients = Callable[[Array], tuple[Array, Array]]
"""x (…,) → drift μ (…,) and volatility σ > 0 (…,) per unit of τ, elementwise; a pytree when traced."""

N_INPUTS = 5
STAGES = 4
Q_MIN = 0.03
Z_MAX = 6.0
_STRIDES = tuple(float(np.sqrt(p) % 1) for p in (2.0, 3.0, 5.0))


class Net(NamedTuple):
    """Two hidden tanh layers of width w in one array, so that the optimiser moves one leaf.

    ``weights`` (w + 8, w): rows are the first layer (5) and its bias, the second (w) and its bias, the output;
    ``reach`` () is the half-width of the x domain.
    """

    weights: Array
    reach: Array

    def layers(self) -> tuple[tuple[Array, Array], tuple[Array, Array], Array]:
        """((first, bias), (second, bias), output)."""
        w = self.weights
        return (w[:N_INPUTS], w[N_INPUTS]), (w[N_INPUTS + 1 : -2], w[-2]), w[-1]


class Trainer(NamedTuple):
    """A net in training: weights, optimiser state, and the number of collocation points drawn so far."""

    net: Net
    opt: Guarded
    drawn: Array


def init(key: Array, width: int = 24, reach: float = 3.0, dtype: Any = None) -> Trainer:
    """An untrained net on |x| ≤ ``reach``: its law is that of the locally linearised diffusion.

    >>> trainer = init(jax.random.key(0))
    >>> ou = jax.tree_util.Partial(lambda x: (-x, 1.0 + 0.0 * x))
    >>> float(cdf(trainer.net, ou, 1.0, 0.5, 0.5 * np.exp(-1.0)).round(6))     # the median of OU, exactly
    0.5
    """
    dtype = dtype or jnp.result_type(float)
    spread = np.concatenate([[0.8] * N_INPUTS, [0.5], [width**-0.5] * width, [0.2], [0.0]])
    weights = jax.random.normal(key, (width + N_INPUTS + 3, width), dtype) * spread[:, None]
    return Trainer(Net(weights, jnp.asarray(reach, dtype)), start(weights), jnp.zeros((), jnp.int32))


def expm1_ratio(a: Array) -> Array:
    """(eᵃ − 1)/a, smooth through 0."""
    small = jnp.abs(a) < 1e-3
    safe = jnp.where(small, 1.0, a)
    return jnp.where(small, 1 + a / 2 + a * a / 6, jnp.expm1(safe) / safe)


def flow(coefficients: Coefficients, tau: Array | float, x: Array) -> tuple[Array, Array]:
    """Mean and variance after ``tau`` along ṁ = μ(m), Ṗ = 2μ'(m)P + σ²(m) from (x, 0), each of x's shape.

    A few exponential (Rosenbrock) steps, exact for Ornstein–Uhlenbeck.
    """
    x, tau = jnp.broadcast_arrays(x, jnp.asarray(tau, x.dtype))
    mu, slope, s, _ = _slopes(coefficients, x)
    dt = tau / STAGES

    def stage(_: int, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        mean, var, mu, slope, s = carry
        mean = mean + mu * dt * expm1_ratio(jnp.minimum(slope * dt, 1.0))
        mu, after, s_after, _ = _slopes(coefficients, mean)
        a = jnp.minimum((slope + after) * dt, 2.0)
        var = var * jnp.exp(a) + 0.5 * (s * s + s_after * s_after) * dt * expm1_ratio(a)
        return mean, var, mu, after, s_after

    mean, var, *_ = jax.lax.fori_loop(0, STAGES, stage, (x, jnp.zeros_like(x), mu, slope, s))
    return mean, var


def _lead(coefficients: Coefficients, reach: Array, q: Array, x: Array, z: Array) -> tuple[Array, Array]:
    """N₀ and the net's inputs (…, 5) at √τ = q, state x and ζ = z, broadcast.

    N₀ belongs to the Gaussian law with the moments of :func:`flow`; its last part is the skew of a sloped σ.
    The net sees √τ, x, ζ and the leading score g₀ = ζ + √τ N₀, both squashed, and the bell of g₀.
    """
    _, _, sigma, sigma_x = _slopes(coefficients, x)
    mean, var = flow(coefficients, q * q, x)
    sd = jnp.sqrt(var)
    gauss = (z * sigma * q - (mean - x)) / sd
    lead = (gauss - z) / q + 0.5 * sigma_x * (1 - z * z) * jnp.exp(-z * z / 32)
    g = z + q * lead
    shapes = (q, 3 * x / reach, 0.7 * _squash(z), 0.7 * _squash(g), jnp.exp(-g * g / 6))
    return lead, jnp.stack(jnp.broadcast_arrays(*shapes), -1)


def _squash(z: Array) -> Array:
    return z / jnp.sqrt(1 + z * z / 8)


def _slopes(coefficients: Coefficients, x: Array) -> tuple[Array, Array, Array, Array]:
    """μ, μ', σ, σ' at x."""
    (mu, sigma), (mu_x, sigma_x) = jax.jvp(coefficients, (x,), (jnp.ones_like(x),))
    return mu, mu_x, sigma, sigma_x


def score(net: Net, coefficients: Coefficients, tau: Array | float, x: Array, z: Array) -> Array:
    """g = Φ⁻¹(V) at horizon ``tau``, state ``x`` and ζ = ``z``, broadcast; V = Φ(g).

    Beyond |ζ| = 6 g continues with slope one, so it stays increasing however far out an observation lies.
    """
    q = jnp.sqrt(jnp.asarray(tau, z.dtype))
    lead, inputs = _lead(coefficients, net.reach, q, x, jnp.clip(z, -Z_MAX, Z_MAX))
    (first, bias1), (second, bias2), out = net.layers()
    h = jnp.tanh(inputs @ first + bias1)
    return z + q * (lead + jnp.tanh(h @ second + bias2) @ out)


def cdf(net: Net, coefficients: Coefficients, tau: Array | float, x: Array, k: Array) -> Array:
    """V(τ, x; k) = P(X_{t+τ} ≤ k | X_t = x), broadcasting x and k; τ > 0."""
    x, k = jnp.asarray(x, net.weights.dtype), jnp.asarray(k, net.weights.dtype)
    _, sigma = coefficients(x)
    z = (k - x) / (sigma * jnp.sqrt(jnp.asarray(tau, x.dtype)))
    return elementary.ndtr(score(net, coefficients, tau, x, z))


class Known(NamedTuple):
    """What the residual needs at the collocation points, each (n,): nothing here depends on the weights.

    ``lead`` (4, n) and ``inputs`` (4n, 5) hold values, then derivatives along u, v and v twice.
    """

    q: Array
    z: Array
    bend: Array
    pull: Array
    skew: Array
    lead: Array
    inputs: Array


STEP = 0.03
_OFFSETS = STEP * np.array([0, -3, -2, -1, 1, 2, 3])
_FIRST = np.array([0, -1, 9, -45, 45, -9, 1]) / (60 * STEP)
_SECOND = np.array([-490, 2, -27, 270, 270, -27, 2]) / (180 * STEP**2)
"""Sixth-order central differences (Fornberg 1988). The step is wide, so that rounding stays near 1e-11: a narrow one
amplifies it to 1e-7 in the net, and laws would no longer be equivariant to rounding."""
_VALUE = np.eye(7)[0]
_STENCIL = np.stack(
    [np.concatenate([_VALUE, np.zeros(7)])]
    + [np.concatenate([_FIRST, np.zeros(7)])]
    + [np.concatenate([np.zeros(7), weights]) for weights in (_FIRST, _SECOND)]
)
"""(4, 14): value and derivative along u from seven points, derivatives along v, once and twice, from seven more."""


def known(coefficients: Coefficients, reach: Array, q: Array, x: Array, z: Array) -> Known:
    """Coefficients of the residual, and the leading term and inputs with derivatives along u, v and v twice."""
    offsets = jnp.asarray(_OFFSETS, q.dtype)
    mu, sigma = coefficients(x + offsets[:, None])
    mu, (sigma, s1, s2) = mu[0], jnp.asarray(np.stack([_VALUE, _FIRST, _SECOND]), q.dtype) @ sigma
    a = 1 + z * q * s1
    c = s1 * (1 + a) - z * q * (sigma * s2 - s1 * s1)
    # the leading part is given, not learned: differences of one evaluation compile an order of magnitude faster than
    # nested derivatives of the flow
    zero = jnp.zeros_like(q)
    du, dv = jnp.stack([q, zero, -z - q * c]), jnp.stack([zero, q * sigma, -a])
    moves = jnp.concatenate([offsets[:, None, None] * d for d in (du, dv)])
    points = jnp.stack([q, x, z]) + moves
    lead, inputs = _lead(coefficients, reach, points[:, 0], points[:, 1], points[:, 2])
    lead, inputs = (jnp.tensordot(jnp.asarray(_STENCIL, q.dtype), part, 1) for part in (lead, inputs))
    return Known(q, z, z * s1, mu / sigma, mu / sigma * a - 0.5 * c, lead, inputs.reshape(-1, N_INPUTS))


def single(p: Known) -> Known:
    """The same n points with a leading axis of n, each a problem of one point: for derivatives point by point."""
    n = p.q.shape[0]
    q, z, bend, pull, skew = (a[:, None] for a in p[:5])
    return Known(q, z, bend, pull, skew, p.lead.T[..., None], jnp.swapaxes(p.inputs.reshape(4, n, -1), 0, 1))


def _net_derivatives(net: Net, rows: Array) -> tuple[Array, Array, Array, Array]:
    """Net value and its derivatives along u, v and v twice, each (n,), from inputs stacked alike (4n, 5)."""
    n = rows.shape[0] // 4
    *hidden, last = net.layers()
    for weight, bias in hidden:
        rows = rows @ weight
        h = jnp.tanh(rows[:n] + bias)
        slope = 1 - h * h
        av = rows[2 * n : 3 * n]
        rows = jnp.concatenate([h, slope * rows[n : 2 * n], slope * av, slope * (rows[3 * n :] - 2 * h * av * av)])
    out = rows @ last
    return out[:n], out[n : 2 * n], out[2 * n : 3 * n], out[3 * n :]


def residual(net: Net, coefficients: Coefficients, q: Array, x: Array, z: Array) -> Array:
    """√τ times the residual of g's equation at √τ = q, state x, ζ = z, each (n,); zero for the exact V."""
    return residual_at(net, known(coefficients, net.reach, q, x, z))


def residual_at(net: Net, p: Known) -> Array:
    """:func:`residual` at prepared points: (n,)."""
    value, along_u, along_v, along_vv = (a + b for a, b in zip(p.lead, _net_derivatives(net, p.inputs), strict=True))
    b = p.bend - along_v
    growth = 0.5 * value * (1 + p.q * b) ** 2 + p.z * (b + 0.5 * p.q * b * b)
    return 0.5 * (value + along_u) - p.pull * p.q * along_v + p.skew - 0.5 * along_vv + growth


def collocation(drawn: Array, n: int, reach: Array) -> tuple[Array, Array, Array]:
    """``n`` low-discrepancy points (√τ, x, ζ) following the first ``drawn``: an additive recurrence, no random bits."""
    index = (drawn + jnp.arange(1, n + 1)).astype(reach.dtype)
    r = [(index * s) % 1.0 for s in _STRIDES]
    w = 2 * r[1] - 1
    x = reach * w * (0.5 + 0.5 * w * w)
    z = 5.0 * elementary.sinh(1.6 * (2 * r[2] - 1)) / np.sinh(1.6)
    return Q_MIN + (1 - Q_MIN) * r[0], x, z


def step(
    trainer: Trainer, coefficients: Coefficients, rate: Array | float = 2e-3, batch: int = 48
) -> tuple[Trainer, Array]:
    """One Adam step on ``batch`` fresh collocation points; returns the weighted mean squared residual too."""
    net = trainer.net
    points = known(coefficients, net.reach, *collocation(trainer.drawn, batch, net.reach))
    weight = jnp.exp(-(points.z**2) / 6)

    def loss(weights: Array) -> Array:
        r = residual_at(net._replace(weights=weights), points)
        # beyond a few units the square only says that the start is bad: grow linearly there
        return jnp.mean(weight * (jnp.sqrt(1 + r * r / 4) - 1) * 8)

    value, grads = jax.value_and_grad(loss)(net.weights)
    weights, opt = descend(net.weights, trainer.opt, grads, rate)
    # the recurrence wraps long before its float loses the fractional digits
    drawn = (trainer.drawn + batch) % 1_000_003
    return Trainer(net._replace(weights=weights), opt, drawn), value


def train(
    trainer: Trainer, coefficients: Coefficients, steps: int, rate: float = 1e-2, batch: int = 96
) -> tuple[Trainer, Array]:
    """``steps`` Adam steps with a cosine-decayed rate; returns the loss history (steps,)."""

    def body(carry: Trainer, i: Array) -> tuple[Trainer, Array]:
        decayed = rate * (0.02 + 0.98 * 0.5 * (1 + jnp.cos(jnp.pi * i / steps)))
        return step(carry, coefficients, decayed, batch)

    return jax.lax.scan(body, trainer, jnp.arange(steps))
