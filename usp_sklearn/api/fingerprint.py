"""What a stored run was: an estimator and its data described as JSON, so that a changed one is told from the same one.

Descriptions are compared, never executed or rebuilt. Arrays and tables appear as SHA-256 digests of their values.
"""

import hashlib
from types import FunctionType
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

Description = Any


def digest(data: Any) -> str:
    """Digest of an array or table: its values, shape and kind, with pandas also names and index.

    >>> digest(np.arange(3.0)) == digest([0.0, 1.0, 2.0])
    True
    >>> digest(np.arange(3.0)) == digest(np.arange(3))
    False
    """
    found = hashlib.sha256()
    if isinstance(data, pd.DataFrame | pd.Series):
        names = list(data.columns) if isinstance(data, pd.DataFrame) else [data.name]
        found.update(repr((data.shape, names)).encode())
        found.update(pd.util.hash_pandas_object(data, index=True).to_numpy().tobytes())
        return found.hexdigest()
    if sparse.issparse(data):
        table = data.tocoo()
        data = np.stack([table.row, table.col, table.data])
    values = np.asarray(data)
    values = values.astype(str) if values.dtype == object else values
    found.update(repr((values.shape, values.dtype.str)).encode())
    found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def describe(value: Any) -> Description:
    """An estimator, splitter, scorer or parameter as plain JSON: classes by name, with what they hold.

    >>> from sklearn.linear_model import Ridge
    >>> describe(Ridge(alpha=2.0))["params"]["alpha"]
    2.0
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else repr(value)
    if isinstance(value, np.generic):
        return describe(value.item())
    if isinstance(value, np.ndarray | pd.DataFrame | pd.Series):
        return {"digest": digest(value)}
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    if isinstance(value, dict):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, np.random.RandomState):
        return {"class": "RandomState", "state": describe(value.get_state(legacy=False))}
    if isinstance(value, np.random.Generator):
        return {"class": "Generator", "state": describe(value.bit_generator.state)}
    if isinstance(value, type | FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "get_params"):
        return {"class": name, "params": describe(value.get_params(deep=False))}
    held = {k: v for k, v in getattr(value, "__dict__", {}).items() if v is not value}
    return {"class": name, "held": describe(held)} if held else {"class": name, "is": _plain(value)}


def differences(before: Description, now: Description, path: str = "") -> list[str]:
    """Where two descriptions differ, in words.

    >>> differences({"a": 1, "b": [1, 2]}, {"a": 2, "b": [1, 2]})
    ['a was 1, now 2']
    """
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(k for k in now if k not in before)]
        parts = [differences(before.get(k), now.get(k), f"{path}.{k}" if path else k) for k in keys]
        return [line for part in parts for line in part]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{path}[{i}]")]
    if before == now:
        return []
    return [f"{path.replace('.params.', '.')} was {_short(before)}, now {_short(now)}"]


def _plain(value: Any) -> str:
    text = repr(value)
    # A default repr tells where in memory an object is, which says nothing of what it is.
    return "" if " at 0x" in text else text


def _short(value: Description) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
