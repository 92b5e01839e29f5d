"""
Risk telemetry
==============

Every step leaves a record: Hölder exponent, CUSUM statistics, weights, coverage, flags. As a table, as JSON lines, as
log events and in the format of Prometheus.
"""

import usp_sklearn as usp

series = usp.datasets.make_merton(1200, random_state=0)
X, y = usp.sliding_window(series, width=32, season=None)
model = usp.JKOPredictor(width=32, n_level=X.shape[1] - 32, random_state=0).fit(X[:900], y[:900])
model.update_predict(X[900:], y[900:], quantiles=[0.5])
record = model.telemetry_frame_.tail(len(y) - 900)
usp.TelemetryDisplay.from_predictions(record)

# %%
# Weights of the four branches over the same stretch.

weights = record[[f"weight_{b}" for b in "ABCD"]]
usp.WeightsDisplay.from_predictions(weights, labels=["Lévy", "PDE", "jump diffusion", "signature"])

# %%
# The singularity spectrum of the newest window, from which the Hölder exponent is read.

window = series[None, -512:]
usp.SpectrumDisplay.from_estimator(usp.HolderTransformer(method="wtmm").fit(window), window)
