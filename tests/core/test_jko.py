"""JKO steps against brute-force minimisers on the simplex and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from usp_sklearn.core import jko

M = 4


def problem(seed, m=M):
    rng = np.random.default_rng(seed)
    return (
        rng.dirichlet(np.full(m, 3.0)),
        rng.dirichlet(np.full(m, 3.0)),
        rng.normal(size=m),
        rng.uniform(0.2, 2, (m, m)),
    )


def graph_minimiser(rho, prior, loss, edges, tau, lam):
    """argmin of δ'L⁺δ/(2τ) + ⟨ρ, ℓ⟩ + λ KL(ρ | π), L the Laplacian with weights K_ij ρ_i ρ_j, δ = ρ − ρ_t."""
    weight = edges * np.outer(rho, rho)
    laplacian = np.diag(weight.sum(1)) - weight
    inverse = np.linalg.pinv(laplacian, hermitian=True)
    frame = np.linalg.svd(np.ones((1, len(rho))))[2][1:].T

    def value(x):
        new = rho + frame @ x
        if (new <= 0).any():
            return np.inf, np.zeros_like(x)
        gradient = inverse @ (new - rho) / tau + loss + lam * (np.log(new / prior) + 1)
        total = (new - rho) @ inverse @ (new - rho) / (2 * tau) + loss @ new + lam * (new * np.log(new / prior)).sum()
        return total * tau, frame.T @ gradient * tau

    out = minimize(value, np.zeros(len(rho) - 1), jac=True, method="BFGS", options={"gtol": 1e-12})
    return rho + frame @ out.x


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lam", [0.0, 0.7])
def test_graph_step_is_the_minimiser_to_first_order(seed, lam):
    rho, prior, loss, edges = problem(seed)
    edges = (edges + edges.T) / 2 if lam == 0 else np.ones((M, M))
    errors = []
    for tau in (1e-3, 2.5e-4):
        exact = graph_minimiser(rho, prior, loss, edges, tau, lam)
        step = jko.graph_step(jnp.asarray(rho)[:, None], jnp.asarray(loss)[:, None], prior, edges, tau, tau * lam)
        errors.append(np.abs(np.asarray(step)[:, 0] - exact).max())
    assert errors[1] < 1e-6
    assert errors[1] < errors[0] / 10, "the error is of second order in the step"


def test_equal_conductances_are_exponentiated_gradient_with_fixed_share():
    rho, prior, loss, _ = problem(0)
    # C = 1 − I: every pair equally far, all edges alike.
    edges = np.asarray(jko.conductance(jnp.asarray(1 - np.eye(M)), 1.0))
    off = edges[~np.eye(M, dtype=bool)]
    np.testing.assert_allclose(off, off[0], rtol=0, atol=0)
    rate, share = 0.8, 0.03
    step = np.asarray(jko.graph_step(jnp.asarray(rho)[:, None], loss[:, None], prior, edges, rate, share))[:, 0]
    closed = rho ** (1 - share) * prior**share * np.exp(-rate * off[0] * loss)
    np.testing.assert_allclose(step, closed / closed.sum(), atol=1e-12)


def test_energy_never_rises_with_frozen_losses():
    for seed in range(5):
        rho, prior, loss, edges = problem(seed, 6)
        for lam, k in ((0.3, np.ones((6, 6))), (0.0, (edges + edges.T) / 2)):
            now, energies = jnp.asarray(rho)[:, None], []
            for _ in range(300):
                r = np.asarray(now)[:, 0]
                energies.append(loss @ r + lam * (r * np.log(np.maximum(r, 1e-300) / prior)).sum())
                now = jko.graph_step(now, jnp.asarray(loss)[:, None], prior, k, 0.1, 0.1 * lam)
            assert np.diff(energies).max() <= 1e-14


def test_simplex_is_kept():
    rng = np.random.default_rng(1)
    rho = jnp.asarray(rng.dirichlet(np.ones(12), size=25).T)
    step = jax.jit(jko.graph_step)
    for _ in range(200):
        losses = rng.standard_t(1.5, size=(12, 25))
        rho = step(rho, losses, np.full(12, 1 / 12), np.asarray(jko.conductance(rng.uniform(size=(12, 12)))), 0.5, 0.01)
        assert (np.asarray(rho) >= 0).all()
        np.testing.assert_allclose(np.asarray(rho).sum(0), 1, atol=1e-10)


def test_zero_weights_and_zero_prior_stay_finite():
    rho, prior = jnp.array([[0.5], [0.5], [0.0]]), jnp.array([0.5, 0.5, 0.0])
    for share in (0.0, 0.5, 1.0):
        step = np.asarray(jko.graph_step(rho, jnp.zeros((3, 1)), prior, jnp.ones((3, 3)), 1.0, share))
        np.testing.assert_allclose(step[:, 0], [0.5, 0.5, 0.0], atol=1e-15)


