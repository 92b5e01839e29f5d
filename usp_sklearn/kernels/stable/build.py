"""Builds ``table.npz``: ``python -m usp_sklearn.kernels.stable.build``, a few seconds."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from ..law import EDGE, INDEX_MAX, INDEX_MIN, LEVELS, MEDIAN, N_LEVELS
from .quantile import solve
from .table import PATH, Q05, Q25, Q75, Q95, SKEW_UNIT

N_ALPHA, N_BETA, N_P, N_R = 41, 37, 49, 21
DEEP = EDGE * np.array([0.4, 0.1, 0.02, 0.004])
"""Probabilities at which the Pareto continuation is matched: 2e-3 to 2e-5."""


def exact(alpha: np.ndarray, beta: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Standard quantiles (…, len(u)) to full precision, without any table."""
    shape = alpha.shape + u.shape
    a, b, p = (np.broadcast_to(v, shape).ravel() for v in (alpha[..., None], beta[..., None], u))
    start = np.tan(np.pi * (p - 0.5) * 0.9)
    return np.asarray(jax.jit(solve)(*(jnp.asarray(v) for v in (p, a, b, start)))).reshape(shape)


def pareto(edge: np.ndarray, deep: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale and index (…) of the tail through ``edge`` (…) that fits ``deep`` (…, D) best in relative terms.

    Distances from the edge are q_d − q₀ = b·((u₀/u_d)^ξ − 1)/ξ; for each ξ the best b is a ratio, ξ is searched.
    """
    gap = deep - edge[..., None]
    ratio = EDGE / DEEP
    share = np.linspace(0, 1, 401)
    top = np.minimum(1 / alpha, INDEX_MAX)[..., None]
    xi = INDEX_MIN + share * (top - INDEX_MIN)
    shape = np.expm1(xi[..., None] * np.log(ratio)) / xi[..., None] / gap[..., None, :]
    scale = shape.sum(-1) / (shape**2).sum(-1)
    loss = ((scale[..., None] * shape - 1) ** 2).sum(-1)
    best = loss.argmin(-1)[..., None]
    return np.take_along_axis(scale, best, -1)[..., 0], np.take_along_axis(xi, best, -1)[..., 0]


def laws() -> np.ndarray:
    """(A, B, K + 4) over α in [1, 2] and ``beta_axis`` in [0, 1]."""
    beta = 1 - SKEW_UNIT * np.expm1(np.linspace(0, np.log1p(1 / SKEW_UNIT), N_BETA))
    beta[-1] = 0.0
    alpha, beta = np.meshgrid(np.linspace(1, 2, N_ALPHA), beta, indexing="ij")
    q = exact(alpha, beta, np.concatenate([DEEP, LEVELS, 1 - DEEP]))
    low, q, high = np.split(q, [len(DEEP), len(DEEP) + N_LEVELS], axis=-1)
    left, right = pareto(-q[..., 0], -low, alpha), pareto(q[..., -1], high, alpha)
    return np.concatenate([q, np.stack([left[0], right[0], left[1], right[1]], -1)], -1)


def inverse() -> dict[str, np.ndarray]:
    """α and β over (p, r): p = ln ν_α − ln ν_α(normal), r = ν_β over its largest value at that p."""
    axis, betas = 2 - np.linspace(0, 1, 61) ** 1.5 * 1.15, np.linspace(0, 1, 33)
    alpha, beta = np.meshgrid(axis, betas, indexing="ij")
    q05, q25, q50, q75, q95 = np.moveaxis(exact(alpha, beta, LEVELS[[Q05, Q25, MEDIAN, Q75, Q95]]), -1, 0)
    width = q95 - q05
    log_nu = np.log(width / (q75 - q25))
    normal = log_nu[0, 0]
    skew = (q95 + q05 - 2 * q50) / width
    p_max = float((log_nu - normal)[np.abs(axis - 1.0).argmin(), 0])
    grid = np.linspace(0, p_max, N_P)
    inner = np.maximum(grid, 2e-4)  # the limit at α = 2, where every β has the same quantiles
    curves = [(CubicSpline(log_nu[:, j] - normal, axis), CubicSpline(axis[::-1], skew[::-1, j])) for j in range(33)]
    alphas = np.stack([a(inner) for a, _ in curves], -1)
    skews = np.stack([s(a(inner)) for a, s in curves], -1)
    widest = skews[:, -1]
    r = np.linspace(0, 1, N_R)
    table = np.empty((N_P, N_R, 2))
    for i in range(N_P):
        b = PchipInterpolator(skews[i] / widest[i], betas)(r)
        table[i] = np.stack([CubicSpline(betas, alphas[i])(b), b], -1)
    table[0, :, 0] = 2.0
    widest[0] = 0.0
    return {"inverse": table, "widest": widest, "range": np.array([p_max, np.exp(normal)])}


def build(path: Path = PATH) -> None:
    """Write the table; single precision is ten thousand times finer than the interpolation."""
    with jax.enable_x64(True):
        grid, back = laws(), inverse()
    inverse_, widest = back["inverse"].astype(np.float32), back["widest"].astype(np.float32)
    with open(path, "wb") as file:
        np.savez_compressed(file, laws=grid.astype(np.float32), inverse=inverse_, widest=widest, range=back["range"])


if __name__ == "__main__":
    build()
