"""Continuous wavelet transform with ``gaus1``, the first derivative of a Gaussian.

    W(a, b) = a^{-1/2} Σ_k x_k ψ((k − b)/a),   ψ(x) = −2 (2/π)^{1/4} x exp(−x²)

Two backends with one result: :func:`cwt` is a matrix product over increments (exportable), :func:`cwt_pywt`
calls PyWavelets. Both convolve with PyWavelets' sampled primitive of ψ (rectangle rule on 2^precision points,
nearest lower sample per scale), zero outside the signal. References: Mallat (2009), Lee et al. (2019, PyWavelets).
"""

from collections.abc import Sequence
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

_REACH = 5.0
PRECISION = 12
_BLOCK = 1024


def dyadic_scales(n: int, n_scales: int = 40, j_min: float = 1.0, j_max: float = 6.0) -> np.ndarray:
    """Scales 2^j in samples, j evenly spaced, those a window of ``n`` values carries (a ≤ max(n/8, 2^(j_min+1))).

    >>> dyadic_scales(4096).size, round(float(dyadic_scales(64).max()), 2)
    (40, 7.58)
    """
    scales = 2.0 ** np.linspace(j_min, j_max, n_scales)
    return scales[scales <= max(n / 8, 2.0 ** (j_min + 1))]


@lru_cache(maxsize=64)
def _kernels(scales: tuple[float, ...], precision: int, phases: int) -> tuple[np.ndarray, int]:
    """Kernels (phases·S, U) on a common frame of increments, and the offset of the frame's first one from sample b."""
    x = np.linspace(-_REACH, _REACH, 2**precision)
    step = x[1] - x[0]
    primitive = np.cumsum(-2.0 * (2.0 / np.pi) ** 0.25 * x * np.exp(-(x**2))) * step
    taps, firsts = [], []
    for phase in range(phases):
        for a in scales:
            index = (np.arange(a * (x[-1] - x[0]) + 1) / (a * step)).astype(int)
            tap = -np.sqrt(a) * primitive[index[index < x.size]]
            # Full convolution, differenced, cropped to the centre: increment k − b runs from l + 2 − K to l + 1.
            first = (tap.size - 2) // 2 + 2 - tap.size + phase
            # Only every phases-th position carries an increment.
            skip = -first % phases
            taps.append(tap[skip::phases])
            firsts.append((first + skip) // phases)
    first = min(firsts)
    length = max(f + t.size for f, t in zip(firsts, taps, strict=True)) - first
    out = np.zeros((len(taps), length))
    for row, f, tap in zip(out, firsts, taps, strict=True):
        row[f - first : f - first + tap.size] = tap
    return out, first


def transform(
    increments: Array, scales: Sequence[float] | np.ndarray, precision: int = PRECISION, phases: int = 1
) -> Array:
    """Transform (S, phases·n) from the n + 1 increments Δ_k = x_k − x_{k−1} of a signal, k = 0 … n.

    The outer increments say what lies beyond the signal: x₀ and −x_{n−1} for zeros, 0 for constants. With more
    than one phase the signal is a staircase, each value repeated ``phases`` times, and ``scales`` count those.
    """
    kernels, first = _kernels(tuple(float(a) for a in scales), precision, phases)
    n, length = increments.shape[0] - 1, kernels.shape[1]
    matrix = jnp.asarray(kernels.T, increments.dtype)
    block = min(n, _BLOCK)
    n_blocks = -(-n // block)
    padded = jnp.pad(increments, (-first, n_blocks * block - n + length))
    frame = jnp.arange(block)[:, None] + jnp.arange(length)  # iota: a folded index table would be megabytes

    def one(start: Array | int) -> Array:
        piece = jax.lax.dynamic_slice(padded, (start,), (block + length - 1,))
        return jnp.matmul(piece[frame], matrix, precision="highest")

    rows = one(0) if n_blocks == 1 else jax.lax.map(one, jnp.arange(n_blocks) * block)
    return rows.reshape(n_blocks * block, phases, -1)[:n].reshape(n * phases, -1).T


def cwt(signal: Array, scales: Sequence[float] | np.ndarray, precision: int = PRECISION) -> Array:
    """Transform (S, n) of ``signal`` (n,) at concrete ``scales`` (S,) in samples, equal to ``pywt.cwt(…, "gaus1")``.

    >>> jump = jnp.where(jnp.arange(64) < 32, 0.0, 1.0)
    >>> cwt(jump, [2.0, 4.0]).shape
    (2, 64)
    """
    return transform(jnp.diff(signal, prepend=0, append=0), scales, precision)


def cwt_pywt(signal: Array, scales: Sequence[float] | np.ndarray, precision: int = PRECISION) -> Array:
    """The same transform by PyWavelets on the host, through ``jax.pure_callback``; keeps the signal's dtype."""
    concrete = np.asarray(scales, float)
    dtype = np.dtype(signal.dtype)
    # Raw words cross the border: the host side of a callback may run in a thread where x64 is off,
    # and JAX would round float64 arguments to float32 there.
    words = jax.lax.bitcast_convert_type(signal, jnp.uint32).reshape(-1)

    def host(values: np.ndarray) -> np.ndarray:
        import pywt

        bits = np.ascontiguousarray(values)
        rows = bits.reshape(-1, bits.shape[-1]).view(dtype)
        out = np.stack([pywt.cwt(row, concrete, "gaus1", precision=precision)[0] for row in rows])
        return out.astype(dtype).view(np.uint32).reshape(*bits.shape[:-1], -1)

    shape = jax.ShapeDtypeStruct((concrete.size * words.size,), jnp.uint32)
    found = jax.pure_callback(host, shape, words, vmap_method="expand_dims")
    per = dtype.itemsize // 4
    found = found.reshape((concrete.size, signal.shape[0]) + ((per,) if per > 1 else ()))
    return jax.lax.bitcast_convert_type(found, dtype)
