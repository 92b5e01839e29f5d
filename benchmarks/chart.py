"""The demonstration's picture: fan chart with alarms, weights of the branches, Hölder exponent."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd

from usp_sklearn.api.displays import FanChartDisplay, TelemetryDisplay, WeightsDisplay
from usp_sklearn.api.displays.style import STYLE

LEVELS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
ZOOM = 120


def draw(path: Path, forecasts: pd.DataFrame, record: pd.DataFrame) -> None:
    """Write the picture; ``forecasts`` has price and quantile columns by date, ``record`` the telemetry beside it."""
    record = record.set_axis(forecasts.index, axis=0)
    alarms = record["regime_changed"].to_numpy(bool)
    near = forecasts.iloc[-ZOOM:]
    inside = 100 * near["price"].between(near["q0.1"], near["q0.9"]).mean()
    with mpl.rc_context(STYLE):
        figure, (whole, zoom, weights, holder) = plt.subplots(
            4, 1, figsize=(11, 12), dpi=130, height_ratios=(2.6, 2.6, 1.3, 1.3), layout="constrained"
        )
    columns, unit = [f"q{u:g}" for u in LEVELS], "US $ a barrel"
    FanChartDisplay.from_predictions(
        forecasts["price"], forecasts[columns], LEVELS, alarms=alarms, name="WTI crude oil, one day ahead", unit=unit,
        ax=whole,
    )  # fmt: skip
    FanChartDisplay.from_predictions(
        near["price"], near[columns], LEVELS, name=f"Last {len(near)} days, {inside:.0f} % inside the 80 % band",
        unit=unit, ax=zoom,
    )  # fmt: skip
    table = record.filter(regex="^weight_").rename(columns=lambda column: column.removeprefix("weight_"))
    WeightsDisplay.from_predictions(table, alarms=alarms, name="Weights of the branches", ax=weights)
    TelemetryDisplay.from_predictions(record, panels="holder", ax=holder)
    figure.savefig(path)
    plt.close(figure)
