"""Processes that die while they save, in forks of one helper process; prints what was left, as JSON.

Run as ``python -m tests.io.crashing kills FOLDER COUNT SEED`` or ``… everything FOLDER READABLE``. Nothing of JAX has
run before a fork.
"""

import json
import os
import resource
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from usp_sklearn.io import durable, store
from usp_sklearn.io.schema import SnapshotError
from usp_sklearn.io.store import Store

CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir")
PIECE = 700
"""Bytes a patched write takes at once: the system may do so too."""


def save(keeper: Store, step: int) -> None:
    """A snapshot whose every part says its step."""
    keeper.save({"step": step}, {"x": np.full(200, float(step))})


def whole(folder: Path) -> int | None:
    """The step of the newest valid snapshot, if all of it is of that step; None if there is none."""
    try:
        read = Store(folder).load()
    except SnapshotError:
        return None
    step = int(read.content["step"])
    assert (read.arrays["x"] == step).all() and read.arrays["x"].shape == (200,)
    return step


class Dying:
    """The ``os`` module, but the k-th call of those that touch the disk is the process's last."""

    def __init__(self, k: int, phase: str, pipe: int) -> None:
        self.left, self.phase, self.pipe = k, phase, pipe

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if name == "write":
                args = (args[0], bytes(args[1][:PIECE]))
            if self.left == 0:
                os.write(self.pipe, name.encode())
                if self.phase == "torn" and name == "write":
                    os.write(args[0], args[1][: len(args[1]) // 2])
                if self.phase == "after":
                    real(*args, **kwargs)
                os._exit(9)
            return real(*args, **kwargs)

        return call


def boundaries(folder: Path, phase: str) -> list[dict[str, Any]]:
    """Die at every call in turn, each time in a copy of a folder with three snapshots."""
    out = []
    for k in range(1, 1000):
        here = folder / f"{phase}-{k}"
        keeper = Store(here, keep=3)
        for step in (1, 2, 3):
            save(keeper, step)
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            patched = Dying(k, phase, writer)
            durable.os = store.os = patched  # type: ignore[assignment, attr-defined]
            save(keeper, 4)
            os.write(writer, b"done")
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with open(reader) as pipe:
            call = pipe.read()
        found = whole(here)
        left = sorted(os.listdir(here))
        save(keeper, 5)
        out.append({"k": k, "call": call, "found": found, "left": left, "then": whole(here)})
        if call == "done":
            break
    return out


def kills(folder: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """SIGKILL at random moments to a process that saves again and again in one folder."""
    rng, out, step = np.random.default_rng(seed), [], 0
    for _ in range(count):
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            keeper = Store(folder, keep=3)
            while True:
                step += 1
                save(keeper, step)
                os.write(writer, struct.pack("<q", step))
        os.close(writer)
        with open(reader, "rb", buffering=0) as pipe:
            promised = struct.unpack("<q", pipe.read(8))[0]
            time.sleep(rng.uniform(0, 0.02))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            for (more,) in struct.iter_unpack("<q", pipe.read()):
                promised = more
        step = whole(folder) or 0
        out.append({"promised": promised, "found": step, "left": len(os.listdir(folder))})
    return out


def refused(folder: Path, how: str) -> dict[str, Any]:
    """Save where the system refuses: beyond a limit on the size of files, or as a user who may only read."""
    keeper = Store(folder, keep=3)
    save(keeper, 1)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        if how == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        else:
            os.chmod(folder, 0o555)
            if os.getuid() == 0:
                os.setuid(65534)
        try:
            save(keeper, 2)
            message = "saved"
        except OSError as error:
            message = f"{type(error).__name__}: {error}"
        os.write(writer, json.dumps({"message": message, "found": whole(folder)}).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as pipe:
        return {**json.loads(pipe.read()), "left": sorted(os.listdir(folder))}


def everything(folder: Path, readable: Path) -> dict[str, Any]:
    """All but the random kills, in one process."""
    (folder / "full").mkdir()
    return {
        **{phase: boundaries(folder, phase) for phase in ("before", "torn", "after")},
        "full": refused(folder / "full", "full"),
        "readonly": refused(readable, "readonly"),
    }


if __name__ == "__main__":
    mode, place, *rest = sys.argv[1:]
    if mode == "kills":
        print(json.dumps(kills(Path(place), int(rest[0]), int(rest[1]))))
    else:
        print(json.dumps(everything(Path(place), Path(rest[0]))))
