"""``usp stream``: the stream's own numbers, whatever interrupts it, and clear words about bad lines."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.conftest import _CACHE
from usp_sklearn import LevyPredictor, SlidingWindow, Stream, load, sliding_window
from usp_sklearn.cli.lines import Observation, Wake, lines, observation

LEVELS = ["0.1", "0.5", "0.9"]
OPTIONS = ("--model", "levy", "--width", "8", "--season", "none", "--levels", ",".join(LEVELS), "--quiet")
WARM = 60


@pytest.fixture(scope="module")
def expected(series):
    """Quantiles after each value from the 60th on, by the library."""
    y = series.to_numpy()
    windows = SlidingWindow(width=8, season=None).fit(y[:36, None])
    X, target = sliding_window(y[:WARM], width=8, season=None)
    stream = Stream(LevyPredictor(**windows.layout, random_state=0).fit(X, target), y[:WARM], windows)
    levels = [float(level) for level in LEVELS]
    return [stream.law.ppf(levels), *(stream.push(v).ppf(levels) for v in y[WARM:])]


def read(text):
    return [json.loads(line) for line in text.splitlines()]


def check(answers, expected, first):
    """Answers from observation ``first`` on are the library's."""
    assert [a["n"] for a in answers] == list(range(first, first + len(answers)))
    for answer in answers:
        if answer["n"] < WARM:
            assert answer["quantiles"] is None
        else:
            assert list(answer["quantiles"]) == LEVELS
            np.testing.assert_allclose(list(answer["quantiles"].values()), expected[answer["n"] - WARM], rtol=1e-11)


def write(path, series, start, stop, header=False):
    with path.open("a") as file:
        file.write("day,load\n" * header)
        for day, value in series.iloc[start:stop].items():
            file.write(f"{day.date()},{value!r}\n")


# --------------------------------------------------------------------- numbers and resumption


def test_a_file_is_streamed_and_resumed(usp, series, expected, tmp_path):
    source, folder = tmp_path / "in.csv", tmp_path / "kept"
    command = ("stream", source, *OPTIONS, "--warm-up", WARM, "--no-follow", "--checkpoint", folder)
    write(source, series, 0, 30, header=True)
    status, out, _ = usp(*command)
    assert status == 0
    check(read(out), expected, 1)
    assert len(read(out)) == 30 and read(out)[0]["time"] == "2024-01-01"
    write(source, series, 30, 100)
    check(read(usp(*command)[1]), expected, 31)
    write(source, series, 100, 160)
    answers = read(usp(*command)[1])
    check(answers, expected, 101)
    assert len(answers) == 60
    assert usp(*command)[1] == ""


def test_history_first_and_risk_records_beside(usp, series, data, tmp_path):
    source, risk = tmp_path / "in.txt", tmp_path / "risk.jsonl"
    source.write_text('20.5\n\n# remark\n{"value": 21, "time": "noon"}\nnothing\nNA\n19 \n')
    status, out, _ = usp("stream", source, *OPTIONS, "--history", data, "--no-follow", "--telemetry", risk)
    answers = read(out)
    assert status == 0 and [a["n"] for a in answers] == [1, 2, 2, 3]
    assert answers[1]["time"] == "noon" and "there is no value" in answers[2]["error"]
    y = series.to_numpy()
    windows = SlidingWindow(width=8, season=None).fit(y[:96, None])
    X, target = sliding_window(y, width=8, season=None)
    stream = Stream(LevyPredictor(**windows.layout, random_state=0).fit(X, target), y, windows)
    for value, answer in zip((20.5, 21.0, 19.0), (answers[0], answers[1], answers[3]), strict=True):
        np.testing.assert_allclose(list(answer["quantiles"].values()), stream.push(value).ppf([0.1, 0.5, 0.9]))
    records = read(risk.read_text())
    assert len(records) == 3 and records[-1]["kurtosis"] == pytest.approx(stream.telemetry_["kurtosis"])


def test_a_command_leaves_nothing_open(usp, tmp_path):
    """Found by fuzzing: each call in one process left a pipe behind."""
    path = tmp_path / "v"
    path.write_text("1\n2\n")
    before = os.listdir("/proc/self/fd")
    assert usp("stream", path, "--no-follow", *OPTIONS)[0] == 0
    assert os.listdir("/proc/self/fd") == before


