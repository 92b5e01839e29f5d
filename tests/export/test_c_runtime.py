"""The C runtime in export/: built here, plain and under sanitizers, and run on a model written by hand in C.

The programs in export/tests check the interface from the inside; this file builds them, makes the damaged and foreign
files they must refuse (with Python's own hashlib and json as oracles), and looks at what the library exports.
"""

import copy
import ctypes
import hashlib
import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from usp_sklearn.kernels import law as laws
from usp_sklearn.runtime import precision

EXPORT = Path(__file__).resolve().parents[2] / "export"
HEADER = (EXPORT / "include" / "usp.h").read_text()
DECLARED = set(re.findall(r"^USP_API [^(]*?(usp_\w+)\(", HEADER, re.M))
STATUS = {name: int(number) for name, number in re.findall(r"USP_(\w+) = (\d+)", HEADER)}
WHEEL = Path(importlib.util.find_spec("tensorflow").submodule_search_locations[0])
TENSORFLOW = WHEEL / "libtensorflow_cc.so.2"

_spec = importlib.util.spec_from_file_location("fake_model", EXPORT / "tests" / "fake_model.py")
fake_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake_model)


def run(*command, expect=0, **environment):
    """Output of a program that must end with that status."""
    env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == expect, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def build(folder, *options):
    """Everything in export/, built in that folder; gives the folder of the test programs."""
    run(
        "cmake",
        "-S",
        EXPORT,
        "-B",
        folder,
        "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
        f"-DPython3_EXECUTABLE={sys.executable}",
        *options,
    )
    run("cmake", "--build", folder, "--parallel", "2")
    return folder / "tests"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return build(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return build(tmp_path_factory.mktemp("address"), "-DUSP_SANITIZE=address,undefined")


@pytest.fixture(scope="module")
def thread(tmp_path_factory):
    return build(tmp_path_factory.mktemp("thread"), "-DUSP_SANITIZE=thread")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The hand-written model as SavedModels, by precision."""
    folder = tmp_path_factory.mktemp("saved")
    pairs = [x for dtype in ("float64", "float32") for x in (folder / dtype, dtype)]
    run(sys.executable, EXPORT / "tests" / "fake_savedmodel.py", *pairs)
    return folder


# ---------------------------------------------------------------------------------------------------- the programs


def test_every_function_from_a_folder_and_from_inside_the_library(plain, tmp_path):
    run(plain / "test_api", plain / "model", tmp_path)
    run(plain / "test_embedded", "-", tmp_path)


def test_every_function_under_address_and_undefined_behaviour_sanitizers(address, tmp_path):
    run(address / "test_api", address / "model", tmp_path)
    run(address / "test_embedded", "-", tmp_path)
    run(address / "test_threads", address / "model")


@pytest.mark.parametrize("program, model", [("test_api", "model"), ("test_embedded", "-")])
def test_valgrind_finds_no_error_and_no_leak(plain, tmp_path, program, model):
    valgrind = ("valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=all")
    run(*valgrind, "--errors-for-leak-kinds=all", plain / program, plain / model if model == "model" else "-", tmp_path)


def test_eight_threads_with_eight_streams_each_give_what_one_thread_gives(plain, thread):
    for folder in (plain, thread):
        run(folder / "test_threads", folder / "model")
        run(folder / "test_threads_embedded", "-")


def test_a_push_allocates_nothing(plain):
    run(plain / "test_allocation", plain / "model")


def test_two_libraries_in_one_process_keep_to_their_own_model(plain):
    run(plain / "test_two", plain / "libusp_future.so", plain / "libusp_fake.so")


def test_damaged_files_never_crash(address, tmp_path):
    run(address / "test_fuzz", address / "model", tmp_path / "fuzz", 1000)


# ------------------------------------------------------------------------------------------------------- TensorFlow


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_savedmodel_does_what_the_compiled_model_does(plain, saved, tmp_path, dtype):
    run(plain / "test_savedmodel", plain / "model", saved / dtype, tmp_path, dtype, TENSORFLOW)


def test_threads_share_one_tensorflow_session(plain, saved):
    run(plain / "test_threads", saved / "float64", USP_TENSORFLOW=str(TENSORFLOW))


def write(folder, manifest, files):
    """A model folder of these files, listed as they are."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_savedmodels_that_are_not_what_their_manifest_says(plain, saved, tmp_path):
    cases = []

    def case(status, words, change, **changed):
        folder = tmp_path / f"case{len(cases)}"
        source = saved / "float64"
        files = {str(p.relative_to(source)): p.read_bytes() for p in source.rglob("*") if p.is_file()}
        files = {k: v for k, v in files.items() if k != "manifest.json"} | changed
        manifest = json.loads((source / "manifest.json").read_text())
        manifest["files"] = {k: fake_model.entry(v) for k, v in files.items()}
        change(manifest)
        write(folder, manifest, files)
        cases.append(f"model\t{folder}\t{STATUS[status]}\t{words}")

    def rename(signature, side, name, tensor):
        return lambda m: m["tensorflow"][signature][side].update({name: tensor})

    case("OK", "", lambda m: None)
    case("BACKEND", "load the SavedModel", lambda m: None, **{"saved_model.pb": b"\x0a\x05junk!"})
    case("CORRUPT", "does not list saved_model.pb", lambda m: m["files"].pop("saved_model.pb"))
    case("CORRUPT", "'tensorflow' is missing", lambda m: m.pop("tensorflow"))
    case("CORRUPT", "of predict.inputs.rows", lambda m: m["tensorflow"].pop("predict"))
    case("CORRUPT", "of step.outputs.state", lambda m: m["tensorflow"]["step"]["outputs"].pop("state"))
    case("CORRUPT", "no tensor 'nothing:0'", rename("predict", "inputs", "rows", "nothing:0"))
    case("CORRUPT", "no tensor 'predict_rows:1'", rename("predict", "inputs", "rows", "predict_rows:1"))
    for name in (
        "predict_rows",
        "predict_rows:",
        "predict_rows:x",
        "predict_rows:-1",
        "predict_rows:0x",
        "a" * 600 + ":0",
    ):
        case("CORRUPT", "does not name the tensor", rename("predict", "inputs", "rows", name))
    case("CORRUPT", "does not hold real numbers", rename("predict", "inputs", "rows", "saver_filename:0"))
    (tmp_path / "cases").write_text("\n".join(cases))
    run(plain / "test_cases", tmp_path / "cases", USP_TENSORFLOW=str(TENSORFLOW))


# ---------------------------------------------------------------------------------------------- files to be refused


def model_cases(plain, tmp_path):
    """Lines of test_cases for folders that are not quite models."""
    library, state = (plain / "libusp_fake.so").read_bytes(), fake_model.STATE
    lines = []

    def case(status, words, change=lambda m: m, files=None, drop=(), raw=None):
        """``change`` edits the manifest of ``files``; ``drop`` are then taken away."""
        folder = tmp_path / f"model{len(lines)}"
        files = {"libusp_fake.so": library, "state.bin": state} | (files or {})
        manifest = fake_model.manifest(files)
        change(manifest)
        write(folder, manifest, files)
        for name in drop:
            (folder / name).unlink()
        if raw is not None:
            (folder / "manifest.json").write_bytes(raw)
        lines.append(f"model\t{folder}\t{STATUS[status]}\t{words}")

    def put(*path, value):
        def change(manifest):
            at = manifest
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = value

        return change

    def take(*path):
        def change(manifest):
            at = manifest
            for key in path[:-1]:
                at = at[key]
            del at[path[-1]]

        return change

    case("OK", "")
    case("OK", "", lambda m: m.update(later={"anything": [1, None, True]}))
    case("NOT_FOUND", "manifest.json", drop=["manifest.json"])
    case("NOT_FOUND", "state.bin", drop=["state.bin"])
    case("NOT_FOUND", "libusp_fake.so", drop=["libusp_fake.so"])
    case("CORRUPT", "usp-model", put("kind", value="usp-other"))
    case("CORRUPT", "usp-model", raw=b"[]")
    case("CORRUPT", "'schema' is missing", put("schema", value="1"))
    case("VERSION", "schema 2", put("schema", value=2))
    case("CORRUPT", "'name'", take("name"))
    case("CORRUPT", "'format'", put("format", value=None))
    case("UNSUPPORTED", "Got onnx instead", put("format", value="onnx"))
    case("CORRUPT", "'tensorflow' is missing", put("format", value="savedmodel"))
    case("CORRUPT", "dtype", put("dtype", value="float16"))
    for levels in (None, [], ["0.5"], [0.0], [1], [-0.5], [0.5] * 5000):
        case("CORRUPT", "'levels'", put("levels", value=levels))
    for horizons in (None, [], [0], [1.5], [-1], ["1"], [2**32], [1] * 5000):
        case("CORRUPT", "'horizons'", put("horizons", value=horizons))
    for telemetry in (None, [1], {"a": 1}, ["a"] * 5000):
        case("CORRUPT", "'telemetry'", put("telemetry", value=telemetry))
    case("CORRUPT", "'predict' does not take rows", take("signatures"))
    case("CORRUPT", "'predict' does not take rows", take("signatures", "predict"))
    case("CORRUPT", "'predict' does not take rows", put("signatures", "predict", "inputs", 0, "name", value="x"))
    for shape in (
        [3],
        ["batch", -3],
        ["batch", 3.5],
        ["batch", "batch"],
        ["batch", 2**29],
        ["batch", 2**20, 2**20],
        ["batch", 0],
    ):
        case("CORRUPT", "'predict' does not take rows", put("signatures", "predict", "inputs", 0, "shape", value=shape))
    case("CORRUPT", "other outputs", lambda m: m["signatures"]["predict"]["outputs"].pop())
    case("CORRUPT", "other outputs", lambda m: m["signatures"]["predict"]["outputs"].reverse())
    for i, shape in enumerate(([2, 6], [3], [2, 5], [7], [3])):
        case(
            "CORRUPT", "shapes don't fit", put("signatures", "predict", "outputs", i, "shape", value=["batch", *shape])
        )
    case("CORRUPT", "different shapes", put("signatures", "step", "outputs", 4, "shape", value=[2, 3]))
    case("CORRUPT", "'step' does not take", put("signatures", "step", "inputs", 0, "name", value="x"))
    case("CORRUPT", "'step' does not take", put("signatures", "step", "inputs", 1, "shape", value=[0]))
    case("CORRUPT", "'step' does not give", put("signatures", "step", "outputs", 0, "shape", value=[5]))
    case("CORRUPT", "'files' is missing", take("files"))
    for name in ("../x", "a/../../x", "/etc/passwd", "", ".", "..", "a//b", "a/", "./a", "a\\b", "x" * 1025):
        case("CORRUPT", "plain relative path", put("files", name, value=fake_model.entry(b"")))
    case("OK", "", files={"a/..b/c.d": b"1", "e/.f": b""})
    entry = fake_model.entry(state)
    for wrong in ({}, entry | {"sha256": entry["sha256"].upper()}, entry | {"sha256": "00"}, entry | {"bytes": -1}):
        case("CORRUPT", "lacks its SHA-256 or its length", put("files", "state.bin", value=wrong))
    case("CORRUPT", "is not the file", put("files", "state.bin", "bytes", value=31))
    case("CORRUPT", "is not the file", put("files", "libusp_fake.so", "sha256", value="0" * 64))
    case("CORRUPT", "trained state", take("files", "state.bin"))
    case("CORRUPT", "trained state", files={"state.bin": state[:-8]})
    case("CORRUPT", "larger than the 32 bytes", files={"state.bin": state + bytes(8)})
    case("CORRUPT", "does not list the library", take("files", "libusp_fake.so"))
    case("CORRUPT", "path of the library", put("native", "library", value="../libusp_fake.so"))
    for batches in (None, [], [2], [1, 1], [1, 4, 2], [1.5], [0, 1]):
        case("CORRUPT", "batches", put("native", "batches", value=batches))
    case("CORRUPT", "not the one that its manifest", put("native", "batches", value=[1, 8]))
    case("CORRUPT", "not the one that its manifest", take("signatures", "step"))
    case(
        "CORRUPT",
        "that manifest.json describes",
        put("signatures", "predict", "inputs", 0, "shape", value=["batch", 4]),
    )
    case("CORRUPT", "that manifest.json describes", put("signatures", "step", "inputs", 1, "shape", value=[3]))
    case("BACKEND", "Could not load", files={"libusp_fake.so": b"\x7fELF, or so it says"})
    case("BACKEND", "usp_native_table", files={"libusp_fake.so": (plain.parent / "libusp.so").read_bytes()})
    case("VERSION", "another version", files={"libusp_fake.so": (plain / "libusp_future.so").read_bytes()})
    case("CORRUPT", "not valid JSON", raw=b"")
    case("CORRUPT", "larger than the 16777216", raw=b" " * (2**24 + 1))
    return lines


def stream_cases(plain, tmp_path):
    """Lines of test_cases for stream files, written here from their documented layout."""
    folder, lines = plain / "model", []
    parts, count = (10, 2, 8, 8, 2), 3
    identity = hashlib.sha256(fake_model.STATE).digest()

    def case(
        status,
        words,
        magic=b"USPSTRM1",
        version=1,
        identity=identity,
        n=4,
        count=count,
        parts=parts,
        values=None,
        digest=None,
    ):
        values = np.arange(4 + (sum(parts) if count else 0)) if values is None else values
        head = magic + struct.pack("<II", version, 0) + identity + struct.pack("<7Q", n, count, *parts)
        body = head + np.asarray(values, "<f8").tobytes()
        path = tmp_path / f"stream{len(lines)}"
        path.write_bytes(body + (hashlib.sha256(body).digest() if digest is None else digest))
        lines.append(f"stream\t{folder}\t{path}\t{STATUS[status]}\t{words}")

    case("OK", "")
    case("OK", "", count=0)
    case("OK", "", count=2**63)
    case("CORRUPT", "not that of a stream", magic=b"USPSTRM2")
    case("VERSION", "version 2", version=2)
    case("WRONG_MODEL", "another model", identity=hashlib.sha256(b"").digest())
    case("WRONG_MODEL", "another model", n=5, values=np.zeros(5 + 30))
    case("WRONG_MODEL", "other shapes", parts=(15, 3, 12, 12, 2))
    case("CORRUPT", "length", values=np.zeros(4))
    case("CORRUPT", "length", count=0, values=np.zeros(34))
    case("CORRUPT", "length", n=4, values=np.zeros(35))
    case("CORRUPT", "damaged", digest=bytes(32))
    case("CORRUPT", "damaged", digest=b"")
    return lines


@pytest.mark.parametrize("kind", ["plain", "address"])
def test_files_that_are_not_what_they_should_be_are_refused_for_their_reason(kind, request, tmp_path):
    programs = request.getfixturevalue(kind)
    (tmp_path / "cases").write_text("\n".join(model_cases(programs, tmp_path) + stream_cases(programs, tmp_path)))
    run(programs / "test_cases", tmp_path / "cases")


def test_a_stream_file_is_laid_out_as_documented(plain, tmp_path):
    """Bytes that the library writes, read by struct."""
    library = ctypes.CDLL(str(plain / "libusp_fake.so"))
    model, stream = ctypes.c_void_p(), ctypes.c_void_p()
    assert library.usp_model_load(None, None, ctypes.byref(model)) == 0
    assert library.usp_stream_new(model, ctypes.byref(stream)) == 0
    y, n = (ctypes.c_double * 2)(14.0, 0.5), ctypes.c_size_t(2)
    assert library.usp_stream_push(stream, y, n, None, ctypes.c_size_t(0), None) == 0
    path = tmp_path / "stream"
    path.write_bytes(b"something else")
    assert library.usp_stream_save(stream, str(path).encode()) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["stream"]
    data = path.read_bytes()
    assert data[:8] == b"USPSTRM1"
    assert data[16:48] == hashlib.sha256(fake_model.STATE).digest()
    assert data[-32:] == hashlib.sha256(data[:-32]).digest()
    assert struct.unpack("<II", data[8:16]) == (1, 0)
    assert struct.unpack("<7Q", data[48:104]) == (4, 1, 10, 2, 8, 8, 2)
    values = np.frombuffer(data[104:-32], "<f8")
    assert values[:4].tolist() == [11.0, 6.0, 1.0, 0.5]
    assert values[4:6] == pytest.approx([11.5 - 2.5 * (1 + 6**0.5), 11.5 - 0.7 * (1 + 6**0.5)], rel=1e-15)
    library.usp_stream_free(stream)
    library.usp_model_free(model)


# --------------------------------------------------------------------------------------- pieces against their oracles


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """Inner functions of the runtime, made visible."""
    library = tmp_path_factory.mktemp("pieces") / "pieces.so"
    sources = [EXPORT / "src" / f"{name}.c" for name in ("error", "json", "law", "sha256")]
    run("cc", "-std=c11", "-O1", "-shared", "-fPIC", f"-I{EXPORT / 'include'}", *sources, "-o", library, "-lm")
    return ctypes.CDLL(str(library))


def test_sha256_agrees_with_hashlib(pieces):
    data = np.random.default_rng(0).bytes(100_000)
    for n in [*range(200), 4096, 99_999, 100_000]:
        digest = ctypes.create_string_buffer(32)
        pieces.uspi_sha256_of(data[:n], ctypes.c_size_t(n), digest)
        assert digest.raw == hashlib.sha256(data[:n]).digest()


def quantile(pieces, levels, q, tails, u):
    value, array = ctypes.c_double(), lambda x: (ctypes.c_double * len(x))(*x)
    arguments = (array(levels), ctypes.c_size_t(len(levels)), array(q), array(tails), ctypes.c_double(u))
    return pieces.uspi_law_quantile(*arguments, ctypes.byref(value)), value.value


def test_quantiles_at_any_level_are_those_of_python(pieces):
    rng = np.random.default_rng(1)
    inside = [0.006, 0.0125, 0.3, 0.5, 0.618, 0.9, 0.9949]
    far = [1e-9, 1e-6, 0.0004, 0.001, 0.004999, 0.005]
    every = [*inside, *far, *(1 - np.array(far)), *laws.LEVELS]
    for _ in range(20):
        q, scale, index = np.sort(rng.normal(size=25)), rng.uniform(0, 2, 2), rng.uniform(1e-3, 0.95, 2)
        with precision():
            law = laws.Law(*map(laws.jnp.asarray, (q, scale, index)))
            expected = np.asarray(laws.ppf(law, np.array(every)))
            own = np.array([0.001, 0.005, 0.4, 0.9, 0.9999])
            q_own = np.asarray(laws.ppf(law, own))
        tails = [*scale, *index]
        got = [quantile(pieces, laws.LEVELS, q, tails, u) for u in every]
        assert [status for status, _ in got] == [0] * len(every)
        np.testing.assert_allclose([value for _, value in got], expected, rtol=1e-12)
        # A model's own levels may start inside the tail: further out it is the same tail.
        for u in (1e-8, 0.0009, 1 - 1e-6):
            with precision():
                reference = float(laws.ppf(law, u)[0])
            assert quantile(pieces, own, q_own, tails, u) == (0, pytest.approx(reference, rel=1e-9))


def test_quantiles_beyond_levels_whose_tail_is_not_known_are_refused(pieces):
    tails = [1.0, 1.0, 0.1, 0.1]
    for levels, u in (([0.1, 0.9], 0.05), ([0.1, 0.9], 0.95), ([0.9, 0.1], 0.5), ([0.5, 0.5], 0.5)):
        assert quantile(pieces, levels, [0.0, 1.0], tails, u)[0] == STATUS["UNSUPPORTED"]
    assert quantile(pieces, [0.5], [3.0], tails, 0.5) == (0, 3.0)
    assert quantile(pieces, [0.5], [3.0], tails, 0.6)[0] == STATUS["UNSUPPORTED"]
    assert quantile(pieces, [0.1, 0.9], [0.0, 1.0], tails, 0.5) == (0, 0.5)


class Node(ctypes.Structure):
    """uspi_node of json.h."""


Node._fields_ = [
    ("type", ctypes.c_int),
    ("key", ctypes.c_char_p),
    ("string", ctypes.c_char_p),
    ("number", ctypes.c_double),
    ("count", ctypes.c_size_t),
    ("first", ctypes.POINTER(Node)),
    ("next", ctypes.POINTER(Node)),
]


class Json(ctypes.Structure):
    """uspi_json of json.h."""

    _fields_ = [("text", ctypes.c_void_p), ("nodes", ctypes.POINTER(Node))]


def as_python(node):
    kind, children, at = node.type, [], node.first
    while at:
        children.append((at.contents.key, as_python(at.contents)))
        at = at.contents.next
    assert len(children) == node.count
    if kind == 5:
        return {key.decode(): value for key, value in children}
    scalars = [None, bool(node.number), node.number, (node.string or b"").decode()]
    return [value for _, value in children] if kind == 4 else scalars[kind]


def parse(pieces, text):
    """What the runtime reads, or None if it refuses; with the status of that."""
    result = Json()
    status = pieces.uspi_json_parse(text, ctypes.c_size_t(len(text)), b"text", ctypes.byref(result))
    value = as_python(result.nodes[0]) if status == 0 else None
    pieces.uspi_json_free(ctypes.byref(result))
    return status, value


def test_json_reads_what_python_reads(pieces):
    rng = np.random.default_rng(2)
    bits = rng.integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64)
    numbers = [*bits[np.isfinite(bits)].tolist(), 5e-324, 1.7976931348623157e308, 0.1, -0.0, 1e22, 123456789012345678]
    document = {
        "numbers": numbers,
        "words": ["", "\u00e9\u4e2d\U0001f600", '"\\/\b\f\n\r\t', "\x7f\x01", "a" * 3000],
        "": {"": [[], {}, [[]], {"a": {}}]},
        "rest": [True, False, None],
    }
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False), json.dumps(document, indent=3)):
        status, value = parse(pieces, text.encode())
        assert status == 0
        assert value == document
        assert [np.float64(x).tobytes() for x in value["numbers"]] == [np.float64(x).tobytes() for x in numbers]
    for text in (
        b"1",
        b" [ ] ",
        b"-0",
        b'"\\u00e9\\ud83d\\ude00"',
        b"[1E+2, 1e-2, 0.5e0]",
        b"\t\r\n{}\n",
        b"[" * 32 + b"]" * 32,
    ):
        assert parse(pieces, text) == (0, json.loads(text))


