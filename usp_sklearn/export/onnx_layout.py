"""ONNX for the operations that move elements: reshape, transpose, slice, join, pad, look up."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .onnx_builder import Builder, Shape, Tensor, constant, is_one, lead, no_ones, symbolic

INT = np.dtype(np.int64)


def reshape(b: Builder, t: Tensor, shape: Sequence[Any]) -> Tensor:
    """``t`` with the same elements in another shape."""
    shape = tuple(shape)
    if no_ones(shape) == no_ones(t.shape):
        held = iter(h for h, n in zip(t.held, t.shape, strict=True) if not is_one(n))
        return Tensor(t.source, t.stored, tuple(1 if is_one(n) else next(held) for n in shape), shape, t.dtype)
    t = b.full(t)
    return Tensor(t.source, t.stored, shape, shape, t.dtype)


def broadcast(b: Builder, t: Tensor, shape: Sequence[Any], axes: Sequence[int]) -> Tensor:
    """Axis i of ``t`` becomes axis ``axes[i]``; the others are new."""
    held: list[Any] = [1] * len(shape)
    for axis, n in zip(axes, t.held, strict=True):
        held[axis] = n
    return Tensor(t.source, t.stored, tuple(held), tuple(shape), t.dtype)


def transpose(b: Builder, t: Tensor, order: Sequence[int]) -> Tensor:
    """Axes in another order; nothing happens where all but one of those that move have length one."""
    held, shape = (tuple(s[a] for a in order) for s in (t.held, t.shape))
    if t.constant:
        array = np.ascontiguousarray(t.array.transpose(order))
        return Tensor(array, held, held, shape, t.dtype)
    dense = [a for a in range(len(order)) if not is_one(t.held[a])]
    moved = [a for a in order if a in dense]
    if moved == dense:
        return Tensor(t.source, t.stored, held, shape, t.dtype)
    name, perm = b.name(t, no_ones(t.held)), [dense.index(a) for a in moved]
    made = b.made.get(name)
    if made is not None and made[0] == "Transpose":
        name, perm = made[1][0], [made[2]["perm"][p] for p in perm]
    if perm != sorted(perm):
        name = b.node("Transpose", name, perm=perm)[0]
    return b.tensor(name, no_ones(held), held, shape, t.dtype)


def cut(b: Builder, t: Tensor, start: Sequence[int], stop: Sequence[Any], step: Sequence[int] | None) -> Tensor:
    """A box of ``t``; negative steps walk backwards from ``start`` to before ``stop``."""
    for axis, n in enumerate(t.shape):
        by = 1 if step is None else int(step[axis])
        whole = start[axis] == 0 and by == 1 and (stop[axis] is None or stop[axis] == n)
        if not whole:
            t = _cut(b, t, axis, int(start[axis]), int(stop[axis]), by)
    return t


def _cut(b: Builder, t: Tensor, axis: int, start: int, stop: int, step: int) -> Tensor:
    count = len(range(start, stop, step))
    shape = (*t.shape[:axis], count, *t.shape[axis + 1 :])
    if is_one(t.held[axis]):
        return Tensor(t.source, t.stored, t.held, shape, t.dtype)
    held = (*t.held[:axis], count, *t.held[axis + 1 :])
    if t.constant:
        index = (slice(None),) * axis + (slice(start, stop if stop >= 0 else None, step),)
        array = np.ascontiguousarray(t.array[index])
        return Tensor(array, held, held, shape, t.dtype)
    place = sum(not is_one(n) for n in t.held[:axis])
    name, dense = b.name(t, no_ones(t.held)), no_ones(t.held)
    if count == 1:
        name = b.node("Gather", name, b.initializer(np.array(start, np.int64)), axis=place)[0]
        return b.tensor(name, dense[:place] + dense[place + 1 :], held, shape, t.dtype)
    # -1 as an end means the last element: what lies before the first is far below zero.
    end = stop if stop >= 0 else np.iinfo(np.int64).min + 1
    name = b.node("Slice", name, b.integers(start), b.integers(end), b.integers(place), b.integers(step))[0]
    return b.tensor(name, (*dense[:place], count, *dense[place + 1 :]), held, shape, t.dtype)


def join(b: Builder, parts: Sequence[Tensor], axis: int) -> Tensor:
    """Concatenation."""
    parts = [p for p in parts if not (isinstance(p.shape[axis], int) and p.shape[axis] == 0)]
    total = sum(int(p.shape[axis]) for p in parts)
    rank = len(parts[0].shape)
    axes = [a for a in range(rank) if a == axis or any(not is_one(p.held[a]) for p in parts)]
    parts = [b.full(p, axes) for p in parts]
    held = (*parts[0].held[:axis], total, *parts[0].held[axis + 1 :])
    shape = (*parts[0].shape[:axis], total, *parts[0].shape[axis + 1 :])
    if all(p.constant for p in parts):
        return Tensor(np.concatenate([p.array for p in parts], axis), held, held, shape, parts[0].dtype)
    names = [b.name(p, tuple(p.held[a] for a in axes)) for p in parts]
    name = names[0] if len(names) == 1 else b.node("Concat", *names, axis=axes.index(axis))[0]
    return b.tensor(name, tuple(held[a] for a in axes), held, shape, parts[0].dtype)


def pad(b: Builder, t: Tensor, value: Tensor, config: Sequence[tuple[int, int, int]]) -> Tensor:
    """``value`` added before and after each axis (negative: cut off)."""
    for axis, (low, high, inner) in enumerate(config):
        if inner:
            raise NotImplementedError("Padding between elements.")
        if low < 0 or high < 0:
            t = _cut(b, t, axis, max(-low, 0), int(t.shape[axis]) - max(-high, 0), 1)
        for count, front in ((low, True), (high, False)):
            if count > 0:
                shape = (*t.shape[:axis], count, *t.shape[axis + 1 :])
                extra = broadcast(b, value, shape, ())
                t = join(b, [extra, t] if front else [t, extra], axis)
    return t


def split(b: Builder, t: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
    """Consecutive parts."""
    at, out = 0, []
    for size in map(int, sizes):
        if size == 0:
            shape = (*t.shape[:axis], 0, *t.shape[axis + 1 :])
            out.append(empty(shape, t.dtype))
        else:
            out.append(_cut(b, t, axis, at, at + size, 1) if size != t.shape[axis] else t)
        at += size
    return out


def empty(shape: Shape, dtype: Any) -> Tensor:
    """An array without elements."""
    held = tuple(1 if symbolic(n) else n for n in shape)
    return constant(np.zeros(held, dtype), shape)


def counting(b: Builder, n: Any) -> Tensor:
    """0 … n − 1."""
    if not symbolic(n):
        return constant(np.arange(n, dtype=np.int64))
    end = b.node("Squeeze", b.batch())[0]
    scalar = [b.initializer(np.array(v, np.int64)) for v in (0, 1)]
    return b.tensor(b.node("Range", scalar[0], end, scalar[1])[0], (n,), (n,), (n,), INT)


def take(b: Builder, t: Tensor, indices: Tensor, dims: Any, sizes: Sequence[Any], shape: Shape, fill: bool) -> Tensor:
    """XLA's gather: slices of ``t`` of extent ``sizes``, starting at the vectors on the last axis of ``indices``."""
    if len(dims.start_index_map) == 1 and not dims.operand_batching_dims:
        axis = int(dims.start_index_map[0])
        others = all(sizes[a] == n for a, n in enumerate(t.shape) if a != axis)
        if others and axis in dims.collapsed_slice_dims and not is_one(t.held[axis]):
            return _take_axis(b, t, indices, axis, dims, shape, fill)
    return _take_flat(b, t, indices, dims, sizes, shape, fill)


