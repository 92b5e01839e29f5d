"""Pieces of the C runtime against oracles: SHA-256 and hashlib, JSON and json, quantiles and the law in Python."""

import ctypes
import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from usp_sklearn.kernels import law as laws
from usp_sklearn.runtime import precision

EXPORT = Path(__file__).resolve().parents[2] / "export"
CORRUPT, UNSUPPORTED = 6, 8


@pytest.fixture(scope="module", params=[(), ("-DUSPI_PORTABLE",)], ids=["as built", "portable"])
def pieces(request, tmp_path_factory):
    """Inner functions of the runtime, made visible; with and without what this processor alone can do."""
    library = tmp_path_factory.mktemp("pieces") / "pieces.so"
    sources = [EXPORT / "src" / f"{name}.c" for name in ("error", "json", "law", "sha256", "sha256_x86")]
    flags = ("-std=c11", "-O1", "-shared", "-fPIC", f"-I{EXPORT / 'include'}")
    subprocess.run(["cc", *flags, *request.param, *sources, "-o", library, "-lm"], check=True)
    return ctypes.CDLL(str(library))


def test_sha256_agrees_with_hashlib(pieces):
    data = np.random.default_rng(0).bytes(100_000)
    for n in [*range(200), 4096, 99_999, 100_000]:
        digest = ctypes.create_string_buffer(32)
        pieces.uspi_sha256_of(data[:n], ctypes.c_size_t(n), digest)
        assert digest.raw == hashlib.sha256(data[:n]).digest()
        sha = ctypes.create_string_buffer(256)
        pieces.uspi_sha256_start(sha)
        for start in range(0, n, 100):
            pieces.uspi_sha256_add(sha, data[start : min(start + 100, n)], ctypes.c_size_t(min(100, n - start)))
        pieces.uspi_sha256_end(sha, digest)
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
        assert quantile(pieces, levels, [0.0, 1.0], tails, u)[0] == UNSUPPORTED
    assert quantile(pieces, [0.5], [3.0], tails, 0.5) == (0, 3.0)
    assert quantile(pieces, [0.5], [3.0], tails, 0.6)[0] == UNSUPPORTED
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
    numbers = [
        *bits[np.isfinite(bits)].tolist(),
        5e-324,
        1.7976931348623157e308,
        0.1,
        -0.0,
        1e22,
        float(123456789012345678),
    ]
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
    assert parse(pieces, text)[0] == CORRUPT


def test_json_is_bounded(pieces):
    assert parse(pieces, b"[" * 33 + b"]" * 33)[0] == CORRUPT
    members = [f'"{i}":0' for i in range(4097)]
    assert parse(pieces, ("{" + ",".join(members[:-1]) + "}").encode())[0] == 0
    assert parse(pieces, ("{" + ",".join(members) + "}").encode())[0] == CORRUPT
