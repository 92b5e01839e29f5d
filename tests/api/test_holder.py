"""HolderTransformer: columns, buckets, and the scikit-learn contract."""

import pickle

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.api.checks import estimator_checks
from tests.fractals import fbm
from usp_sklearn.api.holder import HolderTransformer
from usp_sklearn.core.identification import identify_rows

NAMES = ["holder", "holder_se", "spectrum_width", "quadratic_variation", "local"]


@estimator_checks(HolderTransformer(), HolderTransformer(method="wtmm"))
def test_estimator_contract(estimator, check):
    check(estimator)


def test_columns_and_names():
    X = np.random.default_rng(0).normal(size=(5, 40)).cumsum(1)
    model = HolderTransformer().fit(X)
    out = model.transform(X)
    assert out.shape == (5, 5) and np.isfinite(out).all()
    assert model.get_feature_names_out().tolist() == NAMES
    np.testing.assert_allclose(out[:, 3], (np.diff(X, axis=1) ** 2).sum(1), rtol=1e-12)
    frame = clone(model).set_output(transform="pandas").fit_transform(pd.DataFrame(X).add_prefix("lag"))
    assert frame.columns.tolist() == NAMES
    np.testing.assert_array_equal(frame.to_numpy(), out)


@pytest.mark.parametrize("method", ["structure", "wtmm"])
def test_rows_stand_alone_and_width_takes_the_last_columns(method):
    X = np.random.default_rng(1).normal(size=(70, 90)).cumsum(1)
    whole = HolderTransformer(width=60, method=method).fit_transform(X)
    part = HolderTransformer(method=method).fit_transform(X[66:, -60:])
    np.testing.assert_allclose(whole[66:], part, rtol=1e-9, atol=1e-12)


def test_rough_and_smooth_windows_are_told_apart():
    rng = np.random.default_rng(2)
    rough, smooth = (HolderTransformer().fit_transform(fbm(h, 256, 40, rng))[:, 0] for h in (0.2, 0.8))
    assert abs(rough.mean() - 0.2) < 0.03 and abs(smooth.mean() - 0.8) < 0.03
    assert rough.max() < smooth.min()


@pytest.mark.parametrize("method", ["structure", "wtmm"])
def test_shift_scale_and_constants(method):
    X = np.random.default_rng(3).normal(size=(6, 64)).cumsum(1)
    X[0] = 7.0
    out = HolderTransformer(method=method).fit_transform(X)
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(out[0], [0.5, 1.0, 0.0, 0.0, 0.5])
    moved = HolderTransformer(method=method).fit_transform(5.0 + 4.0 * X)
    np.testing.assert_allclose(moved[:, [0, 1, 2, 4]], out[:, [0, 1, 2, 4]], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(moved[:, 3], 16 * out[:, 3], rtol=1e-9)


def test_one_program_per_bucket_and_no_global_switch():
    before = jax.config.jax_enable_x64
    rng = np.random.default_rng(4)
    HolderTransformer().fit_transform(rng.normal(size=(3, 50)))
    size = identify_rows._cache_size()
    for n, width in ((1, 40), (64, 64), (130, 33), (7, 57)):
        HolderTransformer(cone=1.0 + 0.01 * n).fit_transform(rng.normal(size=(n, width)))
    assert identify_rows._cache_size() == size
    assert jax.config.jax_enable_x64 == before


def test_width_beyond_the_columns_is_refused():
    with pytest.raises(ValueError, match="The 'width' parameter of HolderTransformer must be at most"):
        HolderTransformer(width=9).fit(np.zeros((4, 8)))


def test_pipeline_and_pickle():
    X = np.random.default_rng(5).normal(size=(30, 32)).cumsum(1)
    pipe = make_pipeline(HolderTransformer(), StandardScaler()).fit(X)
    again = pickle.loads(pickle.dumps(pipe))
    np.testing.assert_array_equal(again.transform(X), pipe.transform(X))
