"""Drift and log-volatility as small nets, calibrated to transitions by back-propagation through diffrax.

Over one unit of time the law of a transition is summarised by its first two moments, which solve

    dm/dt = b(m),   dP/dt = 2 b'(m) P + σ²(m),   m(0) = 0, P(0) = 0

(local linearisation; Särkkä & Solin 2019, §9.1). For a drift that bends within one step's spread b(m) gives way
to E b(m + √P ξ), ξ normal, by three Gauss–Hermite points: ``curved``. The nets maximise the Gaussian, or Student,
likelihood of the observed displacement given m and P, by Adam on mini-batches. Features move with the state:
f = f₀ + a·m.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

HIDDEN = 16
Model = TypeVar("Model")


class Net(eqx.Module):
    """One hidden layer of tanh, features (p,) → (): every leaf is an array, so it is state like any other."""

    hidden: eqx.nn.Linear
    out: eqx.nn.Linear

    def __init__(self, p: int, key: Array, dtype: jnp.dtype | None = None, width: int = HIDDEN) -> None:
        dtype = jnp.result_type(float) if dtype is None else dtype
        first, second = jax.random.split(key)
        self.hidden = eqx.nn.Linear(p, width, dtype=dtype, key=first)
        out = eqx.nn.Linear(width, "scalar", dtype=dtype, key=second)
        # Starts at exactly zero: no drift until the data ask for one.
        self.out = jax.tree.map(jnp.zeros_like, out)

    def __call__(self, x: Array) -> Array:
        return self.out(jnp.tanh(self.hidden(x)))


class Nets(eqx.Module):
    """Drift b and log-volatility log σ of a state seen through features (p,)."""

    drift: Net
    log_vol: Net

    def __init__(self, p: int, key: Array, dtype: jnp.dtype | None = None) -> None:
        first, second = jax.random.split(key)
        self.drift, self.log_vol = Net(p, first, dtype), Net(p, second, dtype)


class Transitions(NamedTuple):
    """Observed transitions, leading axis n."""

    features: Array
    """(n, p) at the start of the transition"""
    slope: Array
    """(n, p) change of the features per unit of displacement"""
    displacement: Array
    """(n,) state after the transition minus before"""
    offset: Array
    """(n,) added to log σ, for rows measured in different units; 0 otherwise"""
    weight: Array
    """(n,) 1 for a real row, 0 for padding"""


class Fitting(NamedTuple):
    """Numbers of the fit, all arrays: ν of the likelihood, Adam's rate, weight of the penalty on b²."""

    freedom: Array | float = 1e6
    rate: Array | float = 1e-2
    penalty: Array | float = 0.0


def moments(
    nets: Nets, data: Transitions, dt: Array | float, substeps: int, curved: bool = False
) -> tuple[Array, Array]:
    """Mean displacement and variance (n,) after ``dt``, by Heun's method in ``substeps`` equal steps.

    ``curved`` averages the drift over the spread of the state: needed to read b itself off wide steps.
    """
    import diffrax  # here, because it takes as long to import as JAX itself and only training needs it

    def field(_: Any, y: Any, __: Any) -> tuple[Array, Array]:
        def one(m: Array, p: Array, f: Array, a: Array, offset: Array) -> tuple[Array, Array]:
            b, db = jax.jvp(lambda m: nets.drift(f + a * m), (m,), (jnp.ones_like(m),))
            if curved:
                reach = a * jnp.sqrt(3 * jnp.maximum(p, 1e-10))
                b = 2 * b / 3 + (nets.drift(f + a * m + reach) + nets.drift(f + a * m - reach)) / 6
            log_vol = jnp.clip(nets.log_vol(f + a * m) + offset, -8.0, 8.0)
            return b, 2 * db * p + jnp.exp(2 * log_vol)

        mean, variance = y
        return jax.vmap(one)(mean, variance, data.features, data.slope, data.offset)

    zero = jnp.zeros_like(data.displacement)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Heun(),
        0.0,
        dt,
        dt / substeps,
        (zero, zero),
        adjoint=diffrax.RecursiveCheckpointAdjoint(checkpoints=substeps + 1),
        max_steps=substeps + 1,
        throw=False,
    )
    mean, variance = solution.ys
    return mean[-1], jnp.maximum(variance[-1], 1e-12)


