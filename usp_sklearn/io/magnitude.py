"""How large values may be: their squares must be numbers too."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 1e150
"""Beyond, sums of squares overflow, and laws would be no numbers."""


def within(x: NDArray[Any], name: str) -> NDArray[Any]:
    """``x`` itself, if all of it that is finite is at most ``LARGEST`` in absolute value.

    >>> within(np.array([1e200]), "X")
    Traceback (most recent call last):
    ...
    ValueError: X must hold values of at most 1e+150 in absolute value. Got 1e+200 instead.
    """
    largest = np.abs(x[np.isfinite(x)]).max(initial=0.0)
    if largest > LARGEST:
        raise ValueError(f"{name} must hold values of at most {LARGEST:g} in absolute value. Got {largest:g} instead.")
    return x
