"""Constants of all compiled graphs of a library, each kept once.

The compiler writes every graph's constants into an object file of their own, each filled up to a power of two; graphs
of one model have most of them in common.
"""

import struct
from pathlib import Path

from .program import ALIGNMENT, Program

_PREFIX = 64
"""Bytes before the contents of a constant."""


class Pool:
    """Contents at their places in one block, which is to be aligned at ``ALIGNMENT``.

    >>> pool = Pool()
    >>> pool.add(b"12345678"), pool.add(b"other"), pool.add(b"12345678"), len(pool.block)
    (0, 64, 0, 69)
    """

    def __init__(self) -> None:
        self.block = bytearray()
        self._places: dict[bytes, int] = {}

    def add(self, content: bytes) -> int:
        """Where ``content`` lies."""
        if content not in self._places:
            self.block += bytes(-len(self.block) % ALIGNMENT)
            self._places[content] = len(self.block)
            self.block += content
        return self._places[content]


def contents(program: Program, path: Path | None) -> list[bytes]:
    """Of the program's constants, in their order, from the object file the compiler wrote (None: there are none)."""
    sizes = [b.size for b in program.buffers if b.kind == "constant"]
    if not sizes:
        return []
    if path is None:
        raise RuntimeError("The compiler wrote no file for the constants of a graph that has some.")
    symbols, file = _symbols(path), path.read_bytes()
    starts = [symbols[name] + _PREFIX for name in program.constants]
    return [file[start : start + size] for start, size in zip(starts, sizes, strict=True)]


def _symbols(path: Path) -> dict[str, int]:
    """Where in an ELF object (64 bits, little endian) the defined symbols' contents lie."""
    file = path.read_bytes()
    if file[:6] != b"\x7fELF\x02\x01":
        raise RuntimeError(f"{path.name} is not an object file for x86-64.")
    (table,), (size, count) = struct.unpack_from("<Q", file, 40), struct.unpack_from("<HH", file, 58)
    # name, type, flags, address, offset, size, link, info, alignment, size of an entry
    sections = [struct.unpack_from("<IIQQQQIIQQ", file, table + i * size) for i in range(count)]
    out = {}
    for _, kind, _, _, start, length, link, _, _, entry in sections:
        if kind != 2:  # SHT_SYMTAB
            continue
        names = sections[link][4]
        for at in range(start, start + length, entry):
            name, _, _, section, value, _ = struct.unpack_from("<IBBHQQ", file, at)
            if 0 < section < count:
                first = names + name
                out[file[first : file.index(b"\0", first)].decode()] = sections[section][4] + value
    return out
