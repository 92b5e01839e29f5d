"""Local exponents and spectra of signals whose singularities are known in closed form."""

import jax
import numpy as np
import pytest

from tests.fractals import devils_staircase
from usp_sklearn.kernels import wtmm

QUICK = jax.jit(wtmm.wtmm)
N = 512
CANTOR = np.log(2) / np.log(3)


@jax.jit
def _tau(x):
    grid = wtmm.grid(x.size)
    return wtmm.tau(wtmm.skeleton(wtmm.moduli(x, x.size, grid.scales), x.size, grid), x.size, grid)


def _local(x):
    return float(QUICK(x, float(x.size)).local)


@pytest.mark.parametrize("at", [300, 400, 480])
@pytest.mark.parametrize("size", [1.0, -1e-3])
def test_jump_has_exponent_zero(at, size):
    assert abs(_local(np.where(np.arange(N) >= at, size, 0.0))) < 0.02


@pytest.mark.parametrize("h", [0.2, 0.4, 0.5, 0.6, 0.8])
@pytest.mark.parametrize("at", [255.5, 419.5])
def test_cusp_has_its_own_exponent(h, at):
    assert abs(_local(np.abs(np.arange(N) - at) ** h) - h) < 0.03


@pytest.mark.parametrize("h", [0.4, 0.6, 0.8])
def test_cusp_sampled_at_its_tip(h):
    # The sample at the tip stands for values all above it, which deepens the cusp at fine scales.
    assert abs(_local(np.abs(np.arange(N) - 420.0) ** h) - h) < 0.06


def test_cusp_near_the_end():
    assert abs(_local(np.abs(np.arange(N) - 460.0) ** 0.5) - 0.5) < 0.06


@pytest.mark.parametrize("h", [0.3, 0.7])
def test_one_sided_cusp(h):
    assert abs(_local(np.maximum(np.arange(N) - 420.0, 0.0) ** h) - h) < 0.02


def test_latest_singularity_is_the_one_reported():
    t = np.arange(N)
    cusp, jump = np.abs(t - 200.0) ** 0.5, np.where(t >= 440, 30.0, 0.0)
    assert abs(_local(np.where(t < 300, cusp, 10.0) + jump)) < 0.05


@pytest.mark.parametrize("n", [2187, 4096])
def test_devils_staircase(n):
    x = devils_staircase(n)
    found = QUICK(x, float(n))
    assert abs(float(found.holder) - CANTOR) < 0.02 * CANTOR
    assert abs(float(found.local) - CANTOR) < 0.02 * CANTOR
    # Monofractal: τ(q) = (q − 1)·ln 2/ln 3, hence D = ln 2/ln 3 at its one exponent.
    tau = np.asarray(_tau(x))
    want = (wtmm.ORDERS - 1) * CANTOR
    assert np.max(np.abs(tau - want) / np.maximum(np.abs(want), 1.0)) < 0.05
    if n == 3**7:  # the thirds of other lengths fall between samples, and five octaves then hold too few periods
        assert abs(float(wtmm.spectrum(tau, np.array([CANTOR]))[0]) - CANTOR) < 0.05 * CANTOR
