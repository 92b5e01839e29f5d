"""Moments of a transition and likelihood of one with jumps, against SciPy."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats
from scipy.integrate import solve_ivp

from usp_sklearn.kernels.jumpdiffusion.calibrate import Fitting, Transitions, moments
from usp_sklearn.kernels.jumpdiffusion.jumpnets import JumpNets, jump_negative_log_likelihood


class _Cubic(NamedTuple):
    """b(x) = −x³ and σ = 0.6 in place of nets."""

    drift: Any = lambda f: -(f[0] ** 3)
    log_vol: Any = lambda f: jnp.log(0.6) + 0 * f[0]


def test_curved_moments_of_a_cubic_drift():
    """Three Gauss–Hermite points integrate a cubic exactly: dm/dt = −(m³ + 3mP), dP/dt = −6m²P + σ²."""
    start, one = np.array([-1.0, 0.4, 2.0]), jnp.ones(3)
    data = Transitions(jnp.asarray(start)[:, None], one[:, None], one, 0 * one, one)
    m, p = jax.jit(lambda data: moments(_Cubic(), data, 0.5, 256, curved=True))(data)
    for i, x in enumerate(start):
        exact = solve_ivp(
            lambda _, y: (-(y[0] ** 3 + 3 * y[0] * y[1]), -6 * y[0] ** 2 * y[1] + 0.36), (0, 0.5), (x, 0.0), rtol=1e-10
        ).y[:, -1]
        np.testing.assert_allclose((m[i] + x, p[i]), exact, rtol=2e-4)


def test_jump_likelihood_is_that_of_the_poisson_mixture():
    """Rows in two units; a net that says nothing: drift 0, σ = 1."""
    rng, dt = np.random.default_rng(0), 0.5
    x, unit, weight = rng.normal(size=40) * 2, np.repeat([1.0, 3.0], 20), rng.integers(0, 2, 40).astype(float)
    zero = np.zeros(40)
    data = jax.tree.map(jnp.asarray, Transitions(zero[:, None], zero[:, None], x, np.log(unit), weight))
    model = JumpNets(1, jax.random.key(0))
    model = eqx.tree_at(
        lambda m: (m.log_intensity, m.mean, m.log_std), model, tuple(map(jnp.asarray, (-1.2, 0.7, 0.4)))
    )
    found = jax.jit(lambda model: jump_negative_log_likelihood(model, data, dt, 2, Fitting()))(model)
    k = np.arange(5)
    scale = unit[:, None] * np.sqrt(dt + k * np.exp(0.8))
    prior = stats.poisson.pmf(k, np.exp(-1.2) * dt)
    density = (prior * stats.norm.pdf(x[:, None], 0.7 * k * unit[:, None], scale)).sum(1)
    np.testing.assert_allclose(found, -(weight * np.log(density)).sum() / weight.sum(), rtol=1e-9)
