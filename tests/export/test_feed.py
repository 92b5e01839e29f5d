"""The window buffer inside a graph against the one outside."""

import jax
import numpy as np
import pytest

from usp_sklearn import WindowBuffer
from usp_sklearn.export import feed
from usp_sklearn.runtime import precision


@pytest.mark.parametrize(
    "options",
    [
        {"averages": None},
        {},
        {"season": 5, "width": 4},
        {"season": 4, "second_season": 9, "horizon": 3, "profile": (0.5,)},
        {"season": 6, "horizon": 4, "multi": True},
    ],
)
@pytest.mark.parametrize("seen", [1, 7, 60])
def test_rows_are_those_of_the_buffer(options, seen):
    series = 50 + np.random.default_rng(0).normal(size=160).cumsum()
    buffer = WindowBuffer(**({"width": 8} | options))
    for value in series[:seen]:
        buffer.push(value)
    with precision():
        state = feed.start(buffer.context)
        push = jax.jit(lambda s, v: feed.push(buffer.context.plan, buffer.layout["width"], s, v))
        for value in series[seen:]:
            state, row = push(state, value)
            np.testing.assert_allclose(row, buffer.push(value), rtol=1e-13)
