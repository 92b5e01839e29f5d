"""
A branch of your own
====================

``JKOEnsemble`` takes any scikit-learn quantile regressor as one member more; it is refitted on a schedule and weighed
like the others, by its losses alone.
"""

import numpy as np
from sklearn.linear_model import QuantileRegressor

import usp_sklearn as usp

rng = np.random.default_rng(0)
t = np.arange(900)
series = 3 * np.sin(2 * np.pi * t / 25) + rng.standard_t(4, size=900)
X, y = usp.sliding_window(series, width=26, season=None, averages=None)

ensemble = usp.JKOEnsemble(
    usp.JKOPredictor(branches=["A"], random_state=0),
    [("linear", QuantileRegressor(alpha=1e-3, solver="highs"))],
    quantiles=(0.1, 0.5, 0.9),
    refit_every=200,
).fit(X[:600], y[:600])
quantiles = ensemble.update_predict(X[600:], y[600:], quantiles=[0.1, 0.5, 0.9])
alone = usp.LevyPredictor().fit(X[:600], y[:600]).update_predict(X[600:], y[600:], quantiles=[0.1, 0.5, 0.9])

# %%
# Weights of our own branch and of the regressor, and the pinball losses.

print(ensemble.weights_)
for name, q in (("ensemble", quantiles), ("branch A alone", alone)):
    print(f"{name}: {usp.pinball_score(y[600:], q, quantiles=[0.1, 0.5, 0.9]):.4f}")

# %%
# The last fifty forecasts.

usp.FanChartDisplay.from_predictions(y[-50:], quantiles[-50:], quantiles=[0.1, 0.5, 0.9])
