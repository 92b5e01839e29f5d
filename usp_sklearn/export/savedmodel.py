"""TensorFlow SavedModel: signatures ``predict`` (any batch) and ``step``, for TF Serving, Python and the C API."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import runtime
from .graph import Graph, Pieces, Signature

PACKAGES = ("tensorflow-cpu",)
PIECES = "step_pieces"
"""The signature that takes and gives the state in pieces: what a program uses that wants no copies."""


def tensorflow() -> Any:
    """The package, or an error that says what needs it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "The formats 'savedmodel' and 'native' need TensorFlow: pip install 'usp-sklearn[export]'."
        ) from error
    return tf


def function(signature: Signature, batch: int | None = None) -> Any:
    """A ``tf.function`` with named inputs and outputs; ``batch`` fixes the batch, None leaves it open."""
    tf = tensorflow()
    from jax.experimental import jax2tf

    sizes = [[batch if n == "batch" else n for n in p.shape] for p in signature.inputs]
    symbolic = any(None in size for size in sizes)
    shapes = ["(" + ", ".join("b" if n is None else str(n) for n in size) + ",)" for size in sizes]
    with runtime.precision():
        converted = jax2tf.convert(
            signature.call,
            polymorphic_shapes=shapes if symbolic else None,
            with_gradient=False,
        )
    specs = [tf.TensorSpec(s, p.dtype, p.name) for s, p in zip(sizes, signature.inputs, strict=True)]

    def call(*arrays: Any) -> dict[str, Any]:
        with runtime.precision():
            out = converted(*arrays)
        return {p.name: x for p, x in zip(signature.outputs, out, strict=True)}

    return tf.function(call, input_signature=specs, autograph=False)


def write(graph: Graph, folder: Path) -> dict[str, Any]:
    """The SavedModel itself, and the names of its tensors for the C API."""
    tf = tensorflow()
    module = tf.Module()
    concrete = {"predict": function(graph.predict).get_concrete_function()}
    pieces = []
    if graph.step is not None and graph.pieces is not None:
        concrete[PIECES] = function(graph.pieces.step).get_concrete_function()
        concrete["step"] = _whole(graph.step, graph.pieces, concrete[PIECES]).get_concrete_function()
        places = zip(graph.pieces.offsets, graph.pieces.step.inputs, strict=False)
        pieces = [{"name": p.name, "offset": offset, "shape": list(p.shape)} for offset, p in places]
    module.functions = list(concrete.values())
    tf.saved_model.save(module, str(folder), signatures=concrete)
    return {"tensorflow": _tensors(folder) | {"pieces": pieces}}


def _whole(step: Signature, pieces: Pieces, inner: Any) -> Any:
    """``step`` over the state as one vector, by the function ``inner`` over its pieces."""
    tf = tensorflow()
    ports = pieces.step.inputs[:-1]
    sizes = [math.prod(map(int, p.shape)) for p in ports]
    ends = [*pieces.offsets[1:], int(step.inputs[0].shape[0])]

    def call(state: Any, y: Any) -> dict[str, Any]:
        given = {
            p.name: tf.reshape(state[at : at + n], p.shape)
            for p, at, n in zip(ports, pieces.offsets, sizes, strict=True)
        }
        out = inner(**given, y=y)
        padded = [
            tf.pad(tf.reshape(out[p.name], [-1]), [[0, end - at - n]])
            for p, at, n, end in zip(ports, pieces.offsets, sizes, ends, strict=True)
        ]
        return {"state": tf.concat(padded, 0)} | {p.name: out[p.name] for p in step.outputs[1:]}

    specs = [tf.TensorSpec(p.shape, p.dtype, p.name) for p in step.inputs]
    return tf.function(call, input_signature=specs, autograph=False)


def _tensors(folder: Path) -> dict[str, Any]:
    """Graph tensors of each signature: the operations that yield the outputs are not the same from save to save."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    return {
        name: {
            "inputs": {key: info.name for key, info in sorted(d.inputs.items())},
            "outputs": {key: info.name for key, info in sorted(d.outputs.items())},
        }
        for name, d in saved.meta_graphs[0].signature_def.items()
        if not name.startswith("__")
    }


def load(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Functions over NumPy arrays, by signature, run by TensorFlow."""
    tf = tensorflow()
    module = tf.saved_model.load(str(folder))
    out = {}
    for name, ports in manifest["signatures"].items():
        out[name] = _callable(module.signatures[name], ports)
    # The functions hold the module's variables weakly: keep it as long as they live.
    for call in out.values():
        call.module = module
    return out


def _callable(function: Any, ports: dict[str, Any]) -> Any:
    tf = tensorflow()

    def call(*arrays: Any) -> tuple[Any, ...]:
        given = {
            p["name"]: tf.constant(np.asarray(a, p["dtype"])) for p, a in zip(ports["inputs"], arrays, strict=True)
        }
        result = function(**given)
        return tuple(result[p["name"]].numpy() for p in ports["outputs"])

    return call
