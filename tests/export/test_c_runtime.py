"""The C runtime in export/: built here, plain and under sanitizers, and run on a model written by hand in C.

The programs in export/tests check the interface from the inside; this file builds them, makes the damaged and foreign
files they must refuse (with Python's own hashlib and json as oracles), and looks at what the library exports.
"""

import ctypes
import hashlib
import importlib.util
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

from . import c_cases

EXPORT = Path(__file__).resolve().parents[2] / "export"
HEADER = (EXPORT / "include" / "usp.h").read_text()
DECLARED = set(re.findall(r"^USP_API [^(]*?(usp_\w+)\(", HEADER, re.M))
WHEEL = Path(importlib.util.find_spec("tensorflow").submodule_search_locations[0])
TENSORFLOW = WHEEL / "libtensorflow_cc.so.2"


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
    run(plain / "test_predict", plain / "model")
    run(plain / "test_predict_embedded", "-")


def test_every_function_under_address_and_undefined_behaviour_sanitizers(address, tmp_path):
    run(address / "test_api", address / "model", tmp_path)
    run(address / "test_embedded", "-", tmp_path)
    run(address / "test_predict", address / "model")
    run(address / "test_predict_embedded", "-")
    run(address / "test_threads", address / "model")


@pytest.mark.parametrize("program", ["test_api", "test_embedded", "test_predict", "test_predict_embedded"])
def test_valgrind_finds_no_error_and_no_leak(plain, tmp_path, program):
    valgrind = ("valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=all")
    model = "-" if "embedded" in program else plain / "model"
    scratch = [] if "predict" in program else [tmp_path]
    run(*valgrind, "--errors-for-leak-kinds=all", plain / program, model, *scratch)


def test_eight_threads_with_eight_streams_each_give_what_one_thread_gives(plain, thread):
    for folder in (plain, thread):
        run(folder / "test_threads", folder / "model")
        run(folder / "test_threads_embedded", "-")
        run(folder / "test_threads_embedded", folder / "model")


def test_a_push_allocates_nothing(plain):
    run(plain / "test_allocation", plain / "model")


def test_libraries_in_one_process_keep_to_their_own_model(plain):
    run(plain / "test_libraries", *(plain / f"libusp_{name}.so" for name in ("future", "damaged", "fake")))


def test_damaged_files_never_crash(address, tmp_path):
    run(address / "test_fuzz", address / "model", tmp_path / "fuzz", 600)


# ------------------------------------------------------------------------------------------------------- TensorFlow


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_savedmodel_does_what_the_compiled_model_does(plain, saved, tmp_path, dtype):
    run(plain / "test_savedmodel", plain / "model", saved / dtype, tmp_path, dtype, TENSORFLOW)


def test_threads_share_one_tensorflow_session(plain, saved):
    run(plain / "test_threads", saved / "float64", USP_TENSORFLOW=str(TENSORFLOW))


def test_savedmodels_that_are_not_what_their_manifest_says(plain, saved, tmp_path):
    (tmp_path / "cases").write_text("\n".join(c_cases.savedmodel_cases(saved / "float64", tmp_path)))
    run(plain / "test_cases", tmp_path / "cases", USP_TENSORFLOW=str(TENSORFLOW))


# ---------------------------------------------------------------------------------------------- files to be refused


@pytest.mark.parametrize("kind", ["plain", "address"])
def test_files_that_are_not_what_they_should_be_are_refused_for_their_reason(kind, request, tmp_path):
    programs = request.getfixturevalue(kind)
    lines = c_cases.model_cases(programs, tmp_path) + c_cases.stream_cases(programs, tmp_path)
    lines += c_cases.snapshot_cases(programs, tmp_path)
    (tmp_path / "cases").write_text("\n".join(lines))
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
    (tmp_path / "folder").mkdir()
    assert library.usp_stream_save(stream, str(tmp_path / "folder").encode()) == c_cases.STATUS["IO"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "stream"]
    data = path.read_bytes()
    assert data[:8] == b"USPSTRM1"
    assert data[16:48] == hashlib.sha256(c_cases.fake_model.STATE).digest()
    assert data[-32:] == hashlib.sha256(data[:-32]).digest()
    assert struct.unpack("<II", data[8:16]) == (1, 0)
    assert struct.unpack("<7Q", data[48:104]) == (4, 1, 10, 2, 8, 8, 2)
    values = np.frombuffer(data[104:-32], "<f8")
    assert values[:4].tolist() == [11.0, 6.0, 1.0, 0.5]
    assert values[4:6] == pytest.approx([11.5 - 2.5 * (1 + 6**0.5), 11.5 - 0.7 * (1 + 6**0.5)], rel=1e-15)
    library.usp_stream_free(stream)
    library.usp_model_free(model)


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
    assert list(c_cases.STATUS)[:14] == frozen.split()
    assert list(c_cases.STATUS.values()) == list(range(len(c_cases.STATUS)))


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
    manifest = c_cases.fake_model.manifest({})
    assert set(manifest) >= {"kind", "schema", "name", "format", "dtype", "levels", "horizons", "signatures", "files"}
    assert laws.EDGE == c_cases.fake_model.LEVELS[0] == 0.005  # where law.c lets the tails start
    assert shutil.which("valgrind"), "valgrind is needed"
