"""High-dimensional control and long runs of branch B: minutes, not seconds."""

import jax
import jax.numpy as jnp
import numpy as np

from usp_sklearn.kernels.dgm import pde


def test_ten_dimensional_hjb_against_cole_hopf():
    """V_t + ΔV − |∇V|² = 0, g = log ½(1 + |x|²): V(0, 0) = −log E exp(−g(√2 W_1)), half a million draws."""
    d = 10
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):

        def sampler(key, n):
            k1, k2, k3 = jax.random.split(key, 3)
            t = jax.random.uniform(k1, (n,))
            width = 1.1 * jnp.sqrt(2 * t) + 0.15 * jax.random.uniform(k3, (n,))
            return t, width[:, None] * jax.random.normal(k2, (n, d))

        solution, report = pde.solve_pde(
            lambda x, v_x, v_xx: jnp.trace(v_xx) - v_x @ v_x,
            lambda x: jnp.log(0.5 * (1 + x @ x)),
            None,
            (-3 * np.ones(d), 3 * np.ones(d)),
            1.0,
            key=jax.random.key(0),
            width=48,
            steps=5000,
            batch=192,
            rate=1e-2,
            sampler=sampler,
        )
        value = float(solution(0.0, jnp.zeros(d)))
        loss = float(report.loss[-100:, 0].mean())
    z = np.random.default_rng(0).standard_normal((500_000, d))
    exact = -np.log((2 / (1 + 2 * (z**2).sum(1))).mean())
    assert abs(value / exact - 1) < 0.01
    assert loss < 0.1
