"""Snapshot files: what goes in comes out, an independent reader agrees, and hostile files end in an error."""

import hashlib
import json
import os
import pickle
import struct
import sys
import warnings

import numpy as np
import pytest

from usp_sklearn.io import durable, schema, snapshot
from usp_sklearn.io.schema import SnapshotError, migrated
from usp_sklearn.io.store import SnapshotWarning, Store

CONTENT = {"name": "wti", "numbers": [1, 2.5, None, True], "text": 'é "quoted" \\ \n', "sha256": "0" * 64}


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "plain": rng.normal(size=(3, 4)),
        "transposed": rng.normal(size=(3, 4)).T,
        "strided": np.arange(20.0)[::3],
        "single": np.float32(rng.normal(size=5)),
        "count": np.array(7, np.int32),
        "flags": np.array([True, False]),
        "none": np.zeros((0, 3)),
        "special": np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]),
        "big-endian": np.arange(3, dtype=">f8"),
    }


def by_hand(data: bytes) -> tuple[dict, dict]:
    """Metadata and arrays by the format's definition, with nothing of the library."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata, body = header.pop("__metadata__"), data[8 + length :]
    types = {"F64": "<f8", "F32": "<f4", "I32": "<i4", "BOOL": "|b1"}
    out = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        out[name] = np.frombuffer(body[start:stop], types[entry["dtype"]]).reshape(entry["shape"])
    return metadata, out


def forged(metadata: dict, header: dict | str | None = None, body: bytes = b"") -> bytes:
    """A file with a right digest and whatever else, as somebody who knows the format would make it."""
    metadata = {"kind": "usp-snapshot", "schema": "1", "versions": "{}", "content": "{}"} | metadata
    metadata = {k: v for k, v in metadata.items() if v is not None} | {"sha256": "0" * 64}
    text = json.dumps({"__metadata__": metadata} | (header or {}), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = struct.pack("<Q", len(text)) + text + body
    return data.replace(b'"sha256":"' + b"0" * 64, b'"sha256":"' + hashlib.sha256(data).hexdigest().encode())


def test_what_goes_in_comes_out(arrays, tmp_path):
    path = tmp_path / "a.usp"
    snapshot.write(path, CONTENT, arrays)
    read = snapshot.read(path)
    assert read.content == CONTENT and set(read.arrays) == set(arrays)
    for name, x in arrays.items():
        np.testing.assert_array_equal(read.arrays[name], x)
        assert read.arrays[name].dtype == x.dtype.newbyteorder("<") and read.arrays[name].shape == x.shape
    assert np.signbit(read.arrays["special"][3])
    assert read.versions["numpy"] == np.__version__
    assert [p.name for p in tmp_path.iterdir()] == ["a.usp"]


def test_an_independent_reader_agrees(arrays):
    data = snapshot.encode(CONTENT, arrays)
    metadata, found = by_hand(data)
    assert metadata["kind"] == "usp-snapshot" and metadata["schema"] == str(schema.SCHEMA)
    assert json.loads(metadata["content"]) == CONTENT
    for name, x in arrays.items():
        np.testing.assert_array_equal(found[name], x)
    blank = data.replace(metadata["sha256"].encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == metadata["sha256"]


@pytest.mark.parametrize("x", [np.array(["a"]), np.array([object()]), np.array([1j]), np.zeros(2, np.float16)])
def test_only_numbers_go_in(x):
    with pytest.raises(TypeError, match="numbers and booleans only"):
        snapshot.encode({}, {"x": x})


def test_numbers_that_are_not_finite_are_refused_in_the_content():
    with pytest.raises(ValueError, match="JSON compliant"):
        snapshot.encode({"x": float("nan")}, {})


# ------------------------------------------------------------------ damage


@pytest.fixture(scope="module")
def small():
    return snapshot.encode({"a": 1}, {"x": np.arange(4.0), "on": np.array([True, False])})


def test_every_flipped_bit_is_found(small):
    for place in range(len(small)):
        for bit in range(8):
            bad = bytearray(small)
            bad[place] ^= 1 << bit
            with pytest.raises(SnapshotError):
                snapshot.decode(bytes(bad))


def test_every_truncation_and_every_addition_is_found(small):
    for length in range(len(small)):
        with pytest.raises(SnapshotError):
            snapshot.decode(small[:length])
    for more in (b"\0", b" ", small):
        with pytest.raises(SnapshotError):
            snapshot.decode(small + more)


def test_zeroed_and_swapped_stretches_are_found(small):
    for size in (1, 8, 64, 512):
        for start in range(0, len(small) - size, max(1, size // 2)):
            bad = small[:start] + bytes(size) + small[start + size :]
            if bad != small:
                with pytest.raises(SnapshotError):
                    snapshot.decode(bad)


def test_errors_say_the_file_and_what_is_wrong(small, tmp_path):
    path = tmp_path / "model.usp"
    for data, message in [
        (b"", "no snapshot, or cut off"),
        (b"hello, this is no snapshot at all", "no snapshot"),
        (pickle.dumps({"a": 1}), "no snapshot"),
        (small[:-1], "damaged"),
        (small[:40], "cut off"),
    ]:
        path.write_bytes(data)
        with pytest.raises(SnapshotError, match=message) as caught:
            snapshot.read(path)
        assert str(path) in str(caught.value)
    with pytest.raises(FileNotFoundError):
        snapshot.read(tmp_path / "absent.usp")


# ------------------------------------------------------------------ hostile files


class _Boom:
    def __reduce__(self):
        return os.mkdir, (sys.argv[0] + ".executed",)


def test_a_pickle_is_not_executed(tmp_path):
    path = tmp_path / "evil.usp"
    path.write_bytes(pickle.dumps(_Boom()))
    with pytest.raises(SnapshotError):
        snapshot.read(path)
    assert not os.path.exists(sys.argv[0] + ".executed")


def test_a_wrong_digest_stops_before_anything_is_parsed(monkeypatch, small):
    def never(*args, **kwargs):
        raise AssertionError("parsed before it was verified")

    monkeypatch.setattr(snapshot.json, "loads", never)
    monkeypatch.setattr(snapshot, "tensors", never)
    with pytest.raises(SnapshotError, match="damaged"):
        snapshot.decode(small[:-1] + b"\x01")


HUGE = 1 << 62
X = {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (forged({"kind": "other"}), "no snapshot but 'other'"),
        (forged({"kind": None}), "makes no sense"),
        (forged({"schema": "x"}), "makes no sense"),
        (forged({"schema": "99999999999999"}), "has schema 99999999999999; this version"),
        (forged({"schema": "0"}), "from which no way leads"),
        (forged({"content": "[" * 100_000}), "makes no sense"),
        (forged({"content": "[1]"}), "makes no sense"),
        (forged({"content": "1" * 10_000}), "makes no sense"),
        (forged({"content": None}), "makes no sense"),
        (forged({"versions": "[]"}), "makes no sense"),
        (forged({}, {"x": X | {"shape": [HUGE], "data_offsets": [0, 8 * HUGE]}}), "makes no sense"),
        (forged({}, {"x": X | {"shape": [0, HUGE, HUGE], "data_offsets": [0, 0]}}), "makes no sense"),
        (forged({}, {"x": X | {"shape": [HUGE, 4]}}, bytes(8)), "makes no sense"),
        (forged({}, {"x": X}, bytes(16)), "makes no sense"),
        (forged({}, {"x": X | {"data_offsets": [8, 0]}}, bytes(8)), "makes no sense"),
        (forged({}, {"x": X | {"dtype": "F8_E4M3", "shape": [8]}}, bytes(8)), "makes no sense"),
        (forged({}, {"x": X | {"dtype": "object"}}, bytes(8)), "makes no sense"),
        (forged({}, {"x": X | {"dtype": "BOOL", "shape": [8]}}, b"\x02" * 8), "neither true nor false"),
        (forged({}, {"x": X | {"dtype": "F16", "shape": [4]}}, bytes(8)), "of type float16"),
        (struct.pack("<Q", 2**63) + b"{}", "cut off"),
    ],
)
def test_forged_files_are_refused(data, message):
    with pytest.raises(SnapshotError, match=message):
        snapshot.decode(data)


def test_a_header_is_utf8_and_nothing_else(monkeypatch):
    """Found by fuzzing: of bytes that begin with zeros, json guesses UTF-32 and imports its codec."""

    def never(data):
        raise AssertionError("an encoding was looked for")

    monkeypatch.setattr(json, "detect_encoding", never)
    plain = forged({})
    text = b"\0\0" + plain[8:]
    data = (struct.pack("<Q", len(text)) + text).replace(plain[plain.index(b'256":"') + 6 :][:64], b"0" * 64)
    data = data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode())
    with pytest.raises(SnapshotError, match="makes no sense"):
        snapshot.decode(data)


def test_the_forger_knows_the_format():
    """The test of the tests above: with nothing wrong in it, a forged file is read."""
    read = snapshot.decode(forged({"content": '{"a": 1}'}, {"x": X}, struct.pack("<d", 2.5)))
    assert read.content == {"a": 1} and read.arrays["x"].tolist() == [2.5]


def test_size_is_looked_at_before_anything_is_allocated(tmp_path):
    path = tmp_path / "large.usp"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a terabyte that takes no room
    with pytest.raises(SnapshotError, match="1099511627776 bytes, more than the limit of 1073741824"):
        snapshot.read(path)
    path.write_bytes(snapshot.encode({}, {"x": np.zeros(100)}))
    with pytest.raises(SnapshotError, match="more than the limit of 700"):
        snapshot.read(path, limit=700)
    assert snapshot.read(path, limit=path.stat().st_size).content == {}


def test_a_header_that_would_swell_in_memory_is_refused():
    bomb = forged({"content": "[" + "[]," * 3_000_000 + "[]]"})
    with pytest.raises(SnapshotError, match=r"its header has .* bytes, more than the limit of 8388608"):
        snapshot.decode(bomb)
    with pytest.raises(ValueError, match="header may have 8388608 bytes"):
        snapshot.encode({"text": "x" * 9_000_000}, {})


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.usp")
    for path in (tmp_path / "pipe.usp", "/dev/zero"):
        with pytest.raises(SnapshotError, match="no regular file"):
            snapshot.read(path)
    with pytest.raises(IsADirectoryError):
        (tmp_path / "folder").mkdir()
        snapshot.write(tmp_path / "folder", {}, {})


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.usp"
    snapshot.write(path, {}, {"x": np.zeros(1000)})
    status = os.stat(path)
    monkeypatch.setattr(durable.os, "fstat", lambda fd: (os.truncate(path, 500), status)[1])
    with pytest.raises(SnapshotError, match="changed while it was read"):
        snapshot.read(path)


# ------------------------------------------------------------------ schemas


def test_a_chain_of_migrations():
    steps = {
        1: lambda c, a: ({"x": c["x"], "unit": "m"}, a),
        2: lambda c, a: ({"unit": c["unit"]}, a | {"x": np.asarray(c["x"], np.float64)}),
        3: lambda c, a: (c, {"length": a["x"] * 2}),
    }
    content, arrays = migrated(1, {"x": [1, 2]}, {}, steps=steps, newest=4)
    assert content == {"unit": "m"} and arrays["length"].tolist() == [2.0, 4.0]
    assert migrated(4, {"x": 1}, {}, steps=steps, newest=4) == ({"x": 1}, {})
    with pytest.raises(SnapshotError, match="has schema 5; this version of the library reads up to 4"):
        migrated(5, {}, {}, steps=steps, newest=4)
    with pytest.raises(SnapshotError, match="has schema 0, from which no way leads to 4"):
        migrated(0, {}, {}, steps=steps, newest=4)


def test_a_snapshot_of_an_older_schema_is_migrated_on_loading(tmp_path, monkeypatch):
    path = tmp_path / "old.usp"
    snapshot.write(path, {"colour": "red"}, {"x": np.ones(2)})
    monkeypatch.setitem(migrated.__kwdefaults__, "newest", schema.SCHEMA + 1)
    monkeypatch.setitem(
        migrated.__kwdefaults__, "steps", {schema.SCHEMA: lambda c, a: ({"color": c["colour"]}, {"y": -a["x"]})}
    )
    read = snapshot.read(path)
    assert read.content == {"color": "red"} and read.arrays["y"].tolist() == [-1.0, -1.0]


def test_every_older_schema_has_a_way_to_the_newest():
    assert set(schema.MIGRATIONS) == set(range(1, schema.SCHEMA))


# ------------------------------------------------------------------ the store


def saved(store: Store, *steps: int) -> None:
    for step in steps:
        store.save({"step": step}, {"x": np.full(3, float(step))})


def names(folder) -> list[str]:
    return sorted(os.listdir(folder))


def test_the_last_five_are_kept(tmp_path):
    store = Store(tmp_path / "deep" / "folder")
    saved(store, *range(1, 9))
    assert names(store.folder) == [f"snapshot-{n:08d}.usp" for n in range(4, 9)]
    assert store.load().content == {"step": 8}
    few = Store(store.folder, keep=2)
    saved(few, 9)
    assert names(store.folder) == ["snapshot-00000008.usp", "snapshot-00000009.usp"]
    with pytest.raises(ValueError, match=r"'keep' parameter of Store must be an int of at least 1. Got 0 instead"):
        Store(tmp_path, keep=0)


def test_the_newest_valid_one_is_loaded_and_the_rest_named(tmp_path):
    store = Store(tmp_path)
    saved(store, 1, 2, 3, 4)
    paths = store.paths()
    paths[3].write_bytes(paths[3].read_bytes()[:-3])
    paths[2].write_bytes(b"")
    with pytest.warns(SnapshotWarning) as caught:
        assert store.load().content == {"step": 2}
    (warning,) = caught
    message = str(warning.message)
    assert "snapshot-00000004.usp: it is damaged" in message and "snapshot-00000003.usp: it is no snapshot" in message
    assert "snapshot-00000002.usp is loaded" in message and warning.filename == __file__
    # What is saved next comes after the damaged ones and is the newest.
    saved(store, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.load().content == {"step": 5}


def test_a_snapshot_that_makes_no_sense_is_passed_over_too(tmp_path):
    store = Store(tmp_path)
    saved(store, 1, 2)

    def build(read):
        if read.content["step"] == 2:
            raise SnapshotError("it is of no use")
        return read.content["step"]

    with pytest.warns(SnapshotWarning, match="snapshot-00000002.usp: it is of no use"):
        assert store.load(build) == 1


def test_none_valid_is_a_clear_error(tmp_path):
    with pytest.raises(SnapshotError, match=r"holds no valid snapshot. There is none"):
        Store(tmp_path).load()
    with pytest.raises(SnapshotError, match=r"holds no valid snapshot. There is none"):
        Store(tmp_path / "absent").load()
    (tmp_path / "snapshot-00000001.usp").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("not a snapshot")
    (tmp_path / "snapshot-00000002.usp").mkdir()
    with pytest.raises(SnapshotError, match=r"00000002.usp: .*00000001.usp: it is no snapshot"):
        Store(tmp_path).load()


def test_two_writers_take_turns_in_numbers(tmp_path):
    """Neither overwrites the other's snapshot, whoever claims a number first."""
    one, other = Store(tmp_path, keep=50), Store(tmp_path, keep=50)
    first = one._claim()
    saved(other, 2)
    assert names(tmp_path) == [".snapshot-00000001.tmp", "snapshot-00000002.usp"]
    durable.finish(*first[1:], one._path(first[0]), snapshot.encode({"step": 1}, {}))
    saved(one, 3)
    assert [snapshot.read(p).content["step"] for p in one.paths()] == [1, 2, 3]


def test_a_writer_that_looked_too_early_overwrites_nothing(tmp_path, monkeypatch):
    store = Store(tmp_path)
    saved(store, 1)
    late = Store(tmp_path)
    monkeypatch.setattr(late, "_numbers", lambda pattern: [])
    saved(late, 2)
    assert [snapshot.read(p).content["step"] for p in store.paths()] == [1, 2] and len(names(tmp_path)) == 2


def test_drafts_of_killed_writers_go_in_time(tmp_path):
    store = Store(tmp_path)
    os.close(store._claim()[1])
    saved(store, *range(2, 8))
    assert names(tmp_path) == [f"snapshot-{n:08d}.usp" for n in range(3, 8)]
