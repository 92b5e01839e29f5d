"""From JAX's operations to ONNX's: one rule for each primitive a straight-line program may hold."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax._src import core, source_info_util

from . import onnx_layout as layout
from . import onnx_math as math
from .onnx_builder import Builder, Tensor, constant, stored_type
from .onnx_math import BOOL
from .simplify import literal

Rule = Callable[..., list[Tensor]]

_PLAIN = {
    "add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "abs": "Abs",
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "tanh": "Tanh", "sin": "Sin", "cos": "Cos", "floor": "Floor",
    "ceil": "Ceil", "sign": "Sign", "max": "Max", "min": "Min", "pow": "Pow", "logistic": "Sigmoid",
}  # fmt: skip
_COMPARE = {"lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual", "eq": "Equal"}
_SAME = ("stop_gradient", "copy", "copy_p", "optimization_barrier", "reduce_precision", "pvary")
_REDUCE = {"reduce_sum": "Sum", "reduce_max": "Max", "reduce_min": "Min", "reduce_prod": "Prod"}
_RUNNING = {"cumsum": "Sum", "cumprod": "Prod", "cummax": "Max", "cummin": "Min"}


def translate(b: Builder, program: jax.extend.core.ClosedJaxpr, rows: list[Tensor]) -> list[Tensor]:
    """Tensors of the results of a straight-line program; ``rows`` are its arguments."""
    values: dict[Any, Tensor] = dict(zip(program.jaxpr.invars, rows, strict=True))
    values.update(zip(program.jaxpr.constvars, map(constant, program.consts), strict=True))

    def read(v: Any) -> Tensor:
        return constant(literal(v)) if isinstance(v, core.Literal) else values[v]

    for equation in program.jaxpr.eqns:
        shapes = [v.aval.shape for v in equation.outvars]
        if all(any(isinstance(n, int) and n == 0 for n in s) for s in shapes):
            results = [layout.empty(v.aval.shape, stored_type(v.aval.dtype)) for v in equation.outvars]
        else:
            results = _rule(equation)(b, equation, *(read(v) for v in equation.invars))
        for v, t in zip(equation.outvars, results, strict=True):
            assert t.shape == v.aval.shape, (equation, t.shape)
            values[v] = t
    return [read(v) for v in program.jaxpr.outvars]


def _rule(equation: Any) -> Rule:
    name = equation.primitive.name
    for table, rule in _RULES:
        if name in table:
            return rule
    where = source_info_util.summarize(equation.source_info)
    raise NotImplementedError(f"There is no ONNX form of {name!r}, used at {where}.")


def _plain(b: Builder, e: Any, *operands: Tensor) -> list[Tensor]:
    name = e.primitive.name
    if name == "div" and operands[0].dtype.kind == "i":
        return [b.elementwise("Div", *operands)]
    return [b.elementwise(_PLAIN[name], *operands, dtype=operands[0].dtype)]


def _compare(b: Builder, e: Any, *operands: Tensor) -> list[Tensor]:
    name = e.primitive.name.removesuffix("_to")
    if operands[0].dtype == BOOL and name != "eq":
        operands = tuple(math.cast(b, t, layout.INT) for t in operands)
    return [b.elementwise(_COMPARE[name], *operands, dtype=BOOL)]


def _unequal(b: Builder, e: Any, *operands: Tensor) -> list[Tensor]:
    return [b.elementwise("Not", b.elementwise("Equal", *operands, dtype=BOOL))]


def _same(b: Builder, e: Any, *operands: Tensor) -> list[Tensor]:
    return list(operands)


def _logic(b: Builder, e: Any, *operands: Tensor) -> list[Tensor]:
    name = {"and": "And", "or": "Or", "xor": "Xor", "not": "Not"}[e.primitive.name]
    return [b.elementwise(name if operands[0].dtype == BOOL else "Bitwise" + name, *operands)]


def _select(b: Builder, e: Any, which: Tensor, *cases: Tensor) -> list[Tensor]:
    return [math.select(b, which, *cases)]


def _cast(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [math.cast(b, t, stored_type(e.params["new_dtype"]))]


def _square(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [b.elementwise("Mul", t, t)]


def _integer_pow(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [math.power(b, t, e.params["y"])]


def _exp2(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [b.elementwise("Pow", math.number(2.0, t), t)]


def _rsqrt(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [b.elementwise("Reciprocal", b.elementwise("Sqrt", t))]


def _special(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [{"expm1": math.expm1, "log1p": math.log1p}[e.primitive.name](b, t)]


def _finite(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [b.elementwise("Less", b.elementwise("Abs", t), math.number(np.inf, t), dtype=BOOL)]


def _round(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    if e.params["rounding_method"] == jax.lax.RoundingMethod.TO_NEAREST_EVEN:
        return [b.elementwise("Round", t)]
    half = b.elementwise("Add", b.elementwise("Abs", t), math.number(0.5, t))
    return [b.elementwise("Mul", b.elementwise("Sign", t), b.elementwise("Floor", half))]


def _clamp(b: Builder, e: Any, low: Tensor, t: Tensor, high: Tensor) -> list[Tensor]:
    return [b.elementwise("Min", b.elementwise("Max", t, low), high)]


def _remainder(b: Builder, e: Any, x: Tensor, y: Tensor) -> list[Tensor]:
    return [b.elementwise("Mod", x, y, fmod=1)]


def _reshape(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    if e.primitive.name == "reshape" and e.params["dimensions"] is not None:
        t = layout.transpose(b, t, e.params["dimensions"])
    return [layout.reshape(b, t, e.outvars[0].aval.shape)]


def _broadcast(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [layout.broadcast(b, t, e.params["shape"], [int(a) for a in e.params["broadcast_dimensions"]])]


def _transpose(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [layout.transpose(b, t, [int(a) for a in e.params["permutation"]])]


def _slice(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    p = e.params
    return [layout.cut(b, t, p["start_indices"], p["limit_indices"], p["strides"])]


def _concatenate(b: Builder, e: Any, *parts: Tensor) -> list[Tensor]:
    return [layout.join(b, parts, int(e.params["dimension"]))]


def _stack(b: Builder, e: Any, *parts: Tensor) -> list[Tensor]:
    axis, shape = int(e.params["axis"]), e.outvars[0].aval.shape
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    return [layout.join(b, [layout.reshape(b, p, one) for p in parts], axis)]


def _split(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return layout.split(b, t, e.params["sizes"], int(e.params["axis"]))


def _pad(b: Builder, e: Any, t: Tensor, value: Tensor) -> list[Tensor]:
    return [layout.pad(b, t, value, e.params["padding_config"])]


def _reverse(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [math.flipped(b, t, [int(a) for a in e.params["dimensions"]])]


def _iota(b: Builder, e: Any) -> list[Tensor]:
    shape, axis = e.params["shape"], int(e.params["dimension"])
    counted = layout.broadcast(b, layout.counting(b, shape[axis]), shape, [axis])
    return [math.cast(b, counted, stored_type(e.params["dtype"]))]


def _gather(b: Builder, e: Any, t: Tensor, indices: Tensor) -> list[Tensor]:
    p, shape = e.params, e.outvars[0].aval.shape
    fill = p["mode"] == jax.lax.GatherScatterMode.FILL_OR_DROP
    return [layout.take(b, t, indices, p["dimension_numbers"], p["slice_sizes"], shape, fill)]


def _reduce(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [math.reduce(b, "Reduce" + _REDUCE[e.primitive.name], t, e.params["axes"])]


def _any_all(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [math.reduce(b, "ReduceMin" if e.primitive.name == "reduce_and" else "ReduceMax", t, e.params["axes"])]


def _arg(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [math.arg(b, "ArgMax" if e.primitive.name == "argmax" else "ArgMin", t, int(e.params["axes"][0]))]


def _cumulative(b: Builder, e: Any, t: Tensor) -> list[Tensor]:
    return [math.running(b, _RUNNING[e.primitive.name], t, int(e.params["axis"]), e.params["reverse"])]


def _sort(b: Builder, e: Any, *operands: Tensor) -> list[Tensor]:
    return math.ordered(b, operands, int(e.params["dimension"]), e.params["num_keys"])


def _dot(b: Builder, e: Any, x: Tensor, y: Tensor) -> list[Tensor]:
    (cx, cy), (bx, by) = e.params["dimension_numbers"]
    plain = tuple(tuple(int(a) for a in axes) for axes in (cx, cy, bx, by))
    x, y = (math.cast(b, t, stored_type(e.outvars[0].aval.dtype)) for t in (x, y))
    return [math.product(b, x, y, (plain[:2], plain[2:]))]


_RULES: list[tuple[Any, Rule]] = [
    (_PLAIN, _plain),
    ({k + end for k in _COMPARE for end in ("", "_to")}, _compare),
    (("ne",), _unequal),
    (_SAME, _same),
    (("and", "or", "xor", "not"), _logic),
    (("select_n",), _select),
    (("convert_element_type",), _cast),
    (("square",), _square),
    (("integer_pow",), _integer_pow),
    (("exp2",), _exp2),
    (("rsqrt",), _rsqrt),
    (("expm1", "log1p"), _special),
    (("is_finite",), _finite),
    (("round",), _round),
    (("clamp",), _clamp),
    (("rem",), _remainder),
    (("reshape", "squeeze", "expand_dims"), _reshape),
    (("broadcast_in_dim",), _broadcast),
    (("transpose",), _transpose),
    (("slice",), _slice),
    (("concatenate",), _concatenate),
    (("stack",), _stack),
    (("split",), _split),
    (("pad",), _pad),
    (("rev",), _reverse),
    (("iota",), _iota),
    (("gather",), _gather),
    (_REDUCE, _reduce),
    (("reduce_and", "reduce_or"), _any_all),
    (("argmax", "argmin"), _arg),
    (_RUNNING, _cumulative),
    (("sort",), _sort),
    (("dot_general",), _dot),
]
