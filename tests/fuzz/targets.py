"""What is fuzzed: for each parser of files a function of bytes, which returns or raises what the parser promises.

Anything else that comes out is a finding. While a parser runs, an audit hook watches what it does: an import, a file
opened for writing, a process or a connection is a finding too, whatever it returns.
"""

import codecs
import hashlib
import json
import re
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz import commands
from usp_sklearn.api import persistence
from usp_sklearn.export import manifest as export_manifest
from usp_sklearn.io import snapshot
from usp_sklearn.io.schema import SnapshotError
from usp_sklearn.io.series import read_series

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
FORBIDDEN = frozenset({
    "import", "exec", "os.exec", "os.fork", "os.posix_spawn", "os.system", "pickle.find_class", "socket.connect",
    "subprocess.Popen", "ctypes.dlopen",
})  # fmt: skip
REFUSALS = (export_manifest.ArtefactError,)
"""How a manifest is refused."""
ENCODINGS = ("utf-8-sig", "utf-16", "utf-32", "utf-32-be", "utf-32-le", "utf-16-be", "utf-16-le", "cp1252")
"""Of text, by the marks at its beginning: Python imports a codec when it is first used."""
_DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')
ALIVE = FORBIDDEN - {"import", "exec", "ctypes.dlopen"}
"""What remains forbidden where a program writes files and imports what it needs."""
_watching: frozenset[str] | None = None
_warming = False


class Finding(AssertionError):
    """A parser did what no file may make it do."""


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _watching and (event in _watching or (event == "open" and _watching is FORBIDDEN and not _reads(args))):
        raise Finding(f"{event} {args!r:.200}")


def _reads(args: tuple[Any, ...]) -> bool:
    mode, flags = args[1], args[2]
    # Folders of the interpreter are read by lazy loaders of the libraries, never written.
    return not (set(mode or "") & set("wax+")) and not (isinstance(flags, int) and flags & 3)


@contextmanager
def watched(*, writes: bool = False) -> Iterator[None]:
    """Nothing forbidden may happen inside the block; unless it ``writes``, no file may be opened for that either."""
    global _watching
    if not getattr(watched, "installed", False):
        sys.addaudithook(_audit)
        watched.installed = True  # type: ignore[attr-defined]
    _watching = None if _warming else ALIVE if writes else FORBIDDEN
    try:
        yield
    finally:
        _watching = None


def fuzz_snapshot(data: bytes) -> None:
    """A snapshot file, as it is and with its digest made right, so that what lies behind the digest is reached."""
    for version in (data, repaired(data)):
        try:
            with watched():
                read = snapshot.decode(version)
        except SnapshotError:
            continue
        build(read)


def repaired(data: bytes) -> bytes:
    """The bytes with the digest that they should have, if they have room for one."""
    length = int.from_bytes(data[:8], "little")
    found = _DIGEST.search(data, 8, 8 + length) if length <= len(data) else None
    if found is None:
        return data
    blank = data[: found.start(1)] + b"0" * 64 + data[found.end(1) :]
    return data[: found.start(1)] + hashlib.sha256(blank).hexdigest().encode() + data[found.end(1) :]


def build(read: snapshot.Snapshot) -> None:
    """Make a model of what was read."""
    try:
        with watched():
            persistence._built(read)
    except SnapshotError:
        pass


_shapes: dict[str, Any] = {}


def fuzz_content(data: bytes) -> None:
    """The content of a snapshot whose arrays are those of a fitted model, or of a stream."""
    if not _shapes:
        _shapes.update(json.loads((HERE / "shapes.json").read_text()))
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(content, dict):
        arrays = {name: np.zeros(shape, dtype) for name, (dtype, shape) in _shapes.items()}
        build(snapshot.Snapshot(content, arrays, {}))


def fuzz_manifest(data: bytes) -> None:
    """The manifest of an exported model, beside the file that the corpus speaks of."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "state.bin").write_bytes(struct.pack("<4d", 1.0, 2.0, 3.0, 4.0))
        (folder / export_manifest.NAME).write_bytes(data)
        try:
            with watched():
                export_manifest.read(folder)
        except REFUSALS:
            pass


def fuzz_series(data: bytes) -> None:
    """A series in a file, with the options that are left to be found out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for missing in ("error", "drop", "keep"):
            try:
                with watched():
                    series = read_series(data, missing=missing, limit=1 << 20)
            except ValueError:
                continue
            if series.dtype != np.float64 or series.index.has_duplicates:
                raise Finding(f"{series!r:.300}")
            if missing != "keep" and not np.isfinite(series.to_numpy()).all():
                raise Finding(f"not finite: {series!r:.300}")


def fuzz_command(data: bytes) -> None:
    """Words of the command line and a small file: status 0, or 2 and a line that says why; nothing else comes out."""
    with watched(writes=True):
        status, errors = commands.run(data)
    last = errors.strip().splitlines()[-1:]
    if status not in (0, 2) or (status == 2 and not (last and last[0].startswith("usp"))) or "Traceback" in errors:
        raise Finding(f"status {status!r}: {errors[-2000:]}")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "snapshot": fuzz_snapshot,
    "content": fuzz_content,
    "manifest": fuzz_manifest,
    "series": fuzz_series,
    "command": fuzz_command,
}


def warm(target: str) -> None:
    """Run the corpus unwatched: what the libraries import when they are first used is not the files' doing."""
    global _warming
    _warming = True
    try:
        for name in ENCODINGS if target == "series" else ():
            codecs.lookup(name)
        for seed in sorted((CORPUS / target).iterdir()):
            TARGETS[target](seed.read_bytes())
    finally:
        _warming = False
