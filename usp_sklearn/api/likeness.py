"""Whether two streams take the same step: a digest of all that the step has beside its state."""

import hashlib
import json
from typing import Any

import numpy as np

from ..io.schema import Arrays


def likeness(engine: Any, buffer: dict[str, Any], baked: dict[str, Any], arrays: Arrays) -> str:
    """SHA-256, in hexadecimal, of what a step is made of: shapes, options and parameters, but nothing it learns.

    Streams of two fits have the same one if they have the same parameters, windows and scalers. An exported step can
    then take over from either.

    Parameters
    ----------
    engine : packed state, of which the structure and the arrays' types and shapes count
    buffer : packed window buffer, of which what never changes counts
    baked : packed values that count to the last bit
    arrays : table of the arrays in all of them
    """
    shapes = {k: (x.dtype.name, x.shape) for k, x in arrays.items() if k.startswith("engine/state/")}
    fixed = {k: buffer[k] for k in ("layout", "window", "plan")}
    found = hashlib.sha256(json.dumps([engine, fixed, baked, shapes], sort_keys=True).encode())
    for name in sorted(k for k in arrays if k.split("/")[0] in baked):
        found.update(np.ascontiguousarray(arrays[name]).astype(arrays[name].dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()
