"""The command line as a function of bytes: words, one a line, then an empty line and the file ``data.csv``.

Nothing is trained: the compiled fit says that it does not take place, so what is fuzzed is all before it. Words are
kept from leaving the folder, from starting processes and from waiting for a file to grow.
"""

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from usp_sklearn import cli
from usp_sklearn.core import engine

WAITING = ("--follow", "--jobs")
"""Words that are left out: the first waits for ever, the second starts processes."""


class Untrained(ValueError):
    """What is fuzzed ends where training begins."""


def taken_apart(data: bytes) -> tuple[list[str], bytes]:
    """The words, as a system would hand them over, and the file."""
    head, _, file = data.partition(b"\n\n")
    words = [os.fsdecode(word).replace("\0", "").replace("/", "_") for word in head.split(b"\n")]
    words = [word for word in words if not word.startswith(WAITING)]
    return words[:1] + ["--no-follow"] * (words[:1] == ["stream"]) + words[1:], file


def run(data: bytes) -> tuple[int, str]:
    """Exit status and stderr of the command in a folder of its own, two below one that is thrown away."""
    words, file = taken_apart(data)
    with tempfile.TemporaryDirectory() as root, _inside(Path(root) / "a" / "b", file), _streams() as errors:
        status: Any = cli.main(words)
        errors.flush()
        return status, errors.buffer.getvalue().decode()


@contextlib.contextmanager
def _inside(folder: Path, file: bytes) -> Iterator[None]:
    folder.mkdir(parents=True)
    (folder / "data.csv").write_bytes(file)
    before, cache, fit = os.getcwd(), os.environ.get("USP_CACHE"), engine.programs.fit

    def untrained(*_: Any) -> Any:
        raise Untrained("nothing is trained here")

    os.chdir(folder)
    os.environ["USP_CACHE"] = "off"
    engine.programs.fit = untrained
    try:
        yield
    finally:
        engine.programs.fit = fit
        os.chdir(before)
        os.environ.pop("USP_CACHE") if cache is None else os.environ.update(USP_CACHE=cache)


@contextlib.contextmanager
def _streams() -> Iterator[Any]:
    """The three standard streams as they are in a process: strict but for stderr; stdin is the file."""
    before, kept, file = (sys.stdout, sys.stderr), os.dup(0), os.open("data.csv", os.O_RDONLY)
    os.dup2(file, 0)
    sys.stdout = io.TextIOWrapper(io.BytesIO(), "utf-8")
    sys.stderr = errors = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    try:
        yield errors
    finally:
        sys.stdout, sys.stderr = before
        os.dup2(kept, 0)
        os.close(kept), os.close(file)
