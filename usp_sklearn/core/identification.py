"""Which estimator identifies a window, and the wall that keeps gradients out of the diagnosis."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from ..kernels.holder import HOLDER_MAX, HOLDER_MIN, NEUTRAL_SE, Identification, scaling, structure_function
from ..kernels.wtmm import wtmm

__all__ = ["AUTO_LENGTH", "Identification", "blend", "identify", "identify_rows"]

AUTO_LENGTH = 1024
"""Length from which ``"auto"`` blends maxima lines with moments of increments; below, lines are too few."""


def blend(window: Array, width: Array | int, lines: Identification) -> Identification:
    """Replace the exponent of maxima ``lines`` by a more precise one as far as one exponent explains the window (L,).

    Where h(q) is constant, moments of increments give it with a quarter of the variance that maxima lines have:
    ζ(2)/2 if the increments are as concentrated as normal ones, ζ(1) otherwise. Where h(q) falls by more than 1.5
    standard errors the moments miss the mode of D(h) and the lines take over, wholly at three.
    """
    found = scaling(window, width)
    normal = jnp.clip((1.3 - found.dispersion) / 0.2, 0.0, 1.0)
    share = jnp.clip(found.curvature / found.se[2] / 1.5 - 1, 0.0, 1.0)
    moments = jnp.clip(normal * found.two + (1 - normal) * found.one, HOLDER_MIN, HOLDER_MAX)
    error = jnp.minimum(normal * found.se[1] + (1 - normal) * found.se[0], NEUTRAL_SE)
    trusted = found.live & (share < 1)
    return lines._replace(
        holder=jnp.where(trusted, share * lines.holder + (1 - share) * moments, lines.holder),
        holder_se=jnp.where(trusted, share * lines.holder_se + (1 - share) * error, lines.holder_se),
    )


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
        Static. ``"auto"`` takes structure functions below :data:`AUTO_LENGTH` values and :func:`blend` from there.
    n_scales : int
        Static. Scales between 2 and 64 samples for the wavelet.
    backend : {"jax", "pywavelets"}
        Static. Who computes the transform; the second calls back to the host.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> round(float(identify(jnp.arange(32.0), 32).holder), 6)
    1.0
    """
    window, width, cone = jax.lax.stop_gradient((window, width, cone))
    if method == "structure" or (method == "auto" and window.shape[0] < AUTO_LENGTH):
        found = structure_function(window, width)
    else:
        found = wtmm(window, width, cone, n_scales=n_scales, backend=backend)
        if method == "auto":
            found = blend(window, width, found)
    return jax.lax.stop_gradient(found)


@partial(jax.jit, static_argnames=("method", "n_scales", "backend"))
def identify_rows(
    windows: Array,
    width: Array | int,
    cone: Array | float = 1.5,
    *,
    method: str = "auto",
    n_scales: int = 40,
    backend: str = "jax",
) -> Identification:
    """:func:`identify` for every row of ``windows`` (n, L), compiled; fields have shape (n,)."""
    one = partial(identify, method=method, n_scales=n_scales, backend=backend)
    return jax.vmap(one, in_axes=(0, None, None))(windows, width, cone)
