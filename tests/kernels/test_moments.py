"""Covariances of log-moments of increments against closed forms and simulation."""

import numpy as np
import pytest
from scipy.special import gamma

from tests.fractals import fbm
from usp_sklearn.kernels.moments import CURVATURE, HURST, ORDERS, covariance, table

PLAIN = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def test_single_increment_has_the_variance_of_the_normal_moments():
    def moment(q):
        return 2 ** (q / 2) * gamma((q + 1) / 2) / np.sqrt(np.pi)

    want = [moment(2 * q) / moment(q) ** 2 - 1 for q in ORDERS]
    np.testing.assert_allclose(covariance(2, [1], 0.5, PLAIN)[:, 0, 0], want, rtol=1e-10)


@pytest.mark.parametrize("hurst", [0.3, 0.7])
def test_first_and_second_moments_equal_their_closed_forms(hurst):
    n, lags = 40, [1, 2, 4]
    one, two = covariance(n, lags, hurst, PLAIN[1:])
    time = np.arange(n)
    field = 0.5 * (time[:, None] ** (2 * hurst) + time ** (2 * hurst) - np.abs(time[:, None] - time) ** (2 * hurst))
    for i, k in enumerate(lags):
        for j, m in enumerate(lags):
            a, b = np.eye(n)[k:] - np.eye(n)[:-k], np.eye(n)[m:] - np.eye(n)[:-m]
            rho = np.clip(a @ field @ b.T / (k * m) ** hurst, -1, 1)
            arcsine = np.sqrt(1 - rho**2) + rho * np.arcsin(rho) - 1
            np.testing.assert_allclose(one[i, j], arcsine.mean(), rtol=1e-4)
            np.testing.assert_allclose(two[i, j], 2 * (rho**2).mean(), rtol=1e-10)


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.7])
def test_covariances_against_simulation(hurst):
    n, lags = 96, [1, 2, 4, 8]
    w = fbm(hurst, n, 20_000, np.random.default_rng(2))
    moments = np.stack([[(np.abs(w[:, k:] - w[:, :-k]) ** q).mean(1) for k in lags] for q in ORDERS])
    relative = moments / moments.mean(-1, keepdims=True)
    found = covariance(n, lags, hurst, (*PLAIN, CURVATURE))
    for row, values in zip(found, (*relative, np.tensordot(CURVATURE, relative, 1)), strict=True):
        np.testing.assert_allclose(row, np.cov(values), rtol=0.1, atol=0.03 * np.diag(row).max())


def test_weights_are_those_of_generalised_least_squares():
    found = table(64)
    lags = found.lags.tolist()
    assert lags == [1, 2, 4, 8, 16]
    for p, row in enumerate(found.weights, 2):
        root = np.linalg.cholesky(covariance(64, lags[:p])[0])
        design = np.linalg.solve(root, np.stack([np.ones(p), np.log(lags[:p])], 1))
        want = np.linalg.lstsq(design, np.linalg.inv(root), rcond=None)[0][1]
        np.testing.assert_allclose(row[:p], want, rtol=1e-8)
        assert not row[p:].any()
    assert found.variance.shape == (3, 4, HURST.size) and (found.variance > 0).all()
    np.testing.assert_allclose(table(4096).variance[0, -1, 2], 0.01047**2, rtol=2e-3)
