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


PORTABLE, FAST = "x86-64", "x86-64-v3"
"""Every processor of the kind, and those since about 2013: with AVX2."""


class Task(NamedTuple):
    """A signature at one batch size, for processors of one kind and newer."""

    key: str
    """a C identifier, unique in the library"""
    signature: Signature
    batch: int
    processor: str = PORTABLE


class Compiled(NamedTuple):
    """One task, compiled: ``header`` declares the class ``usp_compiled::<key>``."""

    key: str
    processor: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    header: Path
    kernels: Path
    constants: Path | None


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


def lower(tasks: list[Task], folder: Path) -> list[Compiled]:
    """Compile every task; ``folder`` receives what is made on the way."""
    # Tasks that differ in the processor share what is traced.
    first: dict[tuple[int, int], Task] = {}
    for task in tasks:
        first.setdefault((id(task.signature), task.batch), task)
    for task in first.values():
        check(task)
    tf = savedmodel.tensorflow()
    functions = {t.key: savedmodel.function(t.signature, t.batch).get_concrete_function() for t in first.values()}
    module = tf.Module()
    module.functions = list(functions.values())
    tf.saved_model.save(module, str(folder / "saved"), signatures=functions)
    # Another process: TensorFlow's flags are for good, and its compiler's notes go nowhere else.
    script = Path(__file__).with_name("aot.py")
    jobs = [f"{t.key}:{first[id(t.signature), t.batch].key}:{t.processor}" for t in tasks]
    toolchain.run([sys.executable, "-P", script, folder / "saved", folder, *jobs])
    return [_compiled(task, folder) for task in tasks]


def _compiled(task: Task, folder: Path) -> Compiled:
    header, kernels, constants = (folder / f"{task.key}{part}" for part in (".h", ".o", "_constants.o"))
    present = constants if constants.exists() else None
    return Compiled(task.key, task.processor, task.signature.inputs, task.signature.outputs, header, kernels, present)
