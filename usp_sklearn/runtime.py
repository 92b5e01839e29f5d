"""Numerical runtime: float64 and full matmul precision inside our calls, global switches only on request.

Importing the package changes no JAX setting. Every public call runs inside :func:`precision`, which is
scoped to the calling thread. :func:`configure` is for those who want the global switches of the guide.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import jax


@contextmanager
def precision() -> Iterator[None]:
    """Scope float64 and ``highest`` matmul precision to a block, in this thread only.

    >>> with precision():
    ...     str(jax.numpy.ones(1).dtype)
    'float64'
    """
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


def configure(
    *,
    x64: bool | None = None,
    matmul_precision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> None:
    """Set global JAX switches; what is left ``None`` stays as it is.

    Parameters
    ----------
    x64 : bool, optional
        Enable double precision for the whole process.
    matmul_precision : str, optional
        Default matrix product precision, for instance ``"highest"``.
    cache_dir : path, optional
        Folder of the persistent compilation cache. Every program is cached, however small or quick to
        compile: on CPUs the default thresholds would leave most of them out.
    """
    if x64 is not None:
        jax.config.update("jax_enable_x64", x64)
    if matmul_precision is not None:
        jax.config.update("jax_default_matmul_precision", matmul_precision)
    if cache_dir is not None:
        path = os.path.expanduser(os.fspath(cache_dir))
        os.makedirs(path, exist_ok=True)
        jax.config.update("jax_compilation_cache_dir", path)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
