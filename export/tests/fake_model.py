"""The folder of the hand-written model in fake_native.c, and the header that embeds its manifest.

fake_model.py header fake_manifest.h
fake_model.py folder libusp_fake.so folder
"""

import hashlib
import json
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

STATE = struct.pack("<4d", 10.0, 4.0, 0.0, 0.0)
LEVELS = [0.005, 0.25, 0.5, 0.75, 0.995]
HORIZONS = [1, 2]
STEP = hashlib.sha256(b"the step of the hand-written model").hexdigest()
HANDOVER = [
    {"name": "engine/state/level", "dtype": "F64", "size": 1, "used": 1, "at": 0},
    {"name": "buffer/ring", "dtype": "F32", "size": 4, "used": 1, "at": 1},
    {"name": "engine/state/count", "dtype": "I32", "size": 1, "used": 1, "at": 2},
    {"name": "engine/state/more", "dtype": "F64", "size": 1, "used": 1, "at": 3},
]
"""Where the arrays of a snapshot stand in the state."""


def entry(data: bytes) -> dict[str, Any]:
    """What "files" says of a file."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def law(batch: list[str]) -> list[dict[str, Any]]:
    """Ports of a law."""
    h, k = len(HORIZONS), len(LEVELS)
    shapes = {"quantiles": [h, k], "mean": [h], "tails": [h, 4], "weights": [h, 4]}
    ports = {name: [*batch, *shape] for name, shape in shapes.items()} | {"telemetry": [*batch, 2]}
    return [{"name": n, "shape": s, "dtype": "float64", "unit": "series"} for n, s in ports.items()]


def manifest(files: dict[str, bytes], library: str = "libusp_fake.so") -> dict[str, Any]:
    """The manifest of a folder that holds those files beside it."""
    state = {"name": "state", "shape": [4], "dtype": "float64", "unit": "opaque"}
    rows = {"name": "rows", "shape": ["batch", 3], "dtype": "float64", "unit": "series"}
    y = {"name": "y", "shape": [2], "dtype": "float64", "unit": "series"}
    return {
        "kind": "usp-model",
        "schema": 1,
        "name": "fake \u00e9\u4e2d\U0001f600",
        "format": "native",
        "dtype": "float64",
        "versions": {"usp_sklearn": "0.1.0"},
        "levels": LEVELS,
        "horizons": HORIZONS,
        "telemetry": ["count", "nothing"],
        "signatures": {
            "predict": {"inputs": [rows], "outputs": law(["batch"])},
            "step": {"inputs": [state, y], "outputs": [state, *law([])]},
        },
        "files": {name: entry(data) for name, data in files.items()},
        "native": {"library": library, "batches": [1, 4]},
        "golden": {"predict": {"rows": [[0.1, -2.5e-3, 1e22]]}, "step": {}},
        "snapshot": {"schema": 1, "step": STEP, "arrays": HANDOVER},
    }


def snapshot(arrays: dict[str, tuple[str, list[int], bytes]], metadata: dict[str, str], digest: str = "") -> bytes:
    """A file as Stream.checkpoint writes it: arrays by name as dtype, shape and bytes; the digest that fits if "" ."""
    at, header, data = 0, {}, b""
    for name, (dtype, shape, values) in arrays.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(values)]}
        at, data = at + len(values), data + values
    text = json.dumps({"__metadata__": metadata | {"sha256": "0" * 64}} | header, separators=(",", ":")).encode()
    made = struct.pack("<Q", len(text)) + text + data
    digest = digest or hashlib.sha256(made).hexdigest()
    return made.replace(b'"sha256":"' + b"0" * 64, b'"sha256":"' + digest.encode(), 1)


def good_snapshot() -> tuple[dict[str, tuple[str, list[int], bytes]], dict[str, str]]:
    """Arrays and metadata of a stream of the model at level 11, deviation 6, after one value, exogenous value 0.5."""
    arrays = {
        "buffer/ring": ("F32", [2, 2], struct.pack("<4f", 6.0, 1.0, 6.0, 1.0)),
        "engine/state/level": ("F64", [], struct.pack("<d", 11.0)),
        "engine/state/count": ("I32", [1], struct.pack("<i", 1)),
        "engine/state/more": ("F64", [1], struct.pack("<d", 0.5)),
        "settings/tau": ("F64", [], struct.pack("<d", 1.0)),
    }
    content = {"stream": {"_real": {"list": [True, True]}}, "step": STEP}
    return arrays, {"kind": "usp-snapshot", "schema": "1", "versions": "{}", "content": json.dumps(content)}


def header(path: Path) -> None:
    """The manifest without the library, as C."""
    text = json.dumps(manifest({"state.bin": STATE})).encode()
    state = ", ".join(map(repr, struct.unpack("<4d", STATE)))
    path.write_text(
        f"static const unsigned char fake_manifest_text[] = {{{', '.join(map(str, text))}}};\n"
        f"__attribute__((unused)) static const double fake_state[] = {{{state}}};\n"
    )


def folder(library: Path, path: Path) -> None:
    """A whole model, and a snapshot of a stream of it."""
    path.mkdir(parents=True, exist_ok=True)
    shutil.copy(library, path / "libusp_fake.so")
    (path / "state.bin").write_bytes(STATE)
    (path / "snapshot").write_bytes(snapshot(*good_snapshot()))
    files = {"libusp_fake.so": library.read_bytes(), "state.bin": STATE}
    (path / "manifest.json").write_text(json.dumps(manifest(files)))


if __name__ == "__main__":
    if sys.argv[1] == "header":
        header(Path(sys.argv[2]))
    else:
        folder(Path(sys.argv[2]), Path(sys.argv[3]))
