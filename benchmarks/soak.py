"""Endurance: a stream pushed a million times. Resident memory, latency, and the last steps once more from a snapshot.

    python benchmarks/soak.py [--steps 1000000] [--estimator LevyPredictor]

With all telemetry sinks on and a checkpoint at every twentieth of the way. A new process restores the checkpoint that
was made ``--replay`` steps before the end, pushes the same values, and must give the same laws and records to the last
bit. The exit status is 1 if it does not, or if resident memory grew by more than 1 % after the first tenth.
"""

import argparse
import gc
import hashlib
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

common.one_thread()

import numpy as np  # noqa: E402  (thread counts must be set before the numerical libraries start)

WIDTH, FITTED, BLOCK = 32, 1200, 4096
GROWTH = 0.01


def values(start: int, stop: int) -> Iterator[float]:
    """A mean-reverting series with heavy tails, the same however it is cut; block after block, never all of it."""
    level = 0.0
    for block in range(stop // BLOCK + 1):
        noise = np.random.default_rng(block).standard_t(4, size=BLOCK)
        for i, x in enumerate(noise, block * BLOCK):
            level = 0.999 * level + x
            if start <= i < stop:
                yield 100.0 + level


def feed(digest: Any, law: Any, record: dict[str, Any]) -> None:
    """All numbers of one step into a digest."""
    for x in law.law:
        digest.update(np.asarray(x).tobytes())
    digest.update(repr(sorted(record.items())).encode())


def replay(folder: str, start: int, stop: int) -> None:
    """In a fresh process: restore, push the values from ``start`` to ``stop``, print the digest of what came out."""
    import usp_sklearn as usp

    stream, digest = usp.Stream.restore(folder), hashlib.sha256()
    for value in values(start, stop):
        feed(digest, stream.push(value), stream.telemetry_)
    print(digest.hexdigest())


class Memory:
    """Resident memory of this process, MiB, now and then."""

    def __init__(self) -> None:
        import psutil

        self._process = psutil.Process()
        self.samples: list[float] = []

    def sample(self) -> None:
        """One more value."""
        gc.collect()
        self.samples.append(self._process.memory_info().rss / 2**20)

    def growth(self) -> tuple[float, float, float]:
        """Medians of the second and the last tenth of the way, and the share by which it grew."""
        tenth = max(1, len(self.samples) // 10)
        early, late = (float(np.median(x)) for x in (self.samples[tenth : 2 * tenth], self.samples[-tenth:]))
        return early, late, late / early - 1


def soak(estimator: str, steps: int, tail: int, folder: Path) -> tuple[np.ndarray, Memory, str]:
    """Push ``steps`` values; latencies in seconds, memory, and the digest of the last ``tail`` steps."""
    import usp_sklearn as usp
    from usp_sklearn.io.telemetry import Background, Events, JsonLines, Metrics, Tee

    history = np.fromiter(values(0, FITTED), float)
    windows = usp.SlidingWindow(width=WIDTH, season=None).fit(history[:, None])
    X, y = usp.sliding_window(history, width=WIDTH, season=None)
    model = common.estimator_class(estimator)(**windows.layout, random_state=0).fit(X, y)
    stream = usp.Stream(model, history, windows)
    logging.getLogger("usp_sklearn").addHandler(logging.FileHandler(folder / "events.log"))
    lines = JsonLines(folder / "risk.jsonl", max_bytes=1_000_000)
    sink = Background(Tee(lines, Metrics(), Events(recovery=1000)))
    memory, digest = Memory(), hashlib.sha256()
    # Written once now, so that its pages are not counted as growth later.
    took = np.full(steps, np.nan)
    every, sampled = max(1, steps // 20), max(1, steps // 200)
    for i, value in enumerate(values(FITTED, FITTED + steps)):
        if i == steps - tail:
            stream.checkpoint(folder / "tail")
        start = time.perf_counter()
        law = stream.push(value)
        took[i] = time.perf_counter() - start
        record = stream.telemetry_
        sink.write(record | {"step_seconds": took[i]})
        if i >= steps - tail:
            feed(digest, law, record)
        if i % every == 0:
            stream.checkpoint(folder / "checkpoints")
            print(f"\r{i:>9} of {steps}", end="", file=sys.stderr, flush=True)
        if i % sampled == 0:
            memory.sample()
    print("\r", end="", file=sys.stderr)
    sink.close()
    return took, memory, digest.hexdigest()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument(
        "--estimator", default="LevyPredictor", choices=[e for e in common.ESTIMATORS if e != "JKOEnsemble"]
    )
    parser.add_argument("--replay", type=int, default=10_000, help="last steps that are done once more")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        replay(args.child[0], int(args.child[1]), int(args.child[2]))
        return 0
    tail = min(args.replay, args.steps)
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), time.perf_counter()
        took, memory, digest = soak(args.estimator, args.steps, tail, folder)
        print(f"{args.estimator}, {args.steps} steps in {time.perf_counter() - start:.0f} s, sinks and checkpoints on")
        quantiles = 1e3 * np.quantile(took, [0.5, 0.99, 0.999])
        print("Stream.push, ms: p50 {:.3f}  p99 {:.3f}  p99.9 {:.3f}".format(*quantiles))
        early, late, growth = memory.growth()
        print(f"resident memory, MiB: {early:.1f} after a tenth, {late:.1f} at the end, {100 * growth:+.2f} %")
        where = [str(folder / "tail"), str(FITTED + args.steps - tail), str(FITTED + args.steps)]
        child = subprocess.run([sys.executable, __file__, "--child", *where], capture_output=True, text=True)
        if child.returncode:
            sys.exit(child.stderr)
        same = child.stdout.split()[-1] == digest
        print(
            f"last {tail} steps from a snapshot, in a new process: {'equal to the last bit' if same else 'DIFFERENT'}"
        )
    return int(not same or growth > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
