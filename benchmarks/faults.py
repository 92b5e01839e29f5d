"""Recovery after injected faults: how often a promised snapshot was lost, and how long until the next law is issued.

    python benchmarks/snapshot.py --faults [--estimator JKOPredictor] [--runs 20]

A writer process saves snapshots of a stream, one after the other, and comes to harm in one of six ways. Then a stream
is restored from what it left and given the next value. A run is a loss if what is restored is older than the last
snapshot that the writer was told is safe (or, where the newest file was damaged afterwards, than the one before it).
Times are from the call of ``restore`` to the law, in a process that is warm, and from the start of a new process.
"""

import json
import os
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from tests.io.crashing import Dying

STEPS = 12
"""Snapshots that are prepared, a value apart; a writer that saves more begins again."""
NAMESPACE = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size="$0" usp "$1" && shift 1 && exec "$@"')
"""Runs a command with a small disk of its own, where the system lets users have name spaces."""


# ------------------------------------------------------------------ the writer's side


def prepared(source: Path) -> list[tuple[Any, Any]]:
    """Contents and arrays of the prepared snapshots."""
    from usp_sklearn.io import snapshot

    return [snapshot.read(path)[:2] for path in sorted(source.iterdir())]


def writer(how: str, source: Path, folder: Path, argument: str) -> None:
    """In a process of its own: save, and come to harm. Numbers on stdout are promises: that step is safe."""
    from usp_sklearn.io import durable, store

    steps, keeper = prepared(source), store.Store(folder, keep=3)

    def save(step: int) -> None:
        keeper.save(*steps[step % STEPS])
        os.write(1, struct.pack("<q", step))

    for step in range(3):
        save(step)
    if how == "boundary":
        k, phase = argument.split("-")
        durable.os = store.os = Dying(int(k), phase, os.open(os.devnull, os.O_WRONLY))  # type: ignore[assignment]
        save(3)
    elif how == "kill":
        for step in range(3, 1 << 40):
            save(step)
    elif how == "full":
        spare = os.statvfs(folder).f_bfree * os.statvfs(folder).f_frsize
        if spare < 1 << 26:
            # Half a snapshot's room is left.
            (folder / "ballast").write_bytes(bytes(max(spare - len(_bytes(steps[3])) // 2, 0)))
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    elif how == "readonly":
        os.chmod(folder, 0o555)
        if os.getuid() == 0:
            os.setuid(65534)
    if how in ("full", "readonly"):
        try:
            save(3)
        except OSError:
            os.write(1, struct.pack("<q", -1))
        # The disk is there as long as this process.
        sys.stdin.read()


def _bytes(step: tuple[Any, Any]) -> bytes:
    from usp_sklearn.io import snapshot

    return snapshot.encode(*step)


# ------------------------------------------------------------------ the faults


def start(how: str, source: Path, folder: Path, argument: str = "", before: tuple[str, ...] = ()) -> Any:
    """The writer, as it runs."""
    command = [*before, sys.executable, "-m", "benchmarks.faults", "writer", how, str(source), str(folder), argument]
    root = Path(__file__).resolve().parent.parent
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root)


def promises(out: bytes) -> int:
    """The last step that the writer was told is safe."""
    return max(value for (value,) in struct.iter_unpack("<q", out[: len(out) // 8 * 8]))


@contextmanager
def boundary(source: Path, folder: Path, rng: Any) -> Iterator[tuple[Path, int, int]]:
    """Killed before, in or after one of the system's calls of a save."""
    pieces = -(-max(p.stat().st_size for p in source.iterdir()) // 700)
    phase = ("before", "torn", "after")[rng.integers(3)]
    # As often at the calls around the data as within the data.
    k = rng.integers(1, pieces + 1) if rng.random() < 0.5 else pieces + rng.integers(-3, 8)
    done = start("boundary", source, folder, f"{k}-{phase}")
    last = promises(done.communicate()[0])
    yield folder, last, last + 1


@contextmanager
def killed(source: Path, folder: Path, rng: Any) -> Iterator[tuple[Path, int, int]]:
    """SIGKILL at a random moment to a writer that saves again and again."""
    process = start("kill", source, folder)
    out = process.stdout.read(8 * 4)
    time.sleep(rng.uniform(0, 0.2))
    process.kill()
    out += process.communicate()[0]
    last = promises(out)
    yield folder, last, last + 1


def damaged(damage: Callable[[bytearray, Any], bytes]) -> Any:
    """The newest of the snapshots is not what was written; the one before it must be found."""

    @contextmanager
    def fault(source: Path, folder: Path, rng: Any) -> Iterator[tuple[Path, int, int]]:
        folder.mkdir(exist_ok=True)
        for i, path in enumerate(sorted(source.iterdir())[:4]):
            shutil.copy(path, folder / f"snapshot-{i + 1:08d}.usp")
        newest = max(folder.iterdir())
        newest.write_bytes(damage(bytearray(newest.read_bytes()), rng))
        yield folder, 2, 2

    return fault


def flipped(data: bytearray, rng: Any) -> bytes:
    """One bit is another."""
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(data)


def refusing(how: str) -> Any:
    """The system refuses the save; the writer goes on and the old snapshots stay."""

    @contextmanager
    def fault(source: Path, folder: Path, rng: Any) -> Iterator[tuple[Path, int, int]]:
        folder.mkdir(exist_ok=True)
        room = 6 * max(p.stat().st_size for p in source.iterdir())
        small = how == "full" and namespaces()
        process = start(how, source, folder, before=(*NAMESPACE, str(room), str(folder)) if small else ())
        out = process.stdout.read(8 * 4)
        assert promises(out[-8:]) == -1, "the system did not refuse"
        yield Path(f"/proc/{process.pid}/root{folder}") if small else folder, 2, 2
        process.communicate(b"")
        os.chmod(folder, 0o755)

    return fault


def namespaces() -> bool:
    """Whether a user may mount a disk in a name space here."""
    with tempfile.TemporaryDirectory() as folder:
        return not subprocess.run([*NAMESPACE, "64k", folder, "true"], capture_output=True).returncode


FAULTS: dict[str, Any] = {
    "killed at a call of the system": boundary,
    "SIGKILL at a random moment": killed,
    "newest cut off": damaged(lambda data, rng: bytes(data[: rng.integers(len(data))])),
    "newest with a flipped bit": damaged(flipped),
    "full disk": refusing("full"),
    "folder that may only be read": refusing("readonly"),
}


# ------------------------------------------------------------------ recovery


def recover(folder: str, value: float) -> tuple[int, float, float]:
    """Restore and issue a law: values the stream had seen, and seconds of both."""
    from usp_sklearn import Stream

    begin = time.perf_counter()
    stream = Stream.restore(folder)
    restored, seen = time.perf_counter(), stream.buffer.context.count
    assert np.isfinite(stream.push(value).median())
    return seen, restored - begin, time.perf_counter() - begin


def report(model: Any, series: Any, cache: Path, runs: int, fresh: int) -> None:
    """Every fault ``runs`` times, a new process ``fresh`` of them; a line of the table each."""
    import usp_sklearn as usp
    from usp_sklearn.io.store import SnapshotWarning

    warnings.simplefilter("ignore", SnapshotWarning)
    rng = np.random.default_rng(0)
    print(f"full disk: {'a tmpfs in a name space' if namespaces() else 'a limit on the size of files'}\n")
    print(f"{'':<34}{'':>6}{'':>8}{'restore and law, ms':>22}{'new process, s':>20}")
    print(f"{'fault':<34}{'runs':>6}{'losses':>8}{'median':>11}{'worst':>11}{'median':>10}{'worst':>10}")
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        source = Path(name) / "source"
        source.mkdir()
        windows = usp.SlidingWindow(width=model.width).fit(series[:, None])
        stream = usp.Stream(model, series[:-STEPS], windows)
        first = stream.buffer.context.count
        for i, value in enumerate(series[-STEPS:]):
            usp.save(stream, source / f"{i:02d}.usp")
            stream.push(value)
        total = [0, 0]
        for kind, fault in FAULTS.items():
            times, processes, losses = [], [], 0
            for run in range(runs):
                with fault(source, Path(name) / f"{kind[:4]}{run}", rng) as (folder, least, most):
                    seen, _, seconds = recover(str(folder), series[-1])
                    losses += seen - first not in (least % STEPS, most % STEPS)
                    times.append(1e3 * seconds)
                    if run < fresh:
                        processes.append(new_process(folder, series[-1], cache))
            total = [total[0] + runs, total[1] + losses]
            row = f"{kind:<34}{runs:>6}{losses:>8}{statistics.median(times):>11.1f}{max(times):>11.1f}"
            print(f"{row}{statistics.median(processes):>10.2f}{max(processes):>10.2f}", flush=True)
        print(f"{'all':<34}{total[0]:>6}{total[1]:>8}")


def new_process(folder: Path, value: float, cache: Path) -> float:
    """Seconds from the start of a process to its first law, with the programs compiled before."""
    root, begin = Path(__file__).resolve().parent.parent, time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.faults", "recover", str(folder), repr(float(value)), str(cache)]
    subprocess.run(command, check=True, capture_output=True, cwd=root)
    return time.perf_counter() - begin


if __name__ == "__main__":
    mode, *rest = sys.argv[1:]
    if mode == "writer":
        writer(rest[0], Path(rest[1]), Path(rest[2]), rest[3])
    else:
        common.one_thread()
        import usp_sklearn

        usp_sklearn.configure(cache_dir=rest[2])
        print(json.dumps(recover(rest[0], float(rest[1]))))
