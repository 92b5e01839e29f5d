"""What the ahead-of-time compiler says about a graph it compiled: memory, constants, and the order of its kernels.

It says so in a C++ header meant for TensorFlow's own runtime. :func:`read` takes from it what a much smaller one needs:
nothing of TensorFlow goes into the library but the compiled kernels themselves.
"""

import re
from pathlib import Path
from typing import NamedTuple

ALIGNMENT = 64

_KERNEL = re.compile(
    r"// Kernel Thunk\s*\{\s*std::array<XLA_CPU_KernelArg, (\d+)> args = \{(.*?)\};\s*"
    r"XLA_CPU_NumWorkGroups kernel_thread_dims = \{\s*(\d+),\s*(\d+),\s*(\d+),\s*\};"
    r".*?XLA_CPU_KernelError\* error = \(\*(\w+)\)\(&call_frame\);.*?return false;" + r"\s*\}" * 5,
    re.DOTALL,
)
_OPERAND = re.compile(r"buffer_table\[(\d+)\]\) \+ (\d+), (\d+)\}")
_SORT = re.compile(
    r"// Sort Thunk\s*\{\s*std::vector<std::byte\*> values = \{(.*?)\};\s*"
    r"std::vector<size_t> primitive_sizes = \{(.*?)\};.*?reinterpret_cast<Comparator\*>\(\s*(\w+)\);"
    r".*?SortInplace\(\s*\{\s*(\d+),\s*(\d+),\s*(\d+)\s*\},.*?&less_than\);\s*\}",
    re.DOTALL,
)
_DOT = re.compile(
    r"// Dot Thunk\s*\{\s*absl::BlockingCounter done\((\d+)\);.*?TypedMatMul<(\w+), \w+, \w+>\("
    r"\s*run_options->intra_op_thread_pool\(\),(.*?)\[&done\].*?done\.Wait\(\);\s*\}",
    re.DOTALL,
)
_COPY = re.compile(r"// Copy Thunk\s*\{\s*(std::memcpy\(.*?\);)\s*\}", re.DOTALL)
_CHECK = re.compile(r"CHECK\((.*?)\) << \".*?\";")
_BUFFER = re.compile(r"EncodedBufferAllocationInfo\{(\d+)ULL, (~?\d+)U, (~?\d+)U\}")
_CONSTANT = re.compile(r"\}\((\w+_constant_buffer_contents)\)")
_BODY = re.compile(r"ThunkRunImplFunction\(\) \{.*?rng_states\) \{\n(.*?)\n\s*return true;\s*\};", re.DOTALL)
_KNOWN = re.compile(r"// (\w[\w ]*) Thunk")
_KEPT = {"For Loop", "While Loop", "Conditional", "Call"}


class Buffer(NamedTuple):
    """One entry of the program's table of memory."""

    kind: str
    """constant, temporary, border (an input, an output or both), or stack (never in the table)"""
    size: int


class Program(NamedTuple):
    """A compiled graph."""

    declarations: str
    """of its kernels, in C"""
    buffers: tuple[Buffer, ...]
    constants: tuple[str, ...]
    """symbols of the constant buffers, in their order; the contents start 64 bytes in"""
    inputs: dict[str, int]
    """buffer of each input"""
    outputs: dict[str, int]
    operands: tuple[tuple[int, int, int], ...]
    """(buffer, offset, size), to which the calls in the body point"""
    widest: int
    """most operands of a kernel"""
    scratch: int
    """bytes that sorts and matrix products work in"""
    body: str
    """C++ that runs it"""


def read(header: Path) -> Program:
    """Parse the header of one compiled graph."""
    text = header.read_text()
    buffers = tuple(
        Buffer(("constant", "temporary", "border", "stack")[int(packed) & 3], int(packed) >> 2)
        for packed, _, _ in _BUFFER.findall(text)
    )
    constants = tuple(_CONSTANT.findall(text))
    if len(constants) != sum(b.kind == "constant" for b in buffers):
        raise _unknown(header, "its constants")
    found = _BODY.search(text)
    if found is None:
        raise _unknown(header, "its body")
    body, operands, widest = _calls(found[1])
    scratch = max([24 * int(m[5]) for m in _SORT.finditer(body)] + [_turned(m) for m in _DOT.finditer(body)], default=0)
    body = _COPY.sub(r"\1", _DOT.sub(_dot, _SORT.sub(_sort, body)))
    body = _CHECK.sub(r"if (!(\1)) return false;", body)
    strange = set(_KNOWN.findall(body)) - _KEPT
    if strange:
        raise _unknown(header, ", ".join(sorted(strange)))
    return Program(
        _declarations(text),
        buffers,
        constants,
        dict(zip(_names(text, "StaticArgNames", "feed_"), _numbers(text, "kArgIndexToBufferIndex"), strict=True)),
        dict(
            zip(_names(text, "StaticResultNames", "fetch_"), _numbers(text, "kResultIndexToBufferIndex"), strict=True)
        ),
        operands,
        widest,
        scratch,
        body,
    )


def _unknown(header: Path, what: str) -> RuntimeError:
    return RuntimeError(f"The compiler wrote {header.name} in a way that this version does not know: {what}.")


def _declarations(text: str) -> str:
    start = text.index('extern "C" {') + len('extern "C" {')
    return text[start : text.index("\n}\n", start)]


def _names(text: str, function: str, prefix: str) -> list[str]:
    listed = text[text.index(f"{function}() {{") :].split("{", 2)[2].split("nullptr", 1)[0]
    return [name.removeprefix(prefix) for name in re.findall(r'"(\w+)"', listed)]


def _numbers(text: str, table: str) -> list[int]:
    match = re.search(rf"{table}\[\w+\] = \{{(.*?)\}};", text, re.DOTALL)
    return [int(n) for n in match[1].split(",") if n.strip()] if match else []


def _calls(body: str) -> tuple[str, tuple[tuple[int, int, int], ...], int]:
    """Kernels on one line each, their operands in a table."""
    table: list[tuple[int, int, int]] = []
    place: dict[tuple[tuple[int, int, int], ...], int] = {}

    def line(match: re.Match[str]) -> str:
        used = tuple((int(b), int(offset), int(size)) for b, offset, size in _OPERAND.findall(match[2]))
        if len(used) != int(match[1]):
            return match[0]
        if used not in place:
            place[used] = len(table)
            table.extend(used)
        x, y, z = match[3], match[4], match[5]
        return (
            f"if (!call({match[6]}, buffer_table, operands + {place[used]}, {len(used)}, {x}, {y}, {z})) return false;"
        )

    text = _KERNEL.sub(line, body)
    return text, tuple(table), max(map(len, place), default=1)


def _sort(match: re.Match[str]) -> str:
    values, sizes, comparator = match[1].strip(), match[2].strip(), match[3]
    outer, n, inner = match[4], match[5], match[6]
    count = len(sizes.split(","))
    return (
        f"{{ std::byte *values[] = {{{values}}}; static const size_t sizes[] = {{{sizes}}};\n"
        f"  sort<{count}>(values, sizes, {comparator}, {outer}, {n}, {inner}, scratch); }}"
    )


def _turned(dot: re.Match[str]) -> int:
    """Bytes of a product's left operand."""
    m, _, k = re.findall(r"(\d+), (\d+), (\d+), \w+, \w+,", dot[3])[0]
    return 8 * int(m) * int(k)


def _dot(match: re.Match[str]) -> str:
    return f"for (int64_t i = 0; i < {match[1]}; ++i) dot<{match[2]}>({match[3].strip().rstrip(',')}, scratch);"
