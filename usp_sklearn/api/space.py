"""What a search may change in an estimator: names, ranges and where it starts.

A range is written as ``(low, high)`` or ``(low, high, "log")``, of ints if both ends are ints; choices are a list.
"""

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from .base import BasePredictor
from .ensemble import JKOEnsemble
from .narrow import NarrowWindow

Space = dict[str, Any]

RANGES: Space = {
    "signature_depth": (2, 5),
    "epsilon": (0.01, 0.1, "log"),
    "tau": (0.25, 4.0, "log"),
    "lam": (0.02, 0.5, "log"),
    "cusum_h": (3.0, 8.0),
    "cusum_k": (0.25, 1.0),
    "grace_period": (5, 60),
    "cone": (1.0, 3.0),
    "holder_threshold": (0.2, 0.5),
    "calibration": (0.0005, 0.02, "log"),
}
"""Parameters of the predictors."""
REFITS: Space = {"refit_every": (50, 600, "log"), "history": (300, 3000, "log")}
"""Parameters of an ensemble with foreign regressors."""
NARROWEST = 8
"""Values a window keeps at least in :func:`default_space`."""


def default_space(estimator: Any, n_columns: int) -> Space:
    """Ranges of the parameters that change what ``estimator`` forecasts.

    Those are, of signature depth, ε, τ, λ, the CUSUM's h and k and grace period, the cone, the Hölder threshold, the
    rate of calibration and the width of the window, the ones that its other settings do not switch off: ε belongs to
    ``geometry="sinkhorn"``, cone and threshold to an ``emergency`` other than "off", the depth to branch D.

    Parameters
    ----------
    estimator : predictor of this package, alone or at the end of a Pipeline, or an ensemble.
    n_columns : columns of the X it will see.

    Returns
    -------
    dict of parameter names, with prefixes as ``set_params`` takes them.

    >>> from usp_sklearn import LevyPredictor
    >>> list(default_space(LevyPredictor(width=32), 32))
    ['tau', 'lam', 'cusum_h', 'cusum_k', 'grace_period', 'calibration', 'width']
    """
    out: Space = {}
    for prefix, model in _predictors(estimator):
        ranges = RANGES if isinstance(model, BasePredictor) else REFITS
        out |= {prefix + name: given for name, given in ranges.items() if _acts(name, model)}
    if (found := windowed(estimator, n_columns)) is not None:
        prefix, full = found
        widths = [full // k for k in (4, 2, 1) if full // k >= NARROWEST]
        out |= {f"{prefix}width": widths} if len(widths) > 1 else {}
    return out


def windowed(estimator: Any, n_columns: int) -> tuple[str, int] | None:
    """Prefix of the predictor whose window may be narrowed, and its full width; None if there is none."""
    prefix, model = "", estimator
    if isinstance(estimator, Pipeline):
        name, model = estimator.steps[-1]
        prefix = f"{name}__"
    if not isinstance(model, BasePredictor):
        return None
    return prefix, int(n_columns - model.n_level - model.n_exog if model.width is None else model.width)


def candidate(estimator: Any, params: dict[str, Any], n_columns: int) -> Any:
    """A clone of ``estimator`` with ``params``; a step before the predictor cuts a narrower window from the rows."""
    found = windowed(estimator, n_columns)
    params = dict(params)
    key = "" if found is None else f"{found[0]}width"
    narrow = found is not None and key in params and params[key] < found[1]
    if found is not None and key in params and params[key] > found[1]:
        raise ValueError(
            f"The 'space' parameter of tune must not widen the window beyond the {found[1]} values X has. "
            f"Got {params[key]} instead."
        )
    out = clone(estimator).set_params(**params)
    if not narrow or found is None:
        return out
    step = ("narrow", NarrowWindow(width=params[key], window=found[1]))
    steps = out.steps if isinstance(out, Pipeline) else [("model", out)]
    return Pipeline([*steps[:-1], step, steps[-1]])


def start(estimator: Any, space: Space, n_columns: int) -> dict[str, Any]:
    """The estimator's own values of the parameters in ``space``."""
    params = estimator.get_params(deep=True)
    out = {name: params.get(name) for name in space}
    if (found := windowed(estimator, n_columns)) is not None and f"{found[0]}width" in out:
        out[f"{found[0]}width"] = found[1]
    # True stands for the default rate.
    return {k: 0.003 if v is True and k.endswith("calibration") else v for k, v in out.items()}


def distributions(space: Space) -> dict[str, Any]:
    """The space in Optuna's terms; its own distributions may be given as they are."""
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    def one(name: str, given: Any) -> Any:
        if isinstance(given, BaseDistribution):
            return given
        if isinstance(given, list | np.ndarray) and len(given):
            return CategoricalDistribution([v.item() if isinstance(v, np.generic) else v for v in given])
        if isinstance(given, tuple) and len(given) in (2, 3) and given[2:] in ((), ("log",)):
            low, high, log = given[0], given[1], len(given) == 3
            if all(isinstance(v, Real) and not isinstance(v, bool) for v in (low, high)) and low < high:
                whole = isinstance(low, Integral) and isinstance(high, Integral)
                return (
                    IntDistribution(int(low), int(high), log)
                    if whole
                    else FloatDistribution(float(low), float(high), log)
                )
        raise ValueError(
            "The 'space' parameter of tune must hold, for each name, a list of choices, (low, high), "
            f"(low, high, 'log') or an Optuna distribution. Got {given!r} for {name!r} instead."
        )

    return {name: one(name, given) for name, given in space.items()}


def _predictors(estimator: Any) -> list[tuple[str, Any]]:
    """Predictors and ensembles inside ``estimator``, itself included, with the prefixes of their parameters."""
    if not hasattr(estimator, "get_params"):
        raise TypeError(f"The 'estimator' parameter must be an estimator. Got {estimator!r:.80} instead.")
    inner = [("", estimator), *((f"{k}__", v) for k, v in estimator.get_params(deep=True).items())]
    return [(prefix, model) for prefix, model in inner if isinstance(model, BasePredictor | JKOEnsemble)]


def _acts(name: str, model: Any) -> bool:
    """Whether a parameter changes what the model forecasts."""
    if name == "epsilon":
        return bool(model.geometry == "sinkhorn")
    if name in ("cone", "holder_threshold"):
        return bool(model.emergency != "off")
    if name == "signature_depth":
        return "D" in model._branch_set()
    return not (name == "calibration" and not model.calibration)
