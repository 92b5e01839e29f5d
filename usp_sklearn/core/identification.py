"""Which estimator identifies a window, and the wall that keeps gradients out of the diagnosis."""

import jax
from jax import Array

from ..kernels.holder import Identification, structure_function
from ..kernels.wtmm import wtmm

__all__ = ["AUTO_LENGTH", "Identification", "identify"]

AUTO_LENGTH = 256
"""Windows shorter than this are identified by structure functions."""


def identify(
    window: Array,
    width: Array | int,
    cone: Array | float = 1.5,
    *,
    method: str = "auto",
    n_scales: int = 40,
    backend: str = "jax",
) -> Identification:
    """Regularity of one window, with gradients stopped.

    Parameters
    ----------
    window : (L,)
        Values, oldest first, padded on the left with the oldest one.
    width : int or () array
        How many of the last values are real.
    cone : float or () array
        A maxima line moves by at most ``cone`` times the scale from one scale to the next.
    method : {"auto", "wtmm", "structure"}
        Static. ``"auto"`` takes structure functions below :data:`AUTO_LENGTH` values.
    n_scales : int
        Static. Scales between 2 and 64 samples for the wavelet.
    backend : {"jax", "pywavelets"}
        Static. Who transforms; the second calls back to the host.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float(identify(jnp.arange(32.0), 32).holder.round(2))
    1.0
    """
    window, width, cone = jax.lax.stop_gradient((window, width, cone))
    if method == "structure" or (method == "auto" and window.shape[0] < AUTO_LENGTH):
        found = structure_function(window, width)
    else:
        found = wtmm(window, width, cone, n_scales=n_scales, backend=backend)
    return jax.lax.stop_gradient(found)
