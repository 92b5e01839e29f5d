"""Small pictures of fixed numbers, one per display: ``python -m tests.api.pictures`` writes the references anew."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import norm

from usp_sklearn.api import displays

REFERENCES = Path(__file__).parent / "references"
LEVELS = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]


def walk(n=90):
    """A walk by day, its one-step quantiles (n, 7), and alarms."""
    rng = np.random.default_rng(3)
    y = 50 + np.cumsum(rng.normal(size=n))
    before = np.r_[50.0, y[:-1]]
    index = pd.date_range("2024-02-01", periods=n, freq="D")
    return pd.Series(y, index=index, name="price"), before[:, None] + norm.ppf(LEVELS), np.arange(n) == 60


def record(n=90):
    """A risk record by day with every column the panels read."""
    rng = np.random.default_rng(4)
    wave = np.sin(np.arange(n) / 9)
    flags = {name: np.arange(n) % period == 40 for name, period in (("regime_changed", 60), ("outlier", 45))}
    return pd.DataFrame(
        {
            "holder_exponent": 0.5 + 0.15 * wave,
            "holder_se": 0.05 + 0.02 * rng.random(n),
            "cusum_up": 3 * np.maximum(wave, 0),
            "cusum_down": 4 * np.maximum(-wave, 0),
            "adaptive_threshold": np.full(n, 5.0),
            "coverage_error": 0.03 * wave,
            "emergency": wave < -0.95,
            **flags,
        },
        index=pd.date_range("2024-02-01", periods=n, freq="D"),
    )


def weights(n=90):
    """Weights of the four branches by day."""
    raw = np.exp(np.stack([np.sin(np.arange(n) / k) for k in (7, 11, 17, 29)], axis=1))
    index = pd.date_range("2024-02-01", periods=n, freq="D")
    return pd.DataFrame(raw / raw.sum(1, keepdims=True), index=index, columns=list("ABCD"))


def fan(axes):
    y, q, alarms = walk()
    displays.FanChartDisplay.from_predictions(
        y, q, LEVELS, alarms=alarms, name="One day ahead", unit="US $", ax=axes[0]
    )


def fan_line(axes):
    y, q, alarms = walk(400)
    displays.FanChartDisplay.from_predictions(y, q, LEVELS, alarms=alarms, ax=axes[0])


def fan_ahead(axes):
    y, _, _ = walk()
    q = y.iloc[-1] + np.sqrt(np.arange(1, 11))[None, :, None] * norm.ppf(LEVELS)
    index = pd.date_range("2024-05-01", periods=10, freq="D")
    displays.FanChartDisplay.from_predictions(None, q, LEVELS, step=None, index=index, history=y, ax=axes[0])


def shares(axes):
    displays.WeightsDisplay.from_predictions(weights(), name="Weights of the branches", ax=axes[0])


def telemetry(axes):
    displays.TelemetryDisplay.from_predictions(record(), ax=axes)


def pit(axes):
    y, q, _ = walk(400)
    displays.PITDisplay.from_predictions(y, q, LEVELS, name="Calibration", ax=axes[0])


def reliability(axes):
    y, q, _ = walk(400)
    displays.ReliabilityDisplay.from_predictions(y.round(), q.round(), LEVELS, name="Reliability", ax=axes[0])


def spectrum(axes):
    q = np.linspace(-3, 5, 17)
    displays.SpectrumDisplay.from_predictions(-np.log2(0.3**q + 0.7**q), q, name="Cascade", ax=axes)


CASES = {
    # name: (draw, inches, rows and columns)
    "fan": (fan, (5.6, 2.8), (1, 1)),
    "fan_line": (fan_line, (5.0, 2.4), (1, 1)),
    "fan_ahead": (fan_ahead, (5.0, 2.4), (1, 1)),
    "weights": (shares, (5.0, 2.2), (1, 1)),
    "telemetry": (telemetry, (5.6, 7.0), (4, 1)),
    "pit": (pit, (3.6, 3.0), (1, 1)),
    "reliability": (reliability, (3.6, 3.8), (1, 1)),
    "spectrum": (spectrum, (6.4, 2.8), (1, 2)),
}


def draw(name, path):
    """Write one picture."""
    draw_on, size, shape = CASES[name]
    with mpl.rc_context({**mpl.rcParamsDefault, **displays.style.STYLE, "backend": "agg"}):
        figure = Figure(figsize=size, dpi=72, layout="constrained")
        draw_on(figure.subplots(*shape, squeeze=False).ravel())
        figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    for each in CASES:
        draw(each, REFERENCES / f"{each}.png")
