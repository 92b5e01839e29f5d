"""α-stable laws S(α, β, γ, δ) in Nolan's continuous S0 parametrisation: exact functions and a fast table path.

Exact: :func:`cdf`, :func:`sf`, :func:`pdf`, :func:`ppf`, :func:`sample`, :func:`fit` (likelihood, with standard errors)
and :func:`fit_characteristic` (its start). α in [0.5, 2], NaN outside. Inside a scan, from a stored
table: :func:`quantiles`, :func:`tail`, :func:`standard_law`, :func:`fit_quantiles`. S1 enters only through
:func:`to_s0`, :func:`to_s1` and the sampler's option.
"""

from .density import cdf, pdf, sf
from .fit import StableFit, fit, fit_characteristic
from .quantile import ppf
from .sampler import sample, to_s0, to_s1
from .table import fit_quantiles, quantiles, standard_law, tail

__all__ = [
    "StableFit", "cdf", "fit", "fit_characteristic", "fit_quantiles", "pdf", "ppf", "quantiles", "sample", "sf",
    "standard_law", "tail", "to_s0", "to_s1",
]  # fmt: skip