def _bounded(b: Builder, index: Tensor, limit: int) -> Tensor:
    if index.constant:
        return Tensor(np.clip(index.values, 0, limit), index.stored, index.held, index.shape, INT)
    low = b.elementwise("Max", index, constant(np.int64(0)), dtype=INT)
    return b.elementwise("Min", low, constant(np.int64(limit)), dtype=INT)


def _inside(b: Builder, index: Tensor, limit: int) -> Tensor:
    low = b.elementwise("GreaterOrEqual", index, constant(np.int64(0)), dtype=bool)
    return b.elementwise("And", low, b.elementwise("LessOrEqual", index, constant(np.int64(limit)), dtype=bool))


def _absent(dtype: np.dtype[Any]) -> Tensor:
    """What XLA reads outside an array."""
    value = np.nan if dtype.kind == "f" else np.iinfo(np.int64).min if dtype.kind == "i" else True
    return constant(np.asarray(value, dtype))


def _take_axis(b: Builder, t: Tensor, indices: Tensor, axis: int, dims: Any, shape: Shape, fill: bool) -> Tensor:
    index = reshape(b, indices, indices.shape[:-1])
    limit = int(t.shape[axis]) - 1
    if index.constant and fill and ((index.values < 0) | (index.values > limit)).any():
        raise NotImplementedError("Constant places outside an array.")
    bounded = b.full(_bounded(b, index, limit))
    if t.constant and not bounded.constant:
        t = b.full(t)
    held, rank = t.held, len(index.shape)
    stored = (*held[:axis], *bounded.shape, *held[axis + 1 :])
    name = b.node("Gather", b.name(t), b.name(bounded), axis=axis)[0]
    logical = (*t.shape[:axis], *bounded.shape, *t.shape[axis + 1 :])
    out = b.tensor(name, stored, stored, logical, t.dtype)
    # Gather leaves the new axes where the old one was; XLA says where those of the operand go.
    offsets = [int(a) for a in dims.offset_dims]
    ours = [a for a in range(len(shape)) if a not in offsets]
    of_operand = [a for a in range(len(logical)) if not axis <= a < axis + rank]
    order = [0] * len(shape)
    for target, a in [*zip(offsets, of_operand, strict=True), *zip(ours, range(axis, axis + rank), strict=True)]:
        order[target] = a
    out = transpose(b, out, order)
    if not fill or index.constant:
        return out
    inside = broadcast(b, _inside(b, index, limit), shape, ours)
    return b.elementwise("Where", inside, out, _absent(t.dtype), dtype=t.dtype)


