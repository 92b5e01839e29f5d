"""
Heavy tails
===========

Steps of this walk are α-stable with α = 1.6: their variance is infinite. Laws carry Pareto tails, so extreme levels can
be asked for, and branch A estimates the index itself.
"""

import numpy as np
from scipy.stats import levy_stable

import usp_sklearn as usp

series = usp.datasets.make_stable_walk(1500, alpha=1.6, random_state=0)
X, y = usp.sliding_window(series, width=16, season=None, averages=None)
model = usp.LevyPredictor(width=16).fit(X[:1000], y[:1000])
levels = np.array([0.001, 0.01, 0.05, 0.5, 0.95, 0.99, 0.999])
quantiles = model.update_predict(X[1000:], y[1000:], quantiles=levels)

# %%
# Mean half-widths beside those of the true law (scale taken from the data).

steps = np.diff(series[:1000])
scale = np.median(np.abs(steps)) / levy_stable.ppf(0.75, 1.6, 0)
ours = (quantiles - quantiles[:, [3]]).mean(axis=0)
true = scale * levy_stable.ppf(levels, 1.6, 0)
for u, a, b in zip(levels, ours, true, strict=True):
    print(f"{u:6.3f}  ours {a:8.2f}  true {b:8.2f}")

# %%
# Reliability: how often outcomes lie below each level.

usp.ReliabilityDisplay.from_predictions(y[1000:], quantiles, quantiles=levels)
