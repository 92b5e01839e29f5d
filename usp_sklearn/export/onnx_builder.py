"""ONNX graphs under construction: tensors that are reshaped and broadcast only when somebody needs it.

A traced program is full of reshapes and broadcasts that mean nothing to ONNX, whose operations broadcast by
themselves, and every node costs a microsecond. A :class:`Tensor` therefore remembers the shape the program gave it, and
how it is held; equal nodes are made once, nodes nobody needs are dropped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Shape = tuple[Any, ...]
"""Integers, or the symbol of the batch axis."""
OPSET = 21


@dataclass(frozen=True)
class Tensor:
    """A value of the program: ``shape``, of which axes of length one in ``held`` are still to be broadcast.

    ``source`` is the node output, or the constant, that has the elements of ``held`` in the shape ``stored``.
    """

    source: str | NDArray[Any]
    stored: Shape
    held: Shape
    shape: Shape
    dtype: np.dtype[Any]

    @property
    def constant(self) -> bool:
        return not isinstance(self.source, str)

    @property
    def array(self) -> NDArray[Any]:
        """A constant's values, in the shape ``held``."""
        return self.values.reshape(self.held)

    @property
    def values(self) -> NDArray[Any]:
        """A constant's values, as stored."""
        assert not isinstance(self.source, str)
        return self.source


def stored_type(dtype: Any) -> np.dtype[Any]:
    """What a type is kept as: every integer is 64 bits wide, few operations exist for the others."""
    dtype = np.dtype(dtype)
    return np.dtype(np.int64) if dtype.kind in "iu" else dtype


def constant(value: Any, shape: Shape | None = None) -> Tensor:
    """A known array; with ``shape``, axes of it that have length one are to be broadcast."""
    array = np.asarray(value)
    array = np.ascontiguousarray(array.astype(stored_type(array.dtype))).reshape(array.shape)
    return Tensor(array, array.shape, array.shape, array.shape if shape is None else shape, array.dtype)


def no_ones(shape: Iterable[Any]) -> Shape:
    """``shape`` without axes of length one."""
    return tuple(n for n in shape if not _is(n, 1))


def _is(n: Any, value: int) -> bool:
    return isinstance(n, (int, np.integer)) and n == value


def is_one(n: Any) -> bool:
    """Whether an axis has length one whatever the batch is."""
    return _is(n, 1)


def symbolic(n: Any) -> bool:
    """Whether an axis is the batch."""
    return not isinstance(n, (int, np.integer))


def _strip(shape: Shape) -> Shape:
    while shape and is_one(shape[0]):
        shape = shape[1:]
    return shape


