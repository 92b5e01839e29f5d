"""tune: resumed studies against uninterrupted ones, trials against hand-written loops, windows cut from rows."""

import json
import pickle
import pickletools
import sqlite3
import subprocess
import sys

import numpy as np
import optuna
import pandas as pd
import pytest
from joblib import parallel_config
from scipy import stats
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.api.checks import estimator_checks
from usp_sklearn import JKOEnsemble, JKOPredictor, LevyPredictor, datasets, sliding_window
from usp_sklearn.api.metrics import crps_score, crps_scorer, get_scorer
from usp_sklearn.api.narrow import NarrowWindow
from usp_sklearn.api.space import RANGES, default_space
from usp_sklearn.api.splitter import WalkForwardSplit
from usp_sklearn.api.tuning import tune

SERIES = datasets.make_ou(260, random_state=0)
X, Y = sliding_window(SERIES, width=8, season=None, averages=None)
CV = WalkForwardSplit(4, test_size=20)
SPACE = {"widen": (0.2, 5.0, "log"), "ridge": (1e-3, 1e3, "log"), "shift": [0.0, 0.5, 2.0]}


class Line(RegressorMixin, BaseEstimator):
    """Ridge with normal quantiles of its residuals' spread: cheap, with an optimum near widen = 1, shift = 0."""

    def __init__(self, widen=3.0, ridge=1.0, shift=2.0):
        self.widen = widen
        self.ridge = ridge
        self.shift = shift

    def fit(self, X, y):
        self.line_ = Ridge(self.ridge).fit(X, y)
        self.spread_ = np.std(y - self.line_.predict(X))
        return self

    def predict(self, X):
        return self.line_.predict(X) + self.shift * self.spread_

    def predict_quantiles(self, X, quantiles):
        return self.predict(X)[:, None] + self.widen * self.spread_ * stats.norm.ppf(quantiles)


def searched(n_trials, **given):
    return tune(Line(), X, Y, **{"space": SPACE, "cv": CV, "scoring": "neg_pinball", "n_trials": n_trials} | given)


def trials(found):
    """Finished trials without what may differ from run to run."""
    return found.trials_frame.drop(columns=["number", "seconds"])


@pytest.fixture(scope="module")
def whole():
    """Long enough for TPE to have taken over from random trials (ten) and for pruning (five)."""
    return searched(24)


# ------------------------------------------------------------------ the search itself


def test_the_search_finds_what_is_planted(whole):
    table = whole.trials_frame
    assert len(table) == 24 and set(table["state"]) == {"COMPLETE", "PRUNED"}
    # The first trial is the estimator as given.
    assert table.loc[0, ["params_widen", "params_ridge", "params_shift"]].tolist() == [3.0, 1.0, 2.0]
    complete = table[table["state"] == "COMPLETE"]
    assert whole.best_score_ == complete["score"].max() > table.loc[0, "score"]
    assert whole.best_params_["shift"] == 0.0 and 0.4 < whole.best_params_["widen"] < 2.5
    assert whole.best_estimator_.get_params() == Line(**whole.best_params_).get_params()
    expected = Line(**whole.best_params_).fit(X, Y).predict(X)
    np.testing.assert_array_equal(whole.best_estimator_.predict(X), expected)
    assert "24 trials" in repr(whole)


def test_trials_are_scored_on_the_folds_given(whole):
    for _, row in whole.trials_frame.iterrows():
        model = Line(row["params_widen"], row["params_ridge"], row["params_shift"])
        folds = [f"fold_{i}" for i in range(4)]
        assert row["state"] == "PRUNED" or row[folds].notna().all()
        for i, (train, test) in enumerate(CV.split(X)):
            if pd.notna(row[f"fold_{i}"]):
                score = get_scorer("neg_pinball")(clone(model).fit(X[train], Y[train]), X[test], Y[test])
                assert row[f"fold_{i}"] == pytest.approx(score, rel=1e-12)
        assert row["score"] == pytest.approx(np.nanmean(row[folds].astype(float)))


