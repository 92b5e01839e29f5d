"""Pytrees of many small arrays as few float64 ones: what crosses between the host and a compiled program.

A *state* becomes one vector. Large arrays come first, as they are, each from a multiple of eight numbers on (a cache
line, so that processors and compilers can use them where they lie); everything small follows in one stretch. What
belongs to one step of many becomes a row of a table. Double precision carries integers, flags and single precision
exactly.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

LARGE, LINE = 1024, 8
"""Arrays from this size on have a piece of their own; numbers in a cache line."""


class Packing(NamedTuple):
    """Shapes and types of a pytree's leaves."""

    structure: Any
    leaves: tuple[tuple[tuple[int, ...], str], ...]
    least: int = LARGE

    @classmethod
    def of(cls, value: Any, least: int = LARGE) -> "Packing":
        """How ``value`` is packed; arrays of ``least`` numbers and more have a piece of their own.

        >>> packing = Packing.of({"a": np.zeros((2, 600)), "b": np.int32(3), "c": np.ones(2, bool)})
        >>> packing.shapes, packing.offsets, packing.size
        (((2, 600), (8,)), (0, 1200), 1208)
        """
        leaves, structure = jax.tree.flatten(value)
        return cls(structure, tuple((x.shape, str(x.dtype)) for x in leaves), least)

    @property
    def large(self) -> tuple[bool, ...]:
        """Whether a leaf is a piece of its own."""
        return tuple(dtype == "float64" and int(np.prod(shape)) >= self.least for shape, dtype in self.leaves)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the pieces: large leaves, then one vector of the rest, filled up to whole lines."""
        sizes = [int(np.prod(shape)) for (shape, _), large in zip(self.leaves, self.large, strict=True) if not large]
        own = [shape for (shape, _), large in zip(self.leaves, self.large, strict=True) if large]
        return (*own, (_lines(sum(sizes)),))

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where the pieces begin in the vector."""
        ends = np.cumsum([_lines(int(np.prod(shape))) for shape in self.shapes])
        return (0, *map(int, ends[:-1]))

    @property
    def size(self) -> int:
        """Numbers in the vector."""
        return self.offsets[-1] + self.shapes[-1][0]

    def pieces(self, value: Any, xp: Any = jnp) -> tuple[Array, ...]:
        """Of a pytree; ``xp`` is the namespace of its arrays."""
        leaves = list(zip(jax.tree.leaves(value), self.large, strict=True))
        rest = [xp.ravel(x).astype(xp.float64) for x, large in leaves if not large]
        spare = self.shapes[-1][0] - sum(len(x) for x in rest)
        return (*(x for x, large in leaves if large), xp.concatenate([*rest, xp.zeros(spare)]))

    def tree(self, pieces: Sequence[Any]) -> Any:
        """The pytree that :meth:`pieces` came from."""
        *own, rest = pieces
        out, at, each = [], 0, iter(own)
        for (shape, dtype), large in zip(self.leaves, self.large, strict=True):
            if large:
                out.append(next(each))
                continue
            n = int(np.prod(shape))
            out.append(rest[at : at + n].reshape(shape).astype(dtype))
            at += n
        return jax.tree.unflatten(self.structure, out)

    def place(self, leaf: int) -> int:
        """Where in the last piece the small leaf of that number begins."""
        before = zip(self.leaves[:leaf], self.large[:leaf], strict=True)
        return sum(int(np.prod(shape)) for (shape, _), large in before if not large)

    @property
    def starts(self) -> tuple[int, ...]:
        """Where in the vector each leaf begins.

        >>> Packing.of({"a": np.zeros((2, 600)), "b": np.int32(3), "c": np.ones(2, bool)}).starts
        (0, 1200, 1201)
        """
        own = iter(self.offsets)
        rest = self.offsets[-1]
        return tuple(next(own) if large else rest + self.place(i) for i, large in enumerate(self.large))

    def together(self, pieces: Sequence[Array], xp: Any = jnp) -> Array:
        """The vector (size,) of the pieces."""
        padded = [xp.pad(xp.ravel(x), (0, _lines(x.size) - x.size)) for x in pieces]
        return xp.concatenate(padded)

    def apart(self, vector: Array) -> tuple[Array, ...]:
        """The pieces of a vector."""
        return tuple(
            vector[at : at + int(np.prod(shape))].reshape(shape)
            for at, shape in zip(self.offsets, self.shapes, strict=True)
        )


class Rows(NamedTuple):
    """Columns of a pytree's leaves at one step; steps are rows of a table."""

    structure: Any
    leaves: tuple[tuple[int, int, tuple[int, ...], str], ...]
    """first column, the one after the last, shape and type of each leaf"""

    @classmethod
    def of(cls, value: Any) -> "Rows":
        """How ``value``, of one step, becomes a row.

        >>> rows = Rows.of({"a": np.zeros(2), "b": np.int32(3)})
        >>> rows.size, rows.table({"a": np.ones((5, 2)), "b": np.arange(5)}, np).shape
        (3, (5, 3))
        """
        leaves, structure = jax.tree.flatten(value)
        ends = np.cumsum([x.size for x in leaves]).tolist()
        return cls(structure, tuple((e - x.size, e, x.shape, str(x.dtype)) for e, x in zip(ends, leaves, strict=True)))

    @property
    def size(self) -> int:
        """Columns."""
        return self.leaves[-1][1]

    def table(self, value: Any, xp: Any = jnp) -> Array:
        """(…, size) of a pytree whose leaves have leading axes more."""
        leaves = jax.tree.leaves(value)
        lead = leaves[0].shape[: leaves[0].ndim - len(self.leaves[0][2])]
        return xp.concatenate([x.reshape((*lead, -1)).astype(xp.float64) for x in leaves], axis=-1)

    def tree(self, table: Array) -> Any:
        """The pytree that :meth:`table` came from."""
        lead = table.shape[:-1]
        out = [table[..., at:end].reshape((*lead, *shape)).astype(dtype) for at, end, shape, dtype in self.leaves]
        return jax.tree.unflatten(self.structure, out)


def _lines(n: int) -> int:
    return -(-n // LINE) * LINE
