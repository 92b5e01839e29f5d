"""Writes logsignature.npz: log-signatures of random paths by iisignature 0.24, in coordinates of Lyndon words.

    python -m venv oracle && oracle/bin/pip install numpy==2.4.6 setuptools wheel
    oracle/bin/pip install --no-build-isolation iisignature==0.24      (needs a C++ compiler)
    oracle/bin/python tests/kernels/data/build_logsignature.py

iisignature's method "x" gives the log-signature as a tensor series, all words of a level in alphabetical order. Read at
the Lyndon words these are our coordinates. (Its compressed forms are coefficients of brackets, another basis.) It
refuses one channel, whose log-signature is its increment.
"""

import importlib.metadata
import itertools
from pathlib import Path

import numpy as np

VERSION = "0.24"
PATHS, POINTS = 3, 12


def is_lyndon(word: tuple[int, ...]) -> bool:
    """Whether a word is smaller than each of its proper suffixes."""
    return all(word < word[i:] for i in range(1, len(word)))


def coordinates(path: np.ndarray, depth: int) -> np.ndarray:
    """Log-signature of a path (m, D) at its Lyndon words, shorter ones first, then alphabetical."""
    import iisignature  # Here, as the test environment has no such package.

    channels = path.shape[1]
    if channels == 1:
        return path[-1] - path[0]
    expanded = iisignature.logsig(path, iisignature.prepare(channels, depth, "x"), "x")
    words = [w for k in range(1, depth + 1) for w in itertools.product(range(channels), repeat=k)]
    return expanded[[is_lyndon(w) for w in words]]


def main() -> None:
    """For 1 to 4 channels the paths, and for depth 1 to 5 their log-signatures."""
    assert importlib.metadata.version("iisignature") == VERSION
    rng = np.random.default_rng(20260201)
    table = {}
    for channels in range(1, 5):
        paths = rng.normal(size=(PATHS, POINTS, channels)).cumsum(1) / np.sqrt(POINTS)
        table[f"paths_{channels}"] = paths
        for depth in range(1, 6):
            table[f"values_{channels}_{depth}"] = np.stack([coordinates(path, depth) for path in paths])
    np.savez_compressed(Path(__file__).parent / "logsignature.npz", **table)


if __name__ == "__main__":
    main()