def test_stdin_goes_on_where_it_was(usp, series, expected, tmp_path, monkeypatch):
    command = ("stream", *OPTIONS, "--warm-up", WARM, "--checkpoint", tmp_path / "kept")
    first = 1
    for start, stop in ((0, 70), (70, 75)):
        into, outof = os.pipe()
        os.write(outof, "".join(f"{v!r}\n" for v in series.iloc[start:stop].tolist()).encode())
        os.close(outof)
        kept = os.dup(0)
        os.dup2(into, 0)
        try:
            answers = read(usp(*command)[1])
        finally:
            os.dup2(kept, 0)
            os.close(kept)
            os.close(into)
        check(answers, expected, first)
        assert len(answers) == stop - start
        first += len(answers)


# --------------------------------------------------------------------- exogenous values

BESIDE = (*OPTIONS, "--exog", "hint,noise")


@pytest.fixture(scope="module")
def expected_beside(series, beside):
    table = np.c_[series, beside]
    windows = SlidingWindow(width=8, season=None).fit(table[:36])
    X, target = sliding_window(table[:WARM], width=8, season=None)
    stream = Stream(LevyPredictor(**windows.layout, random_state=0).fit(X, target), table[:WARM], windows)
    levels = [float(level) for level in LEVELS]
    return [stream.law.ppf(levels), *(stream.push(v[0], v[1:]).ppf(levels) for v in table[WARM:])]


def lines_of(series, beside, start, stop, kind):
    for (day, value), (hint, noise) in zip(series.items(), beside.to_numpy().tolist(), strict=True):
        if not start <= (day - series.index[0]).days < stop:
            continue
        if kind == "json":
            yield json.dumps({"noise": noise, "time": str(day.date()), "value": value, "hint": hint})
        else:
            yield f"{day.date()},{value!r},{hint!r},{noise!r}" if kind == "csv" else f"{value!r} {hint!r} {noise!r}"


def test_exogenous_values_are_streamed_and_resumed(usp, series, beside, expected_beside, tmp_path):
    source, folder = tmp_path / "in.csv", tmp_path / "kept"
    command = ("stream", source, *BESIDE, "--warm-up", WARM, "--no-follow", "--checkpoint", folder)
    first = 1
    for start, stop, kind in ((0, 30, "csv"), (30, 70, "json"), (70, 100, "cells"), (100, 110, "csv")):
        with source.open("a") as file:
            file.write("day,load,hint,noise\n" * (not start))
            file.writelines(f"{line}\n" for line in lines_of(series, beside, start, stop, kind))
        status, out, _ = usp(*command)
        assert status == 0
        answers = read(out)
        check(answers, expected_beside, first)
        assert len(answers) == stop - start
        first += len(answers)
    for words in (OPTIONS, (*OPTIONS, "--exog", "hint")):
        status, out, err = usp("stream", source, *words, "--no-follow", "--checkpoint", folder)
        assert status == 2 and "--exog must name 2 exogenous columns, as many as there were before" in err


def test_waiting_observations_keep_their_exogenous_values(usp, series, beside, tmp_path):
    source, folder = tmp_path / "in.csv", tmp_path / "kept"
    source.write_text("".join(f"{line}\n" for line in lines_of(series, beside, 0, 10, "csv")))
    usp("stream", source, *BESIDE, "--warm-up", WARM, "--no-follow", "--checkpoint", folder)
    assert json.loads((folder / "waiting.json").read_text())["values"][3] == [series.iloc[3], *beside.iloc[3]]
    status, _, err = usp("stream", source, *OPTIONS, "--warm-up", WARM, "--no-follow", "--checkpoint", folder)
    assert status == 2 and "--exog must name 2" in err


