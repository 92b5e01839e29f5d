"""From a signature to an object file: JAX → SavedModel with fixed shapes → TensorFlow's ahead-of-time compiler."""

import os
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax

from .. import runtime
from . import savedmodel, toolchain
from .graph import Port, Signature

COMPOSITES = ("acos", "acosh", "asin", "asinh", "atanh", "cosh", "erf", "sinh", "top_k")
"""JAX 0.10 writes these as composite operations, which TensorFlow 2.21 cannot read."""

_OPERATIONS = re.compile(r"\b(?:stablehlo\.custom_call\s+@([\w.]+)|stablehlo\.(fft|convolution)\b|chlo\.(\w+))")


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
    tf = savedmodel._tensorflow()
    toolchain.tensorflow_folder()
    functions = {t.key: savedmodel.function(t.signature, t.batch).get_concrete_function() for t in tasks}
    module = tf.Module()
    module.functions = list(functions.values())
    tf.saved_model.save(module, str(folder / "saved"), signatures=functions)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(lambda task: _compile(task, folder, march), tasks))


def _compile(task: Task, folder: Path, march: str | None) -> Compiled:
    options: Mapping[str, Any] = {
        "dir": folder / "saved",
        "tag_set": "serve",
        "signature_def_key": task.key,
        "output_prefix": folder / task.key,
        "cpp_class": f"usp_compiled::{task.key}",
        "target_cpu": march or "x86-64",
    }
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "aot_compile_cpu"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    # No fast-math: the same numbers as JAX.
    flags = "--xla_cpu_enable_fast_math=false"
    toolchain.run(command, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "XLA_FLAGS": flags, "CUDA_VISIBLE_DEVICES": ""})
    objects = tuple(folder / f"{task.key}{part}.o" for part in ("", "_constants"))
    return Compiled(
        task.key,
        task.signature.inputs,
        task.signature.outputs,
        folder / f"{task.key}.h",
        tuple(path for path in objects if path.exists()),
    )
