"""Metadata through JKOEnsemble: what a regressor is told belongs to the rows it is fitted on, by scikit-learn's rules.

The row's number is a column of X and the metadata, so that a recording regressor sees both side by side.
"""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import StackingRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import QuantileRegressor
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.utils.metadata_routing import get_routing_for_object

from usp_sklearn import JKOEnsemble, JKOPredictor, datasets, pinball_scorer, sliding_window
from usp_sklearn.api.regressors import frame, inputs

WIDTH, LEVELS = 6, (0.25, 0.75)
ENABLED = config_context(enable_metadata_routing=True)


class Record(list):
    """A list that copies of its owner share."""

    def __deepcopy__(self, memo):
        return self


class Recorder(RegressorMixin, BaseEstimator):
    """Keeps what each fit was told."""

    def __init__(self, record=None, quantile=0.5):
        self.record = record
        self.quantile = quantile

    def fit(self, X, y, sample_weight=None, season=None):
        self.record.append({"number": X[:, 0].copy(), "sample_weight": sample_weight, "season": season})
        return self

    def predict(self, X):
        return np.full(len(X), self.quantile - 0.5)


class Knows(KNeighborsRegressor):
    """A regressor without sample weights."""

    def __init__(self, quantile=0.5):
        super().__init__()
        self.quantile = quantile


def rows(n=320, horizon=1):
    series = datasets.make_ou(n, random_state=0)
    X, y = sliding_window(series, width=WIDTH, horizon=horizon, season=None, averages=None, exog=np.arange(float(n)))
    return X, y, X[:, 0].copy()


def ensemble(*regressors, horizon=1, **params):
    predictor = JKOPredictor(branches=["A"], width=WIDTH, n_exog=1, horizon=horizon, random_state=0)
    return JKOEnsemble(predictor, list(regressors), quantiles=LEVELS, refit_every=50, **params)


def aligned(record, name="sample_weight"):
    """The last row number of every refit, whose fits were told the numbers of their rows."""
    assert record
    for each in record:
        np.testing.assert_array_equal(each[name], each["number"])
    return [each["number"][-1] for each in record[:: len(LEVELS)]]


@pytest.mark.parametrize("horizon", [1, 3])
@ENABLED
def test_requested_metadata_goes_along_with_the_rows(horizon):
    X, y, number = rows(horizon=horizon)
    weighted, seasonal, plain = Record(), Record(), Record()
    model = ensemble(
        ("weighted", Recorder(weighted).set_fit_request(sample_weight=True)),
        ("seasonal", Recorder(seasonal).set_fit_request(season="phase", sample_weight=False)),
        ("plain", Recorder(plain).set_fit_request(sample_weight=False)),
        horizon=horizon,
        history=120,
    )
    cut = [200, 230, 290]
    model.fit(X[:200], y[:200], sample_weight=number[:200].tolist(), phase=number[:200])
    for a, b in zip(cut, [*cut[1:], len(X)], strict=True):
        learn = model.partial_fit if b < len(X) else model.update_predict
        learn(X[a:b], y[a:b], sample_weight=number[a:b], phase=number[a:b])
    last = aligned(weighted)
    assert last == aligned(seasonal, "season")
    # Before the middle of fit and every 50 rows in it, on all of fit, then every 50 rows; outcomes must be known.
    known = np.array([99, 149, 199 + horizon - 1, 249, 299]) - (horizon - 1) + number[0]
    assert last == known.tolist()
    assert max(len(each["number"]) for each in weighted) == 120
    for each in plain:
        assert each["sample_weight"] is None and each["season"] is None
    for mine, name in ((seasonal, "sample_weight"), (weighted, "season")):
        assert all(each[name] is None for each in mine)


@ENABLED
def test_what_is_no_array_of_the_rows_is_handed_on():
    X, y, _ = rows()
    record = Record()
    model = ensemble(("one", Recorder(record).set_fit_request(season=True)))
    model.fit(X[:120], y[:120], season="summer")
    model.partial_fit(X[120:], y[120:], season="winter")
    assert {each["season"] for each in record} == {"summer", "winter"}


