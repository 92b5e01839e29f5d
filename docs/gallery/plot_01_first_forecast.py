"""
First forecast
==============

Fit on the first part of a series, walk through the rest, look at quantiles. Every law is issued before its outcome is
learned, so what is drawn is what one would have known at the time.
"""

import usp_sklearn as usp

series = usp.datasets.load_wti().iloc[-1500:]
X, y = usp.sliding_window(series, width=32)
split = 1200

model = usp.JKOPredictor(width=32, n_level=X.shape[1] - 32, random_state=0).fit(X[:split], y[:split])
levels = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
quantiles = model.update_predict(X[split:], y[split:], quantiles=levels)

# %%
# A fan chart of the last months, and what the score is beside the last price taken as the forecast.

usp.FanChartDisplay.from_predictions(y[split:], quantiles, quantiles=levels)
crps = usp.crps_score(y[split:], quantiles, quantiles=levels)
persistence = abs(y[split:] - X[split:].iloc[:, -1]).mean()
print(f"CRPS {crps:.3f}, mean error of persistence {persistence:.3f}, ratio {crps / persistence:.3f}")

# %%
# Which branch carries the weight now, and the newest risk record.

print(model.weights_)
model.telemetry_frame_.tail(3).T
