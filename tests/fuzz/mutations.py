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

COMMANDS = (b"forecast", b"backtest", b"tune", b"export", b"info", b"stream")
OPTIONS = (
    b"--column", b"--index", b"--delimiter", b"--decimal", b"--dayfirst", b"--timezone", b"--encoding", b"--missing",
    b"--horizon", b"--model", b"--param", b"--width", b"--season", b"--seed", b"--levels", b"--out", b"--report",
    b"--train", b"--save", b"--trials", b"--folds", b"--space", b"--scoring", b"--storage", b"--timeout", b"--format",
    b"--name", b"--dtype", b"--json", b"--history", b"--from", b"--warm-up", b"--checkpoint", b"--every",
    b"--telemetry", b"--quiet", b"--help", b"--version", b"--",
)  # fmt: skip
SAID = (
    *COMMANDS, b"", b"0", b"1", b"2", b"-1", b"0.5", b"1e999", b"nan", b"-0", b"99999", b"9" * 12, b"9" * 40, b"none",
    b"auto", b"data.csv", b".", b"..", b"\xff", b"\xc3\xa9", b",", b";", b"\\", b"\t", b"''", b"UTC", b"utf-16",
    b"base64", b"jko", b"dgm", b"signature", b"onnx", b"float32", b"0.5,nan", b"0.9,0.1,0.9", b"tau=0", b"tau=-1e400",
    b"tau=[1]",
    b"branches=['A']", b"branches=[]", b"branches=" + b"(" * 300, b"signature_depth=99", b"pooling=x", b"tau=0.1:2:log",
    b"width=4,8", b"tau=2:1", b"tau=:", b"cusum_h=1:2:3:4", b"neg_crps", b"error", b"drop", b"out.csv", b"out.parquet",
    b"s.usp", b"a" * 300, b"sqlite:", b"study.log", b"--no-follow",
)  # fmt: skip
"""Words of the command line, right and wrong."""


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


def spoken(data: bytes, rng: random.Random) -> bytes:
    """A few words before the empty line replaced, dropped, doubled or put elsewhere; what follows is left as it is."""
    head, gap, rest = data.partition(b"\n\n")
    words = head.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, kind = rng.randrange(len(words) + 1), rng.randrange(5)
        if kind == 0:
            words[at:at] = [rng.choice(OPTIONS), rng.choice(SAID)]
        elif kind == 1:
            words[at : at + 1] = [rng.choice((*SAID, *OPTIONS))]
        elif kind == 2:
            words[at : at + 1] = []
        elif kind == 3:
            words[at:at] = words[at : at + 2]
        else:
            rng.shuffle(words)
        words = words or [b""]
    return b"\n".join(words) + gap + rest


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
