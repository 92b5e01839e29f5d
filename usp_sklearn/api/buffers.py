"""A stream's window buffer as data and back."""

from typing import Any

import numpy as np

from ..io.schema import Arrays, SnapshotError
from ..io.trees import pack, unpack
from .context import ContextState, Plan, Profile, track
from .windows import WindowBuffer

TABLE: dict[str, type] = {"Plan": Plan, "Profile": Profile}
CONTEXT, MEMORY = ("count", "origin", "sums", "averages", "ring"), ("sums", "means")
"""What changes with every value; the rest follows from the plan."""


def packed_buffer(buffer: WindowBuffer, arrays: Arrays) -> dict[str, Any]:
    """The buffer as JSON; its arrays go into ``arrays``."""
    context = buffer.context
    return {
        "layout": dict(buffer.layout),
        "window": context._window,
        "plan": pack(context.plan, "plan", arrays, TABLE),
        # Numbers as well are arrays of the file: who reads no more than the arrays has all of it.
        "context": {k: pack(np.asarray(getattr(context, k)), f"buffer/{k}", arrays) for k in CONTEXT},
        "memory": {k: pack(getattr(context.memory, k), f"buffer/memory/{k}", arrays) for k in MEMORY},
    }


def built_buffer(packed: dict[str, Any], arrays: Arrays) -> WindowBuffer:
    """The buffer that :func:`packed_buffer` was given, with memory of its own."""
    plan, window = unpack(packed["plan"], arrays, TABLE), packed["window"]
    state = {k: unpack(packed["context"][k], arrays) for k in CONTEXT}
    memory = {k: unpack(packed["memory"][k], arrays) for k in MEMORY}
    # Sizes are compared before the plan's own memory is made, which a file may ask to be of any size.
    ahead = max((p.ahead for p in plan.profiles), default=0)
    ring = 2 * max(window, plan.reach, ahead + 1)
    cells = sum(season for season, _, _ in {track(p) for p in plan.profiles})
    wanted = {"ring": ring, "sums": len(plan.averages), "averages": len(plan.averages)}
    if any(state[k].shape != (n,) for k, n in wanted.items()) or any(memory[k].shape != (cells,) for k in MEMORY):
        raise SnapshotError("it holds a buffer whose memory is not of its plan's size")
    context = ContextState(plan, window)
    state |= {"count": int(state["count"]), "origin": float(state["origin"])}
    for name, value in state.items():
        setattr(context, name, value)
    for name, value in memory.items():
        setattr(context.memory, name, value)
    buffer: WindowBuffer = object.__new__(WindowBuffer)
    buffer.layout, buffer.context = dict(packed["layout"]), context
    return buffer
