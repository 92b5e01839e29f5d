"""
With gradient boosting
======================

By default ``JKOEnsemble`` adds scikit-learn's histogram gradient boosting (the algorithm of LightGBM) to the branches,
one model per quantile level, refitted on a schedule.
"""

import numpy as np

import usp_sklearn as usp

rng = np.random.default_rng(3)
series = np.zeros(1100)
for t in range(2, len(series)):
    # A threshold process: what a tree sees at once and a linear law does not.
    series[t] = (-0.9 if series[t - 1] > 0 else 0.5) * series[t - 1] + 0.2 * series[t - 2] + rng.normal()
X, y = usp.sliding_window(series, width=8, season=None, averages=None)
levels = [0.1, 0.25, 0.5, 0.75, 0.9]
ensemble = usp.JKOEnsemble(usp.JKOPredictor(branches=["A"], random_state=0), quantiles=levels, refit_every=250)
q = ensemble.fit(X[:700], y[:700]).update_predict(X[700:], y[700:], quantiles=levels)
alone = usp.LevyPredictor().fit(X[:700], y[:700]).update_predict(X[700:], y[700:], quantiles=levels)
for name, forecast in (("ensemble", q), ("branch A alone", alone)):
    print(f"{name}: CRPS {usp.crps_score(y[700:], forecast, quantiles=levels):.4f}")
print(ensemble.weights_)

# %%
# Are the laws calibrated? The probability integral transform should be flat.

usp.PITDisplay.from_predictions(y[700:], q, quantiles=levels, random_state=0)
