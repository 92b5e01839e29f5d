"""The corpus of the fuzzers and fixed mutations of it: every parser returns or raises what it promises."""

import random

import pytest

from . import targets
from .targets import CORPUS, TARGETS, Finding, watched

MUTATIONS = {"snapshot": 2000, "content": 1000, "manifest": 300, "series": 60}
"""Per file; as many as take a second or two."""


def mutated(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A few random edits: bits, bytes, stretches dropped, doubled, swapped with another file's, numbers blown up."""
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
            out[at:at] = rng.choice(
                (b"null", b"[]", b"{}", b'""', b"-1", b"1e999", b"NaN", b"\\u0000", b"99999999999999999999")
            )
        else:
            out[at:] = b""
    return bytes(out)


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_and_mutations_of_it(target):
    files = sorted((CORPUS / target).iterdir())
    seeds = [f.read_bytes() for f in files]
    assert len(seeds) >= 4
    targets.warm(target)
    rng = random.Random(0)
    for file, seed in zip(files, seeds, strict=True):
        TARGETS[target](seed)
        for _ in range(MUTATIONS[target]):
            data = mutated(seed, rng, seeds)
            try:
                TARGETS[target](data)
            except Exception as error:
                raise AssertionError(f"{file.name} became {data!r:.2000}") from error


def test_whole_models_of_the_corpus_are_built():
    """The corpus gets through: without it the fuzzers would only knock at the door."""
    import json

    from usp_sklearn.api import persistence
    from usp_sklearn.io import snapshot

    for name in ("levy", "jko", "aggregator"):
        content = json.loads((CORPUS / "content" / f"{name}.json").read_text())
        targets.fuzz_content(b"{}")
        arrays = {k: targets.np.zeros(shape, dtype) for k, (dtype, shape) in targets._shapes.items()}
        assert persistence._built(snapshot.Snapshot(content, arrays, {})).get_params()
    small = targets.repaired((CORPUS / "snapshot" / "void.usp").read_bytes())
    with pytest.raises(snapshot.SnapshotError, match="makes no sense"):
        snapshot.decode(small)
    assert snapshot.decode((CORPUS / "snapshot" / "small.usp").read_bytes()).arrays["x"].tolist() == [
        0.0,
        1.0,
        2.0,
        3.0,
    ]


@pytest.mark.parametrize(
    "deed",
    [
        lambda path: __import__("this_module_is_not_there"),
        lambda path: exec("1"),
        lambda path: open(path / "x", "w").close(),
        lambda path: (path / "x").write_bytes(b""),
        lambda path: __import__("subprocess").run(["true"]),
        lambda path: __import__("pickle").loads(b"cos\nsystem\n."),
    ],
)
def test_the_watch_sees_what_no_file_may_do(deed, tmp_path):
    with pytest.raises(Finding), watched():
        deed(tmp_path)
    (tmp_path / "y").write_bytes(b"")
    with watched():
        (tmp_path / "y").read_bytes()
