"""walk_forward against loops written out row by row, poisoned futures, interrupted runs, other regressors."""

import io
import json
import pickletools
import warnings

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy import stats
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from usp_sklearn import LevyPredictor, datasets, sliding_window
from usp_sklearn.api import folds as folds_module
from usp_sklearn.api.metrics import coverage_score, crps_score, crps_scorer, interval_score, mase_score, pinball_score
from usp_sklearn.api.splitter import WalkForwardSplit
from usp_sklearn.api.walkforward import walk_forward

SERIES = datasets.make_ou(230, random_state=0)
X, Y = sliding_window(SERIES, width=8, season=None, averages=None)
X3, Y3 = sliding_window(SERIES, width=8, season=None, averages=None, horizon=3)
LEVELS = [0.1, 0.5, 0.8, 0.9]
CV = WalkForwardSplit(4, test_size=12)
NAMES = ["0.1", "0.5", "0.8", "0.9"]


def levy(**params):
    return LevyPredictor(width=8, random_state=0, **params)


def quantiles_of(walk):
    return walk.forecasts.drop(columns="y").to_numpy()


class Line(RegressorMixin, BaseEstimator):
    """Least squares with normal quantiles of its residuals' spread, as others may write it."""

    def __init__(self, widen=1.0):
        self.widen = widen

    def fit(self, X, y):
        self.line_ = Ridge().fit(X, y)
        self.spread_ = self.widen * np.std(y - self.line_.predict(X))
        return self

    def predict(self, X):
        return self.line_.predict(X)

    def predict_quantiles(self, X, quantiles):
        return self.predict(X)[:, None] + self.spread_ * stats.norm.ppf(quantiles)


class Several(RegressorMixin, BaseEstimator):
    """Two horizons: the window's last value and a spread that grows with every row seen."""

    def fit(self, X, y):
        self.rows_ = len(X)
        return self

    def update_predict(self, X, y, quantiles):
        seen = self.rows_ + np.arange(len(X))
        self.rows_ += len(X)
        spread = seen[:, None, None] * np.array([1.0, 2.0])[:, None]
        return X[:, -1, None, None] + spread * stats.norm.ppf(quantiles)


# ------------------------------------------------------------------ what is forecast


@pytest.mark.parametrize(("refit", "size"), [("never", 4), (3, 3), ("every fold", 1)])
@pytest.mark.parametrize(("rows", "y", "horizon"), [(X, Y, 1), (X3, Y3, 3)])
def test_every_row_is_issued_before_its_outcome(refit, size, rows, y, horizon):
    """One value at a time, by hand: fit, then a row's law, then the next row's, with the delay of the horizon."""
    cv = WalkForwardSplit(4, test_size=12, horizon=horizon)
    walk = walk_forward(levy(horizon=horizon), rows, y, cv=cv, quantiles=LEVELS, refit=refit)
    expected = []
    for i, (train, test) in enumerate(cv.split(rows)):
        if i % size == 0:
            model, at = levy(horizon=horizon).fit(rows[train], y[train]), train[-1] + 1
        for row in range(at, test[-1] + 1):
            law = model.update_predict(rows[row : row + 1], y[row : row + 1], quantiles=LEVELS)[0]
            if row >= test[0]:
                expected.append(law)
        at = test[-1] + 1
    np.testing.assert_allclose(quantiles_of(walk), expected, rtol=1e-9)
    np.testing.assert_array_equal(walk.forecasts.index, np.arange(len(rows) - 48, len(rows)))
    np.testing.assert_array_equal(walk.forecasts["y"], y[-48:])
    assert walk.complete and list(walk.forecasts.columns) == [*NAMES, "y"]


@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("refit", ["never", 2])
def test_what_is_not_known_yet_changes_nothing(refit, update):
    """The series is wrecked from time T on; rows that end before T forecast what they did."""
    horizon, cut = 3, 205
    wrecked = SERIES.copy()
    wrecked[cut:] = 1e6 * np.arange(len(SERIES) - cut) ** 2
    walks = []
    for series in (SERIES, wrecked):
        rows, y = sliding_window(series, width=8, season=None, averages=None, horizon=horizon)
        cv = WalkForwardSplit(4, test_size=12, horizon=horizon)
        walks.append(walk_forward(levy(horizon=horizon), rows, y, cv=cv, quantiles=LEVELS, refit=refit, update=update))
    # Row i ends at time i + 7.
    before = walks[0].forecasts.index + 7 < cut
    assert 20 < before.sum() < 48
    np.testing.assert_array_equal(quantiles_of(walks[0])[before], quantiles_of(walks[1])[before])
    assert not np.array_equal(quantiles_of(walks[0])[~before], quantiles_of(walks[1])[~before])


