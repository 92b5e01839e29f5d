"""Exponents over many paths: bias, variance, and honest standard errors."""

import jax
import numpy as np
import pytest

from tests.fractals import fbm
from usp_sklearn.core.identification import AUTO_LENGTH, identify_rows

N, PATHS = 4096, 50


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.7])
def test_fractional_brownian_motion(hurst):
    paths = fbm(hurst, N, PATHS, np.random.default_rng(int(100 * hurst)))
    wavelet = [np.asarray(f) for f in identify_rows(paths, float(N), method="wtmm")]
    structure = [np.asarray(f) for f in identify_rows(paths, float(N), method="structure")]
    w, s = wavelet[0], structure[0]
    wse, sse = (np.sqrt(np.mean(f[1] ** 2)) for f in (wavelet, structure))
    print(f"H={hurst} wtmm {w.mean():.4f} sd {w.std():.4f} se {wse:.4f}; structure {s.mean():.4f} sd {s.std():.4f}")
    assert abs(w.mean() - hurst) < 0.05 * hurst
    assert abs(s.mean() - hurst) < 0.02 * hurst
    # Maxima alone cost precision here, which is why the default blends them with moments of increments.
    assert s.std() < w.std() < 3 * s.std()
    for found, se in ((w, wse), (s, sse)):
        assert 0.7 < se / found.std() < 1.5


def _multifractal_walk(lam2, n, paths, rng):
    """Random walk whose log volatility has covariance λ² log(n/(lag + 1)); its most frequent exponent is ½ + λ²."""
    cov = lam2 * np.log(n / (np.arange(n) + 1.0))
    ring = np.concatenate([cov, cov[-2:0:-1]])
    noise = rng.normal(size=(paths, ring.size)) + 1j * rng.normal(size=(paths, ring.size))
    omega = np.fft.fft(np.sqrt(np.clip(np.fft.fft(ring).real, 0, None) / ring.size) * noise).real[:, :n]
    return np.cumsum(rng.normal(size=(paths, n)) * np.exp(omega - cov[0]), axis=1)


@pytest.mark.parametrize("n", [256, AUTO_LENGTH, N])
def test_default_is_the_safer_estimator_at_each_length(n):
    rng = np.random.default_rng(n)
    laws = [(h, fbm(h, n, 40, rng)) for h in (0.3, 0.5, 0.7)]
    laws += [(0.5 + v, _multifractal_walk(v, n, 40, rng)) for v in (0.02, 0.05, 0.1)]
    errors = {
        method: np.array(
            [
                np.sqrt(np.mean((np.asarray(identify_rows(paths, float(n), method=method).holder) - h) ** 2))
                for h, paths in laws
            ]
        )
        for method in ("structure", "wtmm", "auto")
    }
    print(n, errors)
    default = errors["auto"]
    assert default.max() <= errors["structure"].max()
    assert default.mean() <= min(errors["structure"].mean(), errors["wtmm"].mean())
