"""The C++ side of the native route: the compiler, and the small runtime that compiled graphs call.

TensorFlow's wheel carries the sources of that runtime. It needs Abseil of one exact version, which the wheel has only
as headers; the npm package re2 carries that version whole. Both are compiled once into a static archive, kept outside
the repository under ``$USP_CACHE`` or ``$XDG_CACHE_HOME/usp_sklearn``.
"""

import hashlib
import io
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata, resources, util
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

TENSORFLOW = "2.21.0"
PACKAGE = "re2@1.23.0"
PACKAGE_URL = "https://registry.npmjs.org/re2/-/re2-1.23.0.tgz"
PACKAGE_SHA256 = "049ccedf83ac8a060c9e7e0823678acf733e12fb3a708492c53c17d54ecfc3c2"
_VENDORED = "package/vendor/abseil-cpp/"

RUNTIME = (
    "tensorflow/compiler/tf2xla/allocator.cc",
    "tensorflow/compiler/tf2xla/xla_compiled_cpu_function.cc",
    "xla/backends/cpu/runtime/dot_lib_f64.cc",
    "xla/backends/cpu/runtime/rng_state_lib.cc",
    "xla/backends/cpu/runtime/sort_lib.cc",
    "xla/executable_run_options.cc",
)
"""What compiled float64 graphs call; the rest of the runtime takes minutes to compile."""

SECTIONS = ("-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections")
# Asserts would pull in a logging stack; -O1 costs nothing here, the graph itself is compiled elsewhere.
CXXFLAGS = (
    "-std=c++17",
    "-O1",
    "-DNDEBUG",
    "-D_GLIBCXX_USE_CXX11_ABI=1",
    "-fvisibility-inlines-hidden",
    "-w",
    *SECTIONS,
)


class Runtime(NamedTuple):
    """The compiled runtime."""

    archive: Path
    includes: tuple[Path, ...]
    """folders of headers: Abseil, TensorFlow"""

    @property
    def include_flags(self) -> list[str]:
        return [f"-I{folder}" for folder in self.includes]


class Compiler(NamedTuple):
    """Commands of the C and the C++ compiler, and what identifies them."""

    cc: tuple[str, ...]
    cxx: tuple[str, ...]
    identity: str


