"""PIT values of outcomes: uniform under the right law, with and without atoms."""

import numpy as np
import pytest
import scipy.stats as st

from usp_sklearn.api.distribution import PredictiveDistribution
from usp_sklearn.kernels.law import LEVELS, Law

N = 4000


def distribution(q, tail=0.0):
    """The same law N times: quantiles ``q``, tails of one scale."""
    return PredictiveDistribution(Law(np.tile(q, (N, 1)), np.full((N, 2), tail), np.full((N, 2), 0.1)))


def outcomes(q, seed):
    """Draws by inversion of the piecewise linear quantile function, which without tails is flat beyond its ends."""
    return np.interp(np.random.default_rng(seed).uniform(size=N), LEVELS, q)


LAWS = {
    "counts": np.round(1.5 * st.norm.ppf(LEVELS)),
    "zeros": np.maximum(st.norm.ppf(LEVELS), 0.0),
    "one value": np.full(len(LEVELS), 3.0),
    "no atom within": st.norm.ppf(LEVELS),
}


@pytest.mark.parametrize("kind", LAWS)
def test_pit_is_uniform_under_the_right_law(kind):
    law, y = distribution(LAWS[kind]), outcomes(LAWS[kind], 1)
    pit = law.pit(y, random_state=2)
    assert pit.shape == (N,)
    assert st.kstest(pit, "uniform").pvalue > 1e-3
    if kind != "no atom within":
        assert st.kstest(law.cdf(y), "uniform").pvalue < 1e-6


@pytest.mark.parametrize("kind", LAWS)
def test_pit_lies_between_the_ends_of_the_atom_and_the_middle_halfway(kind):
    law, y = distribution(LAWS[kind]), outcomes(LAWS[kind], 3)
    grid = np.concatenate([[0.0], LEVELS, [1.0]])
    q = np.concatenate([[LAWS[kind][0]], LAWS[kind], [LAWS[kind][-1]]])
    # The ends of an atom: the first and the last place of the quantile function that hold its value.
    ends = {v: (grid[q == v].min(), grid[q == v].max()) for v in np.unique(q)}
    atoms = np.array([v in ends for v in y])
    assert atoms.mean() > 0.005
    low, high = np.array([ends[v] for v in y[atoms]]).T
    pit, middle = law.pit(y, random_state=0)[atoms], law.pit(y, mid=True)[atoms]
    assert ((pit >= low - 1e-12) & (pit <= high + 1e-12)).all()
    np.testing.assert_allclose(middle, (low + high) / 2, atol=1e-12)
    between = ~atoms
    np.testing.assert_allclose(law.pit(y, random_state=0)[between], law.cdf(y)[between], atol=1e-12)


def test_pit_of_a_wrong_law_is_not_uniform():
    law, y = distribution(LAWS["counts"]), outcomes(LAWS["counts"], 4)
    assert st.kstest(law.pit(y + 1, random_state=0), "uniform").pvalue < 1e-6


def test_random_state_fixes_the_draws_and_none_draws_from_numpy():
    law, y = distribution(LAWS["counts"]), outcomes(LAWS["counts"], 5)
    np.testing.assert_array_equal(law.pit(y, random_state=7), law.pit(y, random_state=7))
    assert (law.pit(y, random_state=7) != law.pit(y, random_state=8)).any()
    np.random.seed(3)  # noqa: NPY002 (what None means in scikit-learn)
    first = law.pit(y)
    np.random.seed(3)  # noqa: NPY002
    np.testing.assert_array_equal(first, law.pit(y))
    assert (first != law.pit(y)).any()


def test_pit_of_a_batch_with_horizons_and_of_the_wrong_shape():
    q = np.broadcast_to(np.maximum(st.norm.ppf(LEVELS), 0.0), (3, 2, len(LEVELS)))
    law = PredictiveDistribution(Law(q, np.full((3, 2, 2), 0.3), np.full((3, 2, 2), 0.1)))
    assert law.pit(0.0, random_state=0).shape == (3, 2)
    assert len(np.unique(law.pit(0.0, random_state=0))) == 6
    with pytest.raises(ValueError, match="'y' parameter"):
        law.pit(np.zeros(5))
