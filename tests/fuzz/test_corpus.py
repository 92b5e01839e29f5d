"""The corpus of the fuzzers and fixed mutations of it: every parser returns or raises what it promises."""

import random

import pytest

from . import targets
from .mutations import bytewise, spoken, structural
from .targets import CORPUS, TARGETS, Finding, watched

MUTATIONS = {"snapshot": 2000, "content": 1000, "manifest": 300, "series": 60, "command": 20}
"""Per file; as many as take a second or two."""
EDITS = {"command": spoken}


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
            data = bytewise(seed, rng, seeds) if rng.random() < 0.5 else EDITS.get(target, structural)(seed, rng)
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