def test_pruned_trials_are_those_behind_the_median(whole):
    table = whole.trials_frame
    first = table.loc[0, [f"fold_{i}" for i in range(4)]].to_numpy(float)
    complete = []
    for _, row in table.iterrows():
        scores = row[[f"fold_{i}" for i in range(4)]].to_numpy(float)
        ahead = np.array([np.mean(scores[: i + 1]) - np.mean(first[: i + 1]) for i in range(4)])
        stop = 3
        if len(complete) >= 5:
            # From the second fold on: its best lead so far against the median of the completed trials' leads.
            behind = [i for i in (1, 2) if np.nanmax(ahead[: i + 1]) < np.median([c[i] for c in complete])]
            stop = behind[0] if behind else 3
        assert np.isnan(scores).tolist() == [i > stop for i in range(4)]
        assert row["state"] == ("COMPLETE" if stop == 3 else "PRUNED")
        if stop == 3:
            complete.append(ahead)
    assert (table["state"] == "PRUNED").sum() >= 3


def test_our_predictors_are_scored_as_they_learn():
    space = {"tau": (0.5, 2.0), "cusum_h": (3.0, 8.0)}
    found = tune(LevyPredictor(width=8), X, Y, space=space, n_trials=2, cv=CV)
    for params, row in zip([{}, found.study.trials[1].params], found.trials_frame.itertuples(), strict=True):
        for i, (train, test) in enumerate(CV.split(X)):
            model = LevyPredictor(width=8, **params).fit(X[train], Y[train])
            law = model._walk(X[test], Y[test])
            assert getattr(row, f"fold_{i}") == pytest.approx(-crps_score(Y[test], law), rel=1e-12)
    frozen = tune(LevyPredictor(width=8), X, Y, space=space, n_trials=1, cv=CV, update=False)
    train, test = next(CV.split(X))
    model = LevyPredictor(width=8).fit(X[train], Y[train])
    assert frozen.trials_frame.loc[0, "fold_0"] == pytest.approx(crps_scorer(model, X[test], Y[test]), rel=1e-12)
    assert frozen.trials_frame.loc[0, "fold_0"] != found.trials_frame.loc[0, "fold_0"]
    assert found.best_estimator_.update_predict(X[-3:], Y[-3:], quantiles=[0.1, 0.9]).shape == (3, 2)


def test_the_rows_of_the_gap_are_learned_and_not_scored():
    rows, y = sliding_window(SERIES, width=8, season=None, averages=None, horizon=3)
    cv = WalkForwardSplit(2, horizon=3, gap=5, test_size=15)
    found = tune(LevyPredictor(width=8, horizon=3), rows, y, space={"tau": (0.5, 2.0)}, n_trials=1, cv=cv)
    for i, (train, test) in enumerate(cv.split(rows)):
        model = LevyPredictor(width=8, horizon=3).fit(rows[train], y[train])
        laws = model._walk(rows[train[-1] + 1 : test[-1] + 1], y[train[-1] + 1 : test[-1] + 1]).crps(
            y[train[-1] + 1 : test[-1] + 1]
        )
        assert len(laws) == 20 and found.trials_frame.loc[0, f"fold_{i}"] == pytest.approx(-laws[5:].mean(), rel=1e-12)
    with pytest.raises(ValueError, match="'cv' parameter of tune must leave at least horizon − 1 = 2 rows"):
        tune(LevyPredictor(width=8, horizon=3), rows, y, cv=WalkForwardSplit(2))


# ------------------------------------------------------------------ resuming


@pytest.mark.parametrize(("kind", "k"), [("journal", 1), ("journal", 13), ("sqlite", 13)])
def test_a_resumed_study_equals_an_uninterrupted_one(tmp_path, whole, kind, k):
    storage = tmp_path / "deep" / "study.jsonl" if kind == "journal" else f"sqlite:///{tmp_path}/study.db"
    part = searched(k, storage=storage)
    pd.testing.assert_frame_equal(trials(part), trials(whole)[:k], rtol=0, atol=0)
    rest = searched(24, storage=storage)
    pd.testing.assert_frame_equal(trials(rest), trials(whole), rtol=0, atol=0)
    assert rest.best_params_ == whole.best_params_ and rest.best_score_ == whole.best_score_
    # More are there than are asked for: nothing runs.
    again = searched(3, storage=storage, callbacks=Recorder(stop_after=0))
    pd.testing.assert_frame_equal(again.trials_frame, rest.trials_frame)


