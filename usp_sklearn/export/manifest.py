"""What stands beside every artefact: names, shapes, versions, hashes and golden vectors, as JSON.

Numbers are written as Python's ``repr`` writes them, so they read back exactly; not-a-number is ``null``.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import PREDICTED, Graph

KIND, SCHEMA = "usp-model", 1
NAME, STATE = "manifest.json", "state.bin"


class ArtefactError(ValueError):
    """An artefact that is damaged, incomplete or of another kind."""


def golden(graph: Graph) -> dict[str, dict[str, Any]]:
    """Inputs and outputs of every signature, computed by JAX: rows of ``predict``, steps from ``state.bin``."""
    import jax

    from .. import runtime

    rows, values = (x.astype(graph.dtype) for x in graph.typical)
    with runtime.precision():
        calls = {name: jax.jit(s.call) for name, s in graph.signatures.items()}
        out = replay(graph.signatures, calls, rows, values, graph.state)
        # Compiled now: what one call takes.
        seconds = {"predict": seconds_of(calls["predict"], rows[:1])}
        if graph.step is not None:
            seconds["step"] = seconds_of(calls["step"], graph.state, values[0])
    inputs = {"predict": {"rows": _plain(rows)}, "step": {"y": _plain(values)}}
    return {
        name: inputs[name] | {port: _plain(x) for port, x in given.items()} | {"python_seconds": seconds[name]}
        for name, given in out.items()
    }


def single_error(graph: Graph, stored: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """How far golden vectors of a graph in single precision are from what the same graph gives in double precision.

    By signature and output, the largest difference relative to the largest entry.
    """
    import jax

    from .. import runtime

    with runtime.precision():
        calls = {name: jax.jit(s.call) for name, s in graph.exact.items()}
        out = replay(graph.exact, calls, *graph.typical, graph.state)
    return {name: {port: difference(stored[name][port], x) for port, x in given.items()} for name, given in out.items()}


def difference(given: Any, stored: Any) -> float:
    """Of finite numbers; what is not finite, which the manifest holds as null, must meet its like."""
    a, b = np.array(given, dtype=np.float64), np.array(stored, dtype=np.float64)
    if a.shape != b.shape or (np.isfinite(a) != np.isfinite(b)).any():
        return np.inf
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    size = np.abs(b).max(initial=0.0)
    return float(np.abs(a - b).max(initial=0.0) / (size if size > 0 else 1.0))


def replay(
    signatures: Iterable[str],
    calls: Mapping[str, Callable[..., Any]],
    rows: NDArray[np.float64],
    values: NDArray[np.float64],
    state: NDArray[np.float64] | None,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """What ``predict`` gives for all rows, and ``step`` for one value after the other; by output."""
    out = {"predict": dict(zip(PREDICTED, calls["predict"](rows), strict=True))}
    if "step" in signatures:
        each = []
        for y in values:
            state, *rest = calls["step"](state, y)
            each.append([np.asarray(x) for x in rest])
        out["step"] = {name: np.stack(c) for name, c in zip(PREDICTED, zip(*each, strict=True), strict=True)}
    return out


def seconds_of(call: Callable[..., Any], *given: Any, repeats: int = 30) -> float:
    """Median of a call's duration."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for x in call(*given):
            np.asarray(x)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _plain(x: Any) -> Any:
    return json.loads(json.dumps(np.asarray(x, dtype=np.float64).tolist()), parse_constant=lambda _: None)


def describe(graph: Graph, format: str, packages: tuple[str, ...]) -> dict[str, Any]:
    """The manifest but for the files."""
    needed = ("usp_sklearn", "jax", "numpy", "scikit-learn", *packages)
    vectors = golden(graph)
    measured = {"error": single_error(graph, vectors)} if graph.exact else {}
    return (
        measured
        | {
            "kind": KIND,
            "schema": SCHEMA,
            "name": graph.name,
            "format": format,
            "dtype": graph.dtype,
            "versions": {p: version(p.replace("_", "-")) for p in needed},
            "levels": list(graph.levels),
            "horizons": list(graph.horizons),
            "telemetry": list(graph.telemetry),
            "signatures": {
                name: {"inputs": [p._asdict() for p in s.inputs], "outputs": [p._asdict() for p in s.outputs]}
                for name, s in graph.signatures.items()
            },
            "golden": vectors,
        }
        | ({} if graph.snapshot is None else {"snapshot": graph.snapshot})
    )


def write(folder: Path, manifest: dict[str, Any]) -> None:
    """Hash every file in ``folder`` and write the manifest beside them, atomically."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != NAME)
    listed = {p.relative_to(folder).as_posix(): {"sha256": digest(p), "bytes": p.stat().st_size} for p in files}
    text = json.dumps(manifest | {"files": listed}, allow_nan=False)
    draft = folder / (NAME + ".tmp")
    with open(draft, "w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    draft.replace(folder / NAME)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of an artefact, once its kind, its schema and the hash of every file are found to be right."""
    folder = Path(folder)
    try:
        manifest = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"{folder} holds no {NAME}.") from None
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{folder / NAME} is not JSON: {error}.") from None
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise ArtefactError(f"{folder / NAME} is not the manifest of a model.")
    if manifest.get("schema") != SCHEMA:
        raise ArtefactError(
            f"{folder / NAME} has schema {manifest.get('schema')!r}; this version of the library reads {SCHEMA}."
        )
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(e, dict) and {"sha256", "bytes"} <= set(e) for e in files.values()
    ):
        raise ArtefactError(f"{folder / NAME} lists no files with their hashes and sizes.")
    for name, entry in files.items():
        path = folder / name
        try:
            inside, there = path.resolve().is_relative_to(folder.resolve()), path.is_file()
        except (ValueError, OSError):
            raise ArtefactError(f"{folder / NAME} names a file that can't be: {name!r:.80}.") from None
        if not inside:
            raise ArtefactError(f"{folder / NAME} names a file outside the folder: {name}.")
        if not there:
            raise ArtefactError(f"{name} is missing in {folder}.")
        if path.stat().st_size != entry["bytes"] or digest(path) != entry["sha256"]:
            raise ArtefactError(f"{name} in {folder} is not the file the manifest was written for.")
    return manifest


def state(folder: str | os.PathLike[str]) -> NDArray[np.float64] | None:
    """The stream state that the artefact starts from; None without ``step``."""
    path = Path(folder) / STATE
    return np.fromfile(path, "<f8") if path.exists() else None
