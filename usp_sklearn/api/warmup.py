"""Compile and run everything a fitted model needs before the first real tick."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import runtime
from ..core import engine
from .base import BasePredictor


def warm_up(model: BasePredictor) -> None:
    """Run every program of a fitted ``model`` once, on its own last rows' shape; the model is not changed.

    With a persistent compilation cache (:func:`usp_sklearn.configure`) the programs are read from disk; without
    one they are compiled now instead of at the first tick.

    Raises
    ------
    NotFittedError
        If ``model`` is not fitted.

    Examples
    --------
    >>> from usp_sklearn import LevyPredictor, datasets, sliding_window, warm_up
    >>> X, y = sliding_window(datasets.make_ou(200, random_state=0), width=16)
    >>> warm_up(LevyPredictor(width=16, n_level=X.shape[1] - 16).fit(X, y))
    """
    check_is_fitted(model)
    rows = np.zeros((2, model.n_features_in_))
    with runtime.precision():
        engine.predict(model.state_, model._params(), rows)
        engine.advance(model.state_, model._params(), rows[0], 0.0)
    law = model.predict_distribution(rows[:1])
    law.mean(), law.std(), law.cdf(0.0), law.ppf([0.123])
