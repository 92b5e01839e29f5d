"""Drift and volatility of the state as smooth functions of the level: coefficients, prior, and their recursion.

    μ(x) = unit · Σ_j c_j φ_j(x),   log σ(x) = a + Σ_j b_j φ_j(x),   φ_j Gaussian bumps on |x| ≤ 2.7

Beyond the bumps μ → 0 and σ → eᵃ: far from the data the state is a random walk. The prior shrinks the coefficients
and their second differences. Both vectors follow natural-gradient recursions driven by the generalised residual
z = Φ⁻¹(V(x, y)), which is standard normal given x exactly when the law is right: location and scale scores of z, with
the sensitivities of mean and variance as instruments, whatever the horizon and with no discretisation error.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import information

N_BASIS = 10
SPACING = 0.6
CENTRES: np.ndarray = (np.arange(N_BASIS) - (N_BASIS - 1) / 2) * SPACING
X_MAX = 4.5
"""States are clipped here, where every bump has died."""


DRIFT_MAX = 3.3
"""Bound on each bump of the drift, in standardised levels per horizon: beyond it a horizon forgets the level."""
SHAPE_MAX = 2.0


class Field(NamedTuple):
    """Coefficients: drift (10,), log-volatility shape (11,) whose last entry is a, and the drift's unit ()."""

    drift: Array
    shape: Array
    unit: Array

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """μ(x) and σ(x) per horizon, in units of the standardised level; x any shape."""
        return self.unit * (basis(x) @ self.drift), jnp.exp(basis(x) @ self.shape[:-1] + self.shape[-1])


def bounded(field: Field) -> Field:
    """The field with its bumps inside their bounds; the likelihood is flat beyond them."""
    top = DRIFT_MAX / field.unit
    a = jnp.clip(field.shape[-1:] - jnp.log(field.unit), -6.0, 6.0) + jnp.log(field.unit)
    shape = jnp.concatenate([jnp.clip(field.shape[:-1], -SHAPE_MAX, SHAPE_MAX), a])
    return Field(jnp.clip(field.drift, -top, top), shape, field.unit)


def basis(x: Array) -> Array:
    """Bumps (…, 10) at x (…)."""
    d = (x[..., None] - CENTRES) / SPACING
    return jnp.exp(-0.5 * d * d)


def prior_precision(ridge: float, smooth: float, free: bool = False) -> np.ndarray:
    """Prior precision of the coefficients: ridge on each, smooth on second differences; ``free`` appends a flat one."""
    bend = np.diff(np.eye(N_BASIS), n=2, axis=0)
    block = ridge * np.eye(N_BASIS) + smooth * bend.T @ bend
    if not free:
        return block
    full = np.zeros((N_BASIS + 1, N_BASIS + 1))
    full[:-1, :-1] = block
    full[-1, -1] = 0.1
    return full


PRIOR: np.ndarray = np.zeros((2 * N_BASIS + 1, 2 * N_BASIS + 1))
"""Prior precision (21, 21) of (drift, shape); drift in its unit, shape in nats."""
PRIOR[:N_BASIS, :N_BASIS] = prior_precision(1.0, 4.0)
SHAPE_PRIOR: np.ndarray = prior_precision(10.0, 40.0, free=True)
PRIOR[N_BASIS:, N_BASIS:] = SHAPE_PRIOR
_STEP = np.diff(np.eye(N_BASIS), axis=0) / (SPACING / np.sqrt(2 * np.pi))
SLOPE_PRIOR: np.ndarray = np.zeros_like(PRIOR)
"""Penalty on the drift's slope per horizon: beyond a few units the level is forgotten, and the data say no more."""
SLOPE_PRIOR[:N_BASIS, :N_BASIS] = 0.3 * _STEP.T @ _STEP
FAST_PRIOR: np.ndarray = np.zeros_like(PRIOR)
"""Penalty that makes the drift linear and σ constant where one horizon crosses the whole range of levels."""
FAST_PRIOR[:N_BASIS, :N_BASIS] = prior_precision(0.0, 20.0)
FAST_PRIOR[N_BASIS:-1, N_BASIS:-1] = prior_precision(200.0, 200.0)


def precision(unit: Array) -> Array:
    """Prior precision (21, 21) of θ for a drift measured in ``unit`` ()."""
    base, slope, fast = (jnp.asarray(p, unit.dtype) for p in (PRIOR, SLOPE_PRIOR, FAST_PRIOR))
    return base + unit**2 * slope + unit**4 * fast


def recurse(
    weights: Array, cov: Array, x: Array, innovation: Array, noise: float, forget: float
) -> tuple[Array, Array]:
    """One step of recursive least squares: weights (p,), covariance (p, p), regressors (p,), innovation ()."""
    px = cov @ x
    known = noise * forget + x @ px
    cov = information.after(cov, px / jnp.sqrt(known), forget, COV_MAX)
    return weights + px / known * innovation, cov


COV_MAX = 10.0
"""Largest variance of a weight: a regressor that never moves must not blow it up while the past is forgotten."""


NU = 10.0
_Z, _W = np.polynomial.hermite_e.hermegauss(60)
_MEAN_SCORE = {nu: float(_W @ ((nu + 1) * _Z**2 / (nu + _Z**2)) / _W.sum()) for nu in (4.0, NU)}


def location_score(z: Array) -> Array:
    """Bounded score of the location at a standardised residual: (ν + 1)z/(ν + z²), Student's with ν = 10."""
    z = jnp.clip(z, -1e3, 1e3)
    return (NU + 1) * z / (NU + z * z)


def scale_score(z: Array, nu: float = NU) -> Array:
    """Half the bounded score of log σ, ½((ν + 1)z²/(ν + z²) − κ); κ makes its mean zero under the normal law."""
    z2 = jnp.minimum(z * z, 1e6)
    return 0.5 * ((nu + 1) * z2 / (nu + z2) - _MEAN_SCORE[nu])


def penalty(z: Array, log_sd: Array) -> Array:
    """The loss whose scores these are: ½(ν + 1)·log(1 + z²/ν) + κ·log sd."""
    z2 = jnp.minimum(z * z, 1e6)
    return 0.5 * (NU + 1) * jnp.log1p(z2 / NU) + _MEAN_SCORE[NU] * log_sd
