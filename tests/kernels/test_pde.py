"""The general Deep Galerkin solver: boundary values, Kolmogorov expectations, cross derivatives, refinement."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_banded

from usp_sklearn.kernels.dgm import pde

BOX = (np.array([-1.0]), np.array([1.0]))


def heat(x, v_x, v_xx):
    return 0.5 * v_xx[0, 0]


def expectation(drift, sigma, terminal, at, side=3.0, n=1201, n_steps=600):
    """E[g(X_1) | X_0] on a grid by implicit Euler of Kolmogorov's backward equation, NumPy and SciPy only."""
    x = np.linspace(-side, side, n)
    h, dt = x[1] - x[0], 1 / n_steps
    up, down = (0.5 * sigma**2 / h**2 + s * drift(x) / (2 * h) for s in (1, -1))
    up[0] = down[0] = up[-1] = down[-1] = 0.0  # frozen far away, where the paths do not come
    bands = np.zeros((3, n))
    bands[0, 1:], bands[1], bands[2, :-1] = -dt * up[:-1], 1 + dt * (up + down), -dt * down[1:]
    v = terminal(x)
    for _ in range(n_steps):
        v = solve_banded((1, 1), bands, v)
    return np.interp(at, x, v)


def test_boundary_values_drive_the_solution():
    """V_t + ½V_xx = 0, V(1, ·) = 0, V(t, ±1) = 1 − t: everything inside has come through the faces."""
    solution, report = pde.solve_pde(
        heat, lambda x: 0.0 * x[0], lambda t, x: 1 - t, BOX, 1.0, key=jax.random.key(0), width=16, steps=2000, rate=1e-2
    )
    x, k = np.linspace(-1, 1, 21), (np.arange(60) + 0.5) * np.pi
    # V = s − w with w_s = ½w_xx + 1, w = 0 on the faces and at s = 0: a sine series in s = 1 − t
    w = (np.cos(k * x[:, None]) * 2 * (-1.0) ** np.arange(60) / k * 2 / k**2 * (1 - np.exp(-(k**2) / 2))).sum(1)
    error = np.abs(np.asarray(jax.vmap(lambda p: solution(0.0, p[None]))(x)) - (1 - w))
    assert error.max() < 0.04 and error[2:-2].max() < 0.012  # the data have a kink in the corners (1, ±1)
    assert report.loss.shape == (2000, 3) and float(report.loss[-50:, 2].mean()) < 3e-4
    assert float(report.loss[0, 2]) > 0.05
    assert 0 < float(report.residual) < 0.05


@pytest.mark.parametrize("a", [(-1.0, 0.0), (1.0, -1.0)], ids=["ou", "well"])
def test_kolmogorov_expectations_against_finite_differences(a):
    """E[tanh 2X_1 | X_0] of Ornstein–Uhlenbeck and of a double well, hard terminal condition."""
    solution, report = pde.solve_pde(
        lambda x, v_x, v_xx: (a[0] * x[0] + a[1] * x[0] ** 3) * v_x[0] + 0.125 * v_xx[0, 0],
        lambda x: jnp.tanh(2 * x[0]),
        None,
        (np.array([-2.0]), np.array([2.0])),
        1.0,
        key=jax.random.key(0),
        width=24,
        steps=2000,
        hard=True,
    )
    x = np.linspace(-1.2, 1.2, 25)
    want = expectation(lambda x: a[0] * x + a[1] * x**3, 0.5, lambda x: np.tanh(2 * x), x)
    np.testing.assert_allclose(jax.vmap(lambda p: solution(0.0, p[None]))(x), want, atol=0.01)
    assert float(solution(1.0, jnp.array([0.3]))) == pytest.approx(np.tanh(0.6), rel=1e-14)
    assert np.all(np.asarray(report.loss[:, 1:]) == 0)


def test_correlated_quadratic_in_three_dimensions():
    """½ tr(ΣV_xx), g = x·Ax: V(0, x) = x·Ax + tr(ΣA), off-diagonal second derivatives included."""
    cov = np.array([[1.0, 0.6, 0.2], [0.6, 1.0, -0.3], [0.2, -0.3, 0.5]])
    form = np.array([[0.5, 0.4, 0.0], [0.4, -0.2, 0.3], [0.0, 0.3, 0.1]])
    solution, _ = pde.solve_pde(
        lambda x, v_x, v_xx: 0.5 * (cov * v_xx).sum(),
        lambda x: x @ form @ x,
        None,
        (-np.ones(3), np.ones(3)),
        1.0,
        key=jax.random.key(0),
        width=16,
        steps=1500,
        batch=64,
        rate=1e-2,
        hard=True,
    )
    x = np.random.default_rng(0).uniform(-0.8, 0.8, (20, 3))
    want = np.einsum("ni,ij,nj->n", x, form, x) + (cov * form).sum()
    np.testing.assert_allclose(jax.vmap(lambda p: solution(0.0, p))(x), want, atol=0.02)


def cosine(x):
    return jnp.cos(np.pi / 2 * x[0])


def cold(t, x):
    return 0.0 * t


def test_error_falls_with_steps_and_with_points():
    """Heat equation with a cosine: V(0, x) = e^{−π²/8} cos(πx/2)."""
    x = np.linspace(-1, 1, 21)
    want = np.exp(-(np.pi**2) / 8) * np.cos(np.pi / 2 * x)

    def error(steps, batch):
        options = {"width": 12, "steps": steps, "batch": batch, "rate": 1e-2}
        solved = [pde.solve_pde(heat, cosine, cold, BOX, 1.0, key=jax.random.key(k), **options)[0] for k in (0, 1, 2)]
        got = np.array([jax.vmap(lambda p, s=s: s(0.0, p[None]))(x) for s in solved])
        return np.sqrt(np.mean((got - want) ** 2))

    short, middle, long = (error(steps, 64) for steps in (50, 200, 1000))
    few = error(200, 2)
    assert short > 1.5 * middle > 6 * long, (short, middle, long)
    assert few > 1.3 * middle, (few, middle)
    assert long < 0.01


def test_reports_clipped_iterations_and_a_collapsed_solution():
    """A Hamiltonian of size 1e4 clips every gradient and halves the step; V without any drift has kept its shape."""
    _, report = pde.solve_pde(
        lambda x, v_x, v_xx: 1e4 * v_xx[0, 0], lambda x: jnp.sin(3 * x[0]), None, BOX, 1.0, key=jax.random.key(0),
        width=8, steps=60, batch=16,
    )  # fmt: skip
    assert int(report.clipped) == 60 and int(report.halvings) == 10
    _, still = pde.solve_pde(
        lambda x, v_x, v_xx: 0.0 * v_x[0], lambda x: jnp.sin(3 * x[0]), None, BOX, 1.0, key=jax.random.key(0),
        width=8, steps=60, batch=16, hard=True,
    )  # fmt: skip
    assert abs(float(still.entropy)) < 0.5 and 0.7 < float(still.variance_ratio) < 1.3
