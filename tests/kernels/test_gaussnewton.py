"""Predictive laws of given diffusions after Adam and Gauss–Newton: closed forms and a finite-difference density."""

from functools import partial

import jax
import numpy as np
import pytest
from scipy.stats import norm

from tests.diffusions import Geometric, Polynomial, density_cdf
from usp_sklearn.kernels.dgm import gaussnewton, kolmogorov

POINTS, STATES = np.linspace(-2.0, 2.0, 81), np.linspace(-1.4, 1.4, 8)
OU = Polynomial(np.array([-1.3, 0.0]), np.array([0.6, 0.0]))
WELL = Polynomial(np.array([1.0, -1.0]), np.array([0.5, 0.0]))
DEEP = Polynomial(np.array([2.0, -2.0]), np.array([0.7, 0.0]))


@partial(jax.jit, static_argnames="batch")
def _solve(coefficients, reach, batch=1200):
    start = kolmogorov.init(jax.random.key(0), width=16)
    start = start._replace(net=start.net._replace(reach=reach))
    trainer, _ = kolmogorov.train(start, coefficients, 1500, 2e-2)
    return trainer.net, gaussnewton.refine(trainer, coefficients, batch=batch)


def _error(net, coefficients):
    exact = np.stack([density_cdf(*((lambda x, i=i: coefficients(x)[i]) for i in (0, 1)), s, POINTS) for s in STATES])
    return np.abs(np.asarray(kolmogorov.cdf(net, coefficients, 1.0, STATES[:, None], POINTS)) - exact).max()


@pytest.mark.parametrize(("well", "tolerance"), [(WELL, 0.01), (DEEP, 0.05)], ids=["well", "deep"])
def test_double_wells(well, tolerance):
    adam, (trainer, losses) = _solve(well, 2.0)
    error = _error(trainer.net, well)
    assert error < tolerance
    assert error < _error(adam, well) / 1.5
    assert losses[-1] < losses[0] / 5
    cdf = np.asarray(kolmogorov.cdf(trainer.net, well, 1.0, STATES[:, None], np.linspace(-3, 3, 301)))
    assert (np.diff(cdf, axis=1) > -1e-3).all()


def test_ornstein_uhlenbeck_stays_exact():
    mean, sd = STATES * np.exp(-1.3), 0.6 * np.sqrt((1 - np.exp(-2.6)) / 2.6)
    trainer, _ = _solve(OU, 2.0)[1]
    cdf = kolmogorov.cdf(trainer.net, OU, 1.0, STATES[:, None], POINTS)
    np.testing.assert_allclose(cdf, norm.cdf((POINTS - mean[:, None]) / sd), atol=1e-5)


@pytest.mark.parametrize(("vol", "tolerance"), [(0.2, 0.001), (0.3, 0.006)])
def test_black_scholes_law_in_the_price_itself(vol, tolerance):
    """σ is proportional to the state: the law is lognormal, the net starts from a normal one."""
    walk = Geometric(np.float64(0.05), np.float64(vol))
    trainer, _ = _solve(walk, 0.6)[1]
    x, k = np.linspace(-0.45, 0.45, 10)[:, None], np.linspace(-0.95, 3.0, 200)
    error = np.abs(np.asarray(kolmogorov.cdf(trainer.net, walk, 1.0, x, k)) - walk.cdf(x, k)).max()
    assert error < tolerance


def test_error_falls_with_the_number_of_points():
    few, many = (_error(_solve(WELL, 2.0, batch)[1][0].net, WELL) for batch in (60, 1200))
    assert few > 2 * many