def _take_flat(
    b: Builder, t: Tensor, indices: Tensor, dims: Any, sizes: Sequence[Any], shape: Shape, fill: bool
) -> Tensor:
    """By places in the flat array: the batch axis comes first, so that all strides are known."""
    order = sorted(range(len(t.shape)), key=lambda a: not symbolic(t.shape[a]))
    flat = reshape(b, b.full(transpose(b, t, order)), (_size(t.shape),))
    stride, strides = 1, {}
    for a in reversed(order):
        strides[a] = stride
        stride = stride if symbolic(t.shape[a]) else stride * int(t.shape[a])
    offsets = [int(a) for a in dims.offset_dims]
    ours = [a for a in range(len(shape)) if a not in offsets]
    gone = {int(a) for a in (*dims.collapsed_slice_dims, *dims.operand_batching_dims)}
    kept = [a for a in range(len(t.shape)) if a not in gone]
    terms: list[Tensor] = []
    inside: list[Tensor] = []

    def add(index: Tensor, axes: Sequence[int], a: int) -> None:
        placed = broadcast(b, index, shape, axes)
        if placed.constant:
            terms.append(Tensor(placed.values * strides[a], placed.stored, placed.held, placed.shape, INT))
        else:
            by = constant(np.int64(strides[a]))
            terms.append(placed if strides[a] == 1 else b.elementwise("Mul", placed, by, dtype=INT))

    for target, a in zip(offsets, kept, strict=True):
        if not is_one(sizes[a]):
            add(counting(b, sizes[a]), [target], a)
    for a, s in zip(dims.operand_batching_dims, dims.start_indices_batching_dims, strict=True):
        if not is_one(t.shape[a]):
            add(counting(b, t.shape[a]), [ours[int(s)]], int(a))
    for k, a in enumerate(map(int, dims.start_index_map)):
        if is_one(t.shape[a]):
            continue
        limit = int(t.shape[a]) - int(sizes[a])
        start = _cut(b, indices, len(indices.shape) - 1, k, k + 1, 1)
        start = reshape(b, start, indices.shape[:-1])
        if fill:
            inside.append(broadcast(b, _inside(b, start, limit), shape, ours))
        add(_bounded(b, start, limit), ours, a)
    at = terms[0] if terms else constant(np.int64(0))
    for term in terms[1:]:
        at = b.elementwise("Add", at, term, dtype=INT)
    at = lead(at, len(shape))
    name = b.node("Gather", b.name(flat), b.name(at), axis=0)[0]
    out = b.tensor(name, at.held, at.held, shape, t.dtype)
    for ok in inside:
        out = b.elementwise("Where", ok, out, _absent(t.dtype), dtype=t.dtype)
    return out


def _size(shape: Shape) -> Any:
    total: Any = 1
    for n in shape:
        total = total * n
    return total
