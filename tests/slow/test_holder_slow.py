"""Intervals that cover as they say, and variances against those of structure functions, on many paths."""

import jax
import numpy as np
import pytest

from tests.fractals import fbm
from usp_sklearn.core.identification import identify_rows

PATHS = 300


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


def _found(paths, method):
    chunks = [identify_rows(part, float(paths.shape[1]), method=method) for part in np.split(paths, 6)]
    return tuple(np.concatenate([np.asarray(getattr(c, k)) for c in chunks]) for k in ("holder", "holder_se"))


CASES = [("auto", n) for n in (128, 256, 512, 1024, 4096)] + [("wtmm", n) for n in (1024, 4096)]


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.7])
@pytest.mark.parametrize(("method", "n"), CASES)
def test_interval_covers_the_truth(method, n, hurst):
    h, se = _found(fbm(hurst, n, PATHS, np.random.default_rng([n, int(10 * hurst)])), method)
    covered = np.mean(np.abs(h - hurst) < 1.96 * se)
    spread = np.sqrt((se**2).mean())
    print(f"{method} n={n} H={hurst}: {h.mean():.4f} sd {h.std():.4f} se {spread:.4f} cover {covered:.3f}")
    assert 0.90 <= covered <= 0.98


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.7])
def test_default_has_no_more_variance_than_structure_functions(hurst):
    paths = fbm(hurst, 4096, PATHS, np.random.default_rng(int(1000 * hurst)))
    (a, _), (s, _) = _found(paths, "auto"), _found(paths, "structure")
    ratio = a.var() / s.var()
    print(f"H={hurst}: default {a.mean():.4f} sd {a.std():.4f}; structure sd {s.std():.4f}; ratio {ratio:.3f}")
    assert abs(a.mean() - hurst) < 0.01 * hurst
    assert ratio <= 1.0