@pytest.mark.parametrize(
    "text",
    b"01|-|+1|.5|1.|1.e3|1e|1e+|--1|0x10|NaN|Infinity|-Infinity|1e999|[1,]|[,1]|[1 2]|[1|]|{|{]|[}|{1:2}|{'a':1}|"
    b'{"a"}|{"a":}|{"a":1,}|{"a" 1}|{"a":1,"a":2}|"|"a|"\\|"\\x"|"\\u12"|"\\u12g4"|"\\ud800"|"\\ud800\\u0041"|'
    b'"\\udc00"|"\\u0000"|"\t"|"\x80"|"\xc0\x80"|"\xed\xa0\x80"|"\xf4\x90\x80\x80"|"\xe4\xb8"|"\xff"|"\xf0\x80\x80\x80"|'
    b'"\xe0\x80\x80"|"\xc3|tru|nul|True|//1|/**/1|1 1|{}{}|\xef\xbb\xbf1| |\x00|1\x00|"a\x00"|\x0b1'.split(b"|"),
    ids=repr,
)
def test_json_refuses_what_the_standard_does_not_allow(pieces, text):
    assert parse(pieces, text)[0] == STATUS["CORRUPT"]


def test_json_is_bounded(pieces):
    assert parse(pieces, b"[" * 33 + b"]" * 33)[0] == STATUS["CORRUPT"]
    members = [f'"{i}":0' for i in range(4097)]
    assert parse(pieces, ("{" + ",".join(members[:-1]) + "}").encode())[0] == 0
    assert parse(pieces, ("{" + ",".join(members) + "}").encode())[0] == STATUS["CORRUPT"]


