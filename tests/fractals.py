"""Paths whose regularity is known, in NumPy alone."""

import numpy as np
from numpy.typing import NDArray


def fbm(hurst: float, n: int, paths: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Fractional Brownian motion (paths, n), exact, by circulant embedding (Davies & Harte 1987)."""
    k = np.arange(n + 1.0)
    gamma = ((k + 1) ** (2 * hurst) - 2 * k ** (2 * hurst) + np.abs(k - 1) ** (2 * hurst)) / 2
    ring = np.concatenate([gamma, gamma[-2:0:-1]])
    eigenvalues = np.fft.fft(ring).real
    assert eigenvalues.min() > -1e-10
    noise = rng.normal(size=(paths, ring.size)) + 1j * rng.normal(size=(paths, ring.size))
    steps = np.fft.fft(np.sqrt(np.maximum(eigenvalues, 0.0) / ring.size) * noise).real[:, :n]
    return np.cumsum(steps, axis=1)


def binomial_cascade(p: float, depth: int, rng: np.random.Generator | None = None) -> NDArray[np.float64]:
    """Distribution function (2^depth,) of the binomial measure; with ``rng`` the sides are drawn at each split."""
    mass = np.ones(1)
    for _ in range(depth):
        left = np.full(mass.size, p) if rng is None else np.where(rng.random(mass.size) < 0.5, p, 1 - p)
        mass = np.stack([mass * left, mass * (1 - left)], axis=1).ravel()
    return np.cumsum(mass)


def binomial_tau(p: float, q: NDArray[np.float64]) -> NDArray[np.float64]:
    """τ(q) = −log₂(p^q + (1 − p)^q)."""
    return -np.log2(p**q + (1 - p) ** q)


def devils_staircase(n: int) -> NDArray[np.float64]:
    """Cantor's function (n,) on [0, 1]: ternary digits up to the first 1, read as binary ones."""
    rest = (np.arange(n) + 0.5) / n
    value, open_ = np.zeros(n), np.ones(n, bool)
    for k in range(1, 30):
        rest = rest * 3
        digit = np.minimum(np.floor(rest), 2)
        rest -= digit
        value += np.where(open_, np.where(digit == 0, 0.0, 0.5**k), 0.0)
        open_ &= digit != 1
    return value
