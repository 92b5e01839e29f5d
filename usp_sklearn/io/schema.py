"""The schema of snapshots, and how contents of older ones become those of today's."""

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

Content = dict[str, Any]
Arrays = dict[str, NDArray[Any]]
Migration = Callable[[Content, Arrays], tuple[Content, Arrays]]

SCHEMA = 1
"""Rises by one whenever what a snapshot holds changes in a way that older snapshots do not show."""

MIGRATIONS: Mapping[int, Migration] = {}
"""From each older schema to the next one: what a content and its arrays of that schema become."""


class SnapshotError(ValueError):
    """A snapshot that is damaged, of another kind, too large or too new."""


def migrated(
    schema: int,
    content: Content,
    arrays: Arrays,
    *,
    steps: Mapping[int, Migration] = MIGRATIONS,
    newest: int = SCHEMA,
) -> tuple[Content, Arrays]:
    """Content and arrays in the newest schema, one step of the chain after the other.

    >>> renamed = {1: lambda content, arrays: ({"kind": content["type"]}, arrays)}
    >>> migrated(1, {"type": "stream"}, {}, steps=renamed, newest=2)
    ({'kind': 'stream'}, {})
    """
    if schema > newest:
        raise SnapshotError(f"it has schema {schema}; this version of the library reads up to {newest}")
    for version in range(schema, newest):
        if version not in steps:
            raise SnapshotError(f"it has schema {schema}, from which no way leads to {newest}")
        content, arrays = steps[version](content, arrays)
    return content, arrays
