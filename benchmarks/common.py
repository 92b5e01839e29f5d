"""What the benchmarks share: one core per process, the compilation cache, timing without compilation, estimators."""

import argparse
import importlib.util
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
ESTIMATORS = (
    "JKOPredictor",
    "JKOEnsemble",
    "LevyPredictor",
    "DGMPredictor",
    "JumpDiffusionPredictor",
    "SignaturePredictor",
)
T = TypeVar("T")


def one_thread() -> None:
    """Ask every numerical library for one thread. Must run before JAX and NumPy start their pools."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if flags not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pin(core: int | None = None) -> None:
    """Keep this process on one core, the last allowed one by default (where the system can do that)."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[(len(allowed) - 1 if core is None else core) % len(allowed)]})


def bench_path(given: str | None) -> Path:
    """Folder of the benchmark data: the argument, $USP_BENCH, or ../shared/bench beside the repository."""
    path = Path(given or os.environ.get("USP_BENCH") or ROOT.parent / "shared" / "bench").resolve()
    if not (path / "score.py").exists():
        sys.exit(f"No score.py in {path}: pass --bench or set USP_BENCH to the folder of the benchmark data.")
    return path


def load_scorer(path: Path) -> ModuleType:
    """The benchmark's own score.py, imported by path."""
    spec = importlib.util.spec_from_file_location("usp_bench_score", path / "score.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, keep = True, sys.dont_write_bytecode
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = keep
    return module


def estimator_class(name: str) -> Any:
    """A public predictor, or the persistence forecast every ratio refers to."""
    if name == "persistence":
        from benchmarks.persistence import PersistencePredictor

        return PersistencePredictor
    import usp_sklearn

    if name == "JKOEnsemble":
        return lambda **layout: usp_sklearn.JKOEnsemble(usp_sklearn.JKOPredictor(**layout), random_state=0)
    return getattr(usp_sklearn, name)


def compile_cache(folder: Path | None) -> None:
    """Keep compiled programs in ``folder`` between processes."""
    if folder is not None:
        import usp_sklearn

        usp_sklearn.configure(cache_dir=folder)


def _start_worker(cores: Any, cache: str) -> None:
    one_thread()
    pin(cores.get())
    compile_cache(Path(cache))


def pool(workers: int, cache: Path | str) -> ProcessPoolExecutor:
    """Worker processes, a core each, that share the compilation cache in the folder ``cache``."""
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for core in range(workers):
        cores.put(core)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(cores, str(cache)))


def run_all(work: Callable[[Any], str], jobs: list[Any], workers: int) -> list[str]:
    """``work`` on ``jobs``, which have a series and a cache; prints what it says, returns the series that failed."""
    failed: list[str] = []
    with pool(workers, jobs[0].cache) as processes:
        futures = {processes.submit(work, job): job.series for job in jobs}
        for count, future in enumerate(as_completed(futures), 1):
            name = futures[future]
            try:
                print(f"[{count}/{len(jobs)}] {name}{future.result()}", flush=True)
            except Exception as error:
                failed.append(name)
                traceback.print_exception(error)
                print(f"[{count}/{len(jobs)}] {name}: FAILED", flush=True)
    return failed


def resume(parser: argparse.ArgumentParser, folder: Path, settings: str, fresh: bool, results: list[Path]) -> None:
    """Make ``folder`` ready: a run with other ``settings`` is refused, a ``fresh`` one forgets its ``results``."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "settings.txt"
    if not fresh and stamp.exists() and stamp.read_text() != settings:
        parser.error(f"{folder} holds a run with other settings {stamp.read_text()}; use another folder or --fresh")
    stamp.write_text(settings)
    if fresh:
        for result in results:
            result.unlink(missing_ok=True)


def known_ids(parser: argparse.ArgumentParser, scorer: ModuleType, split: str, wanted: list[str] | None) -> list[str]:
    """Series of ``split``, all or those ``wanted``; a name that is not there ends the program."""
    ids = list(scorer.load(split)[0])
    if unknown := set(wanted or ()) - set(ids):
        parser.error(f"no such series in {split}: {', '.join(sorted(unknown))}")
    return [u for u in ids if not wanted or u in wanted]


class Compilations:
    """Counts and times what XLA compiles (or fetches from its cache) while the process runs."""

    def __init__(self) -> None:
        import jax.monitoring

        self.count = 0
        self.seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, seconds: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.count += 1
            self.seconds += seconds


@cache
def compilations() -> Compilations:
    """The counter of this process, from its first use on."""
    return Compilations()


def timed(call: Callable[[], T], again: Callable[[], T]) -> tuple[T, float]:
    """Result and seconds of ``call``; if that had to compile, the seconds are those of ``again``, the same work."""
    before = compilations().count
    start = time.perf_counter()
    out = call()
    seconds = time.perf_counter() - start
    if compilations().count > before:
        start = time.perf_counter()
        again()
        seconds = time.perf_counter() - start
    return out, seconds
