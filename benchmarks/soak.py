"""Endurance: a model that learns for a million steps. Memory, latency, and the last steps once more from a snapshot.

    python benchmarks/soak.py [--steps 1000000] [--estimator LevyPredictor] [--through push | update_predict]

Through ``Stream.push`` with all telemetry sinks on, or through ``update_predict`` with a block of rows a call; a
checkpoint at every twentieth of the way. A new process restores the checkpoint that was made ``--replay`` steps before
the end, takes the same values, and must give the same laws and records to the last bit. Matrices of sums in the state
must stay positive, to rounding. The exit status is 1 if one of these fails, or if resident memory grew by more than
1 % after the first tenth.
"""

import argparse
import gc
import hashlib
import itertools
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common

common.one_thread()

import numpy as np  # noqa: E402  (thread counts must be set before the numerical libraries start)

WIDTH, FITTED, BLOCK = 32, 1200, 4096
ROWS = 500
"""Rows in a call of ``update_predict``."""
QUANTILES = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
GROWTH, ROUNDING = 0.01, 1e-10


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


def replay(through: str, folder: str, start: int, stop: int) -> None:
    """In a fresh process: restore, take the values from ``start`` to ``stop``, print the digest of what came out."""
    import usp_sklearn as usp

    digest = hashlib.sha256()
    if through == "push":
        stream = usp.Stream.restore(folder)
        for value in values(start, stop):
            feed(digest, stream.push(value), stream.telemetry_)
    else:
        model = usp.load(folder)
        for X, y in batches(start, stop):
            digest.update(model.update_predict(X, y, QUANTILES).tobytes())
    print(digest.hexdigest())


