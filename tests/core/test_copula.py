"""The copula of horizons: closed-form correlations of random walks, uniform marginals, causality of the ring."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from usp_sklearn.core import copula


def _teach(state, scores):
    """Rows of scores (n, H) reach the ring as outcomes do: at each event horizon h brings row e − h."""
    n, h = scores.shape
    u, learn = stats.norm.cdf(scores), jax.jit(copula.learn)
    for event in range(h, n + 1):
        rows = event - 1 - np.arange(h)
        state = learn(state, jnp.asarray(u[rows, np.arange(h)]), jnp.asarray(rows))
    return state


def _normalised(state):
    c = np.asarray(state.correlation)
    return c / np.sqrt(np.outer(np.diag(c), np.diag(c)))


def test_it_starts_as_a_random_walk():
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.normal(size=(200_000, 4)), axis=1)
    np.testing.assert_allclose(copula.init(4, 8).correlation, np.corrcoef(walks.T), atol=0.01)


def test_it_learns_the_correlation_that_is_there():
    rng = np.random.default_rng(1)
    truth = np.array([[1.0, -0.6, 0.1], [-0.6, 1.0, 0.3], [0.1, 0.3, 1.0]])
    scores = rng.multivariate_normal(np.zeros(3), truth, size=1500)
    np.testing.assert_allclose(_normalised(_teach(copula.init(3, 4), scores)), truth, atol=0.08)


def test_scores_are_paired_by_row_not_by_time():
    """Scores that agree within a row and are unrelated between rows: a ring that mixed rows up would find nothing."""
    rng = np.random.default_rng(2)
    scores = np.repeat(rng.normal(size=(600, 1)), 5, axis=1)
    assert _normalised(_teach(copula.init(5, 8), scores)).min() > 0.9


def test_draws_have_uniform_marginals_and_the_copula_asked_for():
    rng = np.random.RandomState(3)
    c = np.array([[2.0, 1.2], [1.2, 1.0]])
    u = copula.draw(c, 40_000, rng)
    assert all(stats.kstest(column, "uniform").pvalue > 1e-3 for column in u.T)
    rho = 1.2 / np.sqrt(2.0)
    # Spearman's rank correlation of a Gaussian copula (Kruskal 1958).
    assert abs(stats.spearmanr(*u.T).statistic - 6 / np.pi * np.arcsin(rho / 2)) < 0.01


def test_a_singular_correlation_is_drawn_from_all_the_same():
    u = copula.draw(np.ones((3, 3)), 100, np.random.RandomState(4))
    np.testing.assert_allclose(u[:, 0], u[:, 2], atol=1e-6)