def test_lines_that_lack_a_number_change_nothing(usp, series, beside, wide, tmp_path):
    source = tmp_path / "in.txt"
    bad = [
        "20,1",
        "2024-06-09,20,1,NA",
        "1,2,3,4,5",
        '{"value": 1, "hint": 2}',
        '{"value": 1, "hint": 2, "noise": "x"}',
    ]
    source.write_text("\n".join([*bad, "20.5,20.7,0.1"]))
    status, out, _ = usp("stream", source, *BESIDE, "--column", "load", "--history", wide, "--no-follow")
    *errors, answer = read(out)
    assert status == 0 and all("error" in e and e["n"] == 0 for e in errors) and len(errors) == 5
    assert "3 numbers, the value and hint, noise" in errors[0]["error"] and '"noise" is not' in errors[3]["error"]
    table = np.c_[series, beside]
    windows = SlidingWindow(width=8, season=None).fit(table[:96])
    X, target = sliding_window(table, width=8, season=None)
    stream = Stream(LevyPredictor(**windows.layout, random_state=0).fit(X, target), table, windows)
    np.testing.assert_allclose(
        list(answer["quantiles"].values()), stream.push(20.5, [20.7, 0.1]).ppf([0.1, 0.5, 0.9]), rtol=1e-11
    )


def test_a_saved_stream_asks_for_the_exogenous_values_it_had(usp, wide, tmp_path):
    source, kept = tmp_path / "in.txt", tmp_path / "wide.usp"
    words = ("--model", "levy", "--width", "8", "--season", "none", "--column", "load", "--exog", "hint,noise")
    assert usp("forecast", wide, *words, "--save", kept, "-q")[0] == 0
    source.write_text('{"value": 20.5, "noise": 0.1, "hint": 20.7}\n')
    status, out, _ = usp("stream", source, *BESIDE, "--from", kept, "--no-follow")
    expected = load(kept).push(20.5, [20.7, 0.1]).ppf([0.1, 0.5, 0.9])
    assert status == 0
    np.testing.assert_allclose(list(read(out)[0]["quantiles"].values()), expected, rtol=1e-11)
    status, _, err = usp("stream", source, *OPTIONS, "--from", kept, "--no-follow")
    assert status == 2 and "--exog must name 2" in err


def test_a_header_in_another_order_ends_it(usp, wide):
    status, out, err = usp("stream", wide, *BESIDE, "--warm-up", WARM, "--no-follow")
    assert status == 2 and out == "" and "must be the last ones and in this order: hint, noise" in err


# --------------------------------------------------------------------- signals