# ------------------------------------------------------------------------------------------------------ the interface


def test_only_the_interface_is_visible(plain):
    def names(library):
        lines = run("nm", "-D", "--defined-only", library).splitlines()
        return {line.split()[-1] for line in lines}

    assert names(plain.parent / "libusp.so") == DECLARED
    assert names(plain / "libusp_fake.so") == DECLARED | {"usp_native_table"}
    assert len(DECLARED) == 23


def test_status_codes_keep_their_numbers():
    frozen = "OK INVALID_ARGUMENT NULL_POINTER BUFFER_TOO_SMALL NOT_FOUND IO CORRUPT VERSION UNSUPPORTED OUT_OF_MEMORY "
    frozen += "BACKEND NOT_FINITE NO_LAW WRONG_MODEL"
    assert list(STATUS)[:14] == frozen.split()
    assert list(STATUS.values()) == list(range(len(STATUS)))


def example():
    """The program in the header's first comment."""
    comment = HEADER[HEADER.index("**   usp_model *model") : HEADER.index("** CONVENTIONS")]
    body = "\n".join(line.removeprefix("**") for line in comment.splitlines())
    return f"#include <stdio.h>\n#include <stdlib.h>\n#include <usp.h>\nint main(void) {{\n{body}\nreturn 0;\n}}\n"


