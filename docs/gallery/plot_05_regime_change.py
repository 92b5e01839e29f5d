"""
A change of regime
==================

The mean of the series jumps. CUSUM statistics of the standardised residuals of stored laws raise an alarm, one of the
flows starts again from the prior, and the laws follow.
"""

import usp_sklearn as usp

series = usp.datasets.make_regime_switch(1200, random_state=1)
X, y = usp.sliding_window(series, width=16, season=None)
model = usp.LevyPredictor(width=16, n_level=X.shape[1] - 16).fit(X[:600], y[:600])
levels = [0.05, 0.25, 0.5, 0.75, 0.95]
quantiles = model.update_predict(X[600:], y[600:], quantiles=levels)

# %%
# The forecasts over a stretch with switches.

usp.FanChartDisplay.from_predictions(y[600:900], quantiles[:300], quantiles=levels)

# %%
# What the diagnostics saw: Hölder exponent, CUSUM against its threshold, running coverage, flags.

record = model.telemetry_frame_.tail(len(y) - 600)
usp.TelemetryDisplay.from_predictions(record)
print("alarms:", int(record["regime_changed"].sum()))
