"""Sinkhorn steps of the JKO scheme: brute-force minimisers, closed forms, their objective, finite differences."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize, root

from usp_sklearn.core import jko

from .test_jko import M, agree_with_differences, problem


def test_sinkhorn_keeps_the_simplex():
    rng = np.random.default_rng(12)
    step = jax.jit(jko.sinkhorn_step)
    rho, prior = np.full(8, 1 / 8), np.full(8, 1 / 8)
    for _ in range(100):
        cost = rng.uniform(size=(8, 8))
        rho, fine = step(rho, np.clip(rng.standard_t(1.5, size=8), -10, 50), prior, cost + cost.T, 0.5, 1.0, 0.1)
        rho = np.asarray(rho)
        assert bool(fine) and (rho >= 0).all() and abs(rho.sum() - 1) < 1e-10


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


def test_sinkhorn_with_unit_costs_is_one_scalar_equation_per_member():
    """C = 1 − I: r_j = a q_j v_j^{−ε/λ} = v_j ((1 − κ) u_j + κ Σ u) with u_i = ρ_i/((1 − κ) v_i + κ), Σ v = 1."""
    rho, prior, loss, _ = problem(7)
    tau, lam, epsilon = 0.8, 0.6, 0.3
    q, kappa = prior * np.exp(-loss / lam), np.exp(-1 / (2 * tau * epsilon))

    def weights(v):
        u = rho / ((1 - kappa) * v + kappa)
        return v * ((1 - kappa) * u + kappa * u.sum())

    def excess(unknown):
        v = np.exp(unknown[:M])
        return [*np.log(q / weights(v)) - epsilon / lam * np.log(v) + unknown[M], v.sum() - 1]

    out = root(excess, np.append(np.log(rho), 0.0), tol=1e-14)
    assert np.abs(excess(out.x)).max() < 1e-11
    new, _ = jko.sinkhorn_step(*map(jnp.asarray, (rho, loss, prior, 1 - np.eye(M))), tau, lam, epsilon)
    np.testing.assert_allclose(np.asarray(new), weights(np.exp(out.x[:M])), atol=1e-9)


def test_sinkhorn_without_transport_costs_is_tempered_exponential_weights():
    rho, prior, loss, _ = problem(8)
    closed = (prior * np.exp(-loss / 0.6)) ** (0.6 / 0.9)
    new, _ = jko.sinkhorn_step(*map(jnp.asarray, (rho, loss, prior, np.zeros((M, M)))), 0.8, 0.6, 0.3)
    np.testing.assert_allclose(np.asarray(new), closed / closed.sum(), atol=1e-10)


def transport(a, b, cost, epsilon):
    """min ⟨P, C⟩ + ε ⟨P, log P⟩ over plans between ``a`` and ``b``, by plain matrix scaling."""
    kernel, v = np.exp(-cost / epsilon), np.ones(len(b))
    for _ in range(500):
        v = b / (kernel.T @ (a / (kernel @ v)))
    plan = a[:, None] / (kernel @ v)[:, None] * kernel * v
    return (plan * (cost + epsilon * np.log(plan))).sum()


def kl(a, b):
    return (a * np.log(a / b)).sum()


def test_sinkhorn_step_lowers_its_own_objective_and_the_energy_of_the_chain():
    """The objective is least at the step. With C symmetric, neighbours' λ KL(ρ|q) + W_ε(ρ, ρ⁺) + λ KL(ρ⁺|q) descends:
    every step minimises it over its newer end."""
    rng, tau, lam, epsilon = np.random.default_rng(6), 0.7, 0.8, 0.2
    for seed in range(3):
        rho, prior, loss, cost = problem(seed)
        cost = (cost + cost.T) / 2 * (1 - np.eye(M))
        q = prior * np.exp(-loss / lam)
        q /= q.sum()
        path = [rho]
        for _ in range(12):
            step = jko.sinkhorn_step(*map(jnp.asarray, (path[-1], loss, prior, cost)), tau, lam, epsilon)[0]
            path.append(np.asarray(step))
        pairs = np.array([transport(a, b, cost / (2 * tau), epsilon) for a, b in pairwise(path)])
        ends = np.array([lam * kl(r, q) for r in path])
        others = [rho, q, np.full(M, 1 / M), *rng.dirichlet(2000 * path[1], 20)]
        objective = [transport(rho, x, cost / (2 * tau), epsilon) + lam * kl(x, q) for x in others]
        assert pairs[0] + ends[1] <= min(objective) + 1e-9
        chain = ends[:-1] + pairs + ends[1:]
        assert np.diff(chain).max() < 1e-9
        assert chain[-1] < chain[0] - 1e-3


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
    rng = np.random.default_rng(2)
    rho, prior, loss, cost = (jnp.asarray(x) for x in problem(2))
    rank = rng.normal(size=M)
    at = (rho, loss, prior, cost, *(jnp.asarray(x) for x in (0.6, 0.8, 0.2)))
    agree_with_differences(lambda *x: jko.sinkhorn_step(*x)[0] @ rank, at, rng)


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
