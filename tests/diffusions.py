"""One-dimensional diffusions and an oracle for their laws that shares no code with the package."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_banded
from scipy.stats import norm


def density_cdf(mu, sigma, x0, points, n=1601, n_steps=800, low=-4.0, high=4.0):
    """P(X_1 ≤ k | X_0 = x0) by Crank–Nicolson on the conservative Fokker–Planck equation, NumPy only."""
    grid = np.linspace(low, high, n)
    h = grid[1] - grid[0]
    diffusion, drift = 0.5 * sigma(grid) ** 2, mu((grid[1:] + grid[:-1]) / 2)
    left, right = drift / 2 + diffusion[:-1] / h, drift / 2 - diffusion[1:] / h
    diag, sup, sub = np.zeros(n), np.zeros(n), np.zeros(n)
    diag[:-1] += left / h
    diag[1:] -= right / h
    sup[1:], sub[:-1] = right / h, -left / h
    warm = 1 / 400
    dt = (1 - warm) / n_steps
    p = norm.pdf(grid, x0 + mu(np.array(x0)) * warm, sigma(np.array(x0)) * np.sqrt(warm))
    bands = np.stack([0.5 * dt * sup, 1 + 0.5 * dt * diag, 0.5 * dt * sub])
    for _ in range(n_steps):
        right_side = (1 - 0.5 * dt * diag) * p
        right_side[:-1] -= 0.5 * dt * sup[1:] * p[1:]
        right_side[1:] -= 0.5 * dt * sub[:-1] * p[:-1]
        p = solve_banded((1, 1), bands, right_side)
    total = np.cumsum((p[1:] + p[:-1]) / 2) * h
    return np.interp(points, grid[1:], total)


class Polynomial(NamedTuple):
    """μ(x) = a₀x + a₁x³ and σ(x) = b₀√(1 + b₁x²): one compiled program trains them all."""

    a: np.ndarray
    b: np.ndarray

    def __call__(self, x):
        return self.a[0] * x + self.a[1] * x**3, self.b[0] * (1 + self.b[1] * x * x) ** 0.5


class Geometric(NamedTuple):
    """Geometric Brownian motion of a price 1 + x: μ = r(1 + x), σ = s(1 + x)."""

    rate: float
    vol: float

    def __call__(self, x):
        return self.rate * (1 + x), self.vol * (1 + x)

    def cdf(self, x, k):
        """P(X_1 ≤ k | X_0 = x), the lognormal law of Black and Scholes."""
        return norm.cdf((np.log((1 + k) / (1 + x)) - self.rate + self.vol**2 / 2) / self.vol)
