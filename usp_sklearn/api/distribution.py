"""PredictiveDistribution: the laws of many rows, as NumPy users read them."""

from numbers import Real
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from .. import runtime
from ..core.copula import draw
from ..core.engine import padded
from ..kernels import law as laws
from ..kernels.law import LEVELS, MEDIAN, Law

Array = NDArray[np.float64]

_PPF = jax.jit(jax.vmap(laws.ppf))
_FUNCTIONS = {name: jax.jit(getattr(laws, name)) for name in ("cdf", "cdf_left", "mean", "std", "crps")}


def check_levels(quantiles: ArrayLike) -> Array:
    """Quantile levels as a 1-D float array in (0, 1), or a clear error."""
    try:
        levels = np.atleast_1d(np.asarray(quantiles, np.float64))
    except (TypeError, ValueError):
        levels = np.empty((0, 0))
    if levels.ndim != 1 or levels.size == 0 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(
            f"The 'quantiles' parameter must be one or more floats strictly between 0 and 1. Got {quantiles!r} instead."
        )
    return levels


class PredictiveDistribution:
    """Laws of n rows (or of n rows and H horizons), in the units of the series.

    Attributes
    ----------
    law : Law
        Quantiles (…, 25) at ``usp_sklearn.kernels.law.LEVELS`` and the parameters of both tails.
    shape : tuple
        Batch shape, (n,) or (n, H).
    correlation : (H, H) array or None
        With horizons, how normal scores of their outcomes hang together (a Gaussian copula).
    """

    def __init__(self, law: Law, correlation: Array | None = None) -> None:
        self.law = law
        self.correlation = correlation
        self.shape: tuple[int, ...] = law.q.shape[:-1]

    def _flat(self) -> Law:
        return jax.tree.map(lambda x: np.reshape(x, (-1, x.shape[-1])), self.law)

    def _apply(self, name: str, *args: Array) -> Array:
        with runtime.precision():
            return padded(_FUNCTIONS[name], self._flat(), *args).reshape(self.shape)

    def _outcomes(self, y: ArrayLike, name: str) -> Array:
        try:
            return np.broadcast_to(np.asarray(y, np.float64), self.shape).ravel()
        except ValueError as error:
            raise ValueError(
                f"The '{name}' parameter must be a number or an array of shape {self.shape}. "
                f"Got shape {np.shape(y)} instead."
            ) from error

    def median(self) -> Array:
        """Medians, of the batch shape."""
        return np.array(self.law.q[..., MEDIAN])

    def mean(self) -> Array:
        """Expectations, of the batch shape."""
        return self._apply("mean")

    def std(self) -> Array:
        """Standard deviations; infinite where a tail is too heavy to have one."""
        return self._apply("std")

    def cdf(self, y: ArrayLike) -> Array:
        """P(Y ≤ y) for a number or one value per law."""
        return self._apply("cdf", self._outcomes(y, "y"))

    def pit(self, y: ArrayLike, *, mid: bool = False, random_state: Any = None) -> Array:
        """Probability integral transform of outcomes, uniform on (0, 1) where the laws are right, atoms or not.

        At an atom the transform is anywhere between its two ends, F(y−) + V (F(y) − F(y−)) with V uniform and drawn
        afresh (Smith 1985; Czado, Gneiting & Held 2009); elsewhere both ends are F(y) and nothing is drawn that shows.

        Parameters
        ----------
        y : number, or array of the batch shape, in the unit of the series
        mid : bool
            Take the middle of an atom, V = ½: the same at every call, ½ on average, but less spread than a uniform.
        random_state : int, RandomState or None
            Where V comes from.

        >>> dry_or_not = Law(np.maximum(LEVELS - 0.4, 0.0)[None], np.zeros((1, 2)), np.full((1, 2), 0.1))
        >>> rain = PredictiveDistribution(dry_or_not)
        >>> rain.pit(0.0, mid=True).round(3).tolist()
        [0.2]
        >>> bool(0.0 < rain.pit(0.0, random_state=0)[0] < 0.4)
        True
        """
        outcomes = self._outcomes(y, "y")
        low, high = self._apply("cdf_left", outcomes), self._apply("cdf", outcomes)
        share = 0.5 if mid else check_random_state(random_state).uniform(size=self.shape)
        return low + share * (high - low)

    def crps(self, y: ArrayLike) -> Array:
        """Continuous ranked probability score of each law, closed form."""
        return self._apply("crps", self._outcomes(y, "y"))

    def ppf(self, quantiles: ArrayLike) -> Array:
        """Quantiles: (…, q) for levels (q,), the batch shape for a single number."""
        levels = check_levels(quantiles)
        position = np.searchsorted(LEVELS, levels).clip(max=len(LEVELS) - 1)
        if np.array_equal(LEVELS[position], levels):
            out = np.array(self.law.q[..., position])
        else:
            out = self._draw(np.broadcast_to(levels, (int(np.prod(self.shape)), levels.size)))
        return out[..., 0] if isinstance(quantiles, Real) else out

    def sample(self, n: int = 100, *, paths: bool = False, random_state: Any = None) -> Array:
        """``n`` draws from each law: (…, n).

        With ``paths`` draw k of a row is one path through all horizons: the marginals are the laws, the dependence
        is what outcomes of one row showed so far. Without it every number is drawn by itself.
        """
        rng = check_random_state(random_state)
        if not paths:
            return self._draw(rng.uniform(1e-12, 1 - 1e-12, (int(np.prod(self.shape)), n)))
        if self.correlation is None:
            raise ValueError("paths=True needs laws of several horizons, of a model fitted with a 2-D y.")
        rows = int(np.prod(self.shape[:-1]))
        joint = np.stack([draw(self.correlation, n, rng).T for _ in range(rows)])
        return self._draw(joint.reshape(-1, n))

    def _draw(self, u: Array) -> Array:
        width = max(16, 1 << (u.shape[1] - 1).bit_length())
        wide = np.full((len(u), width), 0.5)
        wide[:, : u.shape[1]] = u
        with runtime.precision():
            out = padded(_PPF, self._flat(), wide)[:, : u.shape[1]]
        return out.reshape(*self.shape, u.shape[1])

    def __repr__(self) -> str:
        return f"PredictiveDistribution(shape={self.shape})"
