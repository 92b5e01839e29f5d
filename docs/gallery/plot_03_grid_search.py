"""
Grid search
===========

Predictors are scikit-learn estimators: they clone, go into pipelines and searches, and are scored by the CRPS of their
laws. Parameters that can be tuned are arrays inside the compiled programs, so candidates and folds share them.
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

import usp_sklearn as usp

X, y = usp.sliding_window(usp.datasets.make_garch(900, random_state=0), width=16)
search = GridSearchCV(
    usp.LevyPredictor(width=16, n_level=X.shape[1] - 16),
    {"tau": [0.3, 1.0, 3.0], "calibration": [False, 0.003, 0.02]},
    scoring=usp.crps_scorer,
    cv=TimeSeriesSplit(4),
).fit(X, y)
print(search.best_params_, f"CRPS {-search.best_score_:.4f}")

# %%
# The whole table: differences are small, as the flow tunes its own rates.

table = pd.DataFrame(search.cv_results_).assign(crps=lambda t: -t["mean_test_score"])
grid = table.pivot(index="param_calibration", columns="param_tau", values="crps")
fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
image = ax.imshow(grid, cmap="Blues")
ax.set(xticks=range(3), xticklabels=grid.columns, yticks=range(3), yticklabels=grid.index)
ax.set(xlabel="tau", ylabel="calibration", title="CRPS, lower is better")
fig.colorbar(image)
grid.round(4)
