"""Random edits of inputs: of bytes, and of JSON as a tree, so that most of it still makes sense to a parser."""

import copy
import json
import random
from typing import Any

WORDS = (b"null", b"[]", b"{}", b'""', b"-1", b"1e999", b"NaN", b"\\u0000", b"99999999999999999999")
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308,
    "", "os.system", "\x00", "..", "a" * 5000, [], {}, [[]],
    {"array": "x"}, {"float": "nan"}, {"tuple": []}, {"class": "usp_sklearn.core.engine.Engine", "fields": {}},
)  # fmt: skip


def bytewise(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A few edits: bits, bytes, stretches dropped, doubled, taken from another file, odd words, the end cut off."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(out) + 1)
        size = rng.choice((1, 1, 2, 8, 64))
        kind = rng.randrange(7)
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            del out[at : at + size]
        elif kind == 3:
            out[at:at] = out[at : at + size]
        elif kind == 4:
            other = rng.choice(others) or b"\0"
            start = rng.randrange(len(other))
            out[at : at + size] = other[start : start + size]
        elif kind == 5:
            out[at:at] = rng.choice(WORDS)
        else:
            out[at:] = b""
    return bytes(out)


def structural(data: bytes, rng: random.Random) -> bytes:
    """A few nodes of a JSON tree replaced, dropped, renamed, doubled or swapped; other bytes are left as they are."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return data
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = list(_places(tree))
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind == 0:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
        elif kind == 1:
            del holder[key]
        elif kind == 2:
            other, place = rng.choice(places)
            holder[key] = copy.deepcopy(other.get(place) if isinstance(other, dict) else other[place : place + 1])
        elif kind == 3 and isinstance(holder, dict):
            holder[rng.choice(("", "x", "array", "class", "fields", "__class__", "tuple"))] = holder.pop(key)
        elif kind == 4 and type(holder[key]) in (int, float):
            holder[key] = rng.choice((-holder[key], holder[key] + 1, holder[key] * 2**40, str(holder[key])))
        else:
            holder[key] = [holder[key]]
    try:
        return json.dumps(tree).encode()
    except (ValueError, RecursionError):
        return data


def _places(tree: Any) -> Any:
    """Every place in the tree, as its holder and the key or index there."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)
