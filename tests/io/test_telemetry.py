"""Sinks of risk records: what they write, what they never write, and that they don't get into the stream's way."""

import json
import logging
import math
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from usp_sklearn import LevyPredictor, Stream
from usp_sklearn.core.telemetry import BRANCH_ORDER, MODES, Telemetry
from usp_sklearn.io.telemetry import Background, Events, JsonLines, Metrics, Tee, lines, names
from usp_sklearn.io.telemetry.names import admitted

RECORD = {
    "holder_exponent": 0.5,
    "kurtosis": 3.25,
    "quadratic_variation": float("nan"),
    "distance_to_alarm": 0.75,
    "kernel_weights": [0.5, 0.25, 0.25, 0.0],
    "mode": "robust",
    "regime_changed": True,
    "sinkhorn_converged": True,
    "outlier": False,
}


# ------------------------------------------------------------------ what may leave


def test_every_field_of_a_record_is_known():
    known = {*names.NUMBERS, *names.FLAGS, "kernel_weights", "mode"}
    assert set(Telemetry._fields) <= known
    rng = np.random.default_rng(0)
    series = rng.normal(size=60).cumsum()
    X = np.lib.stride_tricks.sliding_window_view(series[:-1], 16)
    stream = Stream(LevyPredictor(random_state=0).fit(X, series[16:]), series)
    assert set(stream.telemetry_) == known
    stream.push(0.0)
    assert set(stream.telemetry_) == set(admitted(stream.telemetry_)) == known
    assert names.BRANCHES == BRANCH_ORDER and names.MODES == MODES


def test_only_documented_names_leave():
    record = RECORD | {
        "y": 46.25,
        "law": np.zeros(25),
        "features": [1.0, 2.0],
        "note": "text",
        "held": np.True_,
        "mode": "other",
        "kurtosis": np.float64(3.25),
        "holder_se": "0.1",
        "kernel_weights": [46.25] * 9,
        "step_seconds": 0.001,
    }
    assert admitted(record) == {
        **{k: v for k, v in RECORD.items() if k not in ("mode", "kernel_weights", "quadratic_variation")},
        "quadratic_variation": pytest.approx(math.nan, nan_ok=True),
        "held": True,
        "step_seconds": 0.001,
    }


def test_no_value_and_no_feature_of_a_stream_leaves(tmp_path, caplog):
    rng = np.random.default_rng(0)
    series = 7000 + rng.normal(size=200).cumsum()
    X = np.lib.stride_tricks.sliding_window_view(series[:-1], 16)
    stream = Stream(LevyPredictor(random_state=0).fit(X, series[16:]), series)
    file, metrics = JsonLines(tmp_path / "risk.jsonl"), Metrics()
    sink = Tee(file, metrics, Events())
    values = [7000.123456789 + 1.37 * i for i in range(40)] + [9876.54321]
    with caplog.at_level(logging.INFO, "usp_sklearn"):
        for value in values:
            law = stream.push(value)
            sink.write(stream.telemetry_ | {"y": value, "median": float(law.median())})
    written = (tmp_path / "risk.jsonl").read_text() + metrics.text() + caplog.text
    assert caplog.records and len((tmp_path / "risk.jsonl").read_text().splitlines()) == len(values)
    found = {float(x) for x in re.findall(r"-?\d+\.\d+(?:e[+-]?\d+)?", written)}
    raw = np.concatenate([values, series, np.diff(values), stream.law.law.q, [float(stream.law.median())]])
    assert not found & set(raw.tolist())


# ------------------------------------------------------------------ lines


def test_lines_read_back(tmp_path):
    sink = JsonLines(tmp_path / "risk.jsonl", stream='w"ti\né')
    for _ in range(3):
        sink.write(RECORD)
    sink.close()
    raw = (tmp_path / "risk.jsonl").read_bytes()
    records = [json.loads(line, parse_constant=pytest.fail) for line in raw.splitlines()]
    assert raw.endswith(b"\n") and [r["step"] for r in records] == [1, 2, 3]
    assert records[1] == RECORD | {
        "quadratic_variation": None,
        "time": records[1]["time"],
        "step": 2,
        "stream": 'w"ti\né',
    }
    assert 1.6e9 < records[0]["time"] <= records[2]["time"]


