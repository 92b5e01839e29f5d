"""Commands: the numbers are the library's, wrong usage is one line and status 2."""

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import typer

from usp_sklearn import LevyPredictor, SlidingWindow, Stream, crps_score, sliding_window, walk_forward
from usp_sklearn.api.persistence import load
from usp_sklearn.cli import options as o
from usp_sklearn.cli.calendar import following
from usp_sklearn.cli.console import Talk
from usp_sklearn.cli.models import Model, made
from usp_sklearn.cli.naive import naive
from usp_sklearn.cli.passes import LEVELS, rows_of, walked

LEVY = ("--model", "levy", "--width", "8", "--season", "none")


def rows(series, **more):
    windows = SlidingWindow(width=8, season=None, **more).fit(series.to_numpy()[:96, None])
    return windows, *sliding_window(series.to_numpy(), width=8, season=None, **more)


def table(text, **more):
    return pd.read_csv(io.StringIO(text), index_col=0, parse_dates=True, **more)


# --------------------------------------------------------------------- forecast and backtest


def test_forecast_is_the_law_of_a_stream_at_the_end(usp, data, series, tmp_path):
    kept = tmp_path / "load.usp"
    status, out, err = usp("forecast", data, *LEVY, "--levels", "0.1,0.5,0.9", "--save", kept, "-p", "tau=0.7")
    assert status == 0 and "160 values of 'load', 2024-01-01 to 2024-06-08" in err
    windows, X, y = rows(series)
    model = LevyPredictor(**windows.layout, random_state=0, tau=0.7).fit(X, y)
    law = Stream(model, series.to_numpy(), windows).law
    found = table(out)
    assert found.index.tolist() == [pd.Timestamp("2024-06-09")] and found.columns[0] == "step"
    np.testing.assert_allclose(found.iloc[0, 1:], law.ppf([0.1, 0.5, 0.9]), rtol=1e-11)
    np.testing.assert_array_equal(load(kept).law.ppf([0.1, 0.9]), law.ppf([0.1, 0.9]))


def test_all_steps_up_to_the_horizon(usp, data, series, tmp_path):
    out = tmp_path / "ahead.parquet"
    status, text, _ = usp("forecast", data, *LEVY, "--horizon", 2, "-o", out, "--quiet")
    assert status == 0 and text == ""
    windows, X, y = rows(series, horizon=2, multi=True)
    law = Stream(LevyPredictor(**windows.layout, random_state=0).fit(X, y), series.to_numpy(), windows).law
    found = pd.read_parquet(out)
    np.testing.assert_allclose(found["q0.5"], law.median(), rtol=1e-12)
    assert found["step"].tolist() == [1, 2] and found.index.name == "day"


def test_backtest_keeps_what_update_predict_gives(usp, data, series, tmp_path):
    out = tmp_path / "behind.csv"
    status, text, err = usp("backtest", data, *LEVY, "-o", out)
    assert status == 0 and "written" in err
    windows, X, y = rows(series)
    split = 96 - 8
    model = LevyPredictor(**windows.layout, random_state=0).fit(X[:split], y[:split])
    expected = model.update_predict(X[split:], y[split:], quantiles=LEVELS)
    found = pd.read_csv(out, index_col=0, parse_dates=True)
    np.testing.assert_allclose(found["q0.9"], expected[:, np.searchsorted(LEVELS, 0.9)], rtol=1e-10)
    np.testing.assert_allclose(found["outcome"], series.iloc[96:], rtol=1e-12)
    assert (found.index == series.index[96:]).all()
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["forecast", "CRPS"] and [line.split()[0] for line in lines[1:]] == [
        "LevyPredictor", "persistence",
    ]  # fmt: skip
    assert lines[1].split()[1] == f"{crps_score(y[split:], expected, quantiles=LEVELS):.4g}"


# --------------------------------------------------------------------- exogenous columns and refits

EXOG = (*LEVY, "--column", "load", "--exog", "hint,noise")


