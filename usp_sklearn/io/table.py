"""From bytes to a table of text cells: encoding, compression, delimiter, comments, header.

Nothing in the bytes is executed, and whatever they are, only ValueError comes out.
"""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

LIMIT = 1 << 30
"""Bytes a file may have, unpacked."""

DELIMITERS = (";", "\t", "|", ",", " ")
"""Tried in this order: a comma may be a decimal comma, a space may stand inside a time."""

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_SAMPLE = 100


class Table(NamedTuple):
    """Cells as text, without surrounding blanks."""

    rows: list[list[str]]
    """all of one length"""
    lines: list[int]
    """line of the file on which each row ends, from 1"""
    delimiter: str


def unpacked(data: bytes, limit: int = LIMIT) -> bytes:
    """``data``, decompressed if it is gzip; at most ``limit`` bytes.

    >>> unpacked(gzip.compress(b"1"))
    b'1'
    """
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            out = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"The file is not valid gzip: {error}.") from error
    if len(out) > limit:
        raise ValueError(f"The file must unpack to at most {limit} bytes. Got more instead.")
    return out


def decoded(data: bytes, encoding: str | None = None) -> str:
    """Text of ``data``: as its byte order mark says, else UTF-8, else Windows-1252; or as ``encoding`` says.

    >>> decoded("größe".encode("utf-16")), decoded("größe".encode("cp1252"))
    ('größe', 'größe')
    """
    if encoding is None:
        encoding = next((name for mark, name in _BOMS if data.startswith(mark)), None)
    try:
        return data.decode(encoding or "utf-8")
    except LookupError as error:
        raise ValueError(
            f"The 'encoding' parameter must be the name of a text encoding. Got {encoding!r} instead."
        ) from error
    except UnicodeError as error:
        if encoding is None:
            try:
                return data.decode("cp1252")
            except UnicodeError:
                pass
        raise ValueError(f"The file is not text in {encoding or 'UTF-8'}: {error}.") from error


def table(text: str, delimiter: str | None = None, decimal: str | None = None) -> Table:
    """Split ``text`` into cells.

    Blank lines and lines that start with ``#`` are left out. Quotes work as in CSV files everywhere.

    Parameters
    ----------
    delimiter : one character, or None to find out.
    decimal : the decimal mark, if it is known: a decimal comma delimits nothing unless cells are quoted.

    >>> table("# prices\\nday;price\\n1;2,5\\n", decimal=",").rows
    [['day', 'price'], ['1', '2,5']]
    """
    if delimiter is None:
        delimiter = _sniffed(text, decimal)
    elif len(delimiter) != 1 or delimiter in '\r\n"#':
        raise ValueError(f"The 'delimiter' parameter must be one character or None. Got {delimiter!r} instead.")
    rows, lines = [], []
    for row, line in _read(text, delimiter):
        rows.append(row)
        lines.append(line)
    if not rows:
        raise ValueError("The file has no rows.")
    # A delimiter after the last cell of every row makes a column of nothing.
    if len(rows[0]) > 1 and all(len(row) == len(rows[0]) and not row[-1] for row in rows):
        rows = [row[:-1] for row in rows]
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    for row, line in zip(rows, lines, strict=True):
        if len(row) != width:
            raise ValueError(f"Line {line} must have {width} cells, as most have. Got {len(row)} instead.")
    return Table(rows, lines, delimiter)


def _read(text: str, delimiter: str) -> Iterator[tuple[list[str], int]]:
    """Rows that hold something, and their lines."""
    # Comments become blank lines, so that the reader goes on counting right.
    source = ("\n" if line.lstrip().startswith("#") else line for line in io.StringIO(text, newline=""))
    reader = csv.reader(source, delimiter=delimiter, skipinitialspace=delimiter == " ")
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if delimiter == " ":
                row = [cell for cell in row if cell]
            if any(row):
                yield row, reader.line_num
    except csv.Error as error:
        raise ValueError(f"Line {reader.line_num} cannot be read: {error}.") from error


def _sniffed(text: str, decimal: str | None) -> str:
    """The delimiter under which the most of the first rows have equally many cells, at least two."""
    head = "".join(line for line, _ in zip(io.StringIO(text, newline=""), range(4 * _SAMPLE), strict=False))
    # With a decimal comma, commas delimit only where numbers are quoted.
    best, share = (",", 0.0) if decimal != "," or '"' in head else (";", 0.0)
    for delimiter in DELIMITERS:
        if delimiter == decimal:
            continue
        counts: Counter[int] = Counter()
        try:
            for row, _ in zip(_read(head, delimiter), range(_SAMPLE), strict=False):
                counts[len(row[0])] += 1
        except ValueError:
            continue
        cells, rows = max(counts.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        if cells >= 2 and rows / counts.total() > share:
            best, share = delimiter, rows / counts.total()
    return best
