"""From compiled graphs to one shared library that needs nothing but the C library."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from . import glue, program, toolchain
from .constants import Pool, contents
from .lowering import Compiled

_FLAGS = ("-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-DNDEBUG", "-w")
_C = ("-std=c11", "-O2", "-DUSP_EMBEDDED")
_CXX = ("-std=c++17", "-O3", "-fno-exceptions", "-fno-rtti", "-fopenmp-simd", "-ffp-contract=off")
_LINKER = (
    "--gc-sections",
    "--no-undefined",
    "--as-needed",
    "--exclude-libs,ALL",
    # Of two models in one process each uses its own table.
    "-Bsymbolic",
    "--build-id=none",
    "-z,now",
    "-z,noexecstack",
)


class Content(NamedTuple):
    """What goes into a library beside compiled graphs."""

    batches: Sequence[int]
    manifest: Path
    state: Path | None
    offsets: Sequence[int]
    """where the pieces that ``step`` takes begin in the state"""


def link(compiled: Sequence[Compiled], content: Content, library: Path, build: Path, *, march: str) -> None:
    """Write ``library``, whose C is for processors ``march``; ``build`` receives what is made on the way."""
    tools, far = toolchain.compiler(), far_side()
    includes = [f"-I{far / 'include'}", f"-I{far / 'src'}"]
    pool, sources = Pool(), []
    for one in compiled:
        read = program.read(one.header)
        places = [pool.add(constant) for constant in contents(read, one.constants)]
        sources.append(build / f"{one.key}_glue.cc")
        sources[-1].write_text(glue.source(one, read, places))
    constants, table = build / "constants.bin", build / "table.c"
    constants.write_bytes(pool.block or bytes(1))
    blobs = {"manifest": content.manifest, "constants": constants}
    blobs |= {"state": content.state} if content.state is not None else {}
    table.write_text(glue.table([one.key for one in compiled], content.batches, content.offsets, blobs))

    def compile_c(source: Path) -> Path:
        target = build / f"c_{source.stem}.o"
        toolchain.run([*tools.c, *_C, *_FLAGS, f"-march={march}", *includes, "-c", source, "-o", target])
        return target

    def compile_cxx(one: Compiled, source: Path) -> Path:
        target = source.with_suffix(".o")
        toolchain.run([*tools.cxx, *_CXX, *_FLAGS, f"-march={one.processor}", "-c", source, "-o", target])
        return target

    with ThreadPoolExecutor(2) as threads:
        graphs = threads.map(compile_cxx, compiled, sources)
        rest = threads.map(compile_c, [table, *sorted((far / "src").glob("*.c"))])
        objects = [*graphs, *rest, *(one.kernels for one in compiled)]
    exports = far / "src" / "usp.map"
    options = [f"-Wl,{option}" for option in (*_LINKER, f"-soname,{library.name}", f"--version-script={exports}")]
    shared = ["-shared", "-s", "-static-libstdc++", "-static-libgcc"]
    toolchain.run([*tools.cxx, *shared, *options, "-o", library, *objects, "-lm"])


def far_side() -> Path:
    """The folder of the C runtime: inside the package in an installed wheel, at the root of a checkout."""
    here = Path(__file__).parent
    for folder in (here / "far", here.parents[1] / "export"):
        if (folder / "src" / "usp_native.h").exists():
            return folder
    raise RuntimeError("The C sources of usp_sklearn are missing: install it from its wheel or use its repository.")
