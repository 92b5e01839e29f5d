"""ONNX for arithmetic, in double precision throughout: elementwise functions, sums, products, order.

ONNX has no expm1, log1p or cumulative maximum; what is exact near zero is put together here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .onnx_builder import Builder, Shape, Tensor, constant, is_one, no_ones, symbolic
from .onnx_layout import INT, broadcast, cut, join, transpose

BOOL = np.dtype(bool)


def number(value: Any, like: Tensor) -> Tensor:
    """A scalar constant of the type of ``like``."""
    return constant(np.asarray(value, like.dtype))


def cast(b: Builder, t: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """``t`` in another type; towards zero from real to integer."""
    if t.dtype == dtype:
        return t
    if t.constant:
        return Tensor(t.values.astype(dtype), t.stored, t.held, t.shape, dtype)
    code = {"f8": 11, "f4": 1, "i8": 7, "b1": 9}[dtype.str[1:]]
    return b.elementwise("Cast", t, dtype=dtype, to=code)


def select(b: Builder, which: Tensor, *cases: Tensor) -> Tensor:
    """``cases[which]``; a flag selects the second case when it is set."""
    if which.dtype == BOOL and cases[0].dtype == BOOL:
        # There is no Where for flags.
        chosen = b.elementwise("And", which, cases[1])
        return b.elementwise("Or", chosen, b.elementwise("And", b.elementwise("Not", which), cases[0]))
    if which.dtype == BOOL:
        return b.elementwise("Where", which, cases[1], cases[0], dtype=cases[0].dtype)
    out = cases[-1]
    for k in range(len(cases) - 2, -1, -1):
        here = b.elementwise("LessOrEqual", which, constant(np.int64(k)), dtype=BOOL)
        out = b.elementwise("Where", here, cases[k], out, dtype=out.dtype)
    return out


def power(b: Builder, t: Tensor, n: int) -> Tensor:
    """tⁿ by squaring."""
    if n < 0:
        return b.elementwise("Reciprocal", power(b, t, -n))
    out, base = None, t
    while n:
        if n & 1:
            out = base if out is None else b.elementwise("Mul", out, base)
        n >>= 1
        base = b.elementwise("Mul", base, base) if n else base
    return number(1.0, t) if out is None else out


def expm1(b: Builder, t: Tensor) -> Tensor:
    """eˣ − 1 as (u − 1)·x/log u with u = eˣ as rounded: the rounding errors of both cancel (Kahan)."""
    one, u = number(1.0, t), b.elementwise("Exp", t)
    less = b.elementwise("Sub", u, one)
    scaled = b.elementwise("Div", b.elementwise("Mul", less, t), b.elementwise("Log", u))
    # Far out u − 1 is as good as it gets, and log u is no longer finite.
    far = b.elementwise("Greater", b.elementwise("Abs", t), one, dtype=BOOL)
    scaled = b.elementwise("Where", far, less, scaled, dtype=t.dtype)
    same = b.elementwise("Equal", u, one, dtype=BOOL)
    return b.elementwise("Where", same, t, scaled, dtype=t.dtype)


def log1p(b: Builder, t: Tensor) -> Tensor:
    """log(1 + x) as x·log w/(w − 1) with w = 1 + x as rounded (Kahan)."""
    one = number(1.0, t)
    w = b.elementwise("Add", one, t)
    log = b.elementwise("Log", w)
    less = b.elementwise("Sub", w, one)
    scaled = b.elementwise("Mul", log, b.elementwise("Div", t, less))
    same = b.elementwise("Equal", w, one, dtype=BOOL)
    far = b.elementwise("Greater", t, one, dtype=BOOL)
    scaled = b.elementwise("Where", far, log, scaled, dtype=t.dtype)
    return b.elementwise("Where", same, t, scaled, dtype=t.dtype)


def reduce(b: Builder, op: str, t: Tensor, axes: Sequence[int]) -> Tensor:
    """Sum, Prod, Max, Min, Mean of the axes ``axes``, which go."""
    axes = [int(a) for a in axes]
    if op in ("ReduceSum", "ReduceProd"):
        t = b.full(t, axes)
    live = [a for a in axes if not is_one(t.held[a])]
    held, shape = ([n for a, n in enumerate(s) if a not in axes] for s in (t.held, t.shape))
    if not live:
        return Tensor(t.source, t.stored, tuple(held), tuple(shape), t.dtype)
    dense = [a for a in range(len(t.held)) if not is_one(t.held[a])]
    flags = t.dtype == BOOL
    t = cast(b, t, INT) if flags else t
    places = b.integers(*(dense.index(a) for a in live))
    name = b.node(op, b.name(t, no_ones(t.held)), places, keepdims=0)[0]
    out = b.tensor(name, no_ones(tuple(held)), tuple(held), tuple(shape), t.dtype)
    return cast(b, out, BOOL) if flags else out


def arg(b: Builder, op: str, t: Tensor, axis: int) -> Tensor:
    """Place of the first largest or smallest entry."""
    t = b.full(t, [axis])
    held, shape = (tuple(n for a, n in enumerate(s) if a != axis) for s in (t.held, t.shape))
    name = b.node(op, b.name(t), axis=axis, keepdims=0)[0]
    return b.tensor(name, held, held, shape, INT)


def running(b: Builder, kind: str, t: Tensor, axis: int, reverse: bool) -> Tensor:
    """Cumulative sum, product, maximum or minimum."""
    t = b.full(t, [axis])
    if kind == "Sum":
        name = b.node("CumSum", b.name(t), b.initializer(np.array(axis, np.int64)), reverse=int(reverse))[0]
        return b.tensor(name, t.held, t.held, t.shape, t.dtype)
    ends = np.iinfo(np.int64) if t.dtype.kind == "i" else np.finfo(t.dtype)
    idle = number({"Max": ends.min, "Min": ends.max, "Prod": 1}[kind], t)
    n, rank = int(t.shape[axis]), len(t.shape)
    if n > _WIDE:
        return _doubled(b, {"Prod": "Mul"}.get(kind, kind), t, axis, reverse, idle)
    # Entry i takes in all up to i: everything else is replaced by what changes nothing.
    reached = np.tri(n, dtype=bool).T if reverse else np.tri(n, dtype=bool)
    axes = [a if a < axis else a + 1 for a in range(rank)]
    wide = broadcast(b, t, (*t.shape[:axis], n, *t.shape[axis:]), axes)
    mask = constant(reached.reshape(*[1] * axis, n, n, *[1] * (rank - axis - 1)))
    return reduce(b, "Reduce" + kind, b.elementwise("Where", mask, wide, idle, dtype=t.dtype), [axis + 1])


_WIDE = 64
"""Longer axes are not compared all with all."""


def _doubled(b: Builder, op: str, t: Tensor, axis: int, reverse: bool, idle: Tensor) -> Tensor:
    """After step k every entry stands for itself and the 2ᵏ − 1 before it (Hillis & Steele 1986)."""
    n, by = int(t.shape[axis]), 1
    while by < n:
        start, stop = [0] * len(t.shape), list(t.shape)
        start[axis], stop[axis] = (by, n) if reverse else (0, n - by)
        rest = cut(b, t, start, stop, None)
        gap = broadcast(b, idle, (*t.shape[:axis], by, *t.shape[axis + 1 :]), ())
        t = b.elementwise(op, t, join(b, [rest, gap] if reverse else [gap, rest], axis))
        by *= 2
    return t


def ordered(b: Builder, operands: Sequence[Tensor], axis: int, keys: int) -> list[Tensor]:
    """Operands sorted along an axis by the first."""
    if keys != 1:
        raise NotImplementedError("Sorting by several keys.")
    shape = tuple(_first([t.held[a] for t in operands]) for a in range(len(operands[0].held)))
    full = [b.full(t, [a for a in range(len(shape)) if a == axis or not is_one(shape[a])]) for t in operands]
    n = b.integers(full[0].shape[axis])
    values, places = b.node("TopK", b.name(full[0]), n, outputs=2, axis=axis, largest=0, sorted=1)
    out = [values] + [b.node("GatherElements", b.name(t), places, axis=axis)[0] for t in full[1:]]
    return [b.tensor(o, t.held, t.held, t.shape, t.dtype) for o, t in zip(out, full, strict=True)]


def _first(lengths: Sequence[Any]) -> Any:
    return next((n for n in lengths if not is_one(n)), 1)


def product(b: Builder, x: Tensor, y: Tensor, numbers: Any) -> Tensor:
    """dot_general: sums over the contracted axes, for each entry of the batch axes."""
    (cx, cy), (bx, by) = numbers
    fx = [a for a in range(len(x.shape)) if a not in (*cx, *bx)]
    fy = [a for a in range(len(y.shape)) if a not in (*cy, *by)]
    if any(symbolic(y.shape[a]) for a in fy) and not any(symbolic(x.shape[a]) for a in fx):
        # Rows times constants is the faster way round.
        swapped = product(b, y, x, ((cy, cx), (by, bx)))
        n, ny, nx = len(bx), len(fy), len(fx)
        return transpose(b, swapped, [*range(n), *range(n + ny, n + ny + nx), *range(n, n + ny)])
    x, y = b.full(x, cx), b.full(y, cy)
    x, y = b.full(x, fx), b.full(y, fy)
    left = transpose(b, x, [*bx, *fx, *cx])
    right = transpose(b, y, [*by, *cy, *fy])
    n = len(bx)
    batch = tuple(_first(pair) for pair in zip(left.held[:n], right.held[:n], strict=True))
    whole = tuple(_first(pair) for pair in zip(left.shape[:n], right.shape[:n], strict=True))
    rows, columns = left.held[n : n + len(fx)], right.held[n + len(cy) :]
    inner = _volume(left.held[n + len(fx) :])
    keep = [a for a in range(n) if not is_one(batch[a])]
    lb, rb = (tuple(t.held[a] for a in keep) for t in (left, right))
    # Rows and columns of length one still need their axis beside batch axes, or MatMul takes a batch for one.
    m = _volume(rows)
    first = b.name(left, (*lb, m, inner))
    second = b.name(right, (*rb, inner, _volume(columns)))
    name = b.node("MatMul", first, second)[0]
    stored = (*(batch[a] for a in keep), m, _volume(columns))
    shape = (*whole, *left.shape[n : n + len(fx)], *right.shape[n + len(cy) :])
    return b.tensor(name, stored, (*batch, *rows, *columns), shape, x.dtype)


def _volume(shape: Shape) -> Any:
    total: Any = 1
    for n in shape:
        total = n if is_one(total) else total if is_one(n) else total * n
    return total


def flipped(b: Builder, t: Tensor, axes: Sequence[int]) -> Tensor:
    """Axes in reverse order."""
    for axis in axes:
        if not is_one(t.held[axis]):
            n = int(t.shape[axis])
            start = [n - 1 if a == axis else 0 for a in range(len(t.shape))]
            stop = [-1 if a == axis else m for a, m in enumerate(t.shape)]
            t = cut(b, t, start, stop, [-1 if a == axis else 1 for a in range(len(t.shape))])
    return t
