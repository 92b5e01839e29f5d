"""Native code: one shared library, ``libusp_<name>.so``, that needs nothing but the C library.

It exports the C interface of ``export/include/usp.h`` with this model inside, and the table of ``usp_native.h``
through which the generic library, and :func:`load`, call the compiled graphs.
"""

import ctypes
import json
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import glue, lowering, toolchain
from .graph import Graph

PACKAGES = ("tensorflow-cpu",)

_LINK = (
    "-shared",
    "-static-libstdc++",
    "-static-libgcc",
    "-s",
    *("-Wl," + option for option in ("--gc-sections", "--no-undefined", "--as-needed", "--exclude-libs,ALL", "-z,now")),
)


def write(
    graph: Graph,
    folder: Path,
    *,
    batches: Sequence[int] = (1, 64),
    march: str | None = None,
    manifest: dict[str, Any] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Compile and link the library into ``folder``; returns its entry in the manifest.

    ``predict`` is compiled for each size of ``batches``; ``march``, say "x86-64-v3", for processors of that kind and
    newer instead of every x86-64. The first call on a machine compiles the runtime too.
    """
    sizes = sorted({1, *map(int, batches)})
    if sizes[0] < 1:
        raise ValueError(f"The 'batches' parameter of export_model must hold numbers from 1. Got {batches!r} instead.")
    tasks = [lowering.Task(f"predict_{n}", graph.predict, n) for n in sizes]
    if graph.step is not None:
        tasks.append(lowering.Task("step", graph.step, 1))
    for task in tasks:
        lowering.check(task)
    entry: dict[str, Any] = {"native": {"library": f"libusp_{graph.name}.so", "batches": sizes}}
    tools, runtime = toolchain.compiler(), toolchain.runtime(march, progress=progress)
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch)
        described, state = build / "manifest.json", None
        files = {}
        if graph.state is not None:
            state = build / "state.bin"
            graph.state.astype("<f8").tofile(state)
            from .manifest import digest

            files = {"state.bin": {"sha256": digest(state), "bytes": state.stat().st_size}}
        described.write_text(json.dumps((manifest or {}) | entry | {"files": files}, allow_nan=False))
        compiled = lowering.lower(tasks, build, march=march)
        far = far_side()
        flags = [*toolchain.SECTIONS, "-O2", "-DNDEBUG", *([f"-march={march}"] if march else [])]
        text = glue.table(sizes, step=graph.step is not None, manifest=described, state=state)
        (build / "table.c").write_text(text)
        c = [build / "table.c", *sorted((far / "src").glob("*.c"))]
        objects = [path for one in compiled for path in one.objects]

        def compile_c(source: Path) -> Path:
            target = build / f"{source.stem}-c.o"
            includes = [f"-I{far / 'include'}", f"-I{far / 'src'}"]
            toolchain.run([*tools.cc, "-std=c11", "-DUSP_EMBEDDED", *flags, *includes, "-c", source, "-o", target])
            return target

        def compile_shim(one: lowering.Compiled) -> Path:
            one.header.write_text(glue.compact(one.header.read_text()))
            source, target = build / f"{one.key}_shim.cc", build / f"{one.key}_shim.o"
            source.write_text(glue.shim(one, one.header.name))
            cxx = [*tools.cxx, *toolchain.CXXFLAGS, *([f"-march={march}"] if march else [])]
            toolchain.run([*cxx, *runtime.include_flags, "-c", source, "-o", target])
            return target

        with ThreadPoolExecutor(2) as pool:
            shims, rest = pool.map(compile_shim, compiled), pool.map(compile_c, c)
            objects += [*shims, *rest]
        exports = build / "usp.map"
        exports.write_text("{ global: usp_*; local: *; };\n")
        library = folder / entry["native"]["library"]
        name = [f"-Wl,-soname,{library.name}", f"-Wl,--version-script={exports}"]
        toolchain.run([*tools.cxx, *_LINK, *name, "-o", library, *objects, runtime.archive, "-lm"])
    return entry


def far_side() -> Path:
    """The folder of the C runtime: beside the package in an installed wheel, at the root of a checkout."""
    here = Path(__file__).parent
    for folder in (here / "far", here.parents[1] / "export"):
        if (folder / "src" / "usp_native.h").exists():
            return folder
    raise RuntimeError("The C sources of the native runtime are missing: install usp-sklearn from a wheel or a checkout.")


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
        return [np.empty([batch if n == "batch" else n for n in p["shape"]]) for p in ports]

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
