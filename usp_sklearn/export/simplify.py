"""Straight-line programs: a traced function without calls and loops, with everything that is known worked out.

Some targets have no loops worth the name (a loop of ONNX Runtime costs milliseconds) and pay for every operation, not
for its size. Here a program is walked once: what rests on constants alone is computed, calls are inlined, branches
with a known predicate are chosen, loops of known length are unrolled. What is left is what rests on the arguments.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax._src import core
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun
from jax.interpreters import partial_eval
from numpy.typing import NDArray

_CALLS = {
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
}
_ENOUGH = 10_000
"""A while loop is unrolled as long as its predicate is known; an endless one must not be."""


def straight(function: Callable[..., Any], *arguments: jax.ShapeDtypeStruct) -> ClosedJaxpr:
    """``function``, whose result is a tuple of arrays, as a program without calls, loops and known values.

    >>> flat = straight(lambda x: (jax.lax.fori_loop(0, 2, lambda i, v: v + jnp.sin(1.0 + i), x),), jnp.zeros(3))
    >>> [e.primitive.name for e in flat.jaxpr.eqns]
    ['add', 'add']
    """
    traced = jax.make_jaxpr(function)(*arguments)
    return trimmed(jax.make_jaxpr(lambda *values: _run(traced.jaxpr, traced.consts, values))(*arguments))


def batched(program: ClosedJaxpr) -> ClosedJaxpr:
    """``program`` with a leading axis of any length, "batch", on every argument and result."""
    size = jax.export.symbolic_shape("batch")
    arguments = [jax.ShapeDtypeStruct((*size, *v.aval.shape), v.aval.dtype) for v in program.jaxpr.invars]
    return trimmed(jax.make_jaxpr(jax.vmap(jaxpr_as_fun(program)))(*arguments))


def trimmed(program: ClosedJaxpr) -> ClosedJaxpr:
    """Without what no result needs."""
    jaxpr, _ = partial_eval.dce_jaxpr(program.jaxpr, [True] * len(program.jaxpr.outvars), instantiate=True)
    kept = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    return ClosedJaxpr(jaxpr, [kept[v] for v in jaxpr.constvars])


def _run(jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

    def read(v: Any) -> Any:
        return literal(v) if isinstance(v, core.Literal) else values[v]

    for equation in jaxpr.eqns:
        results = _equation(equation, [read(v) for v in equation.invars])
        values.update(zip(equation.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


def literal(v: Any) -> NDArray[Any]:
    """The number written into a program."""
    return np.asarray(v.val, v.aval.dtype)


def _known(x: Any) -> bool:
    return not isinstance(x, core.Tracer)


def _equation(equation: Any, values: list[Any]) -> list[Any]:
    name, params = equation.primitive.name, equation.params
    known = all(map(_known, values))
    if known and name not in _CALLS:
        return _computed(equation, values)
    if name in _CALLS:
        if not known and name == "jit" and params["name"] in REWRITES:
            rewritten = REWRITES[params["name"]](equation, *values)
            if rewritten is not None:
                return rewritten
        inner = params[_CALLS[name]]
        return _run(inner.jaxpr, inner.consts, values)
    if name == "scan":
        return _scan(params, values)
    if name == "cond":
        return _cond(params["branches"], values[0], values[1:])
    if name == "while":
        return _while(params, values)
    return _bind(equation, values)


def _computed(equation: Any, values: Sequence[Any]) -> list[Any]:
    """The operation done now: by NumPy where that gives the same numbers, since XLA compiles for every new shape."""
    arrays = [np.asarray(v, a.aval.dtype) for v, a in zip(values, equation.invars, strict=True)]
    if equation.primitive.name in _HOST:
        with np.errstate(all="ignore"):
            result = _HOST[equation.primitive.name](equation.params, *arrays)
        (expected,) = equation.outvars
        return [np.asarray(result, expected.aval.dtype).reshape(expected.aval.shape)]
    with core.eval_context():
        return [np.asarray(x) for x in _bind(equation, arrays)]


def _spread(params: dict[str, Any], x: Any) -> Any:
    shape = [1] * len(params["shape"])
    for axis, n in zip(params["broadcast_dimensions"], x.shape, strict=True):
        shape[axis] = n
    return np.broadcast_to(x.reshape(shape), params["shape"])


def _sliced(params: dict[str, Any], x: Any) -> Any:
    steps = params["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, params["start_indices"], params["limit_indices"], steps))]


_HOST: dict[str, Callable[..., Any]] = {
    "add": lambda _, x, y: x + y,
    "add_any": lambda _, x, y: x + y,
    "sub": lambda _, x, y: x - y,
    "mul": lambda _, x, y: x * y,
    "div": lambda _, x, y: x / y if x.dtype.kind == "f" else np.trunc(x / y),
    "neg": lambda _, x: -x,
    "abs": lambda _, x: np.abs(x),
    "sqrt": lambda _, x: np.sqrt(x),
    "square": lambda _, x: x * x,
    "max": lambda _, x, y: np.maximum(x, y),
    "min": lambda _, x, y: np.minimum(x, y),
    "lt": lambda _, x, y: x < y,
    "le": lambda _, x, y: x <= y,
    "gt": lambda _, x, y: x > y,
    "ge": lambda _, x, y: x >= y,
    "eq": lambda _, x, y: x == y,
    "ne": lambda _, x, y: x != y,
    "and": lambda _, x, y: x & y,
    "or": lambda _, x, y: x | y,
    "not": lambda _, x: ~x,
    "select_n": lambda _, which, *cases: np.choose(which.astype(int), cases),
    "stop_gradient": lambda _, x: x,
    "copy": lambda _, x: x,
    "reshape": lambda p, x: x if p["dimensions"] is None else x.transpose(p["dimensions"]),
    "squeeze": lambda _, x: x,
    "convert_element_type": lambda p, x: x.astype(p["new_dtype"]),
    "expand_dims": lambda _, x: x,
    "transpose": lambda p, x: x.transpose(p["permutation"]),
    "broadcast_in_dim": _spread,
    "slice": _sliced,
    "concatenate": lambda p, *parts: np.concatenate(parts, p["dimension"]),
    "iota": lambda p: _spread(
        {"shape": p["shape"], "broadcast_dimensions": [p["dimension"]]}, np.arange(p["shape"][p["dimension"]])
    ),
    "reduce_max": lambda p, x: x.max(p["axes"]),
    "reduce_min": lambda p, x: x.min(p["axes"]),
    "reduce_and": lambda p, x: x.all(p["axes"]),
    "reduce_or": lambda p, x: x.any(p["axes"]),
}


def _bind(equation: Any, values: Sequence[Any]) -> list[Any]:
    out = equation.primitive.bind(*values, **equation.params)
    return list(out) if equation.primitive.multiple_results else [out]


def _scan(params: dict[str, Any], values: list[Any]) -> list[Any]:
    body, length = params["jaxpr"], params["length"]
    first, then = params["num_consts"], params["num_consts"] + params["num_carry"]
    constant, carry, columns = values[:first], values[first:then], values[then:]
    steps: list[list[Any]] = [[]] * length
    for i in reversed(range(length)) if params["reverse"] else range(length):
        out = _run(body.jaxpr, body.consts, [*constant, *carry, *(_entry(x, i) for x in columns)])
        carry, steps[i] = out[: then - first], out[then - first :]
    if not length:
        shapes = [v.aval for v in body.jaxpr.outvars[then - first :]]
        return [*carry, *(np.zeros((0, *a.shape), a.dtype) for a in shapes)]
    return [*carry, *(_stack(parts) for parts in zip(*steps, strict=True))]


def _entry(x: Any, i: int) -> Any:
    return np.asarray(x)[i] if _known(x) else jax.lax.index_in_dim(x, i, keepdims=False)


def _stack(parts: Sequence[Any]) -> Any:
    return np.stack([np.asarray(x) for x in parts]) if all(map(_known, parts)) else jnp.stack(parts)


def _cond(branches: Sequence[ClosedJaxpr], which: Any, values: list[Any]) -> list[Any]:
    if _known(which):
        branch = branches[int(np.clip(int(which), 0, len(branches) - 1))]
        return _run(branch.jaxpr, branch.consts, values)
    each = [_run(b.jaxpr, b.consts, values) for b in branches]
    which = which if len(branches) == 2 and which.dtype == bool else jnp.clip(which, 0, len(branches) - 1)
    which = which.astype(bool) if len(branches) == 2 else which
    return [jax.lax.select_n(which, *results) for results in zip(*each, strict=True)]


def _while(params: dict[str, Any], values: list[Any]) -> list[Any]:
    test, body = params["cond_jaxpr"], params["body_jaxpr"]
    first, then = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    of_test, of_body, carry = values[:first], values[first:then], values[then:]
    for _ in range(_ENOUGH):
        (going,) = _run(test.jaxpr, test.consts, [*of_test, *carry])
        if not _known(going):
            raise NotImplementedError("A loop whose length rests on the arguments cannot be unrolled.")
        if not going:
            return carry
        carry = _run(body.jaxpr, body.consts, [*of_body, *carry])
    raise NotImplementedError(f"A loop of more than {_ENOUGH} steps is not unrolled.")


def _signature(equation: Any, path: Array) -> list[Array] | None:
    """Levels of the signature of a path (m, D) by cumulative sums instead of a product over its m − 1 steps.

    With increments Δ_t, Chen's relation is S_t = S_{t−1} ⊗ exp Δ_t, so level k grows by Σ_j S^{k−j}_{t−1} ⊗ Δ_t^j / j!,
    nested as ((Δ/k + S¹) ⊗ Δ/(k − 1) + S²) ⊗ … ⊗ Δ: a sum over t of what the levels below were just before.
    """
    shapes = [v.aval.shape for v in equation.outvars]
    lead, plain = path.shape[:-2], path.shape[-2:]
    if set(lead) - {1} or shapes != [lead + plain[1:] * (k + 1) for k in range(len(shapes))]:
        return None
    path = path.reshape(plain)
    steps = path[1:] - path[:-1]
    before: list[Array] = []
    levels: list[Array] = []
    for k in range(1, len(shapes) + 1):
        grown = jnp.ones(len(steps), path.dtype)
        for j, level in enumerate(before):
            grown = _times(grown, steps / (k - j)) + level
        if k == len(shapes):
            # Nobody asks how the highest level grew.
            levels.append(jnp.tensordot(grown, steps, (0, 0)))
        else:
            grown = _times(grown, steps)
            levels.append(grown.sum(0))
            before.append(jax.lax.cumsum(grown, 0) - grown)
    return [level.reshape(shape) for level, shape in zip(levels, shapes, strict=True)]


def _times(tensors: Array, vectors: Array) -> Array:
    """Tensor products of corresponding entries."""
    return tensors[..., None] * vectors.reshape(len(vectors), *[1] * (tensors.ndim - 1), -1)


def _search(equation: Any, table: Array, wanted: Array) -> list[Array] | None:
    """Places in a sorted table (n,) by counting its smaller entries instead of halving it log n times."""
    program, place = equation.params["jaxpr"], equation.outvars[0].aval
    if table.size != table.shape[-1] or wanted.size != place.size:
        return None
    # Which side of equal entries is meant shows where all are equal.
    with core.eval_context():
        (found,) = jaxpr_as_fun(program)(np.zeros(table.shape, table.dtype), np.zeros(wanted.shape, wanted.dtype))
    entries, wanted = table.reshape(-1), wanted.reshape(-1, 1)
    below = entries <= wanted if np.asarray(found).any() else entries < wanted
    return [below.sum(1, dtype=place.dtype).reshape(place.shape)]


REWRITES: dict[str, Callable[..., list[Array] | None]] = {"signature": _signature, "searchsorted": _search}
"""Functions, by the name they are jitted under, that have a form without loops; None where it does not fit."""
