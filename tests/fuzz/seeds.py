"""Writes the corpus afresh: ``python -m tests.fuzz.seeds``. Small files of every kind, and hostile ones by hand."""

import gzip
import hashlib
import io
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pandas as pd

from tests.fuzz.targets import CORPUS, HERE
from usp_sklearn import JKOAggregator, JKOPredictor, LevyPredictor, SlidingWindow, Stream
from usp_sklearn.api.persistence import packed
from usp_sklearn.export import manifest
from usp_sklearn.io import snapshot


def put(target: str, name: str, data: bytes) -> None:
    """One file of the corpus."""
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def models() -> None:
    """Contents of models, shapes of their arrays, and small snapshots."""
    rng = np.random.default_rng(0)
    series = rng.normal(size=80).cumsum()
    windows = SlidingWindow(width=4, season=3, averages=(0.1,), profile=(0.3,)).fit(series[:, None])
    X = windows.transform(series[:, None])[4:-1]
    levy = LevyPredictor(**windows.layout, random_state=0).fit(X, series[5:])
    jko = JKOPredictor(width=4, n_level=X.shape[1] - 4, branches=["A"], random_state=1).fit(pd.DataFrame(X), series[5:])
    aggregator = JKOAggregator(quantiles=[0.1, 0.5, 0.9]).fit(rng.normal(size=(20, 2, 3)), series[:20])
    shapes = {}
    for name, model in {
        "levy": levy,
        "jko": jko,
        "aggregator": aggregator,
        "stream": Stream(levy, series, windows),
    }.items():
        content, arrays = packed(model)
        shapes |= {k: (v.dtype.name, v.shape) for k, v in arrays.items()}
        put("content", f"{name}.json", json.dumps(content, separators=(",", ":")).encode())
    (HERE / "shapes.json").write_text(json.dumps(shapes))
    kinds = {"x": np.arange(4.0), "on": np.array([True, False]), "n": np.array(3, np.int32), "none": np.zeros((0, 2))}
    small = snapshot.encode({"estimator": "LevyPredictor", "params": {}, "fitted": {}}, kinds)
    put("snapshot", "small.usp", small)
    put("snapshot", "cut.usp", small[:100])
    put("snapshot", "empty.usp", snapshot.encode({}, {}))
    put("snapshot", "pickle.usp", pickle.dumps({"a": np.zeros(2)}))
    for name, header in {
        "huge": {"x": {"dtype": "F64", "shape": [1 << 62], "data_offsets": [0, 1 << 63]}},
        "void": {"x": {"dtype": "F64", "shape": [0, 1 << 62, 1 << 62], "data_offsets": [0, 0]}},
        "deep": {"__metadata__": {"content": "[" * 2000, "kind": "usp-snapshot", "schema": "1", "versions": "{}"}},
    }.items():
        header.setdefault("__metadata__", {"kind": "usp-snapshot", "schema": "1", "versions": "{}", "content": "{}"})
        header["__metadata__"]["sha256"] = "0" * 64
        text = json.dumps(header, separators=(",", ":")).encode()
        put("snapshot", f"{name}.usp", struct.pack("<Q", len(text)) + text)


def manifests() -> None:
    """Manifests of the folder that the target makes."""
    state = struct.pack("<4d", 1.0, 2.0, 3.0, 4.0)
    entry = {"sha256": hashlib.sha256(state).hexdigest(), "bytes": len(state)}
    good = {
        "kind": manifest.KIND,
        "schema": manifest.SCHEMA,
        "name": "m",
        "format": "native",
        "files": {"state.bin": entry},
    }
    put("manifest", "good.json", json.dumps(good).encode())
    put("manifest", "outside.json", json.dumps(good | {"files": {"../../etc/passwd": entry}}).encode())
    put("manifest", "schema.json", json.dumps(good | {"schema": 99}).encode())
    put("manifest", "damaged.json", json.dumps(good | {"files": {"state.bin": entry | {"sha256": "0"}}}).encode())
    put("manifest", "list.json", b"[1]")
    put("manifest", "empty.json", b"")


def series() -> None:
    """Series in the forms people keep them in."""
    put("series", "plain.csv", b"1\n2\n3.5\n-4e-3\n")
    put("series", "dates.csv", b"date,price\n2024-01-01,1.5\n2024-01-02,2.25\n2024-01-03,NA\n")
    put("series", "german.csv", b"Tag;Preis\n31.12.2023;1.234,5\n01.01.2024;1.300,25\n")
    put("series", "times.tsv", b"# note\ntime\tvalue\n2024-03-31T01:00:00+01:00\t1\n2024-03-31T03:00:00+02:00\t2\n")
    put("series", "quoted.csv", b'"a","b, c"\r\n"1","2"\r\n"3","4"\r\n')
    put("series", "utf16.csv", "t;größe\n1;2\n2;3\n".encode("utf-16"))
    put("series", "gzip.csv.gz", gzip.compress(b"t,y\n1,2\n2,3\n", mtime=0))
    put("series", "newest_first.csv", b"day,v\n2024-01-03,3\n2024-01-02,2\n2024-01-01,1\n")
    buffer = io.BytesIO()
    table = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=3), "y": [1.0, 2.0, 3.0]})
    table.to_parquet(buffer, compression=None)
    put("series", "small.parquet", buffer.getvalue())


def commands() -> None:
    """Words of each command, and a file for them."""
    rng = np.random.default_rng(0)
    walk = 20 + rng.normal(size=90).cumsum().round(2)
    plain = "".join(f"{v}\n" for v in walk)
    dated = "day,load\n" + "".join(
        f"{d:%Y-%m-%d},{v}\n" for d, v in zip(pd.date_range("2024", periods=90), walk, strict=True)
    )
    german = "Tag;Preis\n" + "".join(f"{i};{v}".replace(".", ",") + "\n" for i, v in enumerate(walk))
    lines = plain + '{"value": 1.5, "time": "2024-01-01"}\nnothing\n2024-01-02,3\n'
    for name, words, file in (
        ("forecast", "forecast data.csv --width 8 --horizon 2 --levels 0.1,0.9 --out out.csv --save s.usp", dated),
        ("reading", "forecast data.csv --column Preis --index none --delimiter ; --decimal , --missing drop", german),
        ("times", "forecast data.csv --dayfirst --timezone UTC --encoding utf-8 --season 7 --seed 3", dated),
        ("backtest", "backtest data.csv --width 8 --train 0.5 --model levy --param tau=0.5 --report r.html -q", plain),
        ("tune", "tune data.csv --width 8 --trials 2 --folds 2 --space tau=0.5:2:log --scoring neg_crps", plain),
        ("storage", "tune data.csv --width 8 --trials 1 --storage study.log --timeout 1 --out t.parquet", plain),
        ("export", "export data.csv model --format onnx --name m --dtype float32 --width 8", plain),
        ("saved", "export s.usp model --format native --levels 0.5", plain),
        ("info", "info data.csv --json", dated),
        ("folder", "info .", plain),
        ("about", "--version", ""),
        ("help", "stream --help", ""),
        ("stream", "stream --warm-up 50 --width 8 --checkpoint state --every 0 --telemetry t.jsonl", lines),
        ("history", "stream data.csv --history data.csv --width 8 --levels 0.5", plain),
        ("from", "stream --from s.usp", lines),
    ):
        put("command", name, "\n".join(words.split()).encode() + b"\n\n" + file.encode())


if __name__ == "__main__":
    for part in (models, manifests, series, commands):
        part()
    print(sum(f.stat().st_size for f in Path(CORPUS).rglob("*") if f.is_file()), "bytes")
