"""Shared test set-up: one persistent compilation cache for all workers, no global x64."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# One thread per worker: two of them that each spin on every core spend their time waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import pytest

_CACHE = os.environ.get("USP_TEST_CACHE", os.path.join(tempfile.gettempdir(), f"usp-sklearn-test-cache-{os.getuid()}"))
jax.config.update("jax_compilation_cache_dir", _CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

_MAPS, _ROOM = Path("/proc/self/maps"), 30_000
"""Every compiled program takes a few memory maps, of which Linux gives a process 65,530; then the compiler crashes."""


@pytest.fixture(autouse=True)
def _programs_go_in_time() -> Iterator[None]:
    """Let go of all programs when half of the maps are taken; the cache on disk brings them back."""
    yield
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _ROOM:
        jax.clear_caches()
