"""Iterated integrals in plain NumPy: the oracle of everything that is a signature.

A tensor series is a list of levels, level k an array of shape (D,)·k; level 0 is the scalar.
"""

import itertools
import math

import numpy as np


def lyndon(channels, depth):
    """Words smaller than each of their proper rotations, by brute force; shorter ones first."""
    return [
        w
        for k in range(1, depth + 1)
        for w in itertools.product(range(channels), repeat=k)
        if all(w < w[i:] + w[:i] for i in range(1, k))
    ]


def product(a, b):
    """Truncated tensor product."""
    return [sum(np.multiply.outer(a[i], b[k - i]) for i in range(k + 1)) for k in range(len(a))]


def segment(step, depth):
    """Signature of a straight line: the tensor exponential of its increment."""
    levels = [np.array(1.0)]
    for _ in range(depth):
        levels.append(np.multiply.outer(levels[-1], step))
    return [level / math.factorial(k) for k, level in enumerate(levels)]


def signature(path, depth):
    """Signature of a piecewise linear path, segment by segment (Chen 1957)."""
    total = segment(np.zeros(path.shape[1]), depth)
    for step in np.diff(path, axis=0):
        total = product(total, segment(step, depth))
    return total


def tensor_log(series):
    """log(1 + t) = t − t²/2 + t³/3 − …, truncated."""
    rest = [np.array(0.0), *series[1:]]
    power, total = rest, rest
    for n in range(2, len(series)):
        power = product(power, rest)
        total = [a + (-1) ** (n + 1) / n * b for a, b in zip(total, power, strict=True)]
    return total


def shuffles(u, v):
    """All words that interleave u and v, with repetitions."""
    if not u or not v:
        return [u + v]
    return [u[:1] + w for w in shuffles(u[1:], v)] + [v[:1] + w for w in shuffles(u, v[1:])]
