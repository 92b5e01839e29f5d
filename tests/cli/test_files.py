"""``usp info``, ``usp export`` and ``usp tune``: what the library gives, through files."""

import json

import numpy as np
import pandas as pd

from tests.cli.test_commands import EXOG, LEVY, rows, rows_beside
from usp_sklearn import LevyPredictor, Stream
from usp_sklearn.api.persistence import load


def test_info_says_what_there_is(usp, data, tmp_path):
    status, out, _ = usp("info", "--json")
    facts = json.loads(out)
    assert status == 0 and facts["jax"] and "cpu" in facts["devices"].lower()
    status, out, _ = usp("info", data)
    assert status == 0 and "160" in out and "1 days" in out and "load" in out
    kept = tmp_path / "s.usp"
    usp("forecast", data, *LEVY, "--save", kept)
    _, out, _ = usp("info", kept)
    assert "Stream" in out and "values seen" in out


def test_export_writes_an_artefact_that_gives_the_same_numbers(usp, data, series, tmp_path):
    from usp_sklearn.export import load_model

    kept = tmp_path / "s.usp"
    usp("forecast", data, *LEVY, "--save", kept)
    status, _, err = usp("export", kept, tmp_path / "out", "--format", "stablehlo", "--levels", "0.1,0.5,0.9")
    assert status == 0 and "written" in err
    artefact = load_model(tmp_path / "out")
    found = artefact.step(artefact.state, [21.0])["quantiles"].ravel()
    np.testing.assert_allclose(found, load(kept).push(21.0).ppf([0.1, 0.5, 0.9]), rtol=1e-9)
    _, out, _ = usp("info", tmp_path / "out")
    assert "stablehlo" in out and "predict, step" in out


def test_tune_finds_what_the_library_finds_and_goes_on(usp, data, series, tmp_path):
    from usp_sklearn.api.tuning import tune

    kept, out, study = tmp_path / "best.usp", tmp_path / "trials.csv", tmp_path / "study.log"
    options = ("--space", "tau=0.5:2:log", "--space", "cusum_k=0.5,1", "--folds", 2, "--storage", study)
    assert usp("tune", data, *LEVY, *options, "--trials", 2, "-q")[0] == 0
    status, text, _ = usp("tune", data, *LEVY, *options, "--trials", 4, "-q", "-o", out, "--save", kept)
    assert status == 0
    windows, X, y = rows(series)
    model = LevyPredictor(**windows.layout, random_state=0)
    expected = tune(model, X, y, space={"tau": (0.5, 2.0, "log"), "cusum_k": [0.5, 1]}, n_trials=4, cv=2)
    assert json.loads(text) == {"score": expected.best_score_, "params": expected.best_params_}
    assert len(pd.read_csv(out)) == 4
    best = Stream(model.set_params(**expected.best_params_).fit(X, y), series.to_numpy(), windows)
    np.testing.assert_array_equal(load(kept).law.ppf([0.1, 0.9]), best.law.ppf([0.1, 0.9]))


def test_exogenous_columns_are_tuned_and_exported_too(usp, wide, series, beside, tmp_path):
    from usp_sklearn.api.tuning import tune
    from usp_sklearn.export import load_model

    kept = tmp_path / "best.usp"
    words = ("--space", "tau=0.5,1", "--folds", 2, "--trials", 2, "-q", "--save", kept)
    status, text, _ = usp("tune", wide, *EXOG, *words)
    assert status == 0
    values, windows, X, y = rows_beside(series, beside)
    model = LevyPredictor(**windows.layout, random_state=0)
    expected = tune(model, X, y, space={"tau": [0.5, 1]}, n_trials=2, cv=2)
    assert json.loads(text) == {"score": expected.best_score_, "params": expected.best_params_}
    best = Stream(model.set_params(**expected.best_params_).fit(X, y), values, windows)
    np.testing.assert_array_equal(load(kept).law.ppf([0.1, 0.9]), best.law.ppf([0.1, 0.9]))
    assert usp("export", wide, tmp_path / "out", *EXOG, "--format", "stablehlo", "--levels", "0.1,0.9")[0] == 0
    artefact = load_model(tmp_path / "out")
    stream = Stream(LevyPredictor(**windows.layout, random_state=0).fit(X, y), values, windows)
    found = artefact.step(artefact.state, [21.0, 20.5, 0.3])["quantiles"].ravel()
    np.testing.assert_allclose(found, stream.push(21.0, [20.5, 0.3]).ppf([0.1, 0.9]), rtol=1e-9)
