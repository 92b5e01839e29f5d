"""Neural drift and volatility with compound Poisson jumps beside them, all calibrated at once.

The displacement over dt is the diffusion's, N(m, P) with the moments of :mod:`.calibrate`, plus n ~ Poisson(λ dt)
normal jumps; its law is the mixture over n (Merton 1976), whose likelihood is differentiated through the moments'
ODE. Jumps are taken to land at the end of the step: an error of order dt in what a mean reversion does to them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .calibrate import Fitting, Nets, Transitions, moments
from .merton import Jumps, expected


class JumpNets(eqx.Module):
    """Nets of the diffusion and the jumps' intensity, mean and standard deviation, each () and free of bounds."""

    nets: Nets
    log_intensity: Array
    mean: Array
    log_std: Array

    def __init__(self, p: int, key: Array, dtype: jnp.dtype | None = None) -> None:
        self.nets = Nets(p, key, dtype)
        # Rare and three units wide: a start at which the jumps leave the core to the diffusion.
        self.log_intensity, self.mean, self.log_std = (
            jnp.asarray(v, dtype or jnp.result_type(float)) for v in (-2.5, 0.0, 1.1)
        )


def jump_negative_log_likelihood(
    model: JumpNets, data: Transitions, dt: Array | float, substeps: int, fitting: Fitting
) -> Array:
    """Mean over real rows of −log of the mixture's density at the displacement; of ``fitting`` only ``penalty``.

    >>> data = Transitions(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.zeros(1), jnp.zeros(1), jnp.ones(1))
    >>> value = jump_negative_log_likelihood(JumpNets(1, jax.random.key(0)), data, 1.0, 1, Fitting())
    >>> round(float(value), 2)  # 0.92 of a standard normal + λ = 0.08 − 0.03 of jumps that land there too
    0.97
    """
    mean, variance = moments(model.nets, data, dt, substeps)
    unit = jnp.exp(data.offset)
    jumps = Jumps(
        mean,
        variance,
        jnp.broadcast_to(jnp.exp(model.log_intensity) * dt, mean.shape),
        model.mean * unit,
        (jnp.exp(model.log_std) * unit) ** 2,
    )
    _, evidence = jax.vmap(expected)(data.displacement, jumps)
    loss = fitting.penalty * mean**2 / variance - evidence
    return (data.weight * loss).sum() / jnp.maximum(data.weight.sum(), 1)