@pytest.mark.parametrize("place", [0, 5, 13])
def test_a_trial_that_was_killed_is_made_again(tmp_path, whole, place):
    """A killed process leaves a trial running, with some folds reported, and half a line in the journal."""
    path = tmp_path / "study.jsonl"
    if place:
        searched(place, storage=path)
    else:
        with pytest.raises(Killed):
            searched(24, storage=path, callbacks=Killer())
    backend = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="tune", storage=backend, sampler=optuna.samplers.RandomSampler(9))
    trial = study.ask()
    trial.suggest_float("widen", 0.2, 5.0, log=True)
    trial.report(0.7, 0)
    with path.open("ab") as file:
        file.write(b'{"op_code":5,"worker_id":"abc","trial_')
    rest = searched(24, storage=path)
    pd.testing.assert_frame_equal(trials(rest), trials(whole), rtol=0, atol=0)
    assert [t.number for t in rest.study.trials if t.state == optuna.trial.TrialState.FAIL][-1] == trial.number
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_an_error_ends_the_search_and_can_be_gone_on_from(tmp_path, whole):
    calls = []

    def moody(model, rows, y):
        calls.append(1)
        if len(calls) == 30:
            raise RuntimeError("out of disk")
        return get_scorer("neg_pinball")(model, rows, y)

    path = tmp_path / "study.jsonl"
    with pytest.raises(RuntimeError, match="out of disk"):
        searched(24, storage=path, scoring=moody)
    rest = searched(24, storage=path, scoring=moody)
    pd.testing.assert_frame_equal(trials(rest), trials(whole), rtol=0, atol=0)


def test_files_hold_no_pickle(tmp_path):
    searched(12, storage=tmp_path / "study.jsonl")
    searched(12, storage=f"sqlite:///{tmp_path}/study.db")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study.db", "study.jsonl"]
    for line in (tmp_path / "study.jsonl").read_text().splitlines():
        assert isinstance(json.loads(line), dict)
    with sqlite3.connect(tmp_path / "study.db") as base:
        tables = [name for (name,) in base.execute("select name from sqlite_master where type = 'table'")]
        values = [v for table in tables for row in base.execute(f"select * from {table}") for v in row]
    base.close()
    assert len(values) > 500 and not any(isinstance(v, bytes) for v in values)
    with pytest.raises(ValueError, match=r"."):
        list(pickletools.genops((tmp_path / "study.jsonl").read_bytes()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed was 0, now 1"),
        ({"space": SPACE | {"shift": [0.0]}}, "space.shift"),
        ({"cv": WalkForwardSplit(3, test_size=20)}, "folds was"),
        ({"scoring": "neg_interval_score"}, "scoring"),
        ({"scoring": "neg_mean_absolute_error"}, "scoring"),
        ({"pruner": None}, "pruner"),
        ({"update": False}, "update was True, now False"),
    ],
)
def test_the_storage_of_another_search_is_refused(tmp_path, change, words):
    path = tmp_path / "study.jsonl"
    searched(2, storage=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"'storage' parameter of tune must be new or .* another: .*{words}"):
        searched(3, storage=path, **change)
    with pytest.raises(ValueError, match=r"another: estimator.widen was 3.0, now 1.0"):
        tune(Line(1.0), X, Y, space=SPACE, cv=CV, scoring="neg_pinball", n_trials=3, storage=path)
    with pytest.raises(ValueError, match="another: y was"):
        tune(Line(), X, Y + 1, space=SPACE, cv=CV, scoring="neg_pinball", n_trials=3, storage=path)
    assert path.read_bytes() == before


def test_the_seed_decides_and_jobs_do_not(whole):
    other = searched(8, seed=1)
    assert not np.array_equal(other.trials_frame["params_widen"], whole.trials_frame["params_widen"][:8])
    with parallel_config("threading"):
        side_by_side = searched(24, n_jobs=3)
    pd.testing.assert_frame_equal(trials(side_by_side), trials(whole), rtol=0, atol=0)


# ------------------------------------------------------------------ windows and spaces


