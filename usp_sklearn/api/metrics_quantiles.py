"""Scores of whole laws: pinball loss, CRPS, its scaled form, weighted interval score, and PIT values.

Losses are in the units of the series and lower is better. References: Matheson & Winkler (1976), *Management Science*;
Gneiting & Raftery (2007), *Journal of the American Statistical Association*; Bracher, Ray, Gneiting & Reich (2021),
*PLOS Computational Biology*.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from .metrics_input import Array, average, checked_forecasts, checked_levels, checked_outcomes


class WISComponents(NamedTuple):
    """Parts of a weighted interval score, which add up to it; in the unit of the series."""

    dispersion: float
    underprediction: float
    overprediction: float


def pinball_score(
    y_true: ArrayLike, y_pred: ArrayLike, quantiles: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """Mean pinball loss max(u·e, (u − 1)·e), e = y − q_u, over rows and levels.

    Parameters
    ----------
    y_true : (n,) or (n, H) outcomes.
    y_pred : (n, q) or (n, H, q) quantiles; (n,) for a single level.
    quantiles : (q,) their levels.
    sample_weight : (n,) weights of rows.

    >>> pinball_score([1.0, 2.0], [[0.0, 1.0], [2.0, 4.0]], quantiles=[0.5, 0.9])
    0.175
    """
    y, levels = checked_outcomes(y_true), checked_levels(quantiles)
    q = checked_forecasts(y, y_pred, len(levels), "one quantile per level")
    return average(_pinball(y, q, levels), sample_weight)


def crps_score(
    y_true: ArrayLike, y_pred: Any, quantiles: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> float:
    """Mean continuous ranked probability score.

    Parameters
    ----------
    y_true : (n,) or (n, H) outcomes.
    y_pred : what ``predict_distribution`` returns (exact), or quantiles (n, q) or (n, H, q) at ``quantiles``, for
        which CRPS = 2 ∫ pinball_u du is taken over the cells around the levels.
    quantiles : (q,) levels, when ``y_pred`` holds quantiles.
    sample_weight : (n,) weights of rows.

    >>> crps_score([0.0], [[-1.0, 0.0, 1.0]], quantiles=[0.25, 0.5, 0.75])
    0.375
    """
    y = checked_outcomes(y_true)
    return average(_crps(y, y_pred, quantiles), sample_weight)


def scaled_crps_score(
    y_true: ArrayLike, y_pred: Any, quantiles: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> float:
    """Sum of the CRPS over the sum of \\|y\\|: free of units, so that series can be compared.

    This is the "scaled" (also "weighted" or "normalised") CRPS of forecasting benchmarks, as Salinas et al. (2020)
    report it; it isn't Bolin and Wallin's locally scale invariant score (2023), which has the same abbreviation. It
    isn't free of the origin: a constant added to a series changes it.

    Parameters
    ----------
    y_true : (n,) or (n, H) outcomes, not all zero.
    y_pred, quantiles
        As for :func:`crps_score`.
    sample_weight : (n,) weights of rows, in both sums.

    >>> scaled_crps_score([2.0, 6.0], [[1.0], [7.0]], quantiles=[0.5])
    0.25
    """
    y = checked_outcomes(y_true)
    size = average(np.abs(y), sample_weight)
    if size == 0:
        raise ValueError("y_true must not be all zero: there is no scale then.")
    return average(_crps(y, y_pred, quantiles), sample_weight) / size


def weighted_interval_score(
    y_true: ArrayLike, y_pred: ArrayLike, quantiles: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """Mean weighted interval score of central intervals and the median.

    With K intervals of coverages 1 − α_k, their interval scores IS_k and the median m,
    ``WIS = (|y − m|/2 + Σ_k α_k/2 · IS_k)/(K + 1/2)`` (Bracher et al. 2021, eq. 1 with their weights), which is twice
    the mean pinball loss of the 2K + 1 quantiles and tends to the CRPS as intervals are added.

    Parameters
    ----------
    y_true : (n,) or (n, H) outcomes.
    y_pred : (n, q) or (n, H, q) quantiles.
    quantiles : (q,) levels: 0.5, and in pairs u and 1 − u.
    sample_weight : (n,) weights of rows.

    >>> round(weighted_interval_score([3.0], [[0.0, 1.0, 2.0]], quantiles=[0.1, 0.5, 0.9]), 9)
    1.466666667
    """
    return float(sum(weighted_interval_components(y_true, y_pred, quantiles, sample_weight)))


def weighted_interval_components(
    y_true: ArrayLike, y_pred: ArrayLike, quantiles: ArrayLike, sample_weight: ArrayLike | None = None
) -> WISComponents:
    """What a weighted interval score is made of: widths of intervals, outcomes above them, outcomes below them.

    Parameters
    ----------
    y_true, y_pred, quantiles, sample_weight
        As for :func:`weighted_interval_score`. An outcome above an interval is an underprediction; its distance
        from the median counts on the same side.

    >>> parts = weighted_interval_components([3.0], [[0.0, 1.0, 2.0]], quantiles=[0.1, 0.5, 0.9])
    >>> [round(v, 4) for v in parts]
    [0.1333, 1.3333, 0.0]
    """
    y, levels = checked_outcomes(y_true), checked_levels(quantiles)
    q = checked_forecasts(y, y_pred, len(levels), "one quantile per level")
    order = np.argsort(levels)
    levels, q = levels[order], q[..., order]
    paired = np.allclose(levels, 1 - levels[::-1], rtol=0, atol=1e-12) and len(np.unique(levels)) == len(levels)
    if not paired or len(levels) % 2 == 0:
        raise ValueError(
            "The 'quantiles' parameter must hold 0.5 and otherwise pairs of levels u and 1 − u, each once. "
            f"Got {quantiles!r} instead."
        )
    K = len(levels) // 2
    median, low, high, alpha = q[..., K], q[..., :K], q[..., :K:-1], 2 * levels[:K]
    total = K + 0.5
    dispersion = (alpha / 2 * (high - low)).sum(-1)
    under = np.maximum(y - median, 0) / 2 + np.maximum(y[..., None] - high, 0).sum(-1)
    over = np.maximum(median - y, 0) / 2 + np.maximum(low - y[..., None], 0).sum(-1)
    return WISComponents(*(average(part / total, sample_weight) for part in (dispersion, under, over)))


def pit_values(
    y_true: ArrayLike, y_pred: Any, quantiles: ArrayLike | None = None, *, mid: bool = False, random_state: Any = None
) -> Array:
    """Probability integral transform of every outcome: uniform on (0, 1) where the laws are right.

    Where an outcome doesn't determine it (at an atom, and outside the outermost quantiles) it is drawn uniformly from
    what is possible (Smith 1985; Czado, Gneiting & Held 2009).

    Parameters
    ----------
    y_true : (n,) or (n, H) outcomes.
    y_pred : what ``predict_distribution`` returns, or quantiles (n, q) or (n, H, q) at ``quantiles``. Between two
        quantiles the distribution function is then a straight line; below the lowest level u the transform is anywhere
        in (0, u), and so above the highest; quantiles that coincide are an atom, which reaches to 0 or 1 if it holds
        the outermost one.
    quantiles : (q,) levels, when ``y_pred`` holds quantiles.
    mid : bool
        Take the middle instead of drawing.
    random_state : int, RandomState or None
        Where the draws come from.

    Returns
    -------
    Array of the shape of ``y_true``.

    >>> pit_values([0.0, 1.5, 9.0], [[-1.0, 1.0, 2.0]] * 3, quantiles=[0.2, 0.6, 0.8], mid=True).round(3).tolist()
    [0.4, 0.7, 0.9]
    """
    y = checked_outcomes(y_true)
    if quantiles is None:
        return np.asarray(_law(y_pred, "pit").pit(y, mid=mid, random_state=random_state))
    levels = checked_levels(quantiles)
    q = checked_forecasts(y, y_pred, len(levels), "one quantile per level")
    order = np.argsort(levels)
    low, high = _pit_ends(y, np.sort(q[..., order], axis=-1), levels[order])
    share = 0.5 if mid else check_random_state(random_state).uniform(size=y.shape)
    return np.asarray(low + share * (high - low))


# ------------------------------------------------------------------ plumbing


def _law(y_pred: Any, method: str) -> Any:
    if not hasattr(y_pred, method):
        raise ValueError(
            "The 'quantiles' parameter must be given when y_pred is not a predictive distribution. "
            f"Got y_pred of type {type(y_pred).__name__} and quantiles=None instead."
        )
    return y_pred


def _pinball(y: Array, q: Array, levels: Array) -> Array:
    e = y[..., None] - q
    return np.maximum(levels * e, (levels - 1) * e)


def _crps(y: Array, y_pred: Any, quantiles: ArrayLike | None) -> Array:
    """CRPS of each outcome."""
    if quantiles is None:
        return np.asarray(_law(y_pred, "crps").crps(y))
    levels = checked_levels(quantiles)
    q = checked_forecasts(y, y_pred, len(levels), "one quantile per level")
    order = np.argsort(levels)
    levels, q = levels[order], q[..., order]
    cells = np.diff(np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]]))
    return np.asarray(2 * (_pinball(y, q, levels) * cells).sum(-1))


def _pit_ends(y: Array, q: Array, levels: Array) -> tuple[Array, Array]:
    """Smallest and largest value the transform may have, for sorted quantiles (…, q)."""
    K = len(levels)
    below, upto = (q < y[..., None]).sum(-1), (q <= y[..., None]).sum(-1)
    ends = np.concatenate([[0.0], levels, [1.0]])
    low, high = ends[below], ends[np.minimum(upto + 1, K + 1)]
    inside = (below == upto) & (below > 0) & (below < K)
    left = np.clip(below - 1, 0, max(K - 2, 0))[..., None]
    right = np.minimum(left + 1, K - 1)
    q_left, q_right = (np.take_along_axis(q, i, axis=-1)[..., 0] for i in (left, right))
    part = (y - q_left) / np.where(inside, q_right - q_left, 1.0)
    line = ends[below] + part * (ends[np.minimum(below + 1, K + 1)] - ends[below])
    ties = upto - below
    atom = ties > 1
    tied_low = np.where(atom & (below == 0), 0.0, ends[np.minimum(below + 1, K)])
    tied_high = np.where(atom & (upto == K), 1.0, ends[upto])
    low = np.where(ties > 0, tied_low, np.where(inside, line, low))
    high = np.where(ties > 0, tied_high, np.where(inside, line, high))
    return low, high