def negative_log_likelihood(
    nets: Nets, data: Transitions, dt: Array | float, substeps: int, fitting: Fitting, curved: bool = False
) -> Array:
    """Mean over real rows of −log t_ν(displacement; m, P), constants dropped, plus the penalty on the mean drift."""
    mean, variance = moments(nets, data, dt, substeps, curved)
    nu = fitting.freedom
    z2 = (data.displacement - mean) ** 2 / variance
    loss = 0.5 * jnp.log(variance) + (nu + 1) / 2 * jnp.log1p(z2 / nu) + fitting.penalty * mean**2 / variance
    return (data.weight * loss).sum() / jnp.maximum(data.weight.sum(), 1)


def calibrate(
    nets: Model,
    data: Transitions,
    key: Array,
    fitting: Fitting,
    *,
    dt: Array | float = 1.0,
    n_steps: int = 200,
    batch: int = 128,
    substeps: int = 2,
    objective: Callable[[Model, Transitions, Array | float, int, Fitting], Array] = negative_log_likelihood,
) -> tuple[Model, Array]:
    """Nets after ``n_steps`` of Adam on mini-batches, averaged over the last half, and the losses (n_steps,).

    ``objective`` is what is minimised; a model of :mod:`.jumpnets` brings its own.

    >>> x = jnp.linspace(-1.0, 1.0, 64)
    >>> one = jnp.ones(64)
    >>> data = Transitions(x[:, None], one[:, None], -0.5 * x, 0 * one, one)
    >>> nets, losses = calibrate(Nets(1, jax.random.key(0)), data, jax.random.key(1), Fitting(), n_steps=20, batch=16)
    >>> bool(losses[-1] < losses[0])
    True
    """
    import optax  # here for the same reason as diffrax

    params, static = eqx.partition(nets, eqx.is_array)
    # A rate that falls to a tenth and an average of the iterates: the noise of small batches goes out at the end.
    schedule = optax.cosine_decay_schedule(1.0, n_steps, alpha=0.1)
    optimiser = optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(schedule))
    total = jnp.cumsum(data.weight)
    count = jnp.maximum(total[-1], 1)

    def loss(p: Model, rows: Transitions) -> Array:
        return objective(eqx.combine(p, static), rows, dt, substeps, fitting)

    def step(carry: tuple[Model, Any, Model], inputs: tuple[Array, Array]) -> tuple[tuple, Array]:
        p, opt, average = carry
        k, i = inputs
        pick = jnp.searchsorted(total, jax.random.uniform(k, (batch,), total.dtype) * count, side="right")
        rows = jax.tree.map(lambda x: x[jnp.minimum(pick, total.shape[0] - 1)], data)
        value, grad = jax.value_and_grad(loss)(p, rows)
        # A batch of outliers may overflow; it is skipped rather than let into the state.
        grad = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), jnp.clip(g, -10, 10), 0.0), grad)
        direction, opt = optimiser.update(grad, opt, p)
        p = jax.tree.map(lambda x, d: x - fitting.rate * d, p, direction)
        part = 1 / jnp.maximum(i - n_steps // 2, 1)
        average = jax.tree.map(lambda a, x: a + (x - a) * part.astype(x.dtype), average, p)
        return (p, opt, average), value

    carry = (params, optimiser.init(params), params)
    (_, _, average), losses = lax.scan(step, carry, (jax.random.split(key, n_steps), jnp.arange(n_steps)))
    return eqx.combine(average, static), losses
