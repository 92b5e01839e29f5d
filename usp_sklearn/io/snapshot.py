"""Snapshot files: named arrays and a JSON content in one binary file, verified before anything in it is used.

The file is a safetensors file: eight bytes with the length of a JSON header, the header, the arrays' bytes one after
the other. Its ``__metadata__`` holds

    kind      usp-snapshot
    schema    the version of the content, see :mod:`usp_sklearn.io.schema`
    versions  of the libraries it was written with (JSON)
    content   what the arrays mean (JSON)
    sha256    of the whole file with this field's 64 digits as zeros

Reading interprets nothing before size and digest are found to be right, and then only JSON and plain numbers: there is
no pickle in it, nothing is executed and nothing is imported. The digest shows damage; it is no signature.
"""

import hashlib
import json
import os
import platform
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as tensors
from safetensors.numpy import save as serialised

from . import durable
from .schema import SCHEMA, Arrays, Content, SnapshotError, migrated

KIND = "usp-snapshot"
LIMIT = 1 << 30
"""Bytes a snapshot may have unless the caller says otherwise."""
HEADER = 1 << 23
"""Bytes its header may have: JSON takes twenty times its length in memory, arrays only their own."""
DTYPES = ("float64", "float32", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool")
_DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_BLANK = "0" * 64


class Snapshot(NamedTuple):
    """What a snapshot file holds, in the newest schema."""

    content: Content
    arrays: Arrays
    versions: dict[str, str]
    """libraries it was written with"""


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Name and version of what the numbers in a snapshot depend on."""
    names = ("usp-sklearn", "jax", "jaxlib", "numpy", "scikit-learn")
    return (("python", platform.python_version()), *((name, version(name)) for name in names))


def encode(content: Content, arrays: Arrays) -> bytes:
    """The bytes of a snapshot file.

    Parameters
    ----------
    content : dict
        JSON values; no number that is not finite.
    arrays : dict of arrays
        Numbers and booleans of any shape, little-endian in the file.
    """
    for name, x in arrays.items():
        if x.dtype.name not in DTYPES:
            raise TypeError(f"A snapshot holds numbers and booleans only. Got {name} of type {x.dtype} instead.")
    metadata = {
        "kind": KIND,
        "schema": str(SCHEMA),
        "versions": json.dumps(dict(versions())),
        "content": json.dumps(content, allow_nan=False),
        "sha256": _BLANK,
    }
    data = bytearray(serialised({name: np.asarray(x, order="C") for name, x in arrays.items()}, metadata))
    length = int.from_bytes(data[:8], "little")
    if length > HEADER:
        raise ValueError(f"A snapshot's header may have {HEADER} bytes. Got {length} instead.")
    found = _DIGEST.search(data, 8, 8 + length)
    assert found is not None and found[1] == _BLANK.encode()
    data[found.start(1) : found.end(1)] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def decode(data: bytes) -> Snapshot:
    """What the bytes of a snapshot file hold; anything wrong with them is a :class:`SnapshotError`.

    >>> snapshot = decode(encode({"unit": "m"}, {"x": np.arange(3.0)}))
    >>> snapshot.content, snapshot.arrays
    ({'unit': 'm'}, {'x': array([0., 1., 2.])})
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise SnapshotError("it is no snapshot, or cut off")
    if length > HEADER:
        raise SnapshotError(f"its header has {length} bytes, more than the limit of {HEADER}")
    found = _DIGEST.search(data, 8, 8 + length)
    if found is None:
        raise SnapshotError("it is no snapshot, or damaged: there is no digest in it")
    digest = hashlib.sha256(data[: found.start(1)])
    digest.update(_BLANK.encode())
    digest.update(memoryview(data)[found.end(1) :])
    if digest.hexdigest().encode() != found[1]:
        raise SnapshotError("it is damaged: its bytes are not those its digest was made of")
    try:
        # As text: of bytes, json would look for an encoding and import it.
        metadata = json.loads(str(data[8 : 8 + length], "utf-8"))["__metadata__"]
        if metadata["kind"] != KIND:
            raise SnapshotError(f"it is no snapshot but {metadata['kind']!r}")
        schema, content, written = int(metadata["schema"]), json.loads(metadata["content"]), metadata["versions"]
        arrays = {name: _checked(name, x) for name, x in tensors(data).items()}
        made_with = {str(k): str(v) for k, v in json.loads(written).items()}
        return Snapshot(*migrated(schema, dict(content), arrays), made_with)
    except SnapshotError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise SnapshotError(f"its header makes no sense ({type(error).__name__}: {error})") from error


def write(path: str | os.PathLike[str], content: Content, arrays: Arrays) -> None:
    """Write a snapshot to ``path``, replacing what is there; when this returns, it survives a loss of power."""
    durable.replace(Path(path), encode(content, arrays))


def read(path: str | os.PathLike[str], *, limit: int = LIMIT) -> Snapshot:
    """Read and verify the snapshot at ``path``.

    Parameters
    ----------
    limit : int
        Bytes the file may have. Nothing larger than the file itself is ever allocated for one piece of it.
    """
    try:
        return decode(durable.read(Path(path), limit))
    except ValueError as error:
        raise SnapshotError(f"{os.fspath(path)} can't be loaded: {error}.") from error


def _checked(name: str, x: NDArray[Any]) -> NDArray[Any]:
    if x.dtype.name not in DTYPES:
        raise SnapshotError(f"it holds {name} of type {x.dtype}")
    if x.dtype == np.bool_ and x.size and x.view(np.uint8).max() > 1:
        raise SnapshotError(f"it holds {name} with booleans that are neither true nor false")
    return x
