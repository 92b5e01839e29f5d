"""
One value at a time
===================

A ``Stream`` holds the window and the state: push a value, get the law of the next one. Missing values and gaps in time
widen the law instead of breaking it.
"""

import matplotlib.pyplot as plt
import numpy as np

import usp_sklearn as usp

series = usp.datasets.make_ou(700, random_state=0)
X, y = usp.sliding_window(series[:500], width=16, averages=None, season=None)
model = usp.LevyPredictor(width=16).fit(X, y)
stream = usp.Stream(model, series[:500], missing="hold", max_age=5)

low, high, flags = [], [], []
for t in range(500, 620):
    lost = 550 <= t < 560
    law = stream.push(None if lost else series[t])
    a, b = law.ppf([0.05, 0.95])
    low.append(a), high.append(b), flags.append(stream.telemetry_["stale"])

# %%
# Ten values were lost. The interval grows with the time since the last one and is back at once.

steps = np.arange(501, 621)
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
ax.fill_between(steps, low, high, color="#a3c4e3", label="90 % of the law issued one step before")
ax.plot(steps, series[501:621], color="#1f2933", linewidth=0.8, label="series")
ax.axvspan(550, 559, color="#c8321f", alpha=0.12, label="no values")
ax.legend(frameon=False, loc="lower left")
print("stale at", [int(s) for s, f in zip(steps, flags, strict=True) if f])
