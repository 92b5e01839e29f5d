"""The matrix of recursive least squares that forgets, in a form that lasts: nothing builds up, nothing winds up.

    P ← D (P − r rᵀ) D / λ,   r = P x √k,   D_i = min(1, √(P_max / P_ii)) of the new diagonal

Divided by λ < 1 at every step, whatever part of P no observation corrects grows as λ⁻ⁿ. That would be P's antisymmetric
part, were it not exactly nil: P's start and r rᵀ are symmetric to the last bit, unlike an inverse as computed and
k (P x)ᵀ with a gain k. And it is P along directions that the regressors never take (covariance wind-up; Ljung &
Söderström 1983, §5.6): D bounds the diagonal, leaves P positive, and lets the other directions forget as before.
"""

from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

GROWTH = 1e4
"""No variance of a regression grows beyond so many times its start."""
T = TypeVar("T", Array, NDArray[np.float64])


def start(inverse: T) -> T:
    """P (p, p) to begin with, from an inverse that is symmetric but for rounding."""
    return (inverse + inverse.T) / 2


def after(cov: Array, root: Array, forget: Array | float, most: Array | float) -> Array:
    """P (p, p) after an observation with r = ``root`` (p,), forgetting λ, largest variance P_max ``most``.

    >>> P = after(jnp.eye(2), jnp.array([0.5, 0.0]), 0.5, 1.75)
    >>> P.tolist()
    [[1.5, 0.0], [0.0, 1.75]]
    """
    p = cov.shape[-1]
    diagonal = (cov.reshape(-1)[:: p + 1] - root * root) / forget
    shrink = jnp.sqrt(jnp.minimum(1.0, most / jnp.maximum(diagonal, most)))
    # Products of two entries of one vector, in either order the same: what keeps P symmetric.
    return (cov - root[:, None] * root) * (shrink[:, None] * shrink / forget)
