"""StableHLO: the graphs as ``jax.export`` serialises them, and as text; read back with jax alone."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from .. import runtime
from .graph import Graph, Signature

PACKAGES: tuple[str, ...] = ()


def shapes(signature: Signature) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Shapes of the inputs, "batch" symbolic. Call it inside :func:`usp_sklearn.runtime.precision`."""
    scope = jax.export.SymbolicScope()
    return tuple(
        jax.ShapeDtypeStruct(
            jax.export.symbolic_shape(", ".join(map(str, p.shape)), scope=scope) if "batch" in p.shape else p.shape,
            jnp.dtype(p.dtype),
        )
        for p in signature.inputs
    )


def lowered(signature: Signature) -> Any:
    """The graph as ``jax.export`` sees it, for CPUs."""
    with runtime.precision():
        return jax.export.export(jax.jit(signature.call), platforms=["cpu"])(*shapes(signature))


def write(graph: Graph, folder: Path) -> dict[str, Any]:
    """``predict.bin`` and ``step.bin``, with their text beside them."""
    for name, signature in graph.signatures.items():
        exported = lowered(signature)
        (folder / f"{name}.bin").write_bytes(exported.serialize())
        (folder / f"{name}.mlir").write_text(exported.mlir_module())
    return {}


def load(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Functions over NumPy arrays, by signature. Nothing but jax is needed to run them."""
    return {
        name: _callable(jax.export.deserialize(bytearray((folder / f"{name}.bin").read_bytes())))
        for name in manifest["signatures"]
    }


def _callable(exported: Any) -> Any:
    compiled = jax.jit(exported.call)

    def call(*arrays: Any) -> Any:
        # Outside x64 the arguments would be cut to single precision and then refused.
        with jax.enable_x64(True):
            return compiled(*arrays)

    return call
