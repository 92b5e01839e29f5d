"""What is left after writers died, disks filled up or the power went: all that was promised, and never garbage."""

import errno
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from usp_sklearn.io import durable, snapshot, store
from usp_sklearn.io.store import Store

from .crashing import CALLS, PIECE, save, whole

ROOT = Path(__file__).resolve().parents[2]


def crashing(*arguments: object):
    command = [sys.executable, "-m", "tests.io.crashing", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ------------------------------------------------------------------ processes that die


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    with tempfile.TemporaryDirectory() as readable:
        # Reachable for the other user the helper becomes if it is root, whom permissions do not stop.
        os.chmod(readable, 0o755)
        return crashing("everything", tmp_path_factory.mktemp("left"), readable)


@pytest.mark.parametrize("phase", ["before", "torn", "after"])
def test_killed_at_every_boundary(left, phase):
    runs = left[phase]
    calls = [run["call"] for run in runs]
    # Every kind of call was reached, the data in several pieces, and the last run was not killed.
    assert calls[-1] == "done" and {"open", "write", "fsync", "close", "replace", "unlink"} <= set(calls)
    assert calls.count("write") >= 3
    for run in runs:
        replaced = calls.index("replace") + 1
        new = run["k"] > replaced or (run["k"] == replaced and phase == "after")
        assert run["found"] == (4 if new else 3), run
        assert len(run["left"]) <= 5
        # Whatever is left does not get into the way of the next one.
        assert run["then"] == 5


def test_killed_at_random_moments(tmp_path):
    runs = crashing("kills", tmp_path, 20, 0)
    assert len(runs) == 20
    for run in runs:
        # One more may have been finished than the dead process could tell.
        assert run["promised"] <= run["found"] <= run["promised"] + 1
        assert run["left"] <= 3 + 4


# ------------------------------------------------------------------ loss of power


class Disk:
    """What a disk may hold after a loss of power, from the calls that were made until then.

    Data of a file are certain once it was synced; until then any part of them may be missing or zero. Changes of the
    folder's entries are certain once the folder was synced; until then each may be missing, whatever the others do.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[tuple] = []
        self.names: dict[int, str | None] = {}

    def __getattr__(self, name: str):
        real = getattr(os, name)
        return getattr(self, f"_{name}_", None) or real

    def _open_(self, path, flags, *mode):
        descriptor = os.open(path, flags, *mode)
        self.names[descriptor] = None if os.path.isdir(path) else os.path.basename(path)
        if flags & os.O_CREAT:
            self.log.append(("create", os.path.basename(path)))
        return descriptor

    def _write_(self, descriptor, data):
        count = os.write(descriptor, data[:PIECE])
        self.log.append(("write", self.names[descriptor], bytes(data[:count])))
        return count

    def _fsync_(self, descriptor):
        name = self.names[descriptor]
        self.log.append(("sync folder",) if name is None else ("sync", name))
        os.fsync(descriptor)

    def _replace_(self, old, new):
        os.replace(old, new)
        self.log.append(("rename", os.path.basename(old), os.path.basename(new)))

    def _unlink_(self, path):
        os.unlink(path)
        self.log.append(("unlink", os.path.basename(path)))

    def states(self, log: list[tuple]):
        """All folders (name -> bytes) that may be found if the power goes after ``log``."""
        data: dict[int, bytes] = {}
        synced: dict[int, bytes] = {}
        entries: dict[str, int] = {}
        certain: dict[str, int] = {}
        pending: list[tuple] = []
        for kind, *what in log:
            if kind == "create":
                inode = len(data)
                data[inode] = synced[inode] = b""
                entries[what[0]] = inode
                pending.append(("set", what[0], inode))
            elif kind == "write":
                data[entries[what[0]]] += what[1]
            elif kind == "sync":
                synced[entries[what[0]]] = data[entries[what[0]]]
            elif kind == "rename":
                inode = entries.pop(what[0])
                entries[what[1]] = inode
                pending.append(("move", what[0], what[1], inode))
            elif kind == "unlink":
                del entries[what[0]]
                pending.append(("drop", what[0]))
            elif kind == "sync folder":
                certain, pending = dict(entries), []
        for happened in itertools.product((False, True), repeat=len(pending)):
            names = dict(certain)
            for (kind, *what), yes in zip(pending, happened, strict=True):
                if yes and kind == "set":
                    names[what[0]] = what[1]
                elif yes and kind == "move":
                    names.pop(what[0], None)
                    names[what[1]] = what[2]
                elif yes:
                    names.pop(what[0], None)
            for part in ("nothing", "half", "zeros", "all"):
                yield {name: self._left(data[i], synced[i], part) for name, i in names.items()}

    @staticmethod
    def _left(written: bytes, synced: bytes, part: str) -> bytes:
        if part == "all" or written == synced:
            return written
        half = len(synced) + (len(written) - len(synced)) // 2
        return {"nothing": synced, "half": written[:half], "zeros": synced + bytes(len(written) - len(synced))}[part]


@pytest.fixture
def disk(tmp_path, monkeypatch):
    made = Disk(tmp_path / "disk")
    made.folder.mkdir()
    monkeypatch.setattr(durable, "os", made)
    monkeypatch.setattr(store, "os", made)
    return made


def found_after(disk: Disk, log: list[tuple], folder: Path):
    """Folders that may be found, each once, written to ``folder`` one after the other."""
    folder.mkdir(exist_ok=True)
    seen = set()
    for state in disk.states(log):
        key = tuple(sorted(state.items()))
        if key in seen:
            continue
        seen.add(key)
        for old in folder.iterdir():
            old.unlink()
        for name, data in state.items():
            (folder / name).write_bytes(data)
        yield state


@pytest.mark.filterwarnings("ignore::usp_sklearn.io.store.SnapshotWarning")
@pytest.mark.parametrize("keep", [1, 2])
def test_power_lost_after_every_call(disk, tmp_path, monkeypatch, keep):
    keeper = Store(disk.folder, keep=keep)
    for step in range(1, 5):
        save(keeper, step)
        disk.log.append(("promised", step))
    monkeypatch.undo()
    count = 0
    for stop in range(len(disk.log) + 1):
        log = disk.log[:stop]
        promised = max((what[0] for kind, *what in log if kind == "promised"), default=None)
        for state in found_after(disk, [e for e in log if e[0] != "promised"], tmp_path / "found"):
            found = whole(tmp_path / "found")
            assert (found or 0) in ((promised or 0), (promised or 0) + 1), (log, sorted(state))
            count += 1
    assert count > 100


def test_power_lost_while_a_file_is_replaced(disk, tmp_path, monkeypatch):
    path = disk.folder / "model.usp"
    for step in (1, 2, 3):
        snapshot.write(path, {"step": step}, {"x": np.full(200, float(step))})
        disk.log.append(("promised", step))
    monkeypatch.undo()
    for stop in range(len(disk.log) + 1):
        log = disk.log[:stop]
        promised = max((what[0] for kind, *what in log if kind == "promised"), default=0)
        for state in found_after(disk, [e for e in log if e[0] != "promised"], tmp_path / "found"):
            if "model.usp" not in state:
                assert promised == 0
                continue
            assert snapshot.read(tmp_path / "found" / "model.usp").content["step"] in (promised, promised + 1)


def test_the_model_of_a_disk_finds_missing_syncs(disk, tmp_path, monkeypatch):
    """The test of the tests above: without either sync something promised is lost or broken."""
    save(Store(disk.folder), 1)
    monkeypatch.undo()
    full = disk.log
    for missing in ("sync", "sync folder"):
        log = [e for e in full if e[0] != missing]
        assert None in [whole(tmp_path / "found") for _ in found_after(disk, log, tmp_path / "found")]
    assert {whole(tmp_path / "found") for _ in found_after(disk, full, tmp_path / "found")} == {1}


# ------------------------------------------------------------------ errors of the system


class Failing:
    """The ``os`` module, but the k-th call of ``name`` fails with ``code``; writes take a piece at a time."""

    def __init__(self, name: str, k: int, code: int) -> None:
        self.name, self.left, self.code, self.failed = name, k, code, False

    def __getattr__(self, name: str):
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*args, **kwargs):
            if name == self.name:
                self.left -= 1
                if self.left == 0:
                    self.failed = True
                    raise OSError(self.code, os.strerror(self.code))
            return real(args[0], args[1][:PIECE]) if name == "write" else real(*args, **kwargs)

        return call


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("open", (errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EMFILE)),
        ("write", (errno.ENOSPC, errno.EDQUOT, errno.EIO)),
        ("fsync", (errno.EIO, errno.ENOSPC)),
        ("close", (errno.EIO,)),
        ("replace", (errno.EIO, errno.EROFS)),
        ("unlink", (errno.EACCES,)),
    ],
)
def test_every_error_of_the_system_at_every_call(tmp_path, monkeypatch, name, codes):
    for code in codes:
        for k in itertools.count(1):
            folder = tmp_path / f"{code}-{k}"
            keeper = Store(folder, keep=2)
            save(keeper, 1), save(keeper, 2)
            failing = Failing(name, k, code)
            with monkeypatch.context() as patch:
                patch.setattr(durable, "os", failing)
                patch.setattr(store, "os", failing)
                try:
                    save(keeper, 3)
                    error = None
                except OSError as caught:
                    error = caught
            if not failing.failed:
                assert k > 1
                break
            done = {"snapshot-00000003.usp"} <= set(os.listdir(folder))
            if error is not None:
                assert error.errno == code and os.strerror(code) in str(error)
                assert ("is whole, but may not survive" if done else "what was there before is unchanged") in str(error)
                assert "snapshot-00000003.usp" in str(error)
            else:
                # What can't be removed any more is no reason to fail.
                assert name == "unlink" and done
            assert not [n for n in os.listdir(folder) if n.endswith(".tmp")] or name in ("unlink", "close")
            assert whole(folder) == (3 if done else 2)
            save(keeper, 4)
            assert whole(folder) == 4


def test_a_full_disk(left):
    result = left["full"]
    assert "what was there before is unchanged (File too large)" in result["message"]
    assert result["found"] == 1 and result["left"] == ["snapshot-00000001.usp"]


def test_a_folder_that_may_only_be_read(left):
    result = left["readonly"]
    assert result["message"].startswith("PermissionError: ")
    assert "what was there before is unchanged" in result["message"]
    assert result["found"] == 1 and result["left"] == ["snapshot-00000001.usp"]
