"""Small banks of alternatives weighed by discounted likelihood: which drift, which volatility.

    log w_i ← d·log w_i + log p_i(y)

An expert that is asleep gets the bank's own average likelihood, so sleeping neither costs nor pays (Freund,
Schapire, Singer & Warmuth 1997). Likelihoods are Student's with five degrees of freedom: one jump must not
decide.
"""

import jax
import jax.numpy as jnp
from jax import Array

FREEDOM = 5.0
DISCOUNT = 0.999
REACH = 12.0
"""Log weights are kept within this distance of the best, so that a comeback takes tens of steps, not hundreds."""


def student(error: Array, std: Array) -> Array:
    """Log density, constants dropped, of Student's t₅ with standard deviation ``std``."""
    scale2 = std * std * (FREEDOM - 2) / FREEDOM
    return -0.5 * jnp.log(scale2) - (FREEDOM + 1) / 2 * jnp.log1p(error * error / (FREEDOM * scale2))


def reweigh(log_weight: Array, likelihood: Array, awake: Array) -> Array:
    """New log weights (m,) after log likelihoods (m,); the best is 0.

    >>> reweigh(jnp.zeros(3), jnp.array([0.0, 9.0, 0.0]), jnp.array([True, False, True])).tolist()
    [0.0, 0.0, 0.0]
    """
    shown = jnp.where(awake, log_weight, -jnp.inf)
    average = jax.nn.logsumexp(jnp.where(awake, likelihood, 0.0) + shown) - jax.nn.logsumexp(shown)
    new = DISCOUNT * log_weight + jnp.where(awake, likelihood, average)
    return jnp.maximum(new - new.max(), -REACH)