def cache_folder() -> Path:
    """Where compiled runtimes are kept."""
    if "USP_CACHE" in os.environ:
        return Path(os.environ["USP_CACHE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "usp_sklearn"


def run(command: Sequence[str | os.PathLike[str]], **options: object) -> str:
    """Run a command; its error output becomes the exception's."""
    words = [os.fspath(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        said = (done.stderr or done.stdout)[-4000:]
        raise RuntimeError(f"This command failed with status {done.returncode}: {shlex.join(words[:12])} …\n{said}")
    return done.stdout


def compiler() -> Compiler:
    """``$CC`` and ``$CXX``, by default gcc and g++."""
    found = []
    for variable, default in (("CC", "gcc"), ("CXX", "g++")):
        words = tuple(shlex.split(os.environ.get(variable) or default))
        if shutil.which(words[0]) is None:
            raise RuntimeError(f"Native export needs a C++ compiler; {words[0]!r} was not found. Set {variable}.")
        found.append(words)
    version = run([*found[1], "--version"]).splitlines()[0]
    return Compiler(found[0], found[1], version + " " + run([*found[1], "-dumpmachine"]).strip())


def tensorflow_folder() -> Path:
    """The wheel, found without importing it; the runtime and Abseil fit one version of it."""
    found = util.find_spec("tensorflow")
    names = ("tensorflow-cpu", "tensorflow")
    versions = {name: _version(name) for name in names}
    if found is None or found.origin is None or TENSORFLOW not in versions.values():
        raise RuntimeError(
            f"Native export needs tensorflow-cpu {TENSORFLOW}: pip install 'usp-sklearn[export]'. "
            f"Found {versions['tensorflow-cpu'] or versions['tensorflow'] or 'none'}."
        )
    return Path(found.origin).parent


def runtime(march: str | None = None, *, progress: bool = True) -> Runtime:
    """The runtime's archive for ``march``, compiled if the cache does not hold it (about a minute of one core)."""
    tools, folder = compiler(), tensorflow_folder()
    flags = (*CXXFLAGS, *([f"-march={march}"] if march else []))
    absl = _abseil(progress)
    sources = [folder / "xla_aot_runtime_src" / name for name in RUNTIME]
    sources += [absl / name for name in (resources.files(__package__) / "data/abseil_files.txt").read_text().split()]
    names = [str(source.relative_to(absl if source.is_relative_to(absl) else folder)) for source in sources]
    recipe = [TENSORFLOW, PACKAGE_SHA256, tools.identity, list(flags), names]
    home = cache_folder() / f"runtime-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]}"
    done = Runtime(home / "libruntime.a", (absl, folder / "include"))
    if _intact(home, recipe):
        return done
    with tempfile.TemporaryDirectory(dir=_made(home.parent), prefix="building-") as scratch:
        made = Path(scratch) / "out"
        objects = _made(Path(scratch) / "objects")

        def compile_one(source: Path, name: str) -> Path:
            target = objects / (name.replace("/", "_") + ".o")
            run([*tools.cxx, *flags, *done.include_flags, "-c", source, "-o", target])
            return target

        # The slowest, the matrix product, comes early: two cores then finish together.
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            tasks = pool.map(compile_one, sources, names)
            built = list(tqdm(tasks, "native runtime, once", len(sources), unit="file", disable=not progress))
        archive = _made(made) / done.archive.name
        run(["ar", "rcsD", archive, *built])
        (made / "recipe.json").write_text(json.dumps([recipe, hashlib.sha256(archive.read_bytes()).hexdigest()]))
        _publish(made, home, lambda: _intact(home, recipe))
    return done


def _intact(home: Path, recipe: list[object]) -> bool:
    try:
        kept, digest = json.loads((home / "recipe.json").read_text())
        return kept == recipe and digest == hashlib.sha256((home / "libruntime.a").read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False


def _abseil(progress: bool) -> Path:
    """Abseil's sources in the cache."""
    home = cache_folder() / f"abseil-{PACKAGE_SHA256[:16]}"
    if (home / "absl").is_dir():
        return home
    if progress:
        tqdm.write(f"fetching {PACKAGE} from npm for Abseil's sources (2.6 MB, once)", file=_stderr())
    data = _package()
    if hashlib.sha256(data).hexdigest() != PACKAGE_SHA256:
        raise RuntimeError(f"The npm package {PACKAGE} is not the one this version was made for: its SHA-256 differs.")
    with tempfile.TemporaryDirectory(dir=_made(home.parent), prefix="building-") as scratch:
        made = _made(Path(scratch) / "out")
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar.getmembers():
                if member.isfile() and member.name.startswith(_VENDORED):
                    member.name = member.name.removeprefix(_VENDORED)
                    tar.extract(member, made, filter="data")
        _publish(made, home, lambda: (home / "absl").is_dir())
    return home


def _package() -> bytes:
    """By npm, which knows the site's registry, or straight from the public one."""
    if shutil.which("npm"):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                run(["npm", "pack", "--silent", PACKAGE], cwd=scratch)
                return next(Path(scratch).glob("*.tgz")).read_bytes()
            except (RuntimeError, StopIteration):
                pass
    with urllib.request.urlopen(PACKAGE_URL, timeout=60) as answer:
        return bytes(answer.read())


def _publish(made: Path, home: Path, good) -> None:  # type: ignore[no-untyped-def]
    """Move a finished folder to its place; whoever comes second uses the first one's."""
    for _ in range(2):
        try:
            made.rename(home)
            return
        except OSError:
            if good():
                return
            shutil.rmtree(home, ignore_errors=True)
    raise RuntimeError(f"The cache folder {home} cannot be written.")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _stderr():  # type: ignore[no-untyped-def]
    import sys

    return sys.stderr
