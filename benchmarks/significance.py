"""Is one forecaster better than another, or lucky? Tests on their losses, step by step and series by series.

Within a series: Diebold and Mariano's test. With d_t the difference of two losses at step t (ours minus theirs),
d̄ its mean over n steps and h the horizon,

    S = d̄ √(n/ω̂) √((n + 1 − 2 h + h (h − 1)/n)/n),   ω̂ = γ̂₀ + 2 Σ_{k ≤ L} (1 − k/(L + 1)) γ̂_k,

the second root being Harvey, Leybourne and Newbold's small-sample factor, and S is held against Student's t with n − 1
degrees of freedom. Their ω̂ weighs the first h − 1 autocovariances alike and takes no others, which for h = 1 assumes
differences without memory; losses under a changing variance have one. Here ω̂ is Newey and West's: Bartlett's kernel,
never negative, with L = ⌊4 (n/100)^(2/9)⌋ lags, at least h − 1.

Over series: Holm's correction of their p values; the sign test and Wilcoxon's signed-rank test on log ratios of
scores; Stouffer's z = Σ z_i/√m of the series' statistics. All of these take series for independent of one another, and
those that share a source are not.

References: Diebold & Mariano (1995), *Journal of Business & Economic Statistics*; Harvey, Leybourne & Newbold (1997),
*International Journal of Forecasting*; Newey & West (1987), *Econometrica*, (1994), *Review of Economic Studies*; Holm
(1979), *Scandinavian Journal of Statistics*; Stouffer et al. (1949), *The American Soldier*.
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


def lags(n: int, horizon: int = 1) -> int:
    """Autocovariances that enter the long-run variance of ``n`` differences."""
    return min(n - 1, max(horizon - 1, int(4 * (n / 100) ** (2 / 9))))


def long_run_variance(d: ArrayLike, horizon: int = 1) -> float:
    """ω̂ of differences ``d`` (n,), in their unit squared: n times the variance of their mean."""
    d = np.asarray(d, np.float64)
    n, e = len(d), d - np.mean(d)
    last = lags(n, horizon)
    weights = 2 * (1 - np.arange(last + 1) / (last + 1))
    weights[0] = 1.0
    return float(sum(w * (e[k:] @ e[: n - k]) / n for k, w in enumerate(weights)))


def diebold_mariano(ours: ArrayLike, theirs: ArrayLike, horizon: int = 1) -> Result:
    """Test of equal expected losses (n,), two-sided; losses that never differ give (0, 1).

    >>> diebold_mariano([1.0, 2.0, 1.0, 3.0], [1.0, 2.0, 1.0, 3.0])
    Result(statistic=0.0, p=1.0)
    """
    d = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    n, mean = len(d), float(d.mean())
    if not mean:
        return Result(0.0, 1.0)
    factor = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    variance = long_run_variance(d, horizon)
    statistic = mean * np.sqrt(n / variance * factor) if variance > 0 else np.copysign(np.inf, mean)
    return Result(float(statistic), float(2 * stats.t.sf(abs(statistic), n - 1)))


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
