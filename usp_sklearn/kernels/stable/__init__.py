"""α-stable laws S(α, β, γ, δ) in Nolan's continuous S0 parametrisation: exact functions and a fast table path.

Exact: :func:`cdf`, :func:`sf`, :func:`pdf`, :func:`ppf`. Inside a scan, from a stored table: :func:`quantiles`,
:func:`tail`, :func:`standard_law`, :func:`fit_quantiles`.
"""

from .density import cdf, pdf, sf
from .quantile import ppf
from .table import fit_quantiles, quantiles, standard_law, tail

__all__ = ["cdf", "fit_quantiles", "pdf", "ppf", "quantiles", "sf", "standard_law", "tail"]
