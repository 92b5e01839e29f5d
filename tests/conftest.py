"""Shared test set-up: one persistent compilation cache for all workers, no global x64."""

import os
import tempfile

# One thread per worker: two of them that each spin on every core spend their time waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax

_CACHE = os.environ.get("USP_TEST_CACHE", os.path.join(tempfile.gettempdir(), f"usp-sklearn-test-cache-{os.getuid()}"))
jax.config.update("jax_compilation_cache_dir", _CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
