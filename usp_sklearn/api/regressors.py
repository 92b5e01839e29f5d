"""Quantile regressors of scikit-learn's kind as experts: rows made scale-free, one clone per level, laws on the grid.

A row becomes what trees and linear models can use wherever the series wanders: gaps and increments in units of the
local mean |Δy|, the unit itself relative to the long run, the level relative to the training part. The target is the
move in the same unit, so forecasts move with the series under y → a·y + b, a > 0.
"""

from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.base import clone

from ..core.engine import Layout
from ..kernels.law import LEVELS

Array = NDArray[np.float64]
RATE, CLIP = 0.06, 50.0


class Frame(NamedTuple):
    """Long-run mean |Δy|, mean and spread of the level in the training part: the series' own coordinates."""

    rough: float
    centre: float
    spread: float


def frame(layout: Layout, X: Array) -> Frame:
    """Coordinates from training rows (n, columns)."""
    window = X[:, -layout.width :]
    last = window[:, -1]
    rough = float(np.abs(np.diff(window, axis=1)).mean()) if layout.width > 1 else float(np.abs(np.diff(last)).mean())
    floor = 1e-9 * (1.0 + float(np.abs(last).max()))
    return Frame(max(rough, floor), float(last.mean()), max(float(last.std()), floor))


def _unit(layout: Layout, of: Frame, X: Array) -> Array:
    """(n,) local unit, four parts local and one part long-run, never zero."""
    size = np.abs(np.diff(X[:, -layout.width :], axis=1))[:, ::-1]
    weight = (1 - RATE) ** np.arange(size.shape[1])
    local = size @ (weight / weight.sum()) if size.shape[1] else np.full(len(X), of.rough)
    return np.asarray(0.8 * local + 0.2 * of.rough)


def inputs(layout: Layout, of: Frame, X: Array) -> tuple[Array, Array]:
    """Scale-free features (n, p) and units (n,) of rows."""
    exog, level, window = np.split(X, [layout.n_exog, layout.n_exog + layout.n_level], axis=1)
    last, unit = window[:, -1:], _unit(layout, of, X)[:, None]
    moves = np.diff(window, axis=1)[:, ::-1]
    scaled = np.clip(np.hstack([moves, level - last]) / unit, -CLIP, CLIP)
    return np.hstack([exog, scaled, np.log(unit / of.rough), (last - of.centre) / of.spread]), unit[:, 0]


def _at_level(regressor: Any, level: float) -> Any:
    """A clone that forecasts the quantile ``level``: its parameter is called ``quantile`` or ``alpha``."""
    copy = clone(regressor)
    name = "quantile" if "quantile" in copy.get_params() else "alpha"
    try:
        return copy.set_params(**{name: level})
    except ValueError as error:
        raise ValueError(
            f"A regressor of JKOEnsemble needs a parameter 'quantile' or 'alpha'. {type(copy).__name__} has neither."
        ) from error


class Block:
    """One regressor fitted at several levels: the law it forecasts for each row."""

    def __init__(self, regressor: Any, levels: Array, layout: Layout, n_jobs: int | None) -> None:
        self.levels, self.layout = levels, layout
        self._models = [_at_level(regressor, float(u)) for u in levels]
        self._n_jobs = n_jobs

    def fit(self, X: Array, y: Array, metadata: dict[str, Any]) -> "Block":
        """Learn rows and outcomes afresh; ``metadata`` goes to every level's fit."""
        self._frame = frame(self.layout, X)
        features, unit = inputs(self.layout, self._frame, X)
        target = np.clip((y - X[:, -1]) / unit, -CLIP, CLIP)
        self._models = Parallel(n_jobs=self._n_jobs)(delayed(m.fit)(features, target, **metadata) for m in self._models)
        return self

    def predict(self, X: Array) -> Array:
        """Quantiles (n, 25) at :data:`LEVELS`: sorted, joined linearly in normal scores, ends continued."""
        features, unit = inputs(self.layout, self._frame, X)
        q = np.sort(np.stack([m.predict(features) for m in self._models], axis=1), axis=1)
        z, wanted = ndtri(self.levels), ndtri(LEVELS)
        right = np.clip(np.searchsorted(z, wanted), 1, len(z) - 1)
        part = (wanted - z[right - 1]) / (z[right] - z[right - 1])
        on_grid = q[:, right - 1] + part * (q[:, right] - q[:, right - 1])
        return np.asarray(X[:, -1:] + unit[:, None] * on_grid)