class Builder:
    """Nodes and constants of one graph; ``prefix`` starts all their names."""

    def __init__(self, prefix: str, rows: str) -> None:
        self.prefix, self.rows = prefix, rows
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self.made: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}
        self._equal: dict[Any, tuple[str, ...]] = {}
        self._constants: dict[Any, str] = {}

    # ------------------------------------------------------------------ nodes

    def initializer(self, array: NDArray[Any]) -> str:
        """Name of a constant."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"{self.prefix}c{len(self._constants)}"
            self._constants[key] = name
            self.initializers[name] = numpy_helper.from_array(array, name)
        return self._constants[key]

    def integers(self, *values: Any) -> str:
        """Name of a constant vector of integers."""
        return self.initializer(np.array([int(v) for v in values], np.int64))

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> tuple[str, ...]:
        """Names of a node's outputs; an equal node is not made twice."""
        key = (op, inputs, tuple(sorted((k, str(v)) for k, v in attributes.items())), outputs)
        if key not in self._equal:
            names = tuple(f"{self.prefix}v{len(self.made) + i}" for i in range(outputs))
            self.nodes.append(helper.make_node(op, list(inputs), list(names), name=f"{names[0]}_{op}", **attributes))
            self.made.update(dict.fromkeys(names, (op, inputs, attributes)))
            self._equal[key] = names
        return self._equal[key]

    def batch(self) -> str:
        """The number of rows (1,)."""
        return self.node("Shape", self.rows, start=0, end=1)[0]

    def needed(self, outputs: Sequence[str]) -> tuple[list[NodeProto], list[TensorProto]]:
        """Nodes and constants ``outputs`` rest on, in order."""
        wanted, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                nodes.append(node)
                wanted.update(node.input)
        return nodes[::-1], [c for n, c in self.initializers.items() if n in wanted]

    # ------------------------------------------------------------------ tensors

    def tensor(self, source: str, stored: Shape, held: Shape, shape: Shape, dtype: Any) -> Tensor:
        """A node's output."""
        return Tensor(source, tuple(stored), tuple(held), tuple(shape), np.dtype(dtype))

    def name(self, t: Tensor, shape: Shape | None = None, *, leading: bool = False) -> str:
        """The name of ``t`` in ``shape``, by default ``held``; with ``leading``, ones in front don't matter."""
        shape = t.held if shape is None else tuple(shape)
        if not isinstance(t.source, str):
            return self.initializer(t.source.reshape(_strip(shape) if leading else shape))
        if shape == t.stored or (leading and _strip(shape) == _strip(t.stored)):
            return t.source
        target = [-1 if symbolic(n) else n for n in shape]
        return self.node("Reshape", t.source, self.integers(*target))[0]

    def full(self, t: Tensor, axes: Iterable[int] | None = None) -> Tensor:
        """``t`` with the broadcast done along ``axes`` (default: all)."""
        axes = range(len(t.shape)) if axes is None else axes
        todo = [a for a in axes if is_one(t.held[a]) and not is_one(t.shape[a])]
        if not todo:
            return t
        held = tuple(t.shape[a] if a in todo else n for a, n in enumerate(t.held))
        if t.constant and not any(symbolic(n) for n in held):
            array = np.ascontiguousarray(np.broadcast_to(t.array, held))
            return Tensor(array, held, held, t.shape, t.dtype)
        target = [t.shape[a] if a in todo else 1 for a in range(len(held))]
        if any(symbolic(n) for n in target):
            parts = [self.batch() if symbolic(n) else self.integers(n) for n in target]
            wanted = parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)[0]
        else:
            wanted = self.integers(*target)
        return Tensor(self.node("Expand", self.name(t), wanted)[0], held, held, t.shape, t.dtype)

    def elementwise(self, op: str, *operands: Tensor, dtype: Any = None, **attributes: Any) -> Tensor:
        """A node whose operands broadcast against each other."""
        rank = max(len(t.shape) for t in operands)
        operands = tuple(lead(t, rank) for t in operands)
        held = tuple(_longest([t.held[a] for t in operands]) for a in range(rank))
        shape = tuple(_longest([t.shape[a] for t in operands]) for a in range(rank))
        keep = [a for a in range(rank) if not is_one(held[a])]
        names, used = [], []
        for t in operands:
            want = tuple(t.held[a] for a in keep)
            names.append(self.name(t, want, leading=True))
            same = isinstance(t.source, str) and _strip(want) == _strip(t.stored)
            used.append(t.stored if same else (want if isinstance(t.source, str) else _strip(want)))
        deep = max(len(s) for s in used)
        padded = [(1,) * (deep - len(s)) + s for s in used]
        stored = tuple(_longest([s[a] for s in padded]) for a in range(deep))
        dtype = operands[-1].dtype if dtype is None else np.dtype(dtype)
        return self.tensor(self.node(op, *names, **attributes)[0], stored, held, shape, dtype)


def lead(t: Tensor, rank: int) -> Tensor:
    """``t`` with axes of length one put in front."""
    extra = (1,) * (rank - len(t.shape))
    return replace(t, held=extra + t.held, shape=extra + t.shape) if extra else t


def _longest(lengths: Sequence[Any]) -> Any:
    return next((n for n in lengths if not is_one(n)), 1)
