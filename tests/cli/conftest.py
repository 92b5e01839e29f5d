"""The command line inside tests: called as a function, with a small file of data and no cache of its own."""

import numpy as np
import pandas as pd
import pytest

from usp_sklearn.cli import main


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("USP_CACHE", "off")


@pytest.fixture(scope="session")
def series():
    """160 daily values that revert to 20."""
    rng = np.random.default_rng(0)
    y = np.empty(160)
    y[0] = 20.0
    for t in range(1, 160):
        y[t] = 20 + 0.8 * (y[t - 1] - 20) + rng.normal()
    return pd.Series(y.round(3), index=pd.date_range("2024-01-01", periods=160, name="day"), name="load")


@pytest.fixture(scope="session")
def data(series, tmp_path_factory):
    """The series as a file."""
    path = tmp_path_factory.mktemp("data") / "load.csv"
    series.to_csv(path)
    return path


@pytest.fixture
def usp(capsys):
    """Run a command: exit status, stdout, stderr."""

    def run(*words):
        status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture(scope="session")
def beside(series):
    """Two exogenous columns (160, 2), the first of which tells most of the next value."""
    rng = np.random.default_rng(1)
    table = np.stack([np.r_[series.to_numpy()[1:], 20.0], rng.normal(size=160)], axis=1)
    return pd.DataFrame(table.round(3), index=series.index, columns=["hint", "noise"])


@pytest.fixture(scope="session")
def wide(series, beside, tmp_path_factory):
    """The series and what stands beside it as a file, the series in the middle."""
    path = tmp_path_factory.mktemp("data") / "wide.csv"
    beside[["noise"]].join(series).join(beside[["hint"]]).to_csv(path)
    return path
