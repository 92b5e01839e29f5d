"""State as data: nested tuples, lists, dicts, NamedTuples and equinox modules as JSON beside a table of arrays.

A value is written as itself if JSON has it, or else as an object with one key:

    {"array": name}                     an array, under its name in the table
    {"number": name}                    a NumPy scalar, as an array without axes
    {"float": "nan" | "inf" | "-inf"}   what JSON can't say
    {"tuple": [...]}  {"list": [...]}   and {"dict": {...}} with string keys
    {"class": "module.Name", "fields": {...}}

Classes are looked up, by their full names, among the NamedTuples and equinox modules that the imported modules of
``usp_sklearn.core`` and ``usp_sklearn.kernels`` define, and in the table the caller gives. A name in a file never
leads to an import or a call of anything else.
"""

import dataclasses
import math
import sys
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np

from .schema import Arrays, SnapshotError

ROOMS = ("usp_sklearn.core.", "usp_sklearn.kernels.")
Table = Mapping[str, type]


def pack(value: Any, name: str, arrays: Arrays, table: Table | None = None) -> Any:
    """``value`` as JSON; its arrays go into ``arrays`` under names that start with ``name``.

    Parameters
    ----------
    table : further classes by the names they have in files

    >>> arrays = {}
    >>> pack((1, np.zeros(2)), "pair", arrays)
    {'tuple': [1, {'array': 'pair/1'}]}
    >>> unpack({"tuple": [1, {"array": "pair/1"}]}, arrays)
    (1, array([0., 0.]))
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, np.generic):
        arrays[name] = np.asarray(value)
        return {"number": name}
    if hasattr(value, "__array__"):
        arrays[name] = np.asarray(value)
        return {"array": name}
    if kind in (tuple, list):
        return {kind.__name__: [pack(v, f"{name}/{i}", arrays, table) for i, v in enumerate(value)]}
    if kind is dict and all(type(k) is str for k in value):
        return {"dict": {k: pack(v, f"{name}/{k}", arrays, table) for k, v in value.items()}}
    fields = _fields(kind)
    if fields is None or _class(label := _label(kind, table or {}), table or {}) is not kind:
        raise TypeError(f"{name} is {value!r}, which a snapshot can't hold.")
    return {"class": label, "fields": {f: pack(getattr(value, f), f"{name}/{f}", arrays, table) for f in fields}}


def unpack(packed: Any, arrays: Arrays, table: Table | None = None) -> Any:
    """What :func:`pack` was given, with NumPy's arrays for any others."""
    if packed is None or type(packed) in (bool, int, float, str):
        return packed
    match packed:
        case {"array": str(name), **none} if not none and name in arrays:
            return arrays[name]
        case {"number": str(name), **none} if not none and name in arrays and arrays[name].shape == ():
            return arrays[name][()]
        case {"float": ("nan" | "inf" | "-inf") as number, **none} if not none:
            return float(number)
        case {"tuple": list(parts), **none} if not none:
            return tuple(unpack(v, arrays, table) for v in parts)
        case {"list": list(parts), **none} if not none:
            return [unpack(v, arrays, table) for v in parts]
        case {"dict": dict(parts), **none} if not none:
            return {k: unpack(v, arrays, table) for k, v in parts.items()}
        case {"class": str(label), "fields": dict(fields), **none} if not none:
            return _made(label, {k: unpack(v, arrays, table) for k, v in fields.items()}, table or {})
    raise SnapshotError(f"it holds something that is no value: {packed!r:.80}")


def _made(label: str, values: dict[str, Any], table: Table) -> Any:
    kind = _class(label, table)
    fields = None if kind is None else _fields(kind)
    if kind is None or fields is None:
        raise SnapshotError(f"it holds a {label:.80}, which this version of the library does not know")
    if set(values) != set(fields):
        raise SnapshotError(f"it holds a {label} with the fields {sorted(values)} instead of {sorted(fields)}")
    if issubclass(kind, tuple):
        return tuple.__new__(kind, [values[f] for f in fields])
    made = object.__new__(kind)
    for f in fields:
        object.__setattr__(made, f, values[f])
    return made


def _fields(kind: type) -> tuple[str, ...] | None:
    """Names of the fields of a NamedTuple or an equinox module; None for any other class."""
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return tuple(kind._fields)
    if issubclass(kind, eqx.Module):
        return tuple(f.name for f in dataclasses.fields(kind))
    return None


def _label(kind: type, table: Table) -> str:
    return next((name for name, known in table.items() if known is kind), f"{kind.__module__}.{kind.__qualname__}")


def _class(label: str, table: Table) -> type | None:
    if label in table:
        return table[label]
    module, _, name = label.rpartition(".")
    if not module.startswith(ROOMS) or module not in sys.modules:
        return None
    found = vars(sys.modules[module]).get(name)
    # Only where it is defined, so that what a module merely imported is out of reach.
    return found if isinstance(found, type) and found.__module__ == module else None