def test_a_narrower_window_is_cut_from_the_rows():
    rows, y = sliding_window(SERIES, width=16, season=None)
    level = rows.shape[1] - 16
    model = LevyPredictor(width=16, n_level=level, random_state=0)
    found = tune(model, rows, y, space={"width": [16, 8]}, n_trials=6, cv=CV, pruner=None)
    table = found.trials_frame.drop_duplicates("params_width").set_index("params_width")
    assert set(table.index) == {8, 16} and table["params_width" if "params_width" in table else "number"].iloc[0] == 0
    narrow, _ = sliding_window(SERIES, width=8, season=None)
    narrow = narrow[-len(rows) :]
    train, test = next(CV.split(rows))
    expected = LevyPredictor(width=8, n_level=level, random_state=0).fit(narrow[train], y[train])
    law = expected._walk(narrow[test], y[test])
    assert table.loc[8, "fold_0"] == pytest.approx(-crps_score(y[test], law), rel=1e-12)
    best = found.best_estimator_
    if found.best_params_["width"] == 8:
        assert isinstance(best, Pipeline) and isinstance(best[0], NarrowWindow)
    else:
        assert isinstance(best, LevyPredictor)
    behind = tune(
        make_pipeline(StandardScaler(), model), rows, y, space={"levypredictor__width": [8]}, n_trials=1, cv=CV
    ).best_estimator_
    assert [type(step).__name__ for _, step in behind.steps] == ["StandardScaler", "NarrowWindow", "LevyPredictor"]
    assert behind.predict(rows[-2:]).shape == (2,)
    with pytest.raises(ValueError, match=r"must not widen the window beyond the 16 values X has. Got 32"):
        tune(model, rows, y, space={"width": [32]}, n_trials=1, cv=CV)


@estimator_checks(NarrowWindow(width=1, window=1))
def test_narrow_window_is_a_transformer_of_scikit_learn(estimator, check):
    check(estimator)


def test_narrow_window_names_its_columns():
    frame, _ = sliding_window(pd.Series(SERIES, name="ou"), width=16, season=None)
    cut = NarrowWindow(width=8, window=16).set_output(transform="pandas").fit_transform(frame)
    narrow, _ = sliding_window(pd.Series(SERIES, name="ou"), width=8, season=None)
    pd.testing.assert_frame_equal(cut, narrow.loc[cut.index])
    with pytest.raises(ValueError, match=r"'window' parameter of NarrowWindow .* Got width=8, window=99 with"):
        NarrowWindow(width=8, window=99).fit(frame)


def test_the_default_space_holds_what_acts():
    flow = ["tau", "lam", "cusum_h", "cusum_k", "grace_period", "calibration"]
    assert list(default_space(LevyPredictor(), 8)) == flow
    assert list(default_space(LevyPredictor(calibration=False), 8)) == flow[:-1]
    assert default_space(JKOPredictor(width=32), 40)["width"] == [8, 16, 32]
    assert set(default_space(JKOPredictor(), 8)) == {"signature_depth", *flow}
    every = JKOPredictor(geometry="sinkhorn", emergency="tilt", n_level=3)
    assert set(default_space(every, 35)) == {*RANGES, "width"}
    piped = make_pipeline(StandardScaler(), LevyPredictor())
    assert list(default_space(piped, 32)) == [f"levypredictor__{k}" for k in [*flow, "width"]]
    ensemble = default_space(JKOEnsemble(JKOPredictor(branches=["A"])), 32)
    assert set(ensemble) == {"refit_every", "history", *(f"predictor__{k}" for k in flow)}
    for space in (default_space(every, 35), ensemble, default_space(piped, 32)):
        assert set(space) <= {*every.get_params(), *piped.get_params(), "refit_every", "history", *ensemble}


def test_the_default_space_runs():
    found = tune(LevyPredictor(width=8), X, Y, n_trials=3, cv=2)
    assert len(found.trials_frame) == 3
    assert found.trials_frame.loc[0, "params_calibration"] == 0.003 and found.trials_frame.loc[0, "params_tau"] == 1.0


def test_spaces_may_be_written_in_every_form():
    space = {
        "widen": optuna.distributions.FloatDistribution(0.5, 2.0, step=0.5),
        "ridge": (1, 9),
        "shift": np.array([0.0, 1.0]),
    }
    table = searched(6, space=space).trials_frame
    assert set(table["params_widen"]) <= {0.5, 1.0, 1.5, 2.0}
    assert set(table["params_ridge"]) <= set(range(1, 10)) and set(table["params_shift"]) <= {0.0, 1.0}


