"""
Seasons as context columns
==========================

Seasonal lags and phase profiles stand before the window as context columns, so a season of a week of hours needs no
window of a week. The season is found in the training part.
"""

import numpy as np

import usp_sklearn as usp

rng = np.random.default_rng(0)
t = np.arange(24 * 60)
load = 50 + 8 * np.sin(2 * np.pi * t / 24) + 3 * np.sin(4 * np.pi * t / 24) + rng.normal(size=len(t)).cumsum() * 0.1
load += rng.normal(size=len(t))
print("seasons found:", usp.find_seasons(load[:720]))

X, y = usp.sliding_window(load, width=16, season="auto", train=720)
bare, _ = usp.sliding_window(load, width=16, season=None)
levels = [0.1, 0.5, 0.9]
for name, rows in (("with seasonal columns", X), ("window only", bare)):
    model = usp.LevyPredictor(width=16, n_level=rows.shape[1] - 16).fit(rows[:720], y[:720])
    q = model.update_predict(rows[720:], y[720:], quantiles=levels)
    print(f"{name}: pinball {usp.pinball_score(y[720:], q, quantiles=levels):.4f}")
    if rows is X:
        usp.FanChartDisplay.from_predictions(y[720:816], q[:96], quantiles=levels)