def test_folds_after_a_nan_do_not_touch_those_before():
    """With NaN from the third test part on, the first two are forecast and kept; then the estimator refuses."""
    whole = walk_forward(levy(), X, Y, cv=CV, quantiles=LEVELS, refit="every fold")
    spoilt = Y.copy()
    spoilt[-24:] = np.nan
    seen = Recorder()
    with pytest.raises(ValueError, match="NaN"):
        walk_forward(levy(), X, spoilt, cv=CV, quantiles=LEVELS, refit="every fold", callbacks=seen)
    assert seen.ended == 2
    first = walk_forward(levy(), X[:-24], Y[:-24], cv=WalkForwardSplit(2, test_size=12), quantiles=LEVELS, refit=1)
    np.testing.assert_array_equal(quantiles_of(first), quantiles_of(whole)[:24])


def test_without_update_a_fold_sees_what_fit_gave():
    walk = walk_forward(levy(), X, Y, cv=CV, quantiles=LEVELS, refit="every fold", update=False)
    expected = [levy().fit(X[a], Y[a]).predict_quantiles(X[b], LEVELS) for a, b in CV.split(X)]
    np.testing.assert_allclose(quantiles_of(walk), np.concatenate(expected), rtol=1e-12)
    frozen = walk_forward(levy(), X, Y, cv=CV, quantiles=LEVELS, update=False)
    first = next(CV.split(X))[0]
    np.testing.assert_allclose(quantiles_of(frozen), levy().fit(X[first], Y[first]).predict_quantiles(X[-48:], LEVELS))


@pytest.mark.parametrize(("backend", "make"), [("loky", Line), ("threading", levy)])
def test_any_number_of_jobs_gives_the_same(backend, make):
    alone = walk_forward(make(), X, Y, cv=CV, quantiles=LEVELS, refit=2)
    with parallel_config(backend):
        both = walk_forward(make(), X, Y, cv=CV, quantiles=LEVELS, refit=2, n_jobs=2)
    np.testing.assert_allclose(quantiles_of(both), quantiles_of(alone), rtol=1e-12)
    pd.testing.assert_frame_equal(both.scores.drop(columns="seconds"), alone.scores.drop(columns="seconds"), rtol=1e-9)


# ------------------------------------------------------------------ tables and scores


def test_tables_carry_the_index_and_all_horizons():
    index = pd.DatetimeIndex(pd.date_range("2024-01-01", periods=230), freq=None)
    rows, y = sliding_window(pd.Series(SERIES, index=index, name="ou"), width=8, season=None, averages=None)
    walk = walk_forward(levy(), rows, y, cv=CV, quantiles=LEVELS)
    pd.testing.assert_index_equal(walk.forecasts.index, y.index[-48:])
    plain = walk_forward(levy(), X, Y, cv=CV, quantiles=LEVELS)
    np.testing.assert_allclose(quantiles_of(walk), quantiles_of(plain), rtol=1e-12)
    several, targets = sliding_window(SERIES, width=8, season=None, averages=None, horizon=2, multi=True)
    walk = walk_forward(Several(), several, targets, cv=2, quantiles=[0.9, 0.1])
    assert walk.forecasts.columns.tolist() == [(h, name) for h in (1, 2) for name in ("0.1", "0.9", "y")]
    cv = WalkForwardSplit(2, horizon=2)
    (train, first), (_, second) = cv.split(several)
    test = np.concatenate([first, second])
    np.testing.assert_array_equal(walk.forecasts.index, test)
    np.testing.assert_array_equal(walk.forecasts[2]["y"], targets[test, 1])
    # It learns the row between training and test part too.
    fitted = Several().fit(several[train], targets[train])
    expected = fitted.update_predict(several[train[-1] + 1 :], targets, [0.1, 0.9])
    np.testing.assert_allclose(walk.forecasts[1][["0.1", "0.9"]], expected[1:, 0], rtol=1e-12)
    np.testing.assert_allclose(walk.forecasts[2][["0.1", "0.9"]], expected[1:, 1], rtol=1e-12)


