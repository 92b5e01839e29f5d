"""The pictures of a report, made of the displays."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...api.displays import FanChartDisplay, PITDisplay, ReliabilityDisplay, TelemetryDisplay, WeightsDisplay
from ...api.displays.fan import FAN
from ..calendar import shown
from ..passes import Pass
from .drawing import Picture, picture

SHOWN, NEAR, BEFORE = 1500, 120, 90
"""Steps in an overview, in a close view, and values before a forecast."""


def next_values(series: pd.Series, places: pd.Index, quantiles: NDArray[np.float64], levels: Any) -> Picture:
    """The fan of the values to come, after the newest ones that are known."""
    keep = np.searchsorted(levels, np.asarray(FAN) - 1e-9)
    one = len(places) == 1
    table: Any = quantiles[:, keep] if one else quantiles[None][..., keep]

    def draw(axes: Any) -> None:
        FanChartDisplay.from_predictions(
            None, table, FAN, step=1 if one else None, index=places, history=series.iloc[-BEFORE:],
            unit=str(series.name), ax=axes[0],
        )  # fmt: skip

    middle = quantiles[-1, np.searchsorted(levels, 0.5)]
    low, high = (quantiles[-1, np.searchsorted(levels, u - 1e-9)] for u in (0.1, 0.9))
    words = f"Fan chart of the next {len(places)} values of {series.name}. "
    words += f"At {shown(places[-1])} the median is {middle:.4g} and the 80 % interval {low:.4g} to {high:.4g}."
    return picture(draw, (9.0, 3.4), (1, 1), words, f"The last {min(BEFORE, len(series))} values and the laws of "
                   f"{'the next one' if one else f'the next {len(places)}'}.", "next")  # fmt: skip


def fan(run: Pass, step: int, last: int) -> Picture:
    """Laws and outcomes of the last steps of a pass, ``step`` steps ahead."""
    first = max(0, len(run.outcomes) - last)
    quantiles, y = run.at(FAN)[first:], run.outcomes[first:]
    if run.rows.horizon > 1:
        quantiles, y = quantiles[:, step - 1], y[:, step - 1]
    index = run.rows.series.index[run.rows.origins[first:] + step]
    alarms = _alarms(run, index, step) if last > NEAR else None
    inside = 100 * np.mean((quantiles[:, 1] <= y) & (y <= quantiles[:, 5]))
    ahead = "one step" if step == 1 else f"{step} steps"

    def draw(axes: Any) -> None:
        unit = str(run.rows.series.name)
        FanChartDisplay.from_predictions(y, quantiles, FAN, index=index, alarms=alarms, unit=unit, ax=axes[0])

    part = f"The last {len(y):,}" if first else f"All {len(y):,}"
    caption = f"{part} steps of the pass, {ahead} ahead: {inside:.0f} % of outcomes lie inside the 80 % band."
    words = f"Fan chart of laws and outcomes from {shown(index[0])} to {shown(index[-1])}. {caption}"
    return picture(draw, (9.0, 3.4), (1, 1), words, caption, f"fan-{step}-{last}")


def _alarms(run: Pass, index: pd.Index, step: int) -> NDArray[np.bool_]:
    record = run.record["regime_changed"].to_numpy(bool)
    known = np.concatenate([np.zeros(len(run.rows.origins) - len(record), dtype=bool), record])
    return known[len(known) - len(index) :]


def weights(run: Pass) -> Picture | None:
    """Weights of the branches; nothing where there is only one."""
    record = run.record.iloc[-SHOWN:]
    table = record.filter(regex="^weight_[A-D]$").rename(columns=lambda column: column[-1])
    table = table.loc[:, (table != 0).any()]
    if table.shape[1] < 2:
        return None

    def draw(axes: Any) -> None:
        WeightsDisplay.from_predictions(table, alarms=record["regime_changed"], ax=axes[0])

    last = ", ".join(f"{name} {100 * value:.0f} %" for name, value in table.iloc[-1].items())
    caption = f"How much each branch says in the law of the next value. At the end: {last}."
    return picture(draw, (9.0, 2.4), (1, 1), f"Stacked areas. {caption}", caption, "weights")


def telemetry(run: Pass) -> Picture:
    """Roughness, change detector, coverage and flags."""
    record = run.record.iloc[-SHOWN:]
    threshold = float(run.model.get_params(deep=False)["holder_threshold"])

    def draw(axes: Any) -> None:
        TelemetryDisplay.from_predictions(record, holder_threshold=threshold, ax=axes)

    caption = f"Risk records of the last {len(record):,} steps."
    words = f"{caption} Local Hölder exponent between {record['holder_exponent'].min():.2f} and "
    words += f"{record['holder_exponent'].max():.2f}; change alarms: {int(record['regime_changed'].sum())}; running "
    words += f"coverage of the 80 % interval {80 + 100 * record['coverage_error'].iloc[-1]:.0f} % at the end."
    return picture(draw, (9.0, 6.9), (4, 1), words, caption, "telemetry")


def pit(run: Pass) -> Picture:
    """Where outcomes fell in their laws."""
    shares: list[float] = []

    def draw(axes: Any) -> None:
        display = PITDisplay.from_predictions(run.outcomes, run.quantiles, run.levels, random_state=0, ax=axes[0])
        counts, edges = np.asarray(display.counts, np.float64), np.asarray(display.edges, np.float64)
        shares.extend(counts / counts.sum() / np.diff(edges))

    caption = "Probability integral transform: flat where the laws are right, a bowl where they are too narrow."

    def words() -> str:
        return f"Histogram. {caption} Heights are between {min(shares):.2f} and {max(shares):.2f}; 1 is right."

    return picture(draw, (4.6, 4.2), (1, 1), words, caption, "pit")


def reliability(run: Pass) -> Picture:
    """Whether quantiles keep what their levels promise."""

    def draw(axes: Any) -> None:
        ReliabilityDisplay.from_predictions(run.outcomes, run.quantiles, run.levels, ax=axes[0])

    below = (run.outcomes[..., None] <= run.quantiles).mean(axis=tuple(range(run.outcomes.ndim)))
    worst = int(np.abs(below - run.levels).argmax())
    caption = "Share of outcomes below each quantile: on the diagonal where the laws are right."
    words = f"Curve. {caption} The furthest from it is the {run.levels[worst]:g} quantile with {below[worst]:.3f}."
    return picture(draw, (4.6, 4.2), (1, 1), words, caption, "reliability")
