"""Exported models beside Python: differences over learning steps, time of a step and of a row, load, size, clients.

    python benchmarks/export.py [--estimator JKOPredictor] [--formats native savedmodel stablehlo onnx] [--steps 500]

The model is fitted on the bundled WTI price and exported with its stream. Every format then runs the same further
values; differences are relative to the largest number of an output. "C" is the C client of ``export/clients`` on the
same machine: its step is what a program without Python pays, the whole of ``usp_stream_push``. Tools for the clients
(compilers, Java, Go, Rust, Node) must be installed, as for the tests.
"""

import argparse
import ctypes
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import common
from benchmarks.report import row

common.one_thread()

import numpy as np  # noqa: E402  (thread counts must be set before the numerical libraries start)

ROWS, WIDTH = 600, 32


def say(what: str, text: str) -> None:
    """One line, at once."""
    print(f"{what:<11} {text}", flush=True)


def millis(call: Any, repeats: int = 200) -> float:
    """Median of a call's duration in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def load_millis(library: Path, folder: Path | None, repeats: int = 40) -> float:
    """Median milliseconds of loading a model through the C interface: from a folder, or the one inside the library."""
    usp = ctypes.CDLL(str(library))
    usp.usp_model_load.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
    usp.usp_model_free.argtypes = [ctypes.c_void_p]
    where = None if folder is None else str(folder).encode()

    def load() -> float:
        model, start = ctypes.c_void_p(), time.perf_counter()
        if usp.usp_model_load(where, None, ctypes.byref(model)):
            raise RuntimeError("usp_model_load failed")
        took = time.perf_counter() - start
        usp.usp_model_free(model)
        return took

    return 1e3 * statistics.median(load() for _ in range(repeats))


def opening_millis(library: Path) -> float:
    """Milliseconds until a program that never saw the library has opened it and loaded the model inside."""
    script = (
        "import ctypes, sys, time; s = time.perf_counter(); u = ctypes.CDLL(sys.argv[1]); m = ctypes.c_void_p(); "
        "assert not u.usp_model_load(None, None, ctypes.byref(m)); print(1e3 * (time.perf_counter() - s))"
    )
    command = [sys.executable, "-c", script, str(library)]
    times = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(15)]
    return statistics.median(times)


def under_watch(folder: Path, values: np.ndarray, build: Path) -> None:
    """The C client on the model under AddressSanitizer and UBSan, under valgrind, and the checker."""
    from tests.export import client_programs as programs

    series = build / "short.csv"
    series.write_text("".join(f"{v!r}\n" for v in map(float, values[:100])))
    valgrind = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full"]
    source, include = programs.EXPORT / "clients/c/forecast.c", f"-I{programs.EXPORT / 'include'}"
    for name, options, before in (
        ("AddressSanitizer and UBSan", ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"], []),
        ("valgrind", ["-g"], [*valgrind, f"--suppressions={programs.EXPORT / 'tests/valgrind.supp'}"]),
    ):
        runtime = sorted((programs.EXPORT / "src").glob("*.c"))
        flags = ["-std=c11", "-O1", "-pthread", include, f"-I{programs.EXPORT / 'src'}", *options]
        program = build / f"watched-{options[0].strip('-')[:4]}"
        programs.run("gcc", *flags, source, *runtime, "-o", program, "-lm", "-ldl")
        done = subprocess.run([*before, program, folder, series], capture_output=True, text=True, check=False)
        clean = done.returncode == 0 and len(done.stdout.splitlines()) == 100
        say("", f"{name}: {'clean over 100 pushes' if clean else done.stderr[-2000:]}")
    done = subprocess.run(
        [sys.executable, "-m", "usp_sklearn.export", "check", folder], capture_output=True, text=True, check=False
    )
    say("", f"check ends with {done.returncode}: {done.stdout.strip().splitlines()[-1]}")


def clients(
    folder: Path, values: np.ndarray, languages: tuple[str, ...], build: Path, **settings: str
) -> dict[str, tuple[np.ndarray, float]]:
    """What the clients print for ``values``, and their median push in milliseconds; ``settings`` of the environment."""
    from tests.export import client_programs as programs

    library = build / "libusp" / "libusp.so"
    if not library.exists():
        programs.run("cmake", "-S", programs.EXPORT, "-B", library.parent, "-DCMAKE_BUILD_TYPE=Release")
        programs.run("cmake", "--build", library.parent, "--target", "usp")
    series = build / "series.csv"
    series.write_text("".join(f"{v!r}\n" for v in map(float, values)))
    tensorflow = Path(str(find_spec("tensorflow").submodule_search_locations[0])) / "libtensorflow_cc.so.2"
    environment = os.environ | {
        "LD_LIBRARY_PATH": str(library.parent),
        "USP_LIBRARY": str(library),
        "USP_TENSORFLOW": str(tensorflow),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **settings,
    }
    out = {}
    for language in languages:
        command = programs.build(language, build / "-".join([language, folder.name, *settings]), library)
        done = subprocess.run(
            [str(c) for c in (*command, folder, series)], capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        numbers = np.array([[float(x) for x in line.split(",")] for line in done.stdout.splitlines()])
        micros = float(re.findall(r"([\d.]+)\s*(?:µs|us|microseconds)", done.stderr)[-1])
        out[language] = numbers, micros / 1e3
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimator", default="JKOPredictor")
    parser.add_argument("--formats", nargs="+", default=["native", "savedmodel", "stablehlo", "onnx"])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--march", help="processors the native library is compiled for (default: every x86-64)")
    parser.add_argument("--languages", nargs="*", default=["c", "cpp", "java", "go", "rust", "node"])
    parser.add_argument("--watch", action="store_true", help="also run the C client under sanitizers and valgrind")
    options = parser.parse_args()

    import usp_sklearn as usp
    from usp_sklearn.export import export_model, load_model
    from usp_sklearn.kernels.law import LEVELS

    usp.configure(cache_dir=os.environ.get("USP_BENCH_CACHE", Path(tempfile.gettempdir()) / "usp-bench-cache"))
    prices = np.asarray(usp.datasets.load_wti(), dtype=np.float64)[: ROWS + options.steps + WIDTH]
    seen, later = prices[: ROWS + WIDTH], prices[ROWS + WIDTH :]
    windows = usp.SlidingWindow(width=WIDTH).fit(seen.reshape(-1, 1))
    X, y = usp.sliding_window(seen, width=WIDTH, season=windows.season_)
    model = common.estimator_class(options.estimator)(**windows.layout, random_state=0).fit(X, y)
    stream = usp.Stream(model, seen, windows)
    stream.push(later[0])  # compiles
    begun = usp.Stream(model, seen, windows)
    stream, laws, times = usp.Stream(model, seen, windows), [], []
    for value in later:
        start = time.perf_counter()
        law = stream.push(value)
        times.append(1e3 * (time.perf_counter() - start))
        laws.append(law.ppf(LEVELS))
    pushed = statistics.median(times)
    truth, rows = np.array(laws), X[-64:]
    # What is exported stands where the stream does.
    model.state_ = usp.Stream(model, seen, windows).engine_
    frozen = model.predict_quantiles(rows, LEVELS)
    say(
        "Python",
        f"{options.estimator}: Stream.push {pushed:.3f} ms, predict of a row "
        f"{millis(lambda: model.predict_distribution(rows[:1])):.3f} ms, of {len(rows)} rows "
        f"{millis(lambda: model.predict_distribution(rows), 50):.2f} ms",
    )

    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch)
        for format in options.formats:
            clock = time.perf_counter()
            extra = {"march": options.march} if format == "native" and options.march else {}
            folder = export_model(begun, build / format, format, **extra)
            took = time.perf_counter() - clock
            size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
            start = time.perf_counter()
            loaded = load_model(folder)
            load = time.perf_counter() - start
            out = loaded.predict(rows)["quantiles"]
            apart = np.abs(out - frozen).max() / np.abs(frozen).max()
            one = millis(lambda loaded=loaded: loaded.predict(rows[:1]))
            many = millis(lambda loaded=loaded: loaded.predict(rows), 50)
            say(format, f"export {took:.0f} s, {size / 1e6:.1f} MB, load in Python {1e3 * load:.1f} ms")
            say("", f"predict: differs by {apart:.1e}; a row {one:.3f} ms, {len(rows)} rows {many:.2f} ms")
            if "step" not in loaded.calls:
                continue
            state, steps, issued = loaded.state, [], []
            for value in later:
                start = time.perf_counter()
                given = loaded.step(state, [value])
                steps.append(1e3 * (time.perf_counter() - start))
                state = given["state"]
                issued.append(given["quantiles"])
            apart = np.abs(np.array(issued) - truth).max() / np.abs(truth).max()
            say("", f"{len(later)} learning steps: differ by {apart:.1e}; a step {statistics.median(steps):.3f} ms")
            if format == "native":
                library = next(folder.glob("*.so"))
                print(row("native: a step from Python (ms)", statistics.median(steps), 0.3, 0.05))
                print(row("native: library (MB)", library.stat().st_size / 1e6, 6, 2))
                print(row("native: open and load the model inside (ms)", opening_millis(library), 2, 0.3))
                say("", f"load again: inside {load_millis(library, None):.2f} ms, folder "
                    f"{load_millis(library, folder):.2f} ms")  # fmt: skip
                if options.watch:
                    under_watch(folder, later, build)
            print(row(f"{format}: difference over learning steps", apart, 1e-9, 1e-12))
            if format in ("native", "savedmodel"):
                chosen = tuple(options.languages) if format == "native" else tuple(options.languages[:1])
                for language, (numbers, step) in clients(folder, later, chosen, build).items():
                    apart = np.abs(numbers - truth).max() / np.abs(truth).max()
                    if language == "c":
                        floor, aim = (0.3, 0.05) if format == "native" else (0.5, 0.2)
                        print(row(f"{format}: usp_stream_push from C (ms)", step, floor, aim))
                    say("", f"{language}: {step:.3f} ms, {step / pushed:.2f} of Stream.push; differs by {apart:.1e}")
            if format == "savedmodel" and options.languages:
                (pooled,) = clients(folder, later, ("c",), build, TF_CPU_ALLOCATOR_USE_BFC="true").values()
                print(row("savedmodel: the same, TF_CPU_ALLOCATOR_USE_BFC=true (ms)", pooled[1], 0.5, 0.2))


if __name__ == "__main__":
    main()
