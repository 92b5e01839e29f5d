"""Maxima lines against a walk by hand, fractional Brownian motion and cascades."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.fractals import binomial_cascade, binomial_tau, fbm
from usp_sklearn.kernels import wtmm
from usp_sklearn.kernels.cwt import dyadic_scales

QUICK = jax.jit(wtmm.wtmm, static_argnames=("backend", "n_scales"))


@jax.jit
def _lines(x, cone=1.5):
    """Moduli, skeleton and exponents τ of a whole window."""
    grid = wtmm.grid(x.size)
    modulus = wtmm.moduli(x, x.size, grid.scales)
    lines = wtmm.skeleton(modulus, x.size, grid, cone)
    return modulus, lines, wtmm.log_partition(lines), wtmm.tau(lines, x.size, grid)


def test_scales_follow_the_window():
    np.testing.assert_allclose(dyadic_scales(4096), 2.0 ** np.linspace(1, 6, 40))
    assert dyadic_scales(64).max() <= 8 and dyadic_scales(8).max() <= 4
    grid = wtmm.grid(64)
    assert grid.scales[0] == 2.0**-0.75 and grid.scales[grid.roots] == 2.0 and (np.diff(grid.scales) > 0).all()


def _chain(modulus, scales, roots, cone):
    """Lines by walking every maximum down to the finest scale, in plain Python."""
    n_scales, n = modulus.shape
    padded = np.pad(modulus, ((0, 0), (1, 1)))
    maxima = [
        [b for b in range(n) if padded[s, b + 1] > padded[s, b] and padded[s, b + 1] >= padded[s, b + 2]]
        for s in range(n_scales)
    ]

    def descend(s, b):
        if s == 0:
            return modulus[0, b]
        finer = maxima[s - 1]
        if not finer:
            return None
        child = min(finer, key=lambda c: (abs(c - b), c))
        if abs(child - b) > 2 * cone * scales[s]:
            return None
        if min(maxima[s], key=lambda c: (abs(c - child), c)) != b:
            return None
        below = descend(s - 1, child)
        return None if below is None else max(below, modulus[s, b])

    found = {(s - roots, b): descend(s, b) for s in range(roots, n_scales) for b in maxima[s]}
    return {k: v for k, v in found.items() if v is not None}


@pytest.mark.parametrize("cone", [0.3, 1.5])
def test_skeleton_equals_a_walk_down_the_maxima(cone):
    grid = wtmm.grid(512)
    modulus, lines, _, _ = _lines(np.random.default_rng(1).normal(size=512).cumsum(), cone)
    expected = _chain(np.asarray(modulus), grid.scales, grid.roots, cone)
    log_sup = np.asarray(lines.log_sup)
    assert set(zip(*np.nonzero(np.asarray(lines.on_line)), strict=True)) == set(expected)
    for (s, b), value in expected.items():
        np.testing.assert_allclose(np.exp(log_sup[s, b]), value, rtol=1e-12)


def test_partition_function_and_exponents_by_hand():
    grid = wtmm.grid(512)
    _, lines, log_z, exponents = _lines(np.random.default_rng(2).normal(size=512).cumsum())
    sup, on = np.exp(np.asarray(lines.log_sup)), np.asarray(lines.on_line)
    z = np.array([[(sup[s][on[s]] ** q).sum() for s in range(on.shape[0])] for q in wtmm.ORDERS])
    np.testing.assert_allclose(log_z, np.log(z), rtol=1e-10, atol=1e-10)
    a = grid.scales[grid.roots :]
    slopes = np.array([np.polyfit(np.log(a), row, 1, w=a ** (-1 / 6))[0] for row in np.log(z)])
    np.testing.assert_allclose(exponents, slopes, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.7])
def test_exponent_of_fractional_brownian_motion(hurst):
    paths = fbm(hurst, 4096, 8, np.random.default_rng(int(10 * hurst)))
    found = [QUICK(x, 4096.0) for x in paths]
    h, se = (np.array([float(getattr(f, k)) for f in found]) for k in ("holder", "holder_se"))
    assert abs(h.mean() - hurst) < 0.05 * hurst + 2.5 * se.mean() / np.sqrt(8)
    assert 0.5 < se.mean() / 0.02 < 2.0
    assert np.mean([float(f.spectrum_width) for f in found]) < 0.3


def test_binomial_cascade():
    x = binomial_cascade(0.3, 12)
    want = binomial_tau(0.3, wtmm.ORDERS)
    # A share of τ, and of one where τ passes through zero.
    size = np.maximum(np.abs(want), 1.0)
    assert np.max(np.abs(np.asarray(_lines(x)[3]) - want) / size) < 0.02
    # Exponents from −log₂ 0.7 to −log₂ 0.3; the orders used cover all but a little of it.
    assert 1.0 < float(QUICK(x, float(x.size)).spectrum_width) < 1.3


def test_cascades_with_random_sides_on_average():
    # One realisation scatters: of 40 the median error was 4.4 per cent, the largest 12; hence the mean of 20.
    found = [_lines(binomial_cascade(0.3, 12, np.random.default_rng(seed)))[3] for seed in range(20)]
    want = binomial_tau(0.3, wtmm.ORDERS)
    assert np.max(np.abs(np.mean(found, axis=0) - want) / np.maximum(np.abs(want), 1.0)) < 0.05


def test_holder_exponent_is_the_mode_of_the_legendre_spectrum():
    x = binomial_cascade(0.3, 12, np.random.default_rng(3))
    exponents = _lines(x)[3]
    h = jnp.linspace(0.2, 2.0, 1801)
    d = np.asarray(wtmm.spectrum(exponents, h))
    plateau = np.asarray(h)[d > d.max() - 1e-9]
    holder = float(QUICK(x, float(x.size)).holder)
    assert plateau.min() - 2e-3 <= holder <= plateau.max() + 2e-3
    assert abs(d.max() - 1.0) < 0.05 and abs(holder - (-np.log2(0.3 * 0.7) / 2)) < 0.06


@pytest.mark.parametrize("n", [64, 512])
def test_backends_agree(n):
    rng = np.random.default_rng(4)
    t = np.arange(n)
    for x in (rng.normal(size=n).cumsum() + 1e3, np.abs(t - n / 2) ** 0.4, np.where(t > n // 3, 2.0, 0.0), 1.0 * t):
        first, second = QUICK(x, float(n)), QUICK(x, float(n), backend="pywavelets")
        np.testing.assert_allclose(np.stack(first), np.stack(second), rtol=0, atol=1e-6)


def test_padding_on_the_left_changes_nothing():
    x = np.random.default_rng(5).normal(size=64).cumsum()
    padded = np.concatenate([np.full(448, x[0]), x])
    np.testing.assert_allclose(np.stack(QUICK(padded, 64.0)), np.stack(QUICK(x, 64.0)), rtol=1e-9, atol=1e-12)


def test_degenerate_windows_are_finite():
    for x in (np.full(64, 3.0), np.zeros(64), 1e-300 * np.arange(64.0), np.tile([0.0, 1.0], 32), np.eye(64)[40]):
        assert np.isfinite(np.stack(QUICK(x, 64.0))).all()
    assert float(QUICK(np.full(64, 3.0), 64.0).holder) == 0.5
    assert np.isfinite(np.stack(QUICK(np.arange(64.0), 2.0))).all()
