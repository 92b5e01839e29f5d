"""Store: a folder of numbered snapshots, of which the newest few are kept and the newest valid one is loaded."""

import os
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from numbers import Integral
from pathlib import Path
from typing import Any

from . import durable
from .schema import Arrays, Content, SnapshotError
from .snapshot import LIMIT, Snapshot, decode, encode

_NAME, _DRAFT = re.compile(r"snapshot-(\d{8,18})\.usp"), re.compile(r"\.snapshot-(\d{8,18})\.tmp")
_ATTEMPTS = 1000


class SnapshotWarning(UserWarning):
    """A snapshot was passed over."""


class Store:
    """Numbered snapshots ``snapshot-00000001.usp``, ``snapshot-00000002.usp``, … in one folder.

    A snapshot is there once :meth:`save` has returned, whatever happens afterwards; older ones are removed only then.
    Several processes may save into one folder: none overwrites another's snapshot.

    Parameters
    ----------
    folder : path
        Made when the first snapshot is saved.
    keep : int
        Newest snapshots that stay.
    limit : int
        Bytes a snapshot may have when it is loaded.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> store = Store(tempfile.mkdtemp())
    >>> store.save({"step": 1}, {"x": np.zeros(2)}).name
    'snapshot-00000001.usp'
    >>> store.load().content
    {'step': 1}
    """

    def __init__(self, folder: str | os.PathLike[str], keep: Any = 5, *, limit: int = LIMIT) -> None:
        if not isinstance(keep, Integral) or isinstance(keep, bool) or keep < 1:
            raise ValueError(f"The 'keep' parameter of Store must be an int of at least 1. Got {keep!r} instead.")
        self.folder = Path(folder)
        self.keep = int(keep)
        self.limit = limit

    def paths(self) -> list[Path]:
        """The snapshots in the folder, oldest first, valid or not."""
        return [self._path(number) for number in self._numbers(_NAME)]

    def save(self, content: Content, arrays: Arrays) -> Path:
        """Add a snapshot and remove those that are no longer among the newest ``keep``; returns its path."""
        data = encode(content, arrays)
        durable.make_folder(self.folder)
        number, descriptor, draft = self._claim()
        path = self._path(number)
        durable.finish(descriptor, draft, path, data)
        self._prune()
        return path

    def load(self, build: Callable[[Snapshot], Any] = lambda snapshot: snapshot) -> Any:
        """The newest valid snapshot, or what ``build`` makes of it.

        A newer one that is damaged, or that ``build`` refuses with a SnapshotError, is passed over with a warning
        that names it.
        """
        skipped: list[str] = []
        for path in reversed(self.paths()):
            try:
                built = build(decode(durable.read(path, self.limit)))
            except FileNotFoundError:
                # Another process saved and removed meanwhile.
                continue
            except (ValueError, OSError) as error:
                skipped.append(f"{path.name}: {error}.")
                continue
            if skipped:
                message = f"{path.name} is loaded, as newer snapshots are not valid. {' '.join(skipped)}"
                warnings.warn(message, SnapshotWarning, stacklevel=2)
            return built
        reasons = " ".join(skipped) or "There is none."
        raise SnapshotError(f"{self.folder} holds no valid snapshot. {reasons}")

    # ------------------------------------------------------------------ plumbing

    def _path(self, number: int) -> Path:
        return self.folder / f"snapshot-{number:08d}.usp"

    def _draft(self, number: int) -> Path:
        return self.folder / f".snapshot-{number:08d}.tmp"

    def _numbers(self, pattern: re.Pattern[str]) -> list[int]:
        with suppress(FileNotFoundError):
            return sorted(int(m[1]) for name in os.listdir(self.folder) if (m := pattern.fullmatch(name)))
        return []

    def _claim(self) -> tuple[int, int, Path]:
        """The next number, with the draft that makes it this writer's own.

        Only who holds a number's draft may rename it into place, so a number that is free after the draft was
        made stays free. A draft that a killed writer left behind costs a number and is removed by a later save.
        """
        first = max((0, *self._numbers(_NAME))) + 1
        for number in range(first, first + _ATTEMPTS):
            draft = self._draft(number)
            try:
                descriptor = durable.create(draft, self._path(number))
            except FileExistsError:
                continue
            if not self._path(number).exists():
                return number, descriptor, draft
            os.close(descriptor)
            os.unlink(draft)
        raise SnapshotError(f"{self.folder} is full of drafts: {_ATTEMPTS} numbers in a row are taken.")

    def _prune(self) -> None:
        numbers = self._numbers(_NAME)
        if len(numbers) <= self.keep:
            return
        oldest = numbers[-self.keep]
        old = [self._path(n) for n in numbers if n < oldest]
        old += [self._draft(n) for n in self._numbers(_DRAFT) if n < oldest]
        for path in old:
            # What can't be removed is no reason to fail: the new snapshot is safe.
            with suppress(OSError):
                os.unlink(path)
