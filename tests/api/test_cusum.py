"""CUSUMDetector as a scikit-learn transformer."""

import pickle

import numpy as np
import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_transformer_get_feature_names_out,
)

from tests.api.checks import estimator_checks
from usp_sklearn.api.cusum import STATISTICS, CUSUMDetector


@estimator_checks(CUSUMDetector())
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X has feature names", "ignore:X does not have valid feature names")
@pytest.mark.parametrize(
    "check",
    [
        check_dataframe_column_names_consistency,
        check_param_validation,
        check_set_output_transform,
        check_set_output_transform_pandas,
        check_transformer_get_feature_names_out,
    ],
)
def test_checks_outside_the_list(check):
    check("CUSUMDetector", CUSUMDetector())


def noise(n, columns=1, seed=0):
    return np.random.default_rng(seed).normal(size=(n, columns))


def test_finds_a_shift_and_a_change_of_variance_soon():
    fitted = CUSUMDetector().fit(noise(400))
    shifted = pickle.loads(pickle.dumps(fitted))
    out = shifted.update_transform(noise(100, seed=1) + 1.5)
    assert shifted.alarms_[-1] >= 400 and out[:20, STATISTICS.index("alarm")].any()
    wider = pickle.loads(pickle.dumps(fitted))
    out = wider.update_transform(noise(100, seed=2) * 3)
    assert out[:30, STATISTICS.index("alarm")].any()


def test_alarms_do_not_depend_on_the_unit_or_on_how_rows_are_cut():
    x = noise(900)
    x[500:] += 1.0
    one = CUSUMDetector().fit(x)
    parts = CUSUMDetector().partial_fit(x[:300] * 50)
    # The scale is fixed by the rows fitted first, so the same first rows must be given to both.
    whole = CUSUMDetector().fit(x[:300]).partial_fit(x[300:])
    parts.partial_fit(x[300:310] * 50).partial_fit(x[310:] * 50)
    np.testing.assert_array_equal(parts.alarms_, whole.alarms_)
    assert parts.n_seen_ == one.n_seen_ == 900 and (whole.alarms_ >= 500).any()


def test_transform_takes_each_row_as_the_next_one():
    fitted = CUSUMDetector().fit(noise(300, 2))
    x = noise(40, 2, seed=3)
    out = fitted.transform(x)
    assert out.shape == (40, 2 * len(STATISTICS))
    for i in (0, 7, 39):
        np.testing.assert_allclose(pickle.loads(pickle.dumps(fitted)).update_transform(x[i : i + 1])[0], out[i])
    assert not fitted.predict(np.zeros((3, 2))).any()
    assert fitted.predict(np.full((1, 2), 100.0)).all()
    assert list(fitted.get_feature_names_out())[:2] == ["x0_up", "x0_down"]


def test_adaptive_threshold_follows_the_kurtosis():
    x = np.random.default_rng(4).standard_t(3, size=(800, 1))
    column = STATISTICS.index("threshold")
    assert CUSUMDetector().fit(x).transform(x[:1])[0, column] > 6
    assert CUSUMDetector(adaptive=False).fit(x).transform(x[:1])[0, column] == 5.0


def test_silence_after_noise_stays_finite():
    fitted = CUSUMDetector().fit(noise(300))
    out = fitted.update_transform(np.zeros((3000, 1)))
    assert np.isfinite(out).all()
    assert np.isfinite(CUSUMDetector().fit(np.zeros((50, 1))).transform(np.zeros((2, 1)))).all()
