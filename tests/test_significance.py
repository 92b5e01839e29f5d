"""Tests of forecasters against sums written out by hand, exact counts and simulation."""

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import integrate, special

from benchmarks import significance
from benchmarks.significance import Result
from usp_sklearn.api import metrics_comparison


def student_tail(x, nu):
    """P(|T| > x) by quadrature of the density."""
    constant = special.gamma((nu + 1) / 2) / np.sqrt(nu * np.pi) / special.gamma(nu / 2)
    return 2 * integrate.quad(lambda t: constant * (1 + t * t / nu) ** (-(nu + 1) / 2), x, np.inf)[0]


def test_diebold_mariano_by_hand():
    """Six differences 3, 1, 2, 0, 2, 4 about their mean 2: two lags of weights 2/3 and 1/3."""
    d = np.array([3.0, 1.0, 2.0, 0.0, 2.0, 4.0])
    # e = 1, −1, 0, −2, 0, 2;  γ̂₀ = 10/6, γ̂₁ = −1/6, γ̂₂ = (0 + 2 + 0 − 4)/6 = −2/6
    variance = (10 + 2 * (2 / 3 * -1 + 1 / 3 * -2)) / 6
    statistic = 2 * np.sqrt(6 / variance * 5 / 6)
    assert metrics_comparison.lags(6) == 2
    assert metrics_comparison.long_run_variance(d) == pytest.approx(variance, rel=1e-12)
    found = significance.diebold_mariano(d + 5, np.full(6, 5.0))
    assert found.statistic == pytest.approx(statistic, rel=1e-12)
    assert found.p == pytest.approx(student_tail(statistic, 5), rel=1e-6)
    assert significance.diebold_mariano(np.full(6, 5.0), d + 5).statistic == pytest.approx(-statistic, rel=1e-12)
    # Horizon 2: the factor is (6 + 1 − 4 + 2/6)/6.
    longer = significance.diebold_mariano(d, np.zeros(6), horizon=2).statistic
    assert longer == pytest.approx(2 * np.sqrt(6 / variance * (3 + 1 / 3) / 6), rel=1e-12)


def test_long_run_variance_approaches_that_of_an_autoregression():
    """An AR(1) of coefficient φ has ω = σ²/(1 − φ)²; Bartlett's L lags reach what they weigh of it."""
    rng, phi, n = np.random.default_rng(0), 0.5, 200_000
    d = np.zeros(n)
    noise = rng.normal(size=n)
    for t in range(1, n):
        d[t] = phi * d[t - 1] + noise[t]
    last = metrics_comparison.lags(n)
    k = np.arange(1, last + 1)
    expected = (1 + 2 * ((1 - k / (last + 1)) * phi**k).sum()) / (1 - phi**2)
    assert metrics_comparison.long_run_variance(d) == pytest.approx(expected, rel=0.05)
    assert expected == pytest.approx(1 / (1 - phi) ** 2, rel=0.1)


def test_false_alarms_come_at_the_level_of_the_test():
    """Differences with memory: without the autocovariances a 5 % test would reject three times as often."""
    rng, n, runs = np.random.default_rng(1), 400, 2000
    noise = rng.normal(size=(runs, n + 1))
    d = noise[:, 1:] + 0.9 * noise[:, :-1]
    zero = np.zeros(n)
    rejected = np.mean([significance.diebold_mariano(row, zero).p < 0.05 for row in d])
    naive = np.mean(np.abs(d.mean(1) / d.std(1) * np.sqrt(n)) > 1.96)
    assert 0.04 < rejected < 0.1
    assert naive > 0.13


def test_losses_that_never_differ_and_losses_that_always_differ_alike():
    same = np.arange(5.0)
    assert significance.diebold_mariano(same, same) == Result(0.0, 1.0)
    assert significance.diebold_mariano(same, same + 1) == Result(-np.inf, 0.0)


def test_holm_keeps_the_family_wise_error():
    """Adjusted p values by the definition: reject in order while p_(i) ≤ α/(m − i + 1)."""
    p = np.random.default_rng(2).uniform(size=12) ** 3
    adjusted = significance.holm(p)
    for alpha in (0.01, 0.05, 0.2, 0.7):
        rejected = np.zeros(12, bool)
        for i, j in enumerate(np.argsort(p)):
            if p[j] > alpha / (12 - i):
                break
            rejected[j] = True
        np.testing.assert_array_equal(adjusted <= alpha, rejected)


def test_stouffer_adds_what_points_the_same_way():
    one = Result(-1.0, 2 * (1 - special.ndtr(1.0)))
    found = significance.stouffer([one] * 9)
    assert found.statistic == pytest.approx(-3.0, rel=1e-9)
    assert found.p == pytest.approx(2 * (1 - special.ndtr(3.0)), rel=1e-6)


def test_sign_and_rank_tests_count_all_assignments_of_signs():
    x = np.array([-0.9, -0.7, -0.5, 0.4, -0.3, -0.2, 0.1, -1.1, 0.0])
    found = significance.over_series(x, [Result(-1.0, 0.3)])
    assert found.wins == 6
    assert found.sign == pytest.approx(2 * sum(comb(8, k) for k in range(6, 9)) / 2**8)
    sizes = np.abs(x[:-1])
    ranks = sizes.argsort().argsort() + 1
    plus = ranks[x[:-1] > 0].sum()
    sums = np.array([(np.array(s) * ranks).sum() for s in product([0, 1], repeat=8)])
    assert found.wilcoxon == pytest.approx(2 * np.mean(sums <= plus))
