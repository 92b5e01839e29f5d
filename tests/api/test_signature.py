"""LogSignatureTransformer: columns and names, units, lifts, depth control, buckets, and the scikit-learn contract."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    check_set_output_transform_pandas,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
)

from tests.kernels.iterated import lyndon, signature, tensor_log
from usp_sklearn import LogSignatureTransformer
from usp_sklearn.api.signature import _rows
from usp_sklearn.kernels.signature import log_signature
from usp_sklearn.runtime import precision


@pytest.mark.parametrize(
    "check",
    [
        check_dataframe_column_names_consistency,
        check_param_validation,
        check_set_output_transform_pandas,
        check_transformer_get_feature_names_out,
        check_transformer_get_feature_names_out_pandas,
    ],
)
def test_checks_outside_the_standard_list(check):
    check("LogSignatureTransformer", LogSignatureTransformer())


def _walks(n, width, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).cumsum(1)


def _numpy(path, depth):
    levels = tensor_log(signature(path, depth))
    return [levels[len(w)][w] for w in lyndon(path.shape[1], depth)]


def test_columns_are_the_log_signatures_of_the_rows():
    X = _walks(5, 2 * 9)
    model = LogSignatureTransformer(n_channels=2, depth=4, lifts=(), scaling=None, bound=None)
    out = model.fit_transform(X)
    np.testing.assert_allclose(out, [_numpy(row.reshape(9, 2), 4) for row in X], rtol=1e-10, atol=1e-10)
    assert model.get_feature_names_out().tolist()[:4] == [
        "logsig(value0)", "logsig(value1)", "logsig(value0|value1)", "logsig(value0|value0|value1)",
    ]  # fmt: skip


def test_names_frames_and_lengths():
    X = _walks(5, 40)
    model = LogSignatureTransformer().fit(X)
    names = ["|".join(("time", "lead", "lag")[i] for i in word) for word in lyndon(3, 3)]
    assert model.get_feature_names_out().tolist() == [f"logsig({name})" for name in names]
    frame = clone(model).set_output(transform="pandas").fit_transform(pd.DataFrame(X).add_prefix("lag"))
    assert frame.columns.tolist() == model.get_feature_names_out().tolist()
    np.testing.assert_array_equal(frame.to_numpy(), model.transform(X))
    for channels, depth, lifts in [(1, 5, ("time",)), (2, 2, ("reset", "leadlag")), (1, 1, ()), (4, 3, ["basepoint"])]:
        other = LogSignatureTransformer(n_channels=channels, depth=depth, lifts=lifts).fit(X)
        out = other.transform(X)
        assert out.shape == (5, len(other.get_feature_names_out())) and np.isfinite(out).all()


def test_quadratic_variation_is_among_the_columns():
    X = _walks(6, 30)
    frame = LogSignatureTransformer(scaling=None, bound=None).set_output(transform="pandas").fit_transform(X)
    np.testing.assert_allclose(np.abs(frame["logsig(lead|lag)"]), 0.5 * (np.diff(X) ** 2).sum(1), rtol=1e-10)
    np.testing.assert_allclose(frame["logsig(lag)"], X[:, -1] - X[:, 0], rtol=1e-10)
    assert (frame["logsig(time)"] == 1).all()


def test_the_default_lift_is_that_of_the_branch():
    """With the same unit the transformer's columns are the branch's features of the whole window."""
    window = _walks(1, 12)[0]
    found = LogSignatureTransformer(scaling=None, bound=None).fit_transform(window[None] / np.sqrt(12))[0]
    with precision():
        parts = log_signature(jnp.asarray(window), jnp.asarray(12), jnp.asarray(1.0), 3)
    np.testing.assert_allclose(found, parts[-len(found) :], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("speed", [np.square, np.sqrt], ids=["t²", "√t"])
def test_sampling_does_not_matter_without_lifts(speed):
    """A curve's corners seen at other times, with points in between: the same columns, scaling included."""
    curve = np.random.default_rng(1).normal(size=(12, 2)).cumsum(0)
    corners = speed(np.linspace(0, 1, 12))
    times = np.union1d(corners, np.linspace(0, 1, 50))
    dense = np.stack([np.interp(times, corners, column) for column in curve.T], 1)
    out = [
        LogSignatureTransformer(n_channels=2, depth=4, lifts=()).fit_transform(p.reshape(1, -1)) for p in (curve, dense)
    ]
    np.testing.assert_allclose(out[0], out[1], rtol=0, atol=1e-10)


