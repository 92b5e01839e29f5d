"""Risk records as users read them: the recent ones kept, plain values, a table."""

from typing import Any

import jax
import numpy as np
import pandas as pd

from ..core.telemetry import BRANCH_ORDER, MODES, Telemetry

HISTORY = 4096
"""Steps kept in ``telemetry_frame_``."""


def recent(*records: Telemetry) -> Telemetry:
    """The newest records of consecutive stretches, at most ``HISTORY``."""
    return jax.tree.map(lambda *x: np.concatenate(x)[-HISTORY:], *records)


def on_host(state: Any) -> Any:
    """A pytree with NumPy's arrays for JAX's, which come out of a pickle in single precision unless told otherwise."""
    return jax.tree.map(np.asarray, state)


def plain(record: Telemetry) -> dict[str, Any]:
    """One record as plain Python values: floats, bools, the mode by name, the weights as a list."""
    return named({name: np.asarray(value).tolist() for name, value in record._asdict().items()})


def named(record: dict[str, Any]) -> dict[str, Any]:
    """One record of plain Python values with its mode by name."""
    record["mode"] = MODES[record["mode"]]
    return record


def frame(records: Telemetry) -> pd.DataFrame:
    """Records (n, …) as a table, a row a step: branch weights as columns ``weight_A`` …, modes by name."""
    columns = records._asdict()
    weights = columns.pop("kernel_weights")
    table = pd.DataFrame(columns)
    table["mode"] = np.asarray(MODES, dtype=object)[columns["mode"]]
    return table.assign(**{f"weight_{b}": weights[:, i] for i, b in enumerate(BRANCH_ORDER)})
