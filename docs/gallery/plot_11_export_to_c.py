"""
Export, and the same numbers without JAX
========================================

A trained model is exported with the point at which its stream stands. ``stablehlo`` needs JAX alone; ``native`` makes a
shared library with a C interface, ``savedmodel`` runs in TensorFlow, ``onnx`` in ONNX Runtime
(:doc:`/export` says which to take).
"""

import tempfile

import numpy as np

import usp_sklearn as usp
from usp_sklearn.export import export_model, load_model

series = usp.datasets.make_ou(420, random_state=0)
X, y = usp.sliding_window(series[:400], width=16, averages=None, season=None)
model = usp.LevyPredictor(width=16).fit(X, y)
stream = usp.Stream(model, series[:400])
folder = export_model(stream, tempfile.mkdtemp() + "/ou", "stablehlo", quantiles=[0.1, 0.5, 0.9])

loaded = load_model(folder)
state, apart, issued = loaded.state, 0.0, []
for value in series[400:]:
    out = loaded.step(state, [value])
    state = out["state"]
    issued.append(out["quantiles"])
    apart = max(apart, np.abs(out["quantiles"] - stream.push(value).ppf([0.1, 0.5, 0.9])).max())
print(f"twenty learning steps differ by {apart:.1e}")

# %%
# The same from C, on a native export::
#
#    usp_model *model;
#    usp_stream *stream;
#    double quantiles[3];
#    usp_model_load("ou", NULL, &model);
#    usp_stream_new(model, &stream);
#    usp_stream_push(stream, &value, 1, quantiles, 3, NULL);
print(sorted(p.name for p in folder.iterdir()))
usp.FanChartDisplay.from_predictions(series[401:], issued[:-1], quantiles=[0.1, 0.5, 0.9])
