"""ONNX: ``predict`` as one graph without loops, in double precision, for any number of rows.

The trained state is a constant, so what rests on it alone is worked out beforehand
(:mod:`usp_sklearn.export.simplify`); what rests on the rows is written operation by operation
(:mod:`usp_sklearn.export.onnx_rules`). ``step`` has no ONNX form: its state would have to pass through every call.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
from onnx import helper

from .. import runtime
from .graph import Graph, Signature
from .onnx_builder import OPSET, Builder
from .onnx_rules import translate
from .simplify import batched, straight

PACKAGES: tuple[str, ...] = ("onnx",)
FILE = "model.onnx"
IR = 10
"""Version of the file format that goes with the opset."""


def nodes(signature: Signature, rows: str, prefix: str = "") -> tuple[list[Any], list[Any]]:
    """Nodes and constants from the input ``rows`` to outputs called ``prefix`` + name.

    ``rows`` is the name of a tensor (batch, F) of the signature's type; ``prefix`` starts the names of everything in
    between too.
    """
    (port,) = signature.inputs
    with runtime.precision():
        one = jax.ShapeDtypeStruct(port.shape[1:], np.dtype(port.dtype))
        program = batched(straight(lambda row: tuple(x[0] for x in signature.call(row[None])), one))
        shape = program.jaxpr.invars[0].aval.shape
        builder = Builder(prefix, rows)
        given = builder.tensor(rows, shape, shape, shape, one.dtype)
        results = translate(builder, program, [given])
    ends = [
        helper.make_node("Identity", [builder.name(builder.full(t))], [prefix + p.name], name=f"{prefix}{p.name}_")
        for t, p in zip(results, signature.outputs, strict=True)
    ]
    inner, constants = builder.needed([e.input[0] for e in ends])
    return [*inner, *ends], constants


def model(graph: Graph) -> onnx.ModelProto:
    """The graph of ``predict``, its input and outputs named as in the signature."""
    made, constants = nodes(graph.predict, graph.predict.inputs[0].name)
    inputs, outputs = (
        [helper.make_tensor_value_info(p.name, _code(p.dtype), p.shape) for p in ports]
        for ports in (graph.predict.inputs, graph.predict.outputs)
    )
    whole = helper.make_graph(made, graph.name, inputs, outputs, constants)
    return helper.make_model(
        whole, producer_name="usp_sklearn", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR
    )


def _code(dtype: str) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def write(graph: Graph, folder: Path) -> dict[str, Any]:
    """``model.onnx``, checked."""
    made = model(graph)
    onnx.checker.check_model(made, full_check=True)
    (folder / FILE).write_bytes(made.SerializeToString())
    return {"onnx": {"file": FILE, "opset": OPSET}}


def load(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """``predict`` over NumPy arrays, run by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # The graph is long and thin: threads would wait for each other.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / FILE), options, providers=["CPUExecutionProvider"])
    (port,) = manifest["signatures"]["predict"]["inputs"]
    names = [p["name"] for p in manifest["signatures"]["predict"]["outputs"]]
    return {"predict": lambda rows: session.run(names, {port["name"]: np.ascontiguousarray(rows)})}