def test_conductance_ignores_sleeping_pairs():
    cost = np.array([[0.0, 1.0, 1e9], [1.0, 0.0, 1e9], [1e9, 1e9, 0.0]])
    awake = np.array([True, True, False])
    edges = np.asarray(jko.conductance(jnp.asarray(cost), 1.0, jnp.asarray(awake)))
    assert edges[0, 1] == pytest.approx(1 + np.exp(-4 / 0.5))


def sinkhorn_minimiser(rho, prior, loss, cost, tau, lam, epsilon):
    """argmin of ⟨P, C⟩/(2τ) + ε ⟨P, log P⟩ + λ KL(P'1 | q) over P1 = ρ, rows as softmaxes; returns P'1."""
    m = len(rho)
    q = prior * np.exp(-loss / lam)
    q /= q.sum()

    def plan(theta):
        theta = theta.reshape(m, m)
        share = np.exp(theta - theta.max(1, keepdims=True))
        return rho[:, None] * share / share.sum(1, keepdims=True)

    def value(theta):
        p = plan(theta)
        column = p.sum(0)
        total = (
            (p * cost).sum() / (2 * tau) + epsilon * (p * np.log(p)).sum() + lam * (column * np.log(column / q)).sum()
        )
        inner = cost / (2 * tau) + epsilon * np.log(p) + lam * np.log(column / q)
        gradient = p * (inner - (p * inner).sum(1, keepdims=True) / rho[:, None])
        return total, gradient.ravel()

    start = -(cost / (2 * tau)).ravel() / epsilon
    out = minimize(value, start, jac=True, method="BFGS", options={"gtol": 1e-12, "maxiter": 5000})
    return plan(out.x).sum(0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("unit", [True, False])
def test_sinkhorn_step_is_the_minimiser(seed, unit):
    rho, prior, loss, cost = problem(seed)
    cost = 1 - np.eye(M) if unit else cost * (1 - np.eye(M))
    new, fine = jko.sinkhorn_step(*map(jnp.asarray, (rho, loss, prior, cost)), 0.8, 1.0, 0.3)
    assert bool(fine)
    assert abs(float(new.sum()) - 1) < 1e-10
    np.testing.assert_allclose(np.asarray(new), sinkhorn_minimiser(rho, prior, loss, cost, 0.8, 1.0, 0.3), atol=1e-6)


def test_sinkhorn_step_is_ott_half_unbalanced_problem():
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    rho, prior, loss, cost = problem(5)
    tau, lam, epsilon = 0.5, 0.7, 0.1
    target = prior * np.exp(-loss / lam)
    geometry = Geometry(cost_matrix=jnp.asarray(cost / (2 * tau)), epsilon=epsilon)
    b = jnp.asarray(target / target.sum())
    whole = Sinkhorn(threshold=1e-11)(LinearProblem(geometry, a=jnp.asarray(rho), b=b, tau_b=lam / (lam + epsilon)))
    new, _ = jko.sinkhorn_step(*map(jnp.asarray, (rho, loss, prior, cost)), tau, lam, epsilon)
    np.testing.assert_allclose(np.asarray(new), np.asarray(whole.marginal(0)), atol=1e-9)


def test_sinkhorn_gradients_equal_finite_differences():
    rho, prior, loss, cost = (jnp.asarray(x) for x in problem(2))
    rank = jnp.arange(float(M))

    @jax.jit
    def value(loss, tau, lam, epsilon):
        return jko.sinkhorn_step(rho, loss, prior, cost, tau, lam, epsilon)[0] @ rank

    at = (loss, 0.6, 0.8, 0.2)
    gradient = jax.jit(jax.grad(value, argnums=(0, 1, 2, 3)))(*at)
    h = 1e-5
    for i in range(M):
        up, down = loss.at[i].add(h), loss.at[i].add(-h)
        assert float(gradient[0][i]) == pytest.approx(
            float(value(up, *at[1:]) - value(down, *at[1:])) / (2 * h), abs=1e-6
        )
    for j in (1, 2, 3):
        up, down = ([*at[:j], at[j] + s, *at[j + 1 :]] for s in (h, -h))
        assert float(gradient[j]) == pytest.approx(float(value(*up) - value(*down)) / (2 * h), abs=1e-6)


def test_sinkhorn_falls_back_to_the_prior():
    rho, prior, loss, cost = (jnp.asarray(x) for x in problem(3))
    new, fine = jko.sinkhorn_step(rho, loss, prior, cost * jnp.nan, 0.5, 1.0, 0.1)
    assert not bool(fine)
    np.testing.assert_allclose(np.asarray(new), np.asarray(prior), atol=1e-15)


def test_epsilon_follows_volatility_and_has_a_floor():
    assert float(jko.epsilon(0.05, 0.1, 2.0)) == pytest.approx(0.06)
    assert float(jko.epsilon(0.0, 0.1, 2.0)) == 1e-4


def test_steps_lower_to_plain_operations():
    rho, prior, loss, cost = (jnp.asarray(x) for x in problem(3))
    text = jax.jit(jko.sinkhorn_step).lower(rho, loss, prior, cost, 0.5, 1.0, 0.1).as_text()
    assert "custom_call" not in text