def rows_beside(series, beside, **more):
    table = np.c_[series, beside]
    windows = SlidingWindow(width=8, season=None, **more).fit(table[:96])
    return table, windows, *sliding_window(series.to_numpy(), width=8, season=None, exog=beside.to_numpy(), **more)


def test_exogenous_columns_are_the_library_s(usp, wide, series, beside, tmp_path):
    kept = tmp_path / "wide.usp"
    status, out, err = usp("forecast", wide, *EXOG, "--levels", "0.1,0.5,0.9", "--save", kept)
    assert status == 0 and "160 values of 'load' with 'hint', 'noise', 2024-01-01" in err
    values, windows, X, y = rows_beside(series, beside)
    assert windows.layout["n_exog"] == 2
    stream = Stream(LevyPredictor(**windows.layout, random_state=0).fit(X, y), values, windows)
    np.testing.assert_allclose(table(out).iloc[0, 1:], stream.law.ppf([0.1, 0.5, 0.9]), rtol=1e-11)
    assert ["exogenous", "columns", "2"] in [line.split() for line in usp("info", kept)[1].splitlines()]
    by_place = usp("forecast", wide, *LEVY, "--column", 2, "--exog", "3, -3", "--levels", "0.1,0.5,0.9", "-q")
    assert by_place[0] == 0 and by_place[1] == out
    assert usp("info", wide, "--column", "load", "--exog", "hint")[1].splitlines()[1].split() == ["exogenous", "hint"]


def test_a_backtest_with_a_hint_is_better(usp, wide, series, beside, tmp_path):
    outs = []
    for words in (EXOG, (*LEVY, "--column", "load")):
        status, text, _ = usp("backtest", wide, *words, "-o", tmp_path / "b.csv", "-q")
        assert status == 0
        outs.append((float(text.splitlines()[1].split()[1]), pd.read_csv(tmp_path / "b.csv", index_col=0)))
    assert outs[0][0] < 0.6 * outs[1][0]
    _, windows, X, y = rows_beside(series, beside)
    split = 96 - 8
    model = LevyPredictor(**windows.layout, random_state=0).fit(X[:split], y[:split])
    expected = model.update_predict(X[split:], y[split:], quantiles=LEVELS)
    np.testing.assert_allclose(outs[0][1]["q0.9"], expected[:, np.searchsorted(LEVELS, 0.9)], rtol=1e-10)


@pytest.mark.parametrize("horizon", [1, 3])
def test_refits_are_those_of_walk_forward(usp, data, series, tmp_path, horizon):
    out, more = tmp_path / "r.csv", {"horizon": horizon, "multi": horizon > 1}
    status, _, err = usp("backtest", data, *LEVY, "--horizon", horizon, "--refit", 20, "-o", out)
    assert status == 0 and "steps" in err
    windows, X, y = rows(series, **more)
    first = 96 - 8
    starts = range(first, len(X), 20)
    folds = [(np.arange(a - horizon + 1), np.arange(a, min(a + 20, len(X)))) for a in starts]
    model = LevyPredictor(**windows.layout, random_state=0)
    walk = walk_forward(model, X, y, cv=folds, quantiles=[0.1, 0.5, 0.9], refit="every fold")
    found = pd.read_csv(out, index_col=0)
    names = ["q0.1", "q0.5", "q0.9"]
    expected = walk.forecasts.to_numpy().reshape(len(X) - first, horizon, 4)
    np.testing.assert_allclose(found[names].to_numpy().reshape(-1, horizon, 3), expected[..., :3], rtol=1e-10)
    np.testing.assert_allclose(found["outcome"].to_numpy().reshape(-1, horizon), expected[..., 3], rtol=1e-12)
    # By hand: a fresh model on all that was known at the third refit.
    a = starts[2]
    fresh = LevyPredictor(**windows.layout, random_state=0).fit(X[: a - horizon + 1], y[: a - horizon + 1])
    seen = fresh.update_predict(X[a - horizon + 1 : a + 20], y[a - horizon + 1 : a + 20], quantiles=[0.1, 0.5, 0.9])
    by_hand = seen[horizon - 1 :].reshape(20, horizon, 3)
    np.testing.assert_allclose(expected[40:60, :, :3], by_hand, rtol=1e-10)


