"""Doctests of kernels and core run in float64, as every public call runs them; those of the api see a plain JAX."""

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

INNER = [Path(__file__).parent / "usp_sklearn" / room for room in ("kernels", "core")]


@pytest.fixture(autouse=True)
def _float64_doctests(request: pytest.FixtureRequest) -> Iterator[None]:
    inner = isinstance(request.node, pytest.DoctestItem) and any(room in request.node.path.parents for room in INNER)
    if not inner:
        yield
        return
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield
