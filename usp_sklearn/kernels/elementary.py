"""Elementary functions spelled out in arithmetic, exponentials and logarithms.

XLA has operations for them, but the runtimes that exported graphs are for either lack those (ONNX has no error
function in double precision) or know them under other versions (StableHLO composites).
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

_SMALL = (
    (9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3, 7.00332514112805075473e3,
     5.55923013010394962768e4),
    (1.0, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3, 2.26290000613890934246e4,
     4.92673942608635921086e4),
)  # fmt: skip
_LARGE = (
    (2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0, 4.86371970985681366614e1,
     1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3,
     5.57535335369399327526e2),
    (1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2, 9.75708501743205489753e2,
     1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3, 5.57535340817727675546e2),
)  # fmt: skip
"""Numerators and denominators, highest power first: erf(x)/x in x² for |x| < 1, erfc(x) exp(x²) in x for 1 ≤ x < 8."""


def _ratio(x: Array, pair: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    top, bottom = (jnp.polyval(np.array(c), x, unroll=16) for c in pair)
    return top / bottom


def erf(x: Array) -> Array:
    """Error function, to a few units in the last place: rational approximations (Cody 1969; Moshier 1989).

    >>> round(float(erf(jnp.asarray(0.5))), 6)
    0.5205
    """
    near, size = _near(x), jnp.abs(x)
    return jnp.where(size < 1.0, near, jnp.sign(x) * (1.0 - _tail(size)))


def ndtr(x: Array) -> Array:
    """Standard normal distribution function Φ(x) = ½ erfc(−x/√2), to a few units in the last place for x > −11.

    >>> round(float(ndtr(jnp.asarray(1.0))), 6)
    0.841345
    """
    z = x * np.sqrt(0.5)
    half = 0.5 * _tail(jnp.abs(z))
    return jnp.where(jnp.abs(z) < 1.0, 0.5 + 0.5 * _near(z), jnp.where(z < 0, half, 1.0 - half))


def _near(x: Array) -> Array:
    """erf(x) where |x| < 1."""
    near = jnp.clip(x, -1.0, 1.0)
    return near * _ratio(near * near, _SMALL)


def _tail(size: Array) -> Array:
    """erfc(size) where size ≥ 1."""
    return jnp.exp(-size * size) * _ratio(jnp.clip(size, 1.0, 8.0), _LARGE)


def sinh(x: Array) -> Array:
    """(eˣ − e⁻ˣ)/2, exact near zero too.

    >>> round(float(sinh(jnp.asarray(1.0))), 4)
    1.1752
    """
    return 0.5 * (jnp.expm1(x) - jnp.expm1(-x))


def arcsinh(x: Array) -> Array:
    """log(x + √(x² + 1)), exact near zero and without overflow where it is large.

    >>> round(float(arcsinh(jnp.asarray(1.0))), 4)
    0.8814
    """
    size = jnp.abs(x)
    some = jnp.minimum(size, 1e8)
    near = jnp.log1p(some + some * some / (1.0 + jnp.sqrt(some * some + 1.0)))
    return jnp.sign(x) * jnp.where(size < 1e8, near, jnp.log(jnp.maximum(size, 1.0)) + np.log(2.0))
