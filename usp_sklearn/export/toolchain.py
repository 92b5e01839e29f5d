"""The compiler and linker of the native route, and the wheel whose ahead-of-time compiler it uses."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

TENSORFLOW = "2.21.0"
"""The version whose compiler's output :mod:`usp_sklearn.export.program` reads."""


class Compiler(NamedTuple):
    """Commands of the C and the C++ compiler."""

    c: tuple[str, ...]
    cxx: tuple[str, ...]


def compiler() -> Compiler:
    """``$CC`` and ``$CXX``, by default gcc and g++."""
    found = []
    for variable, default in (("CC", "gcc"), ("CXX", "g++")):
        words = tuple(shlex.split(os.environ.get(variable) or default))
        if shutil.which(words[0]) is None:
            raise RuntimeError(
                f"The format 'native' needs a C and a C++ compiler: {words[0]!r} was not found. Set {variable}."
            )
        found.append(words)
    return Compiler(*found)


def check_tensorflow() -> None:
    """The wheel is of the version this package was made for."""
    versions = [_version(name) for name in ("tensorflow-cpu", "tensorflow")]
    if TENSORFLOW not in versions:
        raise RuntimeError(
            f"The format 'native' needs tensorflow-cpu {TENSORFLOW}: pip install 'usp-sklearn[export]'. "
            f"Found {versions[0] or versions[1] or 'none'}."
        )


def run(command: Sequence[str | os.PathLike[str]], env: Mapping[str, str] | None = None) -> str:
    """Run a command; when it fails, what it said becomes the exception's."""
    words = [os.fspath(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stderr or done.stdout)[-3000:]
        raise RuntimeError(f"{Path(words[0]).name} failed with status {done.returncode}: {shlex.join(words)}\n{said}")
    return done.stdout


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