# ------------------------------------------------------------------ watching, limits, errors


class Killed(BaseException):
    pass


class Recorder:
    """A callback that counts and may stop the search after some trials."""

    def __init__(self, stop_after=None):
        self.stop_after, self.ended, self.log = stop_after, 0, []

    def setup(self, estimator, context):
        self.log.append(("setup", context.task_name, context.max_subtasks, context.estimator_name))

    def teardown(self, estimator, context):
        self.log.append(("teardown",))

    def on_fit_task_begin(self, estimator, context):
        self.log.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context):
        self.ended += context.parent is not None
        return self.ended == self.stop_after


class Killer(Recorder):
    """Ends the process, as far as the search can tell, as the first trial begins."""

    def on_fit_task_begin(self, estimator, context):
        if context.parent is not None:
            raise Killed


def test_callbacks_see_trials_as_tasks_and_may_stop():
    seen = Recorder(stop_after=3)
    found = searched(24, callbacks=[seen])
    assert len(found.trials_frame) == 3
    assert seen.log[0] == ("setup", "tune", 24, "Line") and seen.log[-1] == ("teardown",)
    assert [entry for entry in seen.log if entry[0] == "begin"][1:] == [("begin", "trial", i) for i in range(3)]


def test_a_timeout_lets_the_trial_that_runs_finish(monkeypatch):
    from usp_sklearn.api import tuning

    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(tuning.time, "monotonic", lambda: float(next(ticks)))
    assert len(searched(24, timeout=25.0).trials_frame) == 3
    assert len(searched(24, timeout=1e-9).trials_frame) == 1


def test_verbose_says_how_far_it_is(capsys):
    searched(3, verbose=2)
    out = capsys.readouterr()
    assert "tune: 100%" in out.err and "trial 2: " in out.out + out.err
    searched(3)
    out = capsys.readouterr()
    assert out.out == out.err == ""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_trials": 0}, "'n_trials' parameter of tune must be an int of at least 1. Got 0"),
        ({"seed": -1}, "'seed' parameter of tune must be an int of at least 0. Got -1"),
        ({"timeout": 0}, "'timeout' parameter of tune must be seconds above 0 or None. Got 0"),
        ({"space": {}}, "'space' parameter of tune must name parameters of Line. Got 'nothing'"),
        ({"space": {"depth": (1, 2)}}, "must name parameters of Line. Got 'depth'"),
        ({"space": {"widen": (2.0, 1.0)}}, r"'space' parameter of tune must hold.* Got \(2.0, 1.0\) for 'widen'"),
        ({"space": {"widen": (1.0, 2.0, "lin")}}, "must hold, for each name"),
        ({"space": {"widen": []}}, "must hold, for each name"),
        ({"pruner": "mean"}, "'pruner' parameter of tune must be 'median', None or Optuna's. Got 'mean'"),
        ({"scoring": "crps"}, "'name' parameter of get_scorer"),
        ({"scoring": lambda model, X, y: np.nan}, "'scoring' parameter of tune gave nan on fold 0"),
        ({"cv": KFold(3)}, "'cv' parameter of tune must give rows in time order"),
    ],
)
def test_bad_input_names_what_is_wrong(given, words):
    with pytest.raises(ValueError, match=words):
        searched(**{"n_trials": 2} | given)


def test_optuna_is_loaded_by_a_search_only():
    code = "import sys, usp_sklearn, usp_sklearn.api.tuning; print('optuna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    missing = "import sys; sys.modules['optuna'] = None; from usp_sklearn.api.tuning import tune; tune(None, [], [])"
    done = subprocess.run([sys.executable, "-c", missing], capture_output=True, text=True)
    assert "ImportError: tune needs Optuna. Install it with: pip install 'usp-sklearn[tune]'" in done.stderr


def test_what_is_found_pickles(whole):
    model = pickle.loads(pickle.dumps(whole.best_estimator_))
    np.testing.assert_array_equal(model.predict(X), whole.best_estimator_.predict(X))
