"""High-dimensional control and long runs of branch B: minutes, not seconds."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from tests.diffusions import Polynomial
from usp_sklearn.kernels.dgm import gaussnewton, kolmogorov, pde


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


def euler_cdf(x0, k, paths=1_000_000, steps=200):
    """P(X_1 ≤ k | X_0 = x0) of dX = (X − X³)dt + ½dW by a million antithetic paths."""
    rng, x, dt = np.random.default_rng(0), np.full((2, paths // 2), x0), 1 / steps
    for _ in range(steps):
        z = 0.5 * np.sqrt(dt) * rng.standard_normal(paths // 2)
        x = x + (x - x**3) * dt + np.stack([z, -z])
    return np.searchsorted(np.sort(x.ravel()), k, side="right") / paths


def test_double_well_in_seconds_of_training_from_any_start():
    """Sup error against a million Euler paths; what is timed is the compiled training, on this process' own clock."""
    k, states = np.linspace(-2, 2, 81), (-0.4, 0.6, 1.4)
    exact = np.stack([euler_cdf(x0, k) for x0 in states])
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        well = Polynomial(np.array([1.0, -1.0]), np.array([0.5, 0.0]))

        @jax.jit
        def solve(key):
            trainer, _ = kolmogorov.train(kolmogorov.init(key, width=16, reach=2.0), well, 1500, 2e-2)
            return gaussnewton.refine(trainer, well)[0].net

        jax.block_until_ready(solve(jax.random.key(0)))
        errors, seconds = [], []
        for seed in range(6):
            start = time.process_time()
            net = jax.block_until_ready(solve(jax.random.key(seed)))
            seconds.append(time.process_time() - start)
            got = kolmogorov.cdf(net, well, 1.0, np.array(states)[:, None], k)
            errors.append(np.abs(np.asarray(got) - exact).max())
    print(np.round(errors, 4), np.round(seconds, 2))
    assert max(errors) < 0.015 and np.median(errors) < 0.009, errors
    assert max(seconds) < 6, seconds