def test_scores_are_those_of_the_metrics():
    walk = walk_forward(Line(), X, Y, cv=CV, quantiles=LEVELS)
    assert walk.scores.index.name == "fold" and walk.scores["rows"].tolist() == [12] * 4
    for (train, test), (_, row) in zip(CV.split(X), walk.scores.iterrows(), strict=True):
        q = walk.forecasts.loc[test, NAMES].to_numpy()
        assert row["train"] == len(train)
        assert row["crps"] == pytest.approx(crps_score(Y[test], q, LEVELS))
        assert row["pinball"] == pytest.approx(pinball_score(Y[test], q, LEVELS))
        assert row["coverage"] == coverage_score(Y[test], q[:, [0, 3]]) and row["nominal"] == pytest.approx(0.8)
        assert row["interval_score"] == pytest.approx(interval_score(Y[test], q[:, [0, 3]], 0.8))
        assert row["mase"] == pytest.approx(mase_score(Y[test], q[:, 1], Y[train]))
        assert row["mae"] == pytest.approx(np.abs(Y[test] - q[:, 1]).mean())
    table = walk.summary()
    together = walk.forecasts[NAMES].to_numpy()
    assert table.loc["crps", "all"] == pytest.approx(crps_score(Y[-48:], together, LEVELS))
    assert table.loc["coverage", "all"] == pytest.approx(coverage_score(Y[-48:], together[:, [0, 3]]))
    assert table.loc["crps", "worst"] == walk.scores["crps"].max()
    off = (walk.scores["coverage"] - 0.8).abs()
    assert abs(table.loc["coverage", "worst"] - 0.8) == pytest.approx(off.max())
    assert repr(walk).startswith("WalkForward(4 folds, 48 rows, crps=")
    lonely = walk_forward(Line(), X, Y, cv=2, quantiles=[0.1, 0.7]).scores
    assert lonely[["coverage", "nominal", "interval_score"]].isna().all(axis=None) and lonely["mase"].notna().all()


def test_other_regressors_pipelines_and_searches():
    line = walk_forward(Line(), X, Y, cv=CV, quantiles=LEVELS, refit=1)
    expected = [Line().fit(X[a], Y[a]).predict_quantiles(X[b], LEVELS) for a, b in CV.split(X)]
    np.testing.assert_allclose(quantiles_of(line), np.concatenate(expected))
    # A regressor with points only: every quantile is the point, and the CRPS is its absolute error.
    ridge = walk_forward(Ridge(), X, Y, cv=CV, quantiles=LEVELS, refit=1)
    points = np.concatenate([Ridge().fit(X[a], Y[a]).predict(X[b]) for a, b in CV.split(X)])
    np.testing.assert_allclose(quantiles_of(ridge), np.repeat(points[:, None], 4, axis=1))
    np.testing.assert_allclose(ridge.scores["crps"], ridge.scores["mae"], rtol=1e-12)
    scaled = walk_forward(make_pipeline(StandardScaler(), levy()), X, Y, cv=CV, quantiles=LEVELS)
    train = next(CV.split(X))[0]
    scaler = StandardScaler().fit(X[train])
    model = levy().fit(scaler.transform(X[train]), Y[train])
    expected = model.update_predict(scaler.transform(X[-48:]), Y[-48:], quantiles=LEVELS)
    np.testing.assert_allclose(quantiles_of(scaled), expected, rtol=1e-9)
    search = GridSearchCV(make_pipeline(StandardScaler(), Line()), {"line__widen": [0.5, 1.0]}, scoring=crps_scorer)
    search.set_params(scoring="neg_mean_absolute_error", cv=TimeSeriesSplit(2))
    found = walk_forward(search, X, Y, cv=CV, quantiles=LEVELS)
    assert np.isfinite(quantiles_of(found)).all()


# ------------------------------------------------------------------ folds that would look ahead


@pytest.mark.parametrize(
    ("cv", "words"),
    [
        (TimeSeriesSplit(3), "leave at least horizon − 1 = 2 rows .* whose fold 0 leaves 0"),
        (KFold(3), "give rows in time order, training before test part"),
        ([(np.arange(50), np.arange(60, 70)), (np.arange(50), np.arange(65, 75))], "fold 1 does not"),
        ([(np.arange(50)[::-1], np.arange(60, 70))], "in time order"),
        ([(np.arange(50), np.arange(60, 70, 2))], "test parts whole"),
        ([(np.arange(0), np.arange(60, 70))], "have rows in both parts"),
    ],
)
def test_folds_must_walk_forward(cv, words):
    with pytest.raises(ValueError, match=f"'cv' parameter of walk_forward must .*{words}"):
        walk_forward(levy(horizon=3), X3, Y3, cv=cv)


