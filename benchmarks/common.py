"""What the benchmarks share: one core per process, the compilation cache, timing without compilation, estimators."""

import importlib.util
import os
import sys
import time
from collections.abc import Callable
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


def timed(call: Callable[[], T], again: Callable[[], T], compilations: Compilations) -> tuple[T, float]:
    """Result and seconds of ``call``; if that had to compile, the seconds are those of ``again``, the same work."""
    before = compilations.count
    start = time.perf_counter()
    out = call()
    seconds = time.perf_counter() - start
    if compilations.count > before:
        start = time.perf_counter()
        again()
        seconds = time.perf_counter() - start
    return out, seconds
