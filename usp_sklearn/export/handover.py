"""How a snapshot of a stream becomes the state of an exported step: which of its arrays goes where in the vector.

The manifest says it under "snapshot", so that the C library can open what ``Stream.checkpoint`` wrote:

    schema   of the snapshots that are laid out like this
    step     likeness of the streams whose place the exported step can take
    arrays   name, dtype (as safetensors calls it) and size of each array that the state consists of; its first
             ``used`` numbers stand in the vector from ``at`` on
"""

from typing import Any

import jax
import numpy as np

from ..api.persistence import SCHEMA, packed
from ..api.stream import Stream
from ..core.packing import Packing
from .feed import Feed

BUFFER = {
    "count": "buffer/count",
    "origin": "buffer/origin",
    "sums": "buffer/sums",
    "averages": "buffer/averages",
    "ring": "buffer/ring",  # the first half of it: the second is the same again
    "cycle_sums": "buffer/memory/sums",
    "cycle_means": "buffer/memory/means",
}
"""Names in a snapshot of what the exported window buffer holds."""


def handover(stream: Stream, packing: Packing, start: tuple[Any, Feed]) -> dict[str, Any]:
    """What the manifest says under "snapshot", for a step whose state is ``start`` in the order of ``packing``."""
    content, arrays = packed(stream)
    paths, _ = jax.tree.flatten_with_path(start[0])
    names = ["/".join(["engine/state", *map(_key, path)]) for path, _ in paths] + [
        BUFFER[field] for field in Feed._fields
    ]
    listed = [
        {"name": name, "dtype": _dtype(arrays[name]), "size": arrays[name].size, "used": int(np.prod(shape)), "at": at}
        for name, (shape, _), at in zip(names, packing.leaves, packing.starts, strict=True)
    ]
    return {"schema": SCHEMA, "step": content["step"], "arrays": [entry for entry in listed if entry["used"]]}


def _key(step: Any) -> str:
    """One step on the way to a leaf, as it is called in a snapshot."""
    return str(step.name if hasattr(step, "name") else step.idx)


def _dtype(x: Any) -> str:
    return "BOOL" if x.dtype == np.bool_ else f"{x.dtype.kind.upper()}{8 * x.dtype.itemsize}"