@pytest.mark.parametrize("request_", [None, False])
@ENABLED
def test_errors_are_those_of_a_stacking_regressor(request_):
    X, y, number = rows(160)
    regressor = Recorder(Record())
    if request_ is not None:
        regressor.set_fit_request(sample_weight=request_)
    kinds = []
    for model in (StackingRegressor([("one", regressor)]), ensemble(("one", regressor))):
        with pytest.raises((UnsetMetadataPassedError, TypeError)) as found:
            model.fit(X, y, sample_weight=number)
        kinds.append((found.type, "sample_weight" in str(found.value)))
    assert kinds[0] == kinds[1] and kinds[0][1]
    with pytest.raises(TypeError, match="unexpected"):
        ensemble(("one", regressor)).fit(X, y, colour=number)
    fitted = ensemble(("one", regressor)).fit(X, y)
    for learn in (fitted.partial_fit, fitted.update_predict):
        with pytest.raises((UnsetMetadataPassedError, TypeError), match="sample_weight"):
            learn(X, y, sample_weight=number)


@ENABLED
def test_a_search_cuts_metadata_like_its_folds():
    X, y, number = rows(240)
    record = Record()
    model = ensemble(("one", Recorder(record).set_fit_request(sample_weight=True)))
    search = GridSearchCV(model, {"history": [60, 90]}, cv=TimeSeriesSplit(2), scoring=pinball_scorer(LEVELS))
    search.fit(X, y, sample_weight=number)
    last = aligned(record)
    ends = [len(train) - 1 + number[0] for train, _ in TimeSeriesSplit(2).split(X)]
    assert set(ends) < set(last) and max(last) == number[-1]
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        search.set_params(estimator=ensemble(("one", Recorder(record))), error_score="raise")
        search.fit(X, y, sample_weight=number)


@ENABLED
def test_the_router_says_what_is_consumed():
    model = ensemble(("one", Recorder().set_fit_request(sample_weight=True)), ("two", Recorder()))
    routing = get_routing_for_object(model)
    for method in ("fit", "partial_fit"):
        assert routing.consumes(method, ["sample_weight", "season"]) == {"sample_weight"}
    assert routing.consumes("predict", ["sample_weight"]) == set()
    assert get_routing_for_object(JKOEnsemble()).consumes("fit", ["sample_weight"]) == set()


def test_without_routing_weights_reach_every_regressor():
    X, y, number = rows(200)
    one, two = Record(), Record()
    model = ensemble(("one", Recorder(one)), ("two", Recorder(two)))
    model.partial_fit(X[:120], y[:120], sample_weight=number[:120])
    model.update_predict(X[120:], y[120:], sample_weight=number[120:])
    assert aligned(one) == aligned(two)
    ensemble(("one", Recorder(one))).fit(X, y, sample_weight=None)
    assert one[-1]["sample_weight"] is None
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        model.fit(X, y, season=number)
    with pytest.raises(TypeError, match="'knows', Knows, does not support sample weights"):
        ensemble(("knows", Knows())).fit(X, y, sample_weight=number)


def test_weights_given_once_are_asked_for_again_and_the_model_stays():
    X, y, number = rows(200)
    model = ensemble(("one", Recorder(Record()))).fit(X[:120], y[:120], sample_weight=number[:120])
    before = model.predict_quantiles(X[120:], LEVELS)
    with pytest.raises(ValueError, match=r"Metadata of rows .* Got \[\] after \['sample_weight'\]"):
        model.partial_fit(X[120:], y[120:])
    assert np.array_equal(model.predict_quantiles(X[120:], LEVELS), before)
    model.partial_fit(X[120:], y[120:], sample_weight=number[120:])


def test_weights_decide_what_is_learned():
    X, y, number = rows(400)
    line = ("line", QuantileRegressor(alpha=0.001, solver="highs"))
    odd = number.astype(int) % 2
    one, two = (ensemble(line).fit(X, y, sample_weight=w) for w in (np.where(odd, 1.0, 1e-9), np.ones(len(X))))
    # The half that counts, alone.
    alone = QuantileRegressor(alpha=0.001, solver="highs", quantile=0.25)
    seen = one.blocks_[0]._models[0]
    features, unit = inputs(one._layout, frame(one._layout, X), X)
    target = (y - X[:, -1]) / unit
    alone.fit(features[odd == 1], target[odd == 1])
    np.testing.assert_allclose(seen.predict(features), alone.predict(features), atol=0.05)
    assert np.abs(two.blocks_[0]._models[0].predict(features) - alone.predict(features)).max() > 0.1
