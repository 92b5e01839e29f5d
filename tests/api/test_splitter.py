"""WalkForwardSplit against scikit-learn's TimeSeriesSplit, against sets of known outcomes, and as ``cv=``."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, check_cv, cross_val_score

from usp_sklearn.api.splitter import WalkForwardSplit

X = np.zeros((103, 2))


def folds(cv, n=103):
    return list(cv.split(np.zeros((n, 1))))


@pytest.mark.parametrize("n_splits", [2, 5, 9])
@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("test_size", [None, 7])
@pytest.mark.parametrize("max_train_size", [None, 11])
def test_equals_time_series_split(n_splits, gap, test_size, max_train_size):
    given = {"gap": gap, "test_size": test_size, "max_train_size": max_train_size}
    ours, theirs = WalkForwardSplit(n_splits, **given), TimeSeriesSplit(n_splits, **given)
    assert ours.get_n_splits() == theirs.get_n_splits() == len(folds(ours))
    for mine, other in zip(folds(ours), folds(theirs), strict=True):
        np.testing.assert_array_equal(mine[0], other[0])
        np.testing.assert_array_equal(mine[1], other[1])


@pytest.mark.parametrize("horizon", [1, 2, 12])
@pytest.mark.parametrize("gap", [None, 15])
@pytest.mark.parametrize("rolling", [False, True])
def test_no_training_outcome_is_unknown_when_the_test_part_begins(horizon, gap, rolling):
    """Row i's outcome is the value at time i + horizon; at the first test row time is that row's own number."""
    cv = WalkForwardSplit(4, horizon=horizon, gap=gap, rolling=rolling)
    for train, test in folds(cv):
        known_until = test[0]
        assert {i + horizon for i in train} <= set(range(known_until + 1))
        # With the default gap not one known outcome is wasted.
        assert gap is not None or train[-1] + horizon == known_until
        assert np.array_equal(test, np.arange(test[0], test[-1] + 1))


def test_test_parts_follow_one_another_to_the_end():
    tests = [test for _, test in folds(WalkForwardSplit(6, horizon=3, test_size=10))]
    np.testing.assert_array_equal(np.concatenate(tests), np.arange(43, 103))


def test_rolling_parts_keep_one_length():
    grown = [len(train) for train, _ in folds(WalkForwardSplit(5, test_size=10))]
    assert grown == [53, 63, 73, 83, 93]
    rolled = folds(WalkForwardSplit(5, test_size=10, rolling=True))
    assert [len(train) for train, _ in rolled] == [53] * 5
    assert [train[0] for train, _ in rolled] == [0, 10, 20, 30, 40]
    assert [len(t) for t, _ in folds(WalkForwardSplit(5, test_size=10, rolling=True, max_train_size=20))] == [20] * 5
    assert [len(t) for t, _ in folds(WalkForwardSplit(5, test_size=10, rolling=True, max_train_size=90))] == [53] * 5


def test_a_single_fold_is_a_hold_out():
    ((train, test),) = folds(WalkForwardSplit(1, test_size=3), 10)
    assert train.tolist() == list(range(7)) and test.tolist() == [7, 8, 9]
    ((train, test),) = folds(WalkForwardSplit(1, test_size=1), 2)
    assert train.tolist() == [0] and test.tolist() == [1]


def test_is_a_splitter_of_scikit_learn():
    cv = WalkForwardSplit(3, horizon=2)
    assert check_cv(cv) is cv
    frame = pd.DataFrame(X, index=pd.date_range("2024-01-01", periods=103))
    for a, b in zip(cv.split(frame, frame[0]), cv.split(X.tolist()), strict=True):
        np.testing.assert_array_equal(a[1], b[1])
    text = "WalkForwardSplit(gap=None, horizon=2, max_train_size=None, n_splits=3, rolling=False, test_size=None)"
    assert " ".join(repr(cv).split()) == text
    for other in (copy.deepcopy(cv), pickle.loads(pickle.dumps(cv))):
        assert repr(other) == repr(cv) and folds(other)[0][1].tolist() == folds(cv)[0][1].tolist()
    with pytest.warns(UserWarning, match="groups parameter is ignored by WalkForwardSplit"):
        list(cv.split(X, groups=np.zeros(103)))
    rng = np.random.default_rng(0)
    features, y = rng.normal(size=(103, 3)), rng.normal(size=103)
    assert cross_val_score(Ridge(), features, y, cv=cv).shape == (3,)
    with sklearn.config_context(enable_metadata_routing=True):
        # Splitters of scikit-learn take no groups unless they ask for them.
        assert not hasattr(cv, "set_split_request")
        assert GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=cv).fit(features, y).n_splits_ == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_splits": 0}, "'n_splits' parameter of WalkForwardSplit must be an int of at least 1. Got 0"),
        ({"n_splits": 2.0}, "'n_splits' parameter .* Got 2.0"),
        ({"horizon": True}, "'horizon' parameter .* Got True"),
        ({"horizon": 5, "gap": 3}, r"'gap' parameter .* at least 4 \(horizon − 1.* Got 3"),
        ({"gap": -1}, "'gap' parameter .* at least 0 .* or None. Got -1"),
        ({"test_size": 0.2}, "'test_size' parameter .* Got 0.2"),
        ({"max_train_size": 0}, "'max_train_size' parameter .* Got 0"),
        ({"rolling": 1}, "'rolling' parameter .* must be a bool. Got 1"),
    ],
)
def test_parameters_are_checked(given, words):
    with pytest.raises(ValueError, match=words):
        WalkForwardSplit(**given)


@pytest.mark.parametrize("given", [{"n_splits": 103}, {"test_size": 21}, {"horizon": 30}])
def test_too_few_rows_are_refused_at_once(given):
    with pytest.raises(ValueError, match=r"Too many splits=.* samples=103 .* the first training part would be empty"):
        WalkForwardSplit(**given).split(X)
