"""
Several horizons and joint paths
================================

With ``multi=True`` one model issues the laws of all steps ahead, and a copula learned online joins them: sampled paths
are coherent, so the law of a maximum or a sum is right.
"""

import matplotlib.pyplot as plt
import numpy as np

import usp_sklearn as usp

series = usp.datasets.make_ou(900, random_state=2)
X, Y = usp.sliding_window(series, width=16, horizon=12, multi=True, season=None, averages=None)
model = usp.LevyPredictor(width=16).fit(X[:600], Y[:600])
model.update_predict(X[600:], Y[600:], quantiles=[0.5])

paths = model.sample(X[-1:], 400, paths=True, random_state=0)[0]
apart = model.sample(X[-1:], 400, random_state=0)[0]

# %%
# Paths, and the law of their maximum: drawing the steps independently would put it too high.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3), width_ratios=(3, 2), layout="constrained")
steps = np.arange(1, 13)
left.plot(steps, paths[:, :60], color="#6b9fd0", linewidth=0.6, alpha=0.7)
left.plot(steps, np.quantile(paths, [0.1, 0.9], axis=1).T, color="#1d4f86")
left.set(xlabel="steps ahead", title="sixty paths and 80 % at each step")
right.hist(paths.max(axis=0), bins=30, density=True, alpha=0.7, label="joint", color="#3b6fb0")
right.hist(apart.max(axis=0), bins=30, density=True, alpha=0.5, label="independent", color="#e0a03f")
right.set(title="maximum over twelve steps")
right.legend(frameon=False)
print(f"mean of the maximum: joint {paths.max(axis=0).mean():.2f}, independent {apart.max(axis=0).mean():.2f}")