def test_the_horizon_is_found_where_it_is_said():
    at = folds_module.longest_horizon
    assert at(levy(), Y) == 1 and at(levy(horizon=3), Y3) == 3 and at(levy(), np.zeros((9, 5))) == 5
    assert at(make_pipeline(StandardScaler(), levy(horizon=4)), Y) == 4
    assert at(Ridge(), Y, WalkForwardSplit(3, horizon=6)) == 6
    default = walk_forward(levy(horizon=3), X3, Y3, quantiles=LEVELS)
    assert len(default.scores) == 5
    pairs = list(WalkForwardSplit(5, horizon=3).split(X3))
    assert default.forecasts.index[0] == pairs[0][1][0]


@pytest.mark.parametrize("refit", ["always", 0, True, 1.5])
def test_refit_is_checked(refit):
    with pytest.raises(ValueError, match="'refit' parameter of walk_forward must be 'never', 'every fold' or an int"):
        walk_forward(levy(), X, Y, refit=refit)


# ------------------------------------------------------------------ resuming


class Recorder:
    """A callback that counts, and stops after some tasks."""

    def __init__(self, stop_after=None):
        self.stop_after, self.begun, self.ended, self.log = stop_after, 0, 0, []

    def setup(self, estimator, context):
        self.log.append(("setup", context.task_name, context.max_subtasks))

    def teardown(self, estimator, context):
        self.log.append(("teardown",))

    def on_fit_task_begin(self, estimator, context):
        self.begun += context.parent is not None

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        if context.parent is None:
            return None
        self.ended += 1
        self.log.append((context.task_name, context.task_id, X, y, fitted_estimator))
        return self.ended == self.stop_after


@pytest.mark.parametrize(("refit", "stop"), [("never", 1), ("never", 3), (2, 1), (2, 3), (1, 2)])
@pytest.mark.parametrize("make", [levy, Line], ids=["levy", "line"])
def test_a_resumed_walk_equals_an_uninterrupted_one(tmp_path, refit, stop, make):
    given = {"cv": CV, "quantiles": LEVELS, "refit": refit}
    whole = walk_forward(make(), X, Y, **given)
    part = walk_forward(make(), X, Y, **given, resume=tmp_path, callbacks=Recorder(stop))
    assert len(part.scores) == stop and not part.complete
    np.testing.assert_array_equal(quantiles_of(part), quantiles_of(whole)[: 12 * stop])
    rest = walk_forward(make(), X, Y, **given, resume=tmp_path)
    pd.testing.assert_frame_equal(rest.forecasts, whole.forecasts, rtol=0, atol=0)
    pd.testing.assert_frame_equal(rest.scores.drop(columns="seconds"), whole.scores.drop(columns="seconds"))
    # All there: nothing is fitted any more.
    again = walk_forward(make(), X, Y, **given, resume=tmp_path)
    pd.testing.assert_frame_equal(again.scores, rest.scores)


def test_a_model_that_has_a_safe_format_goes_on_without_a_refit(tmp_path, monkeypatch):
    given = {"cv": CV, "quantiles": LEVELS}
    whole = walk_forward(levy(), X, Y, **given)
    walk_forward(levy(), X, Y, **given, resume=tmp_path, callbacks=[Recorder(2)])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "fold-0000.npz", "fold-0001.npz", "model-0001.usp", "run.json",
    ]  # fmt: skip
    walk_forward(levy(), X, Y, **given, resume=tmp_path, callbacks=[Recorder(3)])

    def refuse(self, X, y):
        raise AssertionError("fitted again")

    monkeypatch.setattr(LevyPredictor, "fit", refuse)
    rest = walk_forward(levy(), X, Y, **given, resume=tmp_path)
    pd.testing.assert_frame_equal(rest.forecasts, whole.forecasts, rtol=0, atol=0)