def test_the_library_installs_and_the_headers_example_compiles_against_it(plain, tmp_path):
    run("cmake", "--install", plain.parent, "--prefix", tmp_path / "usr")
    pc = next((tmp_path / "usr").rglob("usp.pc"))
    text = pc.read_text()
    configured = re.search("^prefix=(.*)$", text, re.M).group(1)
    pc.write_text(text.replace(configured, str(tmp_path / "usr")))
    flags = run("pkg-config", "--cflags", "--libs", "usp", PKG_CONFIG_PATH=str(pc.parent)).split()
    strict = ("-Wall", "-Wextra", "-Werror", "-pedantic")
    (tmp_path / "example.c").write_text(example())
    (tmp_path / "example.cpp").write_text(example())
    run("cc", "-std=c99", *strict, tmp_path / "example.c", "-o", tmp_path / "example", *flags)
    run("c++", "-std=c++11", *strict, tmp_path / "example.cpp", "-o", tmp_path / "example_cpp", *flags)
    libraries = str(next((tmp_path / "usr").rglob("libusp.so")).parent)
    for program in ("example", "example_cpp"):  # there is no model "wti" here
        run(tmp_path / program, expect=1, LD_LIBRARY_PATH=libraries)


def test_the_manifest_of_the_tests_is_that_of_the_contract():
    manifest = copy.deepcopy(fake_model.manifest({"state.bin": fake_model.STATE}))
    assert set(manifest) >= {"kind", "schema", "name", "format", "dtype", "levels", "horizons", "signatures", "files"}
    assert laws.EDGE == fake_model.LEVELS[0] == 0.005  # where law.c lets the tails start
    assert shutil.which("valgrind"), "valgrind is needed"
