"""Structure functions: exponents of known paths, calibration of the error, invariances."""

import jax
import numpy as np
import pytest

from tests.fractals import fbm
from usp_sklearn.core.identification import identify, identify_rows
from usp_sklearn.kernels.holder import quadratic_variation, structure_function

QUICK = jax.jit(structure_function)


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("n", [32, 256])
def test_exponent_and_its_error(hurst, n):
    paths = fbm(hurst, n, 800, np.random.default_rng(n))
    found = identify_rows(paths, float(n), method="structure")
    h, se = np.asarray(found.holder), np.asarray(found.holder_se)
    assert abs(h.mean() - hurst) < 0.02
    assert 0.8 < np.sqrt((se**2).mean()) / h.std() < 1.25
    assert abs(np.asarray(found.local).mean() - hurst) < 0.03


@pytest.mark.parametrize(("method", "n", "count"), [("auto", 128, 600), ("auto", 512, 600), ("wtmm", 1024, 80)])
def test_interval_covers_the_truth(method, n, count):
    covered = []
    for hurst in (0.3, 0.5, 0.7):
        found = identify_rows(fbm(hurst, n, count, np.random.default_rng(n)), float(n), method=method)
        covered.append(np.abs(np.asarray(found.holder) - hurst) < 1.96 * np.asarray(found.holder_se))
    assert 0.90 <= np.mean(covered) <= 0.98


def test_long_window_is_nearly_efficient():
    paths = fbm(0.5, 4096, 40, np.random.default_rng(0))
    h = np.array([float(QUICK(x, 4096.0).holder) for x in paths])
    # The best any estimator can do is 0.0098 here (Whittle bound).
    assert abs(h.mean() - 0.5) < 0.006 and h.std() < 0.014


def test_heavy_tails_raise_the_error():
    rng = np.random.default_rng(1)
    normal = identify_rows(rng.normal(size=(300, 64)).cumsum(1), 64.0)
    heavy = identify_rows(rng.standard_t(2.2, size=(300, 64)).cumsum(1), 64.0)
    assert np.mean(heavy.holder_se) > 1.3 * np.mean(normal.holder_se)
    assert np.sqrt(np.mean(np.square(heavy.holder_se))) > 0.75 * np.std(heavy.holder)


def test_smooth_window_is_exactly_one():
    assert float(QUICK(np.arange(64.0), 64.0).holder) == pytest.approx(1.0, abs=1e-12)
    assert float(QUICK(np.arange(64.0), 64.0).local) == pytest.approx(1.0, abs=1e-12)


def test_local_exponent_follows_the_end():
    rng = np.random.default_rng(3)
    rough, smooth = fbm(0.2, 128, 200, rng), fbm(0.8, 128, 200, rng)
    steps = np.concatenate([np.diff(smooth)[:, :64], np.diff(rough)[:, :64]], 1)
    found = identify_rows(steps.cumsum(1), 128.0)
    assert np.mean(found.local) < np.mean(found.holder) - 0.05


def test_padding_shift_and_scale():
    x = np.random.default_rng(4).normal(size=32).cumsum()
    plain = np.stack(QUICK(x, 20.0))
    other = x.copy()
    other[:12] = 99.0
    np.testing.assert_array_equal(np.stack(QUICK(other, 20.0)), plain)
    moved = np.stack(QUICK(3.0 * x - 8.0, 20.0))
    np.testing.assert_allclose(moved[[0, 1, 2, 4]], plain[[0, 1, 2, 4]], rtol=1e-9, atol=1e-12)
    assert float(quadratic_variation(x, 20.0)) == pytest.approx((np.diff(x[12:]) ** 2).sum(), rel=1e-12)


def test_degenerate_windows_are_finite():
    for x in (np.zeros(32), np.full(32, -2.5), np.tile([0.0, 1.0], 16), np.eye(32)[31], 1e-300 * np.arange(32.0)):
        for width in (32.0, 3.0, 1.0):
            assert np.isfinite(np.stack(QUICK(x, width))).all()
    assert [float(v) for v in QUICK(np.full(32, -2.5), 32.0)] == [0.5, 1.0, 0.0, 0.0, 0.5]
    for n in (1, 2, 3):
        assert np.isfinite(np.stack(QUICK(np.arange(float(n)), float(n)))).all()


def test_no_gradient_passes_and_no_callback_is_lowered():
    x = np.random.default_rng(5).normal(size=32).cumsum()
    gradient = jax.jit(jax.grad(lambda v: identify(v, 32.0, method="structure").holder))(x)
    assert not np.asarray(gradient).any()
    for method in ("structure", "wtmm"):
        text = jax.jit(lambda v, m=method: identify(v, 32.0, method=m)).lower(x).as_text()
        assert "callback" not in text and "lapack" not in text and "fft" not in text