def test_files_hold_no_pickle_and_a_damaged_one_is_made_again(tmp_path):
    given = {"cv": CV, "quantiles": LEVELS, "resume": tmp_path}
    whole = walk_forward(levy(), X, Y, **given)
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        with pytest.raises(Exception, match=r"."):
            list(pickletools.genops(io.BytesIO(data)))
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as held:
                assert {k: v.dtype for k, v in held.items()} == {"quantiles": np.float64, "seconds": np.float64}
    path = tmp_path / "fold-0002.npz"
    path.write_bytes(path.read_bytes()[:-40])
    for model in tmp_path.glob("*.usp"):
        model.write_bytes(b"damaged")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        rest = walk_forward(levy(), X, Y, **given)
    assert any("fold-0002.npz is damaged" in str(w.message) for w in seen)
    pd.testing.assert_frame_equal(rest.forecasts, whole.forecasts, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"estimator": Line(2.0)}, "estimator.widen was 1.0, now 2.0"),
        ({"estimator": Ridge()}, "estimator.class was 'tests.api.test_walkforward.Line', now 'sklearn.linear_model"),
        ({"y": Y + 1e-12}, "y was '"),
        ({"X": X * (1 + 1e-12)}, "X was '"),
        ({"cv": WalkForwardSplit(3, test_size=12)}, "folds was "),
        ({"quantiles": [0.1, 0.9]}, "quantiles was "),
        ({"refit": 2}, "refit was 0, now 2"),
        ({"update": False}, "update was True, now False"),
    ],
)
def test_the_folder_of_another_run_is_refused(tmp_path, change, words):
    given = {"estimator": Line(), "X": X, "y": Y, "cv": CV, "quantiles": LEVELS, "resume": tmp_path}
    walk_forward(**given)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=rf"'resume' parameter of walk_forward must be a new folder .*{words}"):
        walk_forward(**given | change)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert json.loads(before["run.json"])["estimator"]["params"] == {"widen": 1.0}


# ------------------------------------------------------------------ watching


def test_callbacks_are_called_as_scikit_learn_calls_them():
    seen = Recorder()
    walk = walk_forward(levy(), X, Y, cv=CV, quantiles=LEVELS, callbacks=[seen])
    assert seen.log[0] == ("setup", "walk_forward", 4) and seen.log[-1] == ("teardown",)
    assert seen.begun == seen.ended == 4
    tasks = seen.log[1:-1]
    assert [(t[0], t[1]) for t in tasks] == [("fold", i) for i in range(4)]
    for (train, _), task in zip(CV.split(X), tasks, strict=True):
        np.testing.assert_array_equal(task[2], X[train])
        np.testing.assert_array_equal(task[3], Y[train])
        assert task[4].predict(X[-3:]).shape == (3,)
    assert walk.complete


def test_hooks_are_torn_down_after_an_error_too():
    seen = Recorder()
    with pytest.raises(ValueError, match="NaN"):
        walk_forward(levy(), np.full_like(X, np.nan), Y, cv=CV, callbacks=seen)
    assert seen.log[-1] == ("teardown",) and seen.ended == 0


def test_scikit_learns_own_callbacks(capsys):
    monitor = ScoringMonitor(scoring="neg_mean_absolute_error")
    walk_forward(Line(), X, Y, cv=CV, quantiles=LEVELS, refit=1, callbacks=[monitor, ProgressBar()])
    found = [row["neg_mean_absolute_error"] for row in monitor.get_logs().data if row["task_name"] == "fold"]
    expected = [-np.abs(Y[a] - clone(Line()).fit(X[a], Y[a]).predict(X[a])).mean() for a, _ in CV.split(X)]
    np.testing.assert_allclose(found, expected)
    assert "Line - walk_forward" in capsys.readouterr().out
    walk = walk_forward(
        levy(), X, Y, cv=CV, quantiles=LEVELS, refit=2, callbacks=ProgressBar(max_propagation_depth=None)
    )
    out = capsys.readouterr().out
    assert out.count("LevyPredictor - fold | LevyPredictor - fit") >= 2 and walk.complete
    with pytest.raises(TypeError, match="FitCallback"):
        walk_forward(Line(), X, Y, cv=CV, callbacks=["progress"])


def test_verbose_says_how_far_it_is(capsys):
    walk_forward(Line(), X, Y, cv=CV, quantiles=LEVELS, verbose=2)
    out = capsys.readouterr()
    assert "walk_forward: 100%" in out.err and "4/4" in out.err
    assert "fold 3: crps" in out.out + out.err
    walk_forward(Line(), X, Y, cv=CV, quantiles=LEVELS)
    out = capsys.readouterr()
    assert out.out == out.err == ""
