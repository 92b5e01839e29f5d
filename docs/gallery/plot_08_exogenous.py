"""
Exogenous columns
=================

Covariates stand first in a row, in any units. What is known about the time to come is shifted forward by the caller.
"""

import numpy as np
import pandas as pd

import usp_sklearn as usp

rng = np.random.default_rng(0)
n = 1200
weather = pd.Series(rng.normal(size=n)).ewm(alpha=0.1).mean().to_numpy() * 3
demand = 20 + 4 * weather + rng.normal(size=n).cumsum() * 0.05 + rng.normal(size=n)
table = pd.DataFrame({"demand": demand, "tomorrow": np.append(weather[1:], weather[-1])})

X, y = usp.sliding_window(table, width=16, season=None)
alone, _ = usp.sliding_window(table["demand"], width=16, season=None)
print(list(X.columns[:3]))
levels = [0.1, 0.5, 0.9]
for name, rows, n_exog in (("with tomorrow's weather", X, 1), ("without", alone, 0)):
    model = usp.LevyPredictor(width=16, n_level=rows.shape[1] - 16 - n_exog, n_exog=n_exog)
    q = model.fit(rows[:800], y[:800]).update_predict(rows[800:], y[800:], quantiles=levels)
    print(f"{name}: pinball {usp.pinball_score(y[800:], q, quantiles=levels):.4f}")

# %%
# The forecasts that know the weather.

usp.FanChartDisplay.from_predictions(y[-100:], q[-100:], quantiles=levels)
