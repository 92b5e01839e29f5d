"""Is one forecaster better than another, or lucky? Diebold and Mariano's test on their losses.

With d_t the difference of two losses at step t (a minus b), d̄ its mean over n steps and h the horizon,

    S = d̄ √(n/ω̂) √((n + 1 − 2 h + h (h − 1)/n)/n),   ω̂ = γ̂₀ + 2 Σ_{k ≤ L} w_k γ̂_k,

the second root being Harvey, Leybourne and Newbold's small-sample factor, and S is held against Student's t with n − 1
degrees of freedom. Their ω̂ weighs the first L = h − 1 autocovariances alike (``kernel="rectangular"``) and takes no
others, which for h = 1 assumes differences without memory; losses under a changing variance have one. The default is
Newey and West's: w_k = 1 − k/(L + 1) (Bartlett's kernel), never negative, with L = ⌊4 (n/100)^(2/9)⌋ lags, at least
h − 1.

References: Diebold & Mariano (1995), *Journal of Business & Economic Statistics*; Harvey, Leybourne & Newbold (1997),
*International Journal of Forecasting*; Newey & West (1987), *Econometrica*, (1994), *Review of Economic Studies*.
"""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.utils import check_array

from .metrics_input import Array

KERNELS = ("bartlett", "rectangular")


class DieboldMariano(NamedTuple):
    """A statistic, below zero where the first forecaster is better, and its two-sided p value."""

    statistic: float
    p_value: float


def diebold_mariano(
    losses_a: ArrayLike, losses_b: ArrayLike, horizon: int = 1, *, kernel: str = "bartlett"
) -> DieboldMariano:
    """Test of equal expected losses, with Harvey, Leybourne and Newbold's correction.

    Parameters
    ----------
    losses_a, losses_b : (n,) losses of two forecasters at the same steps, in time order: of any kind, lower is better.
    horizon : steps ahead of the forecasts, below n.
    kernel : {"bartlett", "rectangular"}
        Weights of the autocovariances in the variance of the mean difference; see this module's head. The rectangular
        one is the test as first published; its variance may come out negative, and both results are then NaN.

    Returns
    -------
    DieboldMariano
        ``statistic``, below zero where the first forecaster is better, and the two-sided ``p_value``. Losses that never
        differ give (0, 1); a difference that never changes gives an infinite statistic.

    >>> test = diebold_mariano([0, 1, 4, 9, 16, 25], [0, 4, 9, 9, 25, 36], kernel="rectangular")
    >>> round(test.statistic, 4), round(test.p_value, 5)
    (-2.4905, 0.05513)
    """
    a, b = (_losses(v, name) for v, name in ((losses_a, "losses_a"), (losses_b, "losses_b")))
    if a.shape != b.shape:
        raise ValueError(f"losses_a and losses_b must have the same length. Got {len(a)} and {len(b)} instead.")
    d = a - b
    n, mean = len(d), float(d.mean())
    if not isinstance(horizon, Integral) or isinstance(horizon, bool) or not 1 <= horizon < n:
        raise ValueError(
            f"The 'horizon' parameter must be an int of at least 1 and below the number of losses, {n}. "
            f"Got {horizon!r} instead."
        )
    if not mean:
        return DieboldMariano(0.0, 1.0)
    factor = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    variance = long_run_variance(d, horizon, kernel)
    if variance < 0:
        return DieboldMariano(float("nan"), float("nan"))
    statistic = mean * np.sqrt(n / variance * factor) if variance > 0 else np.copysign(np.inf, mean)
    return DieboldMariano(float(statistic), float(2 * stats.t.sf(abs(statistic), n - 1)))


def lags(n: int, horizon: int = 1) -> int:
    """Autocovariances that enter the long-run variance of ``n`` differences under Bartlett's kernel."""
    return min(n - 1, max(horizon - 1, int(4 * (n / 100) ** (2 / 9))))


def long_run_variance(d: ArrayLike, horizon: int = 1, kernel: str = "bartlett") -> float:
    """ω̂ of differences ``d`` (n,), in their unit squared: n times the variance of their mean."""
    if kernel not in KERNELS:
        raise ValueError(
            f"The 'kernel' parameter must be one of {', '.join(map(repr, KERNELS))}. Got {kernel!r} instead."
        )
    d = np.asarray(d, np.float64)
    n, e = len(d), d - np.mean(d)
    last = lags(n, horizon) if kernel == "bartlett" else horizon - 1
    weights = 2 * (1 - np.arange(last + 1) / (last + 1)) if kernel == "bartlett" else np.full(last + 1, 2.0)
    weights[0] = 1.0
    return float(sum(w * (e[k:] @ e[: n - k]) / n for k, w in enumerate(weights)))


def _losses(values: ArrayLike, name: str) -> Array:
    out = check_array(values, dtype=np.float64, ensure_2d=False, ensure_min_samples=2, input_name=name)
    if out.ndim != 1:
        raise ValueError(f"{name} must be 1-D. Got {out.ndim} dimensions instead.")
    return np.asarray(out)
