"""Native code: one shared library, ``libusp_<name>.so``, that needs nothing but the C library.

It exports the C interface of ``export/include/usp.h`` with this model inside, and the table of ``usp_native.h``
through which the generic library, and :func:`load`, call the compiled graphs.
"""

import ctypes
import json
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import linking, lowering, toolchain
from .graph import Graph
from .lowering import FAST, PORTABLE
from .manifest import STATE, digest

PACKAGES = ("tensorflow-cpu",)


def write(
    graph: Graph,
    folder: Path,
    *,
    batches: Sequence[int] = (1, 64),
    march: str | None = None,
    manifest: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Compile and link the library into ``folder``; returns its entry in the manifest.

    ``predict`` is compiled for 1 row and for each other size of ``batches``, and ``step`` twice, for every x86-64 and
    for those with AVX2, between which the library chooses where it runs. With ``march``, say "x86-64-v4", everything
    is made once, for processors of that kind and newer. ``manifest`` is embedded.
    """
    sizes = sorted({1, *map(int, batches)})
    if sizes[0] < 1:
        raise ValueError(f"The 'batches' parameter of export_model must hold numbers from 1. Got {batches!r} instead.")
    toolchain.check_tensorflow()
    toolchain.compiler()
    base, *faster = (march,) if march else (PORTABLE, FAST)
    tasks = [lowering.Task(f"predict_{n}", graph.predict, n, base) for n in sizes]
    offsets: tuple[int, ...] = ()
    if graph.step is not None:
        call, offsets = graph.pieces or (graph.step, (0,))
        tasks += [
            lowering.Task(key, call, 1, on) for key, on in zip(("step", "step_fast"), (base, *faster), strict=False)
        ]
    entry: dict[str, Any] = {"native": {"library": f"libusp_{graph.name}.so", "batches": sizes}}
    with tempfile.TemporaryDirectory(prefix="usp-native-") as scratch:
        build, files, state = Path(scratch), {}, None
        if graph.state is not None:
            state = build / STATE
            graph.state.astype("<f8").tofile(state)
            files = {STATE: {"sha256": digest(state), "bytes": state.stat().st_size}}
        embedded = build / "manifest.json"
        inside = {key: value for key, value in (manifest or {}).items() if key != "golden"}
        embedded.write_text(json.dumps(inside | entry | {"files": files}, allow_nan=False))
        compiled = lowering.lower(tasks, build)
        library = folder / entry["native"]["library"]
        linking.link(compiled, linking.Content(sizes, embedded, state, offsets), library, build, march=base)
    return entry


_Pointer = ctypes.POINTER(ctypes.c_double)


class _Table(ctypes.Structure):
    """``usp_native_v1`` of usp_native.h."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("version", ctypes.c_uint32),
        ("manifest", ctypes.c_void_p),
        ("manifest_length", ctypes.c_size_t),
        ("state", _Pointer),
        ("state_length", ctypes.c_size_t),
        ("n_batches", ctypes.c_size_t),
        ("batches", ctypes.POINTER(ctypes.c_size_t)),
        ("instance_new", ctypes.CFUNCTYPE(ctypes.c_void_p)),
        ("instance_free", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        (
            "predict",
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, _Pointer, ctypes.POINTER(_Pointer)),
        ),
        ("step", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, _Pointer, _Pointer, ctypes.POINTER(_Pointer))),
    ]


class _Instance:
    """What one thread needs."""

    def __init__(self, table: _Table) -> None:
        self.table, self.handle = table, table.instance_new()
        if not self.handle:
            raise MemoryError("The compiled model could not get its memory.")

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self.table.instance_free(self.handle)


def load(folder: Path, manifest: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    """Functions over NumPy arrays, by signature, run by the library; any number of threads may call them."""
    library = ctypes.CDLL(str((folder / manifest["native"]["library"]).resolve()))
    library.usp_native_table.restype = ctypes.POINTER(_Table)
    table = library.usp_native_table().contents
    mine = threading.local()

    def handle() -> Any:
        if not hasattr(mine, "instance"):
            mine.instance = _Instance(table)
        return mine.instance.handle

    def pointers(arrays: Sequence[NDArray[np.float64]]) -> Any:
        return (_Pointer * len(arrays))(*(a.ctypes.data_as(_Pointer) for a in arrays))

    def empty(name: str, batch: int) -> list[NDArray[np.float64]]:
        ports = manifest["signatures"][name]["outputs"]
        return [np.zeros([batch if n == "batch" else n for n in p["shape"]]) for p in ports]

    def finish(name: str, out: Sequence[NDArray[np.float64]], status: int) -> tuple[NDArray[Any], ...]:
        if status:
            raise RuntimeError(f"The compiled {name} failed with code {status}.")
        ports = manifest["signatures"][name]["outputs"]
        return tuple(a.astype(p["dtype"], copy=False) for a, p in zip(out, ports, strict=True))

    def predict(rows: Any) -> tuple[NDArray[Any], ...]:
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        out, at, status = empty("predict", len(rows)), 0, 0
        while at < len(rows) and not status:
            # The largest size that is filled.
            which = max(i for i in range(table.n_batches) if i == 0 or table.batches[i] <= len(rows) - at)
            end = at + table.batches[which]
            parts = pointers([a[at:end] for a in out])
            status = table.predict(handle(), which, rows[at:end].ctypes.data_as(_Pointer), parts)
            at = end
        return finish("predict", out, status)

    def step(state: Any, y: Any) -> tuple[NDArray[Any], ...]:
        given = [np.ascontiguousarray(a, dtype=np.float64) for a in (state, y)]
        out = empty("step", 1)
        status = table.step(handle(), *(a.ctypes.data_as(_Pointer) for a in given), pointers(out))
        return finish("step", out, status)

    calls: dict[str, Callable[..., Any]] = {"predict": predict}
    return calls | ({"step": step} if "step" in manifest["signatures"] else {})