def test_a_record_of_refitted_models_is_of_the_last_steps(series):
    model, talk = made(Model.levy, {"width": 8, "n_level": 5, "n_exog": 0}, 0), Talk(quiet=True)
    split = rows_of(series.to_frame(), width=8, horizon=1, season="none", train=0.6)
    run = walked(split, model, [0.5], talk, refit=25)
    assert len(run.quantiles) == len(run.record) == 64 and run.record.index.equals(split.places)
    assert run.seconds["fit"] > 0 and run.model.state_ is not None


def test_naive_forecasts_by_brute_force():
    rng = np.random.default_rng(1)
    y = rng.normal(size=60).cumsum()
    for season, horizon in ((None, 1), (None, 3), (7, 1), (7, 9)):
        lag = horizon if season is None else season * int(np.ceil(horizon / season))
        for origin in (40, 55):
            errors = [y[s] - y[s - lag] for s in range(lag, origin + 1)]
            expected = y[origin + horizon - lag] + np.quantile(errors, [0.1, 0.5])
            found = naive(y, np.array([origin]), horizon, np.array([0.1, 0.5]), season)
            np.testing.assert_allclose(found[0], expected, atol=1e-12)


def test_naive_forecasts_never_look_ahead():
    y = np.random.default_rng(2).normal(size=50)
    changed = np.r_[y[:31], y[31:] + 100]
    for season in (None, 5):
        one, other = (naive(v, np.array([30]), 2, np.array([0.5]), season) for v in (y, changed))
        np.testing.assert_array_equal(one, other)


# --------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("words, message", [
    (["forecast"], "usp forecast: Missing argument"),
    (["forecast", "none.csv"], "usp forecast: none.csv: No such file or directory"),
    (["forecast", "DATA", "-q", "--model", "arima"], "usp forecast: Invalid value for"),
    (["forecast", "DATA", "-q", "--levels", "0.1,x"], "--levels must be numbers between commas"),
    (["forecast", "DATA", "-q", "--levels", "0.1,2"], "'quantiles' parameter must be one or more floats"),
    (["forecast", "DATA", "-q", "--column", "price"], "'column' parameter must be one of the columns 'day', 'load'"),
    (["forecast", "DATA", "-q", "--season", "weekly"], "--season must be 'auto', 'none' or a number"),
    (["forecast", "DATA", "-q", "--param", "speed=3"], "--param must be name=value with a name of"),
    (["forecast", "DATA", "-q", "--param", "tau=-3"], "'tau' parameter of JKOPredictor must be"),
    (["forecast", "DATA", "-q", "--width", "150"], "The series is too short: 160 values"),
    (["forecast", "DATA", "-q", "--missing", "keep"], "--missing must be 'error' or 'drop'"),
    (["forecast", "DATA", "-q", "--exog", "heat"], "'exog' parameter must be one of the columns 'day', 'load'"),
    (["forecast", "DATA", "-q", "--column", "load", "--exog", "load"], "must be different columns. Got 'load' for two"),
    (["backtest", "DATA", "-q", "--refit", "0"], "usp backtest: Invalid value for '--refit'"),
    (["backtest", "DATA", "-q", "--train", "1.5"], "--train must be between 0 and 1"),
    (["backtest", "BAD"], "Line 3, column 'load': 'much' is not a number"),
    (["export", "BAD.usp", "out"], "BAD.usp"),
    (["tune", "DATA", "-q", "--space", "tau"], "--space must be name=low:high"),
    (["tune", "DATA", "-q", "--space", "speed=1,2"], "'space' parameter of tune must name parameters of JKOPredictor"),
    (["info", "FOLDER"], "holds no valid snapshot"),
    (["stream", "--warm-up", "5"], "--warm-up must be at least"),
    (["stream", "--history", "a.csv", "--from", "b.usp"], "--history and --from exclude each other"),
    (["nonsense"], "usp nonsense: No such command"),
    (["--colour"], "usp: No such option"),
])  # fmt: skip
def test_mistakes_are_one_line_and_status_two(usp, data, tmp_path, words, message):
    bad = tmp_path / "BAD"
    bad.write_text("day,load\n2024-01-01,1\n2024-01-02,much\n")
    (tmp_path / "BAD.usp").write_text("no snapshot")
    names = {"DATA": data, "BAD": bad, "BAD.usp": tmp_path / "BAD.usp", "FOLDER": tmp_path}
    status, out, err = usp(*(names.get(word, word) for word in words))
    assert status == 2 and out == ""
    assert err.count("\n") == 1 and message in err and "Traceback" not in err


