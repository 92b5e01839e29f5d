"""From a signature to an object file: JAX → SavedModel with fixed shapes → TensorFlow's ahead-of-time compiler."""

import re
import sys
from pathlib import Path
from typing import NamedTuple

import jax

from .. import runtime
from . import savedmodel, toolchain
from .graph import Port, Signature

COMPOSITES = ("acos", "acosh", "asin", "asinh", "atanh", "cosh", "erf", "sinh", "top_k")
"""JAX 0.10 writes these as composite operations, which TensorFlow 2.21 cannot read."""

_OPERATIONS = re.compile(r"\b(?:stablehlo\.custom_call\s+@([\w.]+)|stablehlo\.(fft|convolution|rng)\b|chlo\.(\w+))")


class Task(NamedTuple):
    """A signature at one batch size."""

    key: str
    """a C identifier, unique in the library"""
    signature: Signature
    batch: int


class Compiled(NamedTuple):
    """One task, compiled: ``header`` declares the class ``usp_compiled::<key>``."""

    key: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    header: Path
    objects: tuple[Path, ...]


def shapes(ports: tuple[Port, ...], batch: int) -> list[tuple[int, ...]]:
    """Of arrays at one batch size."""
    return [tuple(batch if n == "batch" else int(n) for n in p.shape) for p in ports]


def check(task: Task) -> None:
    """Refuse a graph that the compiler, or the runtime it is linked with, does not know; says which operation."""
    specs = [
        jax.ShapeDtypeStruct(s, p.dtype)
        for s, p in zip(shapes(task.signature.inputs, task.batch), task.signature.inputs, strict=True)
    ]
    with runtime.precision():
        text = jax.jit(task.signature.call).lower(*specs).as_text()
    found = set()
    for target, operation, high in _OPERATIONS.findall(text):
        if target or operation or high in COMPOSITES:
            found.add(target or operation or high)
    if found:
        raise ValueError(
            f"The graph of {task.key!r} cannot be compiled ahead of time: it uses {', '.join(sorted(found))}. Neither "
            "calls into Python or LAPACK nor these operations exist outside JAX; write them in plain arithmetic."
        )


def lower(tasks: list[Task], folder: Path, *, march: str | None = None) -> list[Compiled]:
    """Compile every task; ``folder`` receives what is made on the way."""
    for task in tasks:
        check(task)
    tf = savedmodel.tensorflow()
    functions = {t.key: savedmodel.function(t.signature, t.batch).get_concrete_function() for t in tasks}
    module = tf.Module()
    module.functions = list(functions.values())
    tf.saved_model.save(module, str(folder / "saved"), signatures=functions)
    # Another process: TensorFlow's flags are for good, and its compiler's notes go nowhere else.
    script = Path(__file__).with_name("aot.py")
    keys = [t.key for t in tasks]
    toolchain.run([sys.executable, "-P", script, folder / "saved", folder, march or "x86-64", *keys])
    return [_compiled(task, folder) for task in tasks]


def _compiled(task: Task, folder: Path) -> Compiled:
    objects = [folder / f"{task.key}{part}.o" for part in ("", "_constants")]
    header = folder / f"{task.key}.h"
    present = tuple(path for path in objects if path.exists())
    return Compiled(task.key, task.signature.inputs, task.signature.outputs, header, present)
