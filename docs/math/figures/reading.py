"""Widths of frozen laws on rows far behind the training part, over the true conditional width."""

import copy

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from usp_sklearn import LevyPredictor, sliding_window

N, SEEN = 2600, 1600


def simulated() -> tuple[np.ndarray, np.ndarray]:
    """A random walk with GARCH(1, 1) steps, and the standard deviation of every step."""
    z, variance, sizes, steps = np.random.default_rng(3).normal(size=N), 1.0, [], []
    for shock in z:
        sizes.append(np.sqrt(variance))
        steps.append(sizes[-1] * shock)
        variance = 0.02 + 0.12 * steps[-1] ** 2 + 0.86 * variance
    return np.cumsum(steps), np.array(sizes)


def draw() -> Figure:
    """Ours over the simulated truth."""
    y, size = simulated()
    X, target = sliding_window(y, width=32, averages=None, season=None)
    model = LevyPredictor(width=32, random_state=0).fit(X[:SEEN], target[:SEEN])
    after = slice(SEEN, len(X))
    truth = size[32:][after] * (norm.ppf(0.9) - norm.ppf(0.1))
    low, high = model.predict_quantiles(X[after], [0.1, 0.9]).T
    live_low, live_high = copy.deepcopy(model).update_predict(X[after], target[after], quantiles=[0.1, 0.9]).T
    t = np.arange(len(truth))
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.1), width_ratios=(2, 1))
    axes[0].plot(t, truth, color="0.75", lw=4, label="true width")
    axes[0].plot(t, high - low, color="C3", lw=0.9, label="frozen, memory read")
    axes[0].axhline(high[0] - low[0], color="C0", lw=0.9, ls="--", label="width of the next row")
    axes[0].set(xlabel="rows after the last one learned", title="80 % interval", ylim=(0, None))
    axes[0].legend(fontsize=8)
    for width, colour, label in ((high - low, "C3", "frozen"), (live_high - live_low, "0.5", "learning on")):
        found = np.corrcoef(np.log(width), np.log(truth))[0, 1]
        axes[1].loglog(truth, width, ".", ms=2, color=colour, label=f"{label}: correlation {found:.2f}")
    span = np.array([truth.min(), truth.max()])
    axes[1].loglog(span, span, color="0.2", lw=0.8)
    axes[1].set(xlabel="true width", title="width of the law")
    axes[1].legend(fontsize=8)
    return figure