def test_help_is_there_for_every_command(usp):
    for command in ([], ["forecast"], ["backtest"], ["tune"], ["export"], ["info"], ["stream"]):
        status, out, _ = usp(*command, "--help")
        assert status == 0 and "Usage: usp" in out


def test_version(usp):
    from usp_sklearn import __version__

    assert usp("--version") == (0, f"usp_sklearn {__version__}\n", "")


def test_errors_of_ours_are_not_hidden(monkeypatch, usp, data):
    monkeypatch.setattr("usp_sklearn.cli.forecast.fitted_stream", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        usp("forecast", data, *LEVY)


def test_python_m_is_the_command_and_a_closed_pipe_is_no_error(data):
    command = [sys.executable, "-m", "usp_sklearn", "info"]
    done = subprocess.run(f"{' '.join(command)} | head -c 5", shell=True, capture_output=True, text=True)
    assert done.stdout == "pytho" and done.stderr == ""
    done = subprocess.run([*command, "none.csv"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr == "usp info: none.csv: No such file or directory\n"


def test_without_typer_the_extra_is_named(monkeypatch, capsys):
    from usp_sklearn.cli import main

    monkeypatch.setitem(sys.modules, "typer", None)
    assert main(["info"]) == 2
    assert "pip install 'usp-sklearn[cli]'" in capsys.readouterr().err


# --------------------------------------------------------------------- parts


@pytest.mark.parametrize("index, expected", [
    (pd.date_range("2024-01-01", periods=9, freq="h", tz="Europe/Berlin"), ["2024-01-01 09:00+01:00"]),
    (pd.date_range("2024-01-31", periods=4, freq="ME"), ["2024-05-31"]),
    (pd.date_range("2024-01-01", periods=4, freq="QS"), ["2025-01-01"]),
    (pd.bdate_range("2024-01-01", periods=10).delete(5), ["2024-01-15", "2024-01-16"]),
    (pd.to_datetime([f"2024-01-01 00:{m}" for m in ("00", "10", "21", "31")]), ["2024-01-01 00:41"]),
    (pd.to_datetime(["2024-01-01"]), ["2024-01-02"]),
])  # fmt: skip
def test_what_follows_in_time(index, expected):
    assert following(index, len(expected)).tolist() == [pd.Timestamp(t) for t in expected]


def test_what_follows_in_numbers():
    assert following(pd.Index([1, 3, 5, 9]), 2).tolist() == [11, 13]
    np.testing.assert_allclose(following(pd.Index([0.5, 0.75, 1.0]), 2), [1.25, 1.5])


def test_groups_of_options_become_options():
    seen = {}

    @o.spread
    def show(reading: o.Reading, modelling: o.Modelling, top: int = 3):
        """Show."""
        seen.update(reading=reading, modelling=modelling, top=top)

    app = typer.Typer()
    app.command()(show)
    typer.main.get_command(app).main(["--decimal", ",", "--top", "5", "--model", "dgm"], standalone_mode=False)
    assert seen["reading"].decimal == "," and seen["top"] == 5 and seen["modelling"].model is Model.dgm


def test_parameters_are_literals_or_text():
    layout = {"width": 8, "n_level": 0, "n_exog": 0}
    model = made(Model.jko, layout, 3, ["branches=['A','D']", "geometry=sinkhorn", "calibration=False"])
    assert model.branches == ["A", "D"] and model.geometry == "sinkhorn" and model.calibration is False
    assert model.random_state == 3 and model.width == 8
