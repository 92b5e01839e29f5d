"""Graph steps of the JKO scheme against brute-force minimisers on the simplex, closed forms and finite differences."""

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
@pytest.mark.parametrize("equal", [True, False])
def test_graph_step_is_the_minimiser_to_first_order(seed, lam, equal):
    rho, prior, loss, edges = problem(seed)
    edges = np.ones((M, M)) if equal else (edges + edges.T) / 2
    errors = []
    for tau in (1e-3, 2.5e-4):
        exact = graph_minimiser(rho, prior, loss, edges, tau, lam)
        step = jko.graph_step(jnp.asarray(rho)[:, None], jnp.asarray(loss)[:, None], prior, edges, tau, tau * lam)
        errors.append(np.abs(np.asarray(step)[:, 0] - exact).max())
    assert errors[1] < 1e-6
    assert errors[1] < errors[0] / 10, "the error is of second order in the step"


def test_equal_conductances_are_exponentiated_gradient_with_fixed_share():
    rho, prior, loss, _ = problem(0)
    # C = 1 − I: every pair equally far, all edges alike, which is a step longer by their conductance.
    edges = np.asarray(jko.conductance(jnp.asarray(1 - np.eye(M)), 1.0))
    off = edges[~np.eye(M, dtype=bool)]
    np.testing.assert_allclose(off, off[0], rtol=0, atol=0)
    rate, share = 0.8, 0.03
    step = np.asarray(jko.graph_step(jnp.asarray(rho)[:, None], loss[:, None], prior, edges, rate, share))[:, 0]
    closed = rho ** (1 - share * off[0]) * prior ** (share * off[0]) * np.exp(-rate * off[0] * loss)
    np.testing.assert_allclose(step, closed / closed.sum(), atol=1e-12)


@jax.jit
def walk(rho, loss, prior, edges, rate, share):
    """Weights (301, problems, M) along graph steps with frozen losses, many problems at once."""

    def step(now, _):
        columns = jax.vmap(jko.graph_step)(now[..., None], loss[..., None], prior, edges, rate, share)
        return columns[..., 0], now

    return jax.lax.scan(step, rho, None, length=301)[1]


@pytest.mark.parametrize("kind", ["equal", "agreement", "any"])
def test_energy_never_rises_with_frozen_losses(kind):
    rng, n, m = np.random.default_rng(4), 120, 6
    loss = np.clip(rng.standard_t(2, (n, m)), -10, 50)
    rho, prior = rng.dirichlet(np.ones(m), n), rng.dirichlet(np.full(m, 3.0), n)
    if kind == "any":
        edges = rng.uniform(0.2, 2, (n, m, m))
        edges = (edges + edges.transpose(0, 2, 1)) / 2
    else:
        law = rng.normal(size=(n, m, 3))
        cost = ((law[:, :, None] - law[:, None]) ** 2).sum(-1)
        edges = np.asarray(jax.vmap(jko.conductance, (0, None))(jnp.asarray(cost), float(kind == "agreement")))
    tau, lam = 10 ** rng.uniform(-2, 0.3, n), rng.choice([0.0, 0.05, 0.3], n)
    share = np.minimum(tau * lam, 0.4)
    path = np.maximum(np.asarray(walk(*map(jnp.asarray, (rho, loss, prior, edges, tau, share)))), 1e-300)
    energy = (path * loss).sum(-1) + share / tau * (path * np.log(path / prior)).sum(-1)
    assert np.diff(energy, axis=0).max() < 1e-12
    # What it goes to is the free energy's minimiser, known in closed form, or the best member if there is no prior.
    pulled = share > 1e-3
    least = -share / tau * np.log((prior * np.exp(-loss / np.where(pulled, share / tau, 1.0)[:, None])).sum(-1))
    assert (energy[-1] - least)[pulled & (share > 0.03)].max() < 1e-6


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


def agree_with_differences(value, at, rng, h=1e-5):
    """Gradients along random directions against central differences, for every argument."""
    gradients = jax.jit(jax.grad(value, argnums=tuple(range(len(at)))))(*at)
    value = jax.jit(value)
    for i, (x, gradient) in enumerate(zip(at, gradients, strict=True)):
        for _ in range(3):
            d = rng.normal(size=np.shape(x))
            up, down = (float(value(*at[:i], x + s * d, *at[i + 1 :])) for s in (h, -h))
            assert float((np.asarray(gradient) * d).sum()) == pytest.approx((up - down) / (2 * h), abs=1e-6)


def test_graph_gradients_equal_finite_differences():
    rng = np.random.default_rng(9)
    rho, prior, loss, edges = problem(9)
    rank = rng.normal(size=(M, 2))
    at = (
        jnp.stack([jnp.asarray(rho)] * 2, 1),
        jnp.asarray(rng.normal(size=(M, 2))),
        *(jnp.asarray(x) for x in (prior, edges, 0.6, 0.1)),
    )
    agree_with_differences(lambda *x: (jko.graph_step(*x) * rank).sum(), at, rng)
    # Weights of zero, at rest, must not poison the others' gradients.
    rho = jnp.array([[0.4], [0.6], [0.0]])
    loss = jnp.array([[1.0], [0.0], [-1.0]])
    third = jnp.full(3, 1 / 3)
    gradient = jax.grad(lambda x: jko.graph_step(rho, x, third, jnp.ones((3, 3)), 0.5, 0.1)[0, 0])(loss)
    assert np.isfinite(np.asarray(gradient)).all() and float(gradient[2, 0]) == 0
