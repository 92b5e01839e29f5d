"""Series to try things on: one real one, and simulated ones whose ideal forecast is known."""

from importlib.resources import files

import pandas as pd

from .processes import (
    make_double_well,
    make_fgn,
    make_garch,
    make_merton,
    make_ou,
    make_regime_switch,
    make_stable_walk,
)

__all__ = [
    "load_wti",
    "make_double_well",
    "make_fgn",
    "make_garch",
    "make_merton",
    "make_ou",
    "make_regime_switch",
    "make_stable_walk",
]


def load_wti(return_frame: bool = False) -> pd.Series | pd.DataFrame:
    """Daily spot price of West Texas Intermediate crude oil at Cushing, 1986–2019, US dollars a barrel.

    Source: U.S. Energy Information Administration (series RWTC; FRED name DCOILWTICO), a work of the US government in
    the public domain, in the copy that the package ``arch`` 8.0.0 carries. Days without a quote are left out.

    Returns
    -------
    Series (8,321,) named "price" with a DatetimeIndex, or a one-column DataFrame.

    >>> load_wti().iloc[0]
    np.float64(25.56)
    """
    with files("usp_sklearn.io").joinpath("data/wti.csv.gz").open("rb") as file:
        frame = pd.read_csv(file, compression="gzip", index_col="date", parse_dates=["date"])
    return frame if return_frame else frame["price"]
