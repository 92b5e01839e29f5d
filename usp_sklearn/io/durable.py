"""Files that are either as they were or whole: written beside their place, synced, renamed, the folder synced.

The order is what makes it hold (Pillai et al. 2014): data reach the disk before the name does, and the name before
the call returns. Whatever interrupts the writing, a reader finds the old file or the new one.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

# Absent on some systems, where a folder can't be opened either and a rename is all there is.
_CLOEXEC, _BINARY = getattr(os, "O_CLOEXEC", 0), getattr(os, "O_BINARY", 0)
_NONBLOCK, _DIRECTORY = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_DIRECTORY", 0)


def replace(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``; when this returns, it survives a loss of power.

    Whatever fails, it is an OSError that says what is at ``path`` now.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    finish(create(draft, path), draft, path, data)


def create(draft: Path, path: Path) -> int:
    """Open ``draft``, which must not be there yet, to be filled and renamed to ``path``."""
    with _explained(path):
        return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC | _BINARY, 0o666)


def finish(descriptor: int, draft: Path, path: Path, data: bytes) -> None:
    """Fill the open file ``draft`` and rename it to ``path``, durably."""
    with _explained(path):
        try:
            try:
                _write(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(draft, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise
    try:
        sync_folder(path.parent)
    except OSError as error:
        what = f"is whole, but may not survive a loss of power ({error.strerror})"
        raise OSError(error.errno, what, str(path)) from error


def sync_folder(folder: Path) -> None:
    """Make renames and removals in ``folder`` survive a loss of power."""
    if not _DIRECTORY:
        return
    descriptor = os.open(folder, os.O_RDONLY | _DIRECTORY | _CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it, so that it survives a loss of power."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        os.mkdir(folder)
    sync_folder(folder.parent)


def read(path: Path, limit: int) -> bytes:
    """The whole of a regular file of at most ``limit`` bytes; its size is looked at before anything is allocated."""
    # Without waiting: a named pipe would keep the reader for ever.
    descriptor = os.open(path, os.O_RDONLY | _NONBLOCK | _CLOEXEC | _BINARY)
    with open(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        if status.st_size > limit:
            raise ValueError(f"it has {status.st_size} bytes, more than the limit of {limit}")
        data = file.read(status.st_size)
        while len(data) < status.st_size and (more := file.read(status.st_size - len(data))):
            data += more
    if len(data) != status.st_size:
        raise ValueError("it changed while it was read")
    return data


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class _explained:
    """Errors of the system say that the old file is still there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno is not None:
            what = f"could not be written, what was there before is unchanged ({error.strerror})"
            raise OSError(error.errno, what, str(self.path)) from error