def batches(start: int, stop: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the values from ``start`` to ``stop``, each beside the value that came next, ``ROWS`` at a time."""
    source = values(start - WIDTH, stop)
    window = list(itertools.islice(source, WIDTH))
    for _ in range(start, stop, ROWS):
        window.extend(itertools.islice(source, ROWS))
        rows = np.lib.stride_tricks.sliding_window_view(np.array(window), WIDTH)
        yield rows[:-1].copy(), np.array(window[WIDTH:])
        window = window[-WIDTH:]


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


class Condition:
    """Matrices of sums in the state, or their inverses: symmetric and positive at first, and to stay so.

    ``least`` is the smallest eigenvalue of any as a share of its largest, ``apart`` the largest difference of a matrix
    from its transpose as a share of its largest entry, each at the worst.
    """

    def __init__(self) -> None:
        self.least, self.apart = 1.0, 0.0
        self._places: list[int] = []

    def sample(self, state: Any) -> None:
        """Look once more."""
        import jax

        leaves = [np.asarray(x) for x in jax.tree_util.tree_leaves(state)]
        self._places = self._places or [i for i, x in enumerate(leaves) if _of_sums(x)]
        for i in self._places:
            x = leaves[i]
            values = np.linalg.eigvalsh(x + np.swapaxes(x, -1, -2))
            self.least = min(self.least, float((values[..., 0] / np.abs(values).max(-1)).min()))
            self.apart = max(self.apart, float(np.abs(x - np.swapaxes(x, -1, -2)).max() / np.abs(x).max()))


def _of_sums(x: np.ndarray) -> bool:
    square = x.dtype.kind == "f" and x.ndim >= 2 and x.shape[-1] == x.shape[-2] > 2
    if not square or not np.isfinite(x).all() or not np.allclose(x, np.swapaxes(x, -1, -2)):
        return False
    # Distances, which are symmetric too, have nothing on the diagonal.
    return bool((np.einsum("...ii->...i", x) > 0).any())


def begun(estimator: str, **rows: Any) -> tuple[Any, Any, np.ndarray]:
    """A fitted model, the windows it was fitted on, and the values it has seen."""
    import usp_sklearn as usp

    history = np.fromiter(values(0, FITTED), float)
    windows = usp.SlidingWindow(width=WIDTH, season=None, **rows).fit(history[:, None])
    X, y = usp.sliding_window(history, width=WIDTH, season=None, **rows)
    return common.estimator_class(estimator)(**windows.layout, random_state=0).fit(X, y), windows, history


def pushed(estimator: str, steps: int, tail: int, folder: Path, watched: "Watch") -> tuple[np.ndarray, str]:
    """Push ``steps`` values: latencies in seconds and the digest of the last ``tail`` steps."""
    import usp_sklearn as usp
    from usp_sklearn.io.telemetry import Background, Events, JsonLines, Metrics, Tee

    model, windows, history = begun(estimator)
    stream = usp.Stream(model, history, windows)
    logging.getLogger("usp_sklearn").addHandler(logging.FileHandler(folder / "events.log"))
    lines = JsonLines(folder / "risk.jsonl", max_bytes=1_000_000)
    sink = Background(Tee(lines, Metrics(), Events(recovery=1000)))
    digest = hashlib.sha256()
    # Written once now, so that its pages are not counted as growth later.
    took = np.full(steps, np.nan)
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
        watched.at(i, lambda: stream.engine_.state, lambda: stream.checkpoint(folder / "checkpoints"))
    sink.close()
    return took, digest.hexdigest()


def predicted(estimator: str, steps: int, tail: int, folder: Path, watched: "Watch") -> tuple[np.ndarray, str]:
    """``steps`` rows through ``update_predict``: seconds a row in each call, and the digest of the last ``tail``."""
    import usp_sklearn as usp

    model, _, _ = begun(estimator, averages=None)
    digest, took = hashlib.sha256(), []
    for i, (X, y) in zip(range(0, steps, ROWS), batches(FITTED, FITTED + steps), strict=True):
        if i == steps - tail:
            usp.save(model, folder / "tail")
        start = time.perf_counter()
        law = model.update_predict(X, y, QUANTILES)
        took.append((time.perf_counter() - start) / ROWS)
        if i >= steps - tail:
            digest.update(law.tobytes())
        watched.at(i, lambda: model.state_.state, lambda: usp.save(model, folder / "checkpoints"))
    return np.array(took), digest.hexdigest()


class Watch:
    """Checkpoints, memory and condition at even distances on the way."""

    def __init__(self, steps: int) -> None:
        self.steps, self.memory, self.condition = steps, Memory(), Condition()
        self._every, self._sampled = (max(ROWS, steps // n // ROWS * ROWS) for n in (20, 200))

    def at(self, i: int, state: Callable[[], Any], checkpoint: Callable[[], Any]) -> None:
        """After step ``i``."""
        if i % self._every == 0:
            checkpoint()
            print(f"\r{i:>9} of {self.steps}", end="", file=sys.stderr, flush=True)
        if i % self._sampled == 0:
            self.condition.sample(state())
            self.memory.sample()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument(
        "--estimator", default="LevyPredictor", choices=[e for e in common.ESTIMATORS if e != "JKOEnsemble"]
    )
    parser.add_argument("--through", default="push", choices=["push", "update_predict"])
    parser.add_argument("--replay", type=int, default=10_000, help="last steps that are done once more")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        replay(args.through, args.child[0], int(args.child[1]), int(args.child[2]))
        return 0
    if args.steps % ROWS or args.replay % ROWS:
        parser.error(f"--steps and --replay must be multiples of {ROWS}.")
    tail = min(args.replay, args.steps)
    with tempfile.TemporaryDirectory() as name:
        folder, start, watch = Path(name), time.perf_counter(), Watch(args.steps)
        run = pushed if args.through == "push" else predicted
        took, digest = run(args.estimator, args.steps, tail, folder, watch)
        print("\r", end="", file=sys.stderr)
        print(f"{args.estimator}, {args.steps} steps through {args.through} in {time.perf_counter() - start:.0f} s")
        quantiles = 1e3 * np.quantile(took, [0.5, 0.99, 0.999])
        per = "" if args.through == "push" else f", means of {ROWS} rows"
        print("ms a step{}: p50 {:.3f}  p99 {:.3f}  p99.9 {:.3f}".format(per, *quantiles))
        early, late, growth = watch.memory.growth()
        print(f"resident memory, MiB: {early:.1f} after a tenth, {late:.1f} at the end, {100 * growth:+.2f} %")
        least, apart = watch.condition.least, watch.condition.apart
        print(f"matrices of sums, at the worst: smallest over largest eigenvalue {least:.1e}, asymmetry {apart:.1e}")
        where = [str(folder / "tail"), str(FITTED + args.steps - tail), str(FITTED + args.steps)]
        command = [sys.executable, __file__, "--through", args.through, "--child", *where]
        child = subprocess.run(command, capture_output=True, text=True)
        if child.returncode:
            sys.exit(child.stderr)
        same = child.stdout.split()[-1] == digest
        print(
            f"last {tail} steps from a snapshot, in a new process: {'equal to the last bit' if same else 'DIFFERENT'}"
        )
    return int(not same or growth > GROWTH or least < -ROUNDING or apart > ROUNDING)


if __name__ == "__main__":
    sys.exit(main())