class Process:
    """The command in a process of its own, its lines read as they come."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "usp_sklearn", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=os.environ | {"USP_CACHE": _CACHE},
        )  # fmt: skip

    def answers(self, count):
        return [json.loads(self.process.stdout.readline()) for _ in range(count)]

    def end(self, number):
        """Send a signal: exit status, seconds until the end, what was still printed."""
        start = time.monotonic()
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, time.monotonic() - start, read(out), err


def test_sigterm_leaves_a_checkpoint_and_nothing_is_lost(series, expected, tmp_path):
    source, folder = tmp_path / "in.csv", tmp_path / "kept"
    command = ("stream", source, *OPTIONS, "--warm-up", WARM, "--checkpoint", folder)
    write(source, series, 0, 90)
    first = Process(*command)
    answers = first.answers(90)
    write(source, series, 90, 95)
    answers += first.answers(5)
    status, seconds, rest, err = first.end(signal.SIGTERM)
    assert status == 0 and seconds < 5 and err == "" and rest == []
    check(answers, expected, 1)
    write(source, series, 95, 120)
    second = Process(*command)
    check(second.answers(25), expected, 96)
    status, seconds, rest, _ = second.end(signal.SIGINT)
    assert status == 130 and seconds < 5 and rest == []


def test_sigterm_while_values_wait_keeps_them(series, expected, tmp_path):
    source, folder = tmp_path / "in.csv", tmp_path / "kept"
    command = ("stream", source, *OPTIONS, "--warm-up", WARM, "--checkpoint", folder)
    write(source, series, 0, 20)
    process = Process(*command)
    process.answers(20)
    assert process.end(signal.SIGTERM)[0] == 0
    assert len(json.loads((folder / "waiting.json").read_text())["values"]) == 20
    write(source, series, 20, 62)
    process = Process(*command)
    check(process.answers(42), expected, 21)
    assert process.end(signal.SIGTERM)[0] == 0


def test_values_that_waited_long_enough_are_answered_first(usp, series, expected, tmp_path):
    """What a signal during the fit leaves behind."""
    source, folder = tmp_path / "in.csv", tmp_path / "kept"
    command = ("stream", source, *OPTIONS, "--warm-up", WARM, "--no-follow", "--checkpoint", folder)
    folder.mkdir()
    (folder / "waiting.json").write_text(json.dumps({"values": series.iloc[:WARM].tolist()}))
    write(source, series, 0, 65)
    answers = read(usp(*command)[1])
    check(answers, expected, WARM)
    assert len(answers) == 6


def test_a_damaged_checkpoint_is_passed_over_in_one_line(usp, series, expected, tmp_path):
    source, folder = tmp_path / "in.csv", tmp_path / "kept"
    command = ("stream", source, *OPTIONS, "--warm-up", WARM, "--no-follow", "--checkpoint", folder)
    write(source, series, 0, 65)
    usp(*command)
    write(source, series, 65, 70)
    usp(*command)
    newest = sorted(folder.glob("*.usp"))[-1]
    newest.write_bytes(newest.read_bytes()[:-3])
    status, out, err = usp(*command)
    assert status == 0 and err.count("\n") == 1 and "newer snapshots are not valid" in err
    check(read(out), expected, 66)
    (folder / "session.json").write_text("[]")
    status, _, err = usp(*command)
    assert status == 2 and "session.json is damaged" in err


# --------------------------------------------------------------------- lines


@pytest.mark.parametrize("line, expected", [
    ("1.5", Observation(None, 1.5)),
    (" -2e3 \r", Observation(None, -2000.0)),
    ("2024-01-01,1.5", Observation("2024-01-01", 1.5)),
    ("2024-01-01;1.5", Observation("2024-01-01", 1.5)),
    ("2024-01-01 10:00:00\t1.5", Observation("2024-01-01 10:00:00", 1.5)),
    ('"2024-01-01","7"', Observation("2024-01-01", 7.0)),
    ("t 1 2", Observation("t", 2.0)),
    ('{"value": 3}', Observation(None, 3.0)),
    ('{"time": 5, "value": 3.5}', Observation("5", 3.5)),
    ("", None), ("# 3", None), ("time,value", None), ("\ufeff7", Observation(None, 7.0)),
])  # fmt: skip
def test_what_lines_say(line, expected):
    assert observation(line) == expected


def test_decimal_commas():
    assert observation("01.02.2024;1,5", ",") == Observation("01.02.2024", 1.5)
    assert observation("1,5", ",") == Observation(None, 1.5)


@pytest.mark.parametrize("line, message", [
    ("2024-01-01,x", "'x' is not a number"),
    ("2024-01-01,", "there is no value"),
    ("inf1", "not a number"),
    ("1e999", "not a number"),
    ("{", "not valid JSON"),
    ("{" * 100_000, "not valid JSON"),
    ('{"value": NaN}', '"value" is not a number'),
    ('{"value": 1' + "0" * 400 + "}", '"value" is not a number'),
    ('{"value": true}', '"value" is not a number'),
    ('{"level": 1}', '"value" is not a number'),
])  # fmt: skip
def test_what_lines_cannot_say(line, message):
    with pytest.raises(ValueError, match=message):
        observation(line)


def test_a_file_that_shrinks_or_never_ends_a_line_is_refused(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("1\n2\n")
    found = lines(path, True, Wake())
    assert [next(found), next(found)] == ["1", "2"]
    path.write_text("3\n")
    with pytest.raises(ValueError, match="has become shorter"):
        next(found)
    path.write_text("7" * (2 << 20))
    with pytest.raises(ValueError, match="at most 1048576 bytes"):
        list(lines(path, False, Wake()))


def test_the_last_line_may_lack_its_end(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("1\n2")
    assert list(lines(path, False, Wake())) == ["1", "2"]
    wake = Wake()
    wake.ring()
    assert list(lines(path, True, wake)) == []


def test_answers_are_json_without_nan(usp, tmp_path):
    """Quantiles of a heavy tail may be large, never what JSON has no word for."""
    source = tmp_path / "in.txt"
    values = np.random.default_rng(0).standard_cauchy(80) * 1e12
    source.write_text("\n".join(map(repr, values.tolist())))
    _, out, _ = usp("stream", source, *OPTIONS, "--warm-up", WARM, "--no-follow")
    for line in io.StringIO(out):
        json.loads(line, parse_constant=lambda word: pytest.fail(word))
