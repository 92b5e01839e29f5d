"""The checks that scikit-learn leaves out of its list, tables in and out, callbacks, and the picture in notebooks."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.linear_model import QuantileRegressor
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.utils import estimator_checks as theirs

from usp_sklearn import (
    CUSUMDetector,
    DGMPredictor,
    HolderTransformer,
    JKOAggregator,
    JKOEnsemble,
    JKOPredictor,
    JumpDiffusionPredictor,
    LevyPredictor,
    LogSignatureTransformer,
    SignaturePredictor,
    SlidingWindow,
    crps_scorer,
    datasets,
    sliding_window,
)

PREDICTORS = [LevyPredictor, DGMPredictor, JumpDiffusionPredictor, SignaturePredictor, JKOPredictor]
TRANSFORMERS = [HolderTransformer, LogSignatureTransformer]
LEVELS = [0.1, 0.5, 0.9]


@pytest.mark.parametrize("cls", [*PREDICTORS, *TRANSFORMERS, CUSUMDetector, JKOAggregator, JKOEnsemble, SlidingWindow])
def test_every_parameter_is_validated(cls):
    theirs.check_param_validation(cls.__name__, cls())


@pytest.mark.parametrize("cls", [LevyPredictor, SignaturePredictor, *TRANSFORMERS, CUSUMDetector])
def test_column_names_are_consistent(cls):
    theirs.check_dataframe_column_names_consistency(cls.__name__, cls())


@pytest.mark.parametrize("cls", [*TRANSFORMERS, CUSUMDetector])
@pytest.mark.parametrize(
    "name",
    [
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_global_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_global_set_output_transform_polars",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
    ],
)
def test_transformers_put_out_tables(cls, name):
    getattr(theirs, name)(cls.__name__, cls())


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_rows_of_a_series_as_tables(kind):
    windows = SlidingWindow(width=4, season=5, averages=(0.1,)).set_output(transform=kind)
    table = windows.fit_transform(np.arange(40.0)[:, None])
    assert type(table).__module__.startswith(kind) and list(table.columns) == list(windows.get_feature_names_out())


@pytest.fixture(scope="module")
def table():
    index = pd.date_range("2024-01-01", periods=420, freq="h")
    series = pd.Series(datasets.make_ou(420, random_state=0), index=index, name="load")
    return sliding_window(series, width=16, averages=None, season=None)


@pytest.fixture(scope="module")
def model(table):
    return LevyPredictor(width=16).fit(table[0][:300], table[1][:300])


def test_tables_give_tables(table, model):
    X, y = table[0][300:], table[1][300:]
    quantiles, interval = model.predict_quantiles(X, LEVELS), model.predict_interval(X, 0.8)
    bare = model.predict_quantiles(X.set_axis(X.columns, axis=1), LEVELS)
    for frame in (quantiles, interval, bare):
        assert frame.index.equals(X.index)
    assert quantiles.columns.tolist() == LEVELS and interval.columns.tolist() == ["lower", "upper"]
    np.testing.assert_allclose(interval, quantiles[[0.1, 0.9]], rtol=1e-12)
    walked = clone(model).fit(table[0][:300], table[1][:300]).update_predict(X, y, LEVELS)
    assert walked.index.equals(X.index) and isinstance(model.predict(X), np.ndarray)


def test_tables_of_several_steps():
    series = pd.Series(datasets.make_ou(300, random_state=0), name="load")
    X, Y = sliding_window(series, width=16, horizon=3, multi=True, averages=None, season=None)
    model = LevyPredictor(width=16).fit(X[:200], Y[:200])
    table = model.predict_quantiles(X[200:], LEVELS)
    assert table.columns.names == ["step", "quantile"] and table.columns.tolist()[3] == (2, 0.1)
    values = model.predict_distribution(X[200:]).ppf(LEVELS)
    np.testing.assert_array_equal(table[2], values[:, 1])
    assert model.predict_interval(X[200:]).columns.tolist()[:2] == [(1, "lower"), (1, "upper")]


class Record:
    """A callback that keeps what it is told."""

    def __init__(self):
        self.begun, self.ended, self.standing = [], [], []

    def setup(self, estimator, context):
        self.standing.append("setup")

    def teardown(self, estimator, context):
        self.standing.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.task_name)


def test_callbacks_see_the_parts_of_fit(model):
    X, y = sliding_window(datasets.make_ou(1200, random_state=1), width=16, averages=None, season=None)
    seen = Record()
    watched = LevyPredictor(width=16).set_callbacks(seen).fit(X, y)
    assert seen.begun == ["fit", "train", "walk", "walk", "walk"]
    assert seen.ended == ["train", "walk", "walk", "walk", "fit"]
    assert seen.standing == ["setup", "teardown"]
    plain = LevyPredictor(width=16).fit(X, y)
    np.testing.assert_array_equal(watched.predict_quantiles(X), plain.predict_quantiles(X))
    bad = np.full_like(y, np.nan)
    with pytest.raises(ValueError):
        watched.fit(X, bad)
    assert seen.standing.count("setup") == seen.standing.count("teardown")


def test_a_search_shows_its_progress(table, capsys):
    search = GridSearchCV(LevyPredictor(width=16), {"tau": [0.5, 1.0]}, scoring=crps_scorer, cv=TimeSeriesSplit(2))
    search.set_callbacks(ProgressBar()).fit(*table)
    assert "GridSearchCV" in capsys.readouterr().out


def test_notebooks_show_the_branches():
    page = JKOPredictor(branches=("A", "D"))._repr_html_()
    assert "Lévy" in page and "log-signature" in page and "jump diffusion" not in page
    ensemble = JKOEnsemble(JKOPredictor(), [("line", QuantileRegressor())])._repr_html_()
    assert "Deep-Galerkin" in ensemble