def test_shift_scale_and_constants():
    X = _walks(6, 32)
    X[0] = 7.0
    out = LogSignatureTransformer().fit_transform(X)
    assert np.isfinite(out).all() and (out[0, 1:] == 0).all()
    np.testing.assert_allclose(LogSignatureTransformer().fit_transform(4e3 * X + 1e6), out, rtol=1e-7, atol=1e-9)
    for lifts in (("basepoint", "time"), ("reset",)):
        seeing = LogSignatureTransformer(lifts=lifts)
        assert np.abs(seeing.fit_transform(X + 10) - seeing.fit_transform(X)).max() > 0.1


def test_units_of_the_training_windows():
    X = _walks(50, 32)
    model = LogSignatureTransformer(scaling="train", bound=None).fit(X)
    np.testing.assert_allclose(model.scale_, [np.sqrt((np.ptp(X, axis=1) ** 2).mean())])
    raw = LogSignatureTransformer(scaling=None, bound=None).fit_transform(X / model.scale_)
    np.testing.assert_allclose(model.transform(X), raw, rtol=1e-9, atol=1e-12)


def test_large_increments_stay_bounded_and_others_exact():
    X = _walks(40, 32)
    exact = LogSignatureTransformer(depth=5, bound=None, scaling="train").fit(X)
    model = LogSignatureTransformer(depth=5, scaling="train").fit(X)
    out = exact.transform(X)
    assert np.linalg.norm(out, axis=1).max() < 10
    np.testing.assert_allclose(model.transform(X), out, rtol=1e-9, atol=1e-12)
    jump = X[:4].copy()
    jump[:, 20:] += np.array([[1e2], [1e4], [1e8], [1e150]])
    assert np.linalg.norm(exact.transform(jump[:2]), axis=1).min() > 1e3
    lengths = np.linalg.norm(model.transform(jump), axis=1)
    assert (lengths <= np.sqrt(2) * 10 * (1 + 1e-9)).all() and (lengths > 10).all()


def test_rows_stand_alone_and_width_takes_the_last_columns():
    X = _walks(70, 90)
    whole = LogSignatureTransformer(width=60).fit_transform(X)
    part = LogSignatureTransformer().fit_transform(X[66:, -60:])
    np.testing.assert_allclose(whole[66:], part, rtol=1e-9, atol=1e-12)
    two = LogSignatureTransformer(width=30, n_channels=2, lifts=("time",)).fit_transform(X)
    alone = LogSignatureTransformer(n_channels=2, lifts=("time",)).fit_transform(X[66:, -60:])
    np.testing.assert_allclose(two[66:], alone, rtol=1e-9, atol=1e-12)


def test_one_program_per_bucket_and_no_global_switch():
    before = jax.config.jax_enable_x64
    LogSignatureTransformer(depth=2).fit_transform(_walks(3, 50))
    size = _rows._cache_size()
    for n, width in ((1, 40), (64, 64), (130, 33), (7, 57)):
        LogSignatureTransformer(depth=2, bound=1.0 + n, lifts=["leadlag", "time"]).fit_transform(_walks(n, width))
    assert _rows._cache_size() == size
    assert jax.config.jax_enable_x64 == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 9}, "The 'width' parameter of LogSignatureTransformer times n_channels must be at most"),
        ({"width": 5, "n_channels": 2}, "The 'width' parameter of LogSignatureTransformer times n_channels"),
        ({"n_channels": 3}, "The 'n_channels' parameter of LogSignatureTransformer must divide"),
        ({"lifts": ("time", "lead")}, "The 'lifts' parameter of LogSignatureTransformer must be a sequence of names"),
        ({"lifts": "time"}, "The 'lifts' parameter of LogSignatureTransformer must be an array-like"),
        ({"depth": 9}, "The 'depth' parameter of LogSignatureTransformer must be an int in the range"),
        ({"depth": 8, "n_channels": 8}, "must leave the signature's last level at most"),
        ({"bound": 0.0}, "The 'bound' parameter of LogSignatureTransformer must be a float"),
    ],
)
def test_wrong_parameters_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LogSignatureTransformer(**options).fit(np.zeros((4, 8)))


def test_pipeline_search_and_pickle():
    """Learns what a linear model of the window can't: the window's quadratic variation."""
    X = _walks(300, 24) * np.random.default_rng(2).uniform(0.5, 2, size=(300, 1))
    y = (np.diff(X) ** 2).sum(1)
    pipe = make_pipeline(LogSignatureTransformer(scaling="train"), StandardScaler(), Ridge(1e-3))
    search = GridSearchCV(pipe, {"logsignaturetransformer__depth": [1, 2]}, cv=TimeSeriesSplit(3)).fit(X, y)
    assert search.best_params_ == {"logsignaturetransformer__depth": 2} and search.best_score_ > 0.999
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
