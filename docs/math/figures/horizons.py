"""Laws of twelve horizons of an autoregression, how their outcomes hang together, and the maximum of a path."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.signal import lfilter
from scipy.stats import norm

from usp_sklearn import LevyPredictor, sliding_window

PHI, H = 0.9, 12


def draw() -> Figure:
    """Ours over the closed forms."""
    y = lfilter([1.0], [1.0, -PHI], np.random.default_rng(4).normal(size=4000))
    X, Y = sliding_window(y, width=16, horizon=H, multi=True, season=None)
    model = LevyPredictor(width=16, n_level=X.shape[1] - 16).fit(X, Y)
    row = X[-1:]
    paths = model.sample(row, 4000, paths=True, random_state=0)[0]
    alone = model.sample(row, 4000, random_state=0)[0]
    h = np.arange(1, H + 1)
    mean, sd = row[0, -1] * PHI**h, np.sqrt((1 - PHI ** (2 * h)) / (1 - PHI**2))
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.1))
    law = model.predict_quantiles(row, [0.05, 0.5, 0.95])[0]
    for j, u in enumerate((0.05, 0.5, 0.95)):
        axes[0].plot(h, mean + sd * norm.ppf(u), color="0.75", lw=5, label="exact" if j == 0 else None)
        axes[0].plot(h, law[:, j], color="C3", lw=1.2, label="ours" if j == 0 else None)
    axes[0].set(xlabel="steps ahead", title="5 %, median, 95 %")
    axes[0].legend(fontsize=8)
    found = np.corrcoef(norm.ppf(np.argsort(np.argsort(paths, axis=1), axis=1) / 4000 + 1 / 8000))
    for j, k in enumerate((1, 3, 6, 12)):
        low, high = np.minimum(h, k), np.maximum(h, k)
        exact = PHI ** (high - low) * np.sqrt((1 - PHI ** (2 * low)) / (1 - PHI ** (2 * high)))
        axes[1].plot(h, exact, color="0.75", lw=5)
        axes[1].plot(h, found[k - 1], color=f"C{j}", lw=1.2, label=f"with step {k}")
    axes[1].set(xlabel="steps ahead", title="correlation of outcomes")
    axes[1].legend(fontsize=8)
    noise = np.random.default_rng(0).normal(size=(200_000, H))
    truth = lfilter([1.0], [1.0, -PHI], noise, axis=1, zi=np.full((200_000, 1), PHI * row[0, -1]))[0].max(axis=1)
    for values, style in ((truth, ("0.75", 5, "exact")), (paths.max(0), ("C3", 1.2, "paths")),
                          (alone.max(0), ("C0", 1.2, "drawn one by one"))):  # fmt: skip
        ordered = np.sort(values)
        axes[2].plot(ordered, np.linspace(0, 1, len(ordered)), color=style[0], lw=style[1], label=style[2])
    axes[2].set(
        xlabel="largest of twelve", title="distribution of the maximum", xlim=np.quantile(truth, [0.001, 0.999])
    )
    axes[2].legend(fontsize=8)
    return figure
