"""Is one forecaster better than another, or lucky? Tests on their losses, step by step and series by series.

Within a series: Diebold and Mariano's test with Bartlett's kernel, :mod:`usp_sklearn.api.metrics_comparison`.

Over series: Holm's correction of their p values; the sign test and Wilcoxon's signed-rank test on log ratios of
scores; Stouffer's z = Σ z_i/√m of the series' statistics. All of these take series for independent of one another, and
those that share a source are not.

References: Holm (1979), *Scandinavian Journal of Statistics*; Stouffer et al. (1949), *The American Soldier*.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array = NDArray[np.float64]


class Result(NamedTuple):
    """A statistic, below zero where the first forecaster is better, and its two-sided p value."""

    statistic: float
    p: float


class Pooled(NamedTuple):
    """Tests over series: how many the first forecaster wins, and two-sided p values of three tests."""

    wins: int
    sign: float
    wilcoxon: float
    stouffer: Result


def diebold_mariano(ours: ArrayLike, theirs: ArrayLike, horizon: int = 1) -> Result:
    """Test of equal expected losses (n,), two-sided; losses that never differ give (0, 1).

    >>> diebold_mariano([1.0, 2.0, 1.0, 3.0], [1.0, 2.0, 1.0, 3.0])
    Result(statistic=0.0, p=1.0)
    """
    # Here, as the package starts the numerical libraries, whose threads a benchmark wants to count first.
    from usp_sklearn.api import metrics_comparison

    return Result(*metrics_comparison.diebold_mariano(ours, theirs, horizon))


def holm(p: ArrayLike) -> Array:
    """Holm's adjusted p values (m,): rejecting those below α errs anywhere with probability α at most.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def stouffer(tests: list[Result]) -> Result:
    """Σ z_i/√m of ``tests``, z_i the normal quantile at the p value of the i-th, with its sign.

    >>> stouffer([Result(-2.0, 0.05), Result(2.0, 0.05)])
    Result(statistic=0.0, p=1.0)
    """
    z = np.array([np.copysign(stats.norm.isf(max(test.p, 1e-300) / 2), test.statistic) for test in tests])
    total = float(z.sum() / np.sqrt(len(z)))
    return Result(total, float(2 * stats.norm.sf(abs(total))))


def over_series(log_ratio: ArrayLike, tests: list[Result]) -> Pooled:
    """Tests over series from ``log_ratio`` (m,) of scores, ours to theirs, and the series' own tests; ties are left out
    of the first two."""
    x = np.asarray(log_ratio, np.float64)
    x = x[x != 0]
    wins = int((x < 0).sum())
    if not len(x):
        return Pooled(0, 1.0, 1.0, stouffer(tests))
    sign, ranks = stats.binomtest(wins, len(x)).pvalue, stats.wilcoxon(x).pvalue
    return Pooled(wins, float(sign), float(ranks), stouffer(tests))
