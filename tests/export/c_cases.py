"""Files that the C runtime must refuse, each with the status and the words it must give: lines for test_cases.c.

SHA-256 and JSON are Python's, so that the runtime's own are tested against them.
"""

import hashlib
import importlib.util
import json
import re
import struct
from pathlib import Path

import numpy as np

EXPORT = Path(__file__).resolve().parents[2] / "export"
STATUS = {k: int(v) for k, v in re.findall(r"USP_(\w+) = (\d+)", (EXPORT / "include" / "usp.h").read_text())}

_spec = importlib.util.spec_from_file_location("fake_model", EXPORT / "tests" / "fake_model.py")
fake_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake_model)


def write(folder, manifest, files):
    """A model folder of these files, listed as they are."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest))


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
    case(
        "CORRUPT",
        "'step' does not give",
        put("signatures", "step", "outputs", 0, value={"name": "state", "shape": [5]}),
    )
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


def snapshot_cases(plain, tmp_path):
    """Lines of test_cases for snapshots as Python writes them, made here by struct and json."""
    lines = []

    def case(status, words, digest="", folder=plain / "model", **changes):
        """``changes``: of arrays (by a function), and of the metadata's texts, None for taken away."""
        arrays, metadata = fake_model.good_snapshot()
        changes.pop("arrays", lambda a: a)(arrays)
        metadata = {k: v for k, v in (metadata | changes).items() if v is not None}
        path = tmp_path / f"snapshot{len(lines)}"
        path.write_bytes(fake_model.snapshot(arrays, metadata, digest))
        lines.append(f"stream\t{folder}\t{path}\t{STATUS[status]}\t{words}")

    def content(**changes):
        whole = json.loads(fake_model.good_snapshot()[1]["content"]) | changes
        return json.dumps({k: v for k, v in whole.items() if v is not None})

    def array(name, *entry):
        return lambda arrays: arrays.update({name: entry}) if entry else arrays.pop(name)

    def real(*values):
        return content(stream={"_real": {"list": list(values)}})

    case("OK", "")
    case("OK", "", arrays=array("anything/else", "F8_E4M3", [3], b"abc"))
    case("CORRUPT", "SHA-256", digest="0" * 64)
    case("CORRUPT", "no digest", digest="A" * 64)
    case("CORRUPT", "not that of a stream", kind="usp-model")
    case("CORRUPT", "not that of a stream", kind=None)
    case("CORRUPT", "not that of a stream", content=None)
    case("VERSION", "schema 2", schema="2")
    for text in ("", "{", "[" * 100, '{"stream": 1, "stream": 2}', "\udcff"):
        case("CORRUPT", "not valid JSON", content=text)
    case("WRONG_MODEL", "not that of a stream", content=content(stream=None))
    case("WRONG_MODEL", "not that of a stream", content="[]")
    case("VERSION", "earlier version", content=content(step=None))
    case("WRONG_MODEL", "another model", content=content(step="0" * 64))
    case("CORRUPT", "which of its values", content=content(stream={"_real": [True]}))
    case("UNSUPPORTED", "values were missing", content=real(True, False))
    case("UNSUPPORTED", "values were missing", content=real(1))
    case("CORRUPT", "'engine/state/level'", arrays=array("engine/state/level"))
    case("CORRUPT", "as 1 numbers of type F64", arrays=array("engine/state/level", "F32", [1], bytes(4)))
    case("CORRUPT", "as 1 numbers of type F64", arrays=array("engine/state/level", "F64", [2], bytes(16)))
    case("CORRUPT", "as 4 numbers of type F32", arrays=array("buffer/ring", "F32", [1], bytes(4)))

    def model(change):
        """The model with another "snapshot" in its manifest."""
        folder = tmp_path / f"of_snapshot{len(lines)}"
        files = {name: (plain / "model" / name).read_bytes() for name in ("libusp_fake.so", "state.bin")}
        manifest = fake_model.manifest(files)
        change(manifest)
        write(folder, manifest, files)
        return folder

    def listed(**changes):
        return model(lambda m: m["snapshot"].update(arrays=[fake_model.HANDOVER[0] | changes]))

    case("UNSUPPORTED", "export it anew", folder=model(lambda m: m.pop("snapshot")))
    case("CORRUPT", "the schema of 'snapshot'", folder=model(lambda m: m["snapshot"].pop("schema")))
    case("WRONG_MODEL", "another model", folder=model(lambda m: m["snapshot"].pop("step")))
    for changes in ({"at": 4}, {"at": -1}, {"used": 2}, {"used": 0}, {"size": 0}, {"dtype": "F16"}, {"name": None}):
        case("CORRUPT", "where arrays stand", folder=listed(**changes))
    case("CORRUPT", "where arrays stand", folder=model(lambda m: m["snapshot"].pop("arrays")))
    case("CORRUPT", "where arrays stand", folder=model(lambda m: m["snapshot"].update(arrays=[])))
    return lines


def savedmodel_cases(source, tmp_path):
    """Lines of test_cases for SavedModels that are not what their manifest says."""
    cases = []

    def case(status, words, change, **changed):
        folder = tmp_path / f"case{len(cases)}"
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
    case(
        "CORRUPT", "of step_pieces.outputs.state_1", lambda m: m["tensorflow"]["step_pieces"]["outputs"].pop("state_1")
    )
    case("CORRUPT", "of step.inputs.state_0", lambda m: m["tensorflow"].pop("step_pieces"))
    case("CORRUPT", "of step_pieces.inputs.state", lambda m: m["tensorflow"].pop("pieces"))
    for piece in (
        {"name": "state_0", "offset": 3, "shape": [2, 1]},
        {"name": "state_0", "offset": 5, "shape": []},
        {"name": "state_0", "offset": -1, "shape": [2, 1]},
        {"name": "state_0", "offset": 0, "shape": [4, 4]},
        {"name": "state_0", "offset": 0, "shape": [2**40, 2**40]},
        {"name": "state_0", "offset": 0, "shape": [1] * 40},
        {"name": "state_0", "offset": 0, "shape": [0]},
        {"name": "state_0", "offset": 0},
        {"offset": 0, "shape": [2, 1]},
        "state_0",
    ):
        case(
            "CORRUPT", "pieces that do not fit", lambda m, piece=piece: m["tensorflow"]["pieces"].__setitem__(0, piece)
        )
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
    return cases