def test_files_are_rotated_by_size(tmp_path):
    sink = JsonLines(tmp_path / "risk.jsonl", max_bytes=2000, keep=3)
    for i in range(100):
        sink.write({"kurtosis": float(i)})
        # The newest line is in the file at once, whole.
        assert json.loads((tmp_path / "risk.jsonl").read_text().splitlines()[-1])["kurtosis"] == i
    sink.close()
    files = [tmp_path / f"risk.jsonl{end}" for end in (".3", ".2", ".1", "")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(f.stat().st_size <= 2000 for f in files)
    kept = [json.loads(line)["kurtosis"] for f in files for line in f.read_text().splitlines()]
    assert kept == [float(i) for i in range(100 - len(kept), 100)]
    again = JsonLines(tmp_path / "risk.jsonl", max_bytes=2000, keep=3)
    again.write({"kurtosis": -1.0})
    again.close()
    assert json.loads(files[3].read_text().splitlines()[-1])["kurtosis"] == -1.0


def test_a_line_that_did_not_fit_is_taken_back(tmp_path, monkeypatch):
    sink = JsonLines(tmp_path / "risk.jsonl")
    sink.write(RECORD)
    real = os.write
    monkeypatch.setattr(lines.os, "write", lambda file, data: real(file, data[: len(data) // 2]))
    with pytest.raises(OSError, match="No space left on device"):
        sink.write(RECORD)
    monkeypatch.undo()
    sink.write(RECORD)
    assert [json.loads(line)["step"] for line in (tmp_path / "risk.jsonl").read_text().splitlines()] == [1, 3]


def test_bad_parameters_are_named(tmp_path):
    for wrong in ({"max_bytes": 0}, {"keep": 0}, {"keep": 2.5}):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"'{name}' parameter of JsonLines must be an int of at least 1"):
            JsonLines(tmp_path / "x", **wrong)
    with pytest.raises(ValueError, match="'recovery' parameter of Events must be an int of at least 1"):
        Events(recovery=0)


# ------------------------------------------------------------------ metrics


def samples(metrics: Metrics) -> dict:
    """All samples of the exposition, read by the format's own strict parser."""
    text = metrics.text()
    assert text.endswith("# EOF\n")
    out = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in out
            out[key] = sample.value
    return out


def key(name: str, **labels: str):
    return name, frozenset(({"stream": ""} | labels).items())


def test_the_exposition_says_the_newest_record():
    metrics = Metrics(stream="wti")
    metrics.write(RECORD | {"kurtosis": 9.0, "outlier": True})
    metrics.write(RECORD)
    found = samples(metrics)
    expected = {
        key("usp_steps_total", stream="wti"): 2,
        key("usp_kurtosis", stream="wti"): 3.25,
        key("usp_distance_to_alarm", stream="wti"): 0.75,
        key("usp_kernel_weight", stream="wti", branch="B"): 0.25,
        key("usp_mode", stream="wti", usp_mode="robust"): 1,
        key("usp_mode", stream="wti", usp_mode="standard"): 0,
        key("usp_flag", stream="wti", flag="regime_changed"): 1,
        key("usp_flag_steps_total", stream="wti", flag="regime_changed"): 2,
        key("usp_flag", stream="wti", flag="outlier"): 0,
        key("usp_flag_steps_total", stream="wti", flag="outlier"): 1,
    }
    assert {k: found[k] for k in expected} == expected
    assert math.isnan(found[key("usp_quadratic_variation", stream="wti")])
    assert found[key("usp_last_step_timestamp_seconds", stream="wti")] > 1.6e9
    assert key("usp_holder_se", stream="wti") not in found


def test_histograms_count_like_numpy():
    rng = np.random.default_rng(0)
    pits, seconds = rng.uniform(size=500), rng.lognormal(-6, 2, size=500)
    pits[:3], seconds[:2] = (0.05, 1.0, 0.0), (1e-4, 100.0)
    metrics = Metrics()
    for pit, took in zip(pits, seconds, strict=True):
        metrics.write({"pit": pit, "step_seconds": took})
    metrics.write({"pit": float("nan")})
    found = samples(metrics)
    for name, values in (("usp_pit", pits), ("usp_step_seconds", seconds)):
        ends = [(dict(labels)["le"], v) for (n, labels), v in found.items() if n == f"{name}_bucket"]
        assert len(ends) > 10
        for le, count in ends:
            assert count == (values <= float(le)).sum()
        assert found[key(f"{name}_count")] == 500
        assert found[key(f"{name}_sum")] == pytest.approx(values.sum(), rel=1e-12)


def test_several_streams_share_an_exposition():
    first = Metrics(stream="a")
    second = Metrics(stream="b", beside=first)
    first.write({"kurtosis": 1.0}), second.write({"kurtosis": 2.0})
    for metrics in (first, second):
        found = samples(metrics)
        assert [found[key("usp_kurtosis", stream=s)] for s in "ab"] == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"'stream' parameter of Metrics must differ.* Got 'b' again"):
        Metrics(stream="b", beside=first)
    second.close()
    assert key("usp_kurtosis", stream="b") not in samples(first)


def test_an_exposition_without_records_is_valid():
    found = samples(Metrics(stream="a"))
    assert found[key("usp_steps_total", stream="a")] == 0


def test_the_endpoint_answers_this_machine_only():
    metrics = Metrics(stream="wti")
    metrics.write(RECORD)
    endpoint = metrics.serve(port=0)
    try:
        assert endpoint.address == "127.0.0.1"
        request = urllib.request.Request(
            f"http://127.0.0.1:{endpoint.port}/metrics", headers={"Accept": "application/openmetrics-text"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read().decode()
        assert 'usp_kurtosis{stream="wti"} 3.25' in text.splitlines() and text.endswith("# EOF\n")
        metrics.write(RECORD | {"kurtosis": 4.5})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert 'usp_kurtosis{stream="wti"} 4.5' in answer.read().decode().splitlines()
    finally:
        endpoint.close()
    with pytest.raises(OSError):
        urllib.request.urlopen(request, timeout=10)


def test_scrapes_see_whole_records():
    """Numbers of one exposition are of one record, while another thread writes."""
    metrics = Metrics()
    metrics.write({"cusum_up": 0.0, "cusum_down": 0.0, "outlier": True, "pit": 0.5})
    stop = threading.Event()

    def write():
        i = 0
        while not stop.is_set():
            i += 1
            metrics.write({"cusum_up": float(i), "cusum_down": float(i), "outlier": True, "pit": 0.5})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(100):
            found = samples(metrics)
            up = found[key("usp_cusum_up")]
            assert up == found[key("usp_cusum_down")] == found[key("usp_steps_total")] - 1
            assert found[key("usp_pit_count")] == found[key("usp_flag_steps_total", flag="outlier")] == up + 1
    finally:
        stop.set()
        thread.join()


def test_importing_the_package_loads_no_client():
    code = "import sys, usp_sklearn, usp_sklearn.io.telemetry; print('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_missing_client_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match=r"pip install 'usp-sklearn\[metrics\]'"):
        Metrics().serve()


# ------------------------------------------------------------------ events


def told(caplog, flags, **options):
    """What is logged for a flag that is on at the steps where ``flags`` has "1"."""
    events = Events(**options)
    with caplog.at_level(logging.INFO, "usp_sklearn"):
        for on in flags:
            events.write({"outlier": on == "1"})
    return [(r.usp_state, r.usp_step) for r in caplog.records]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("0000", []),
        ("0100", [("on", 2)]),
        ("01000", [("on", 2), ("over", 5)]),
        ("1111", [("on", 1)]),
        ("101010", [("on", 1)]),
        ("1001001001000", [("on", 1), ("over", 13)]),
        ("1000100011", [("on", 1), ("over", 4), ("on", 5), ("over", 8), ("on", 9)]),
    ],
)
def test_an_event_begins_once_and_ends_after_it_was_off_for_a_while(caplog, flags, expected):
    assert told(caplog, flags, recovery=3) == expected


def test_a_flickering_flag_does_not_flood_the_log(caplog):
    rng = np.random.default_rng(0)
    flags = "".join("01"[int(v)] for v in rng.random(2000) < 0.3) + "0" * 60
    assert told(caplog, flags, recovery=60) == [("on", flags.index("1") + 1), ("over", flags.rindex("1") + 61)]


def test_levels_and_words(caplog):
    events = Events(recovery=1, stream="wti")
    with caplog.at_level(logging.INFO, "usp_sklearn"):
        events.write({"emergency": True, "sinkhorn_converged": False, "kurtosis": 3.14159, "degraded": np.True_})
        events.write({"emergency": False, "sinkhorn_converged": True, "degraded": False})
    found = {(r.levelname, r.usp_event, r.usp_state) for r in caplog.records}
    assert found == {
        ("ERROR", "emergency", "on"),
        ("WARNING", "sinkhorn_converged", "on"),
        ("WARNING", "degraded", "on"),
        *(("INFO", name, "over") for name in ("emergency", "sinkhorn_converged", "degraded")),
    }
    assert "wti: emergency at step 1 (kurtosis 3.14)" in caplog.messages
    assert "wti: sinkhorn_converged failed at step 1 (kurtosis 3.14)" in caplog.messages
    assert "wti: emergency is over, off for 1 steps; on for 1 of the 2 steps since step 1" in caplog.messages
    assert all(r.usp_stream == "wti" and r.name == "usp_sklearn" for r in caplog.records)


# ------------------------------------------------------------------ several sinks


class Broken:
    def __init__(self) -> None:
        self.broken = True

    def write(self, record) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")

    def close(self) -> None:
        raise RuntimeError("was broken")


def test_a_broken_sink_stops_nobody_and_is_named_once(caplog):
    broken, metrics = Broken(), Metrics()
    tee = Tee(broken, metrics)
    with caplog.at_level(logging.INFO, "usp_sklearn"):
        for _ in range(3):
            tee.write(RECORD)
        broken.broken = False
        tee.write(RECORD)
        broken.broken = True
        tee.write(RECORD)
    assert samples(metrics)[key("usp_steps_total")] == 5
    assert [r.levelname for r in caplog.records] == ["ERROR", "INFO", "ERROR"]
    assert "Telemetry sink Broken fails: OSError: [Errno 28] No space left on device" in caplog.messages
    with pytest.raises(RuntimeError, match="was broken"):
        tee.close()
    assert key("usp_steps_total") not in samples(metrics)


def test_a_full_disk_is_an_error_of_the_sink_and_no_more(caplog):
    tee = Tee(JsonLines("/dev/full"))
    with caplog.at_level(logging.INFO, "usp_sklearn"):
        for _ in range(3):
            tee.write(RECORD)
    (message,) = caplog.messages
    assert message.startswith("Telemetry sink JsonLines fails: OSError: [Errno 28]")


# ------------------------------------------------------------------ in the background


class Slow:
    """Waits before every record until it is let go."""

    def __init__(self) -> None:
        self.go, self.records, self.closed = threading.Event(), [], False

    def write(self, record) -> None:
        assert self.go.wait(20)
        self.records.append(record)

    def close(self) -> None:
        self.closed = True


def test_records_arrive_in_order_and_filtered(tmp_path):
    with Background(JsonLines(tmp_path / "risk.jsonl")) as sink:
        record = {"kurtosis": 0.0, "y": 46.25}
        for i in range(500):
            record["kurtosis"] = float(i)
            sink.write(record)
        assert sink.drain(20)
        assert len((tmp_path / "risk.jsonl").read_text().splitlines()) == 500
        sink.write({"kurtosis": 500.0})
    text = (tmp_path / "risk.jsonl").read_text()
    assert [json.loads(line)["kurtosis"] for line in text.splitlines()] == [float(i) for i in range(501)]
    assert "46.25" not in text and sink.dropped == 0
    with pytest.raises(ValueError, match="is closed"):
        sink.write(RECORD)


def test_a_sink_that_hangs_keeps_nobody_waiting():
    slow = Slow()
    sink = Background(slow, size=10)
    start = time.perf_counter()
    for i in range(1000):
        sink.write({"kurtosis": float(i)})
    assert time.perf_counter() - start < 1.0
    assert sink.drain(0.2) is False
    sink.close(timeout=0.1)
    slow.go.set()
    sink._thread.join(20)
    kept = [r["kurtosis"] for r in slow.records]
    # The newest ten, and the one the sink had in hand.
    assert kept[-10:] == [float(i) for i in range(990, 1000)] and len(kept) <= 11
    assert sink.dropped == 1000 - len(kept) and slow.closed


def test_errors_in_the_background_are_logged(caplog):
    with caplog.at_level(logging.INFO, "usp_sklearn"):
        sink = Background(Broken())
        sink.write(RECORD)
        assert sink.drain(20)
    assert caplog.messages == ["Telemetry sink Broken fails: OSError: [Errno 28] No space left on device"]
    with pytest.raises(RuntimeError, match="was broken"):
        sink.close()
    with pytest.raises(ValueError, match="'size' parameter of Background must be an int of at least 1"):
        Background(Metrics(), size=0)
