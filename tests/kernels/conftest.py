"""Kernels are float64 code: run them strictly, as the shell does."""

import jax
import pytest


@pytest.fixture(autouse=True)
def float64():
    """Scoped x64, as every public call of the package scopes it."""
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield
