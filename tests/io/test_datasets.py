"""The bundled series, and the simulated ones against their own laws."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from usp_sklearn.io import datasets

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
MAKERS = {
    "stable_walk": lambda **k: datasets.make_stable_walk(**k),
    "stable_skewed": lambda **k: datasets.make_stable_walk(alpha=1.4, beta=0.8, scale=2.0, **k),
    "ou": lambda **k: datasets.make_ou(mean=5.0, sigma=0.3, **k),
    "double_well": lambda **k: datasets.make_double_well(**k),
    "merton": lambda **k: datasets.make_merton(drift=0.2, jump_mean=-1.0, **k),
    "fgn_rough": lambda **k: datasets.make_fgn(hurst=0.2, sigma=2.0, **k),
    "fgn_smooth": lambda **k: datasets.make_fgn(hurst=0.8, **k),
    "garch": lambda **k: datasets.make_garch(**k),
    "switch_mean": lambda **k: datasets.make_regime_switch(kind="mean", **k),
    "switch_variance": lambda **k: datasets.make_regime_switch(kind="variance", **k),
}


def test_wti_is_the_daily_price_in_order():
    price = datasets.load_wti()
    assert price.shape == (8321,) and price.name == "price"
    assert price.index.is_monotonic_increasing and price.index.is_unique
    assert price.index[0] == pd.Timestamp("1986-01-02") and price.index[-1] == pd.Timestamp("2019-01-03")
    assert price.loc["2008-07-03"] == 145.31  # the all-time high
    assert price.notna().all() and (price > 0).all()
    frame = datasets.load_wti(return_frame=True)
    assert list(frame.columns) == ["price"] and frame["price"].equals(price)


@pytest.mark.parametrize("name", MAKERS)
def test_makers_repeat_with_their_seed(name):
    make = MAKERS[name]
    one, two, other = make(n=50, random_state=1), make(n=50, random_state=1), make(n=50, random_state=2)
    np.testing.assert_array_equal(one, two)
    assert one.shape == (50,) and np.isfinite(one).all() and not np.array_equal(one, other)


@pytest.mark.parametrize("name", MAKERS)
def test_outcomes_follow_the_ideal_law(name):
    """Under the true law each level is undershot with its own probability, independently at every step."""
    y, ideal = MAKERS[name](n=4000, random_state=5, return_ideal=True)
    q = ideal(LEVELS)
    assert q.shape == (3999, 5) and np.isfinite(q).all() and (np.diff(q, axis=1) >= 0).all()
    hits = y[1:, None] <= q
    below = hits.sum(0)
    for count, level in zip(below, LEVELS, strict=True):
        assert stats.binomtest(int(count), 3999, level).pvalue > 1e-3
    # Hits of neighbouring steps are uncorrelated, else the law would have missed something.
    z = (hits - LEVELS) / np.sqrt(LEVELS * (1 - LEVELS))
    assert np.abs((z[1:] * z[:-1]).mean(0)).max() < 4.5 / np.sqrt(3999)


@pytest.mark.parametrize("name", MAKERS)
def test_a_single_level_is_a_column_of_many(name):
    _, ideal = MAKERS[name](n=60, random_state=3, return_ideal=True)
    np.testing.assert_array_equal(ideal(0.5)[:, 0], ideal(LEVELS)[:, 2])


def test_fractional_noise_has_its_autocovariance():
    y = np.stack([datasets.make_fgn(256, hurst=0.3, random_state=s) for s in range(300)])
    for lag, expected in ((0, 1.0), (1, 0.5 * 2**0.6 - 1), (5, 0.5 * (6**0.6 - 2 * 5**0.6 + 4**0.6))):
        products = (y[:, : 256 - lag] * y[:, lag:]).mean(1)
        assert products.mean() == pytest.approx(expected, abs=4 * products.std() / np.sqrt(300))


def test_ou_law_is_the_gaussian_transition():
    y, ideal = datasets.make_ou(100, theta=0.5, mean=1.0, sigma=2.0, random_state=0, return_ideal=True)
    decay = np.exp(-0.5)
    expected = stats.norm.ppf(0.9, 1 + (y[:-1] - 1) * decay, np.sqrt(4 * (1 - decay**2)))
    np.testing.assert_allclose(ideal(0.9)[:, 0], expected, rtol=1e-12)


def test_merton_quantiles_invert_the_poisson_mixture():
    y, ideal = datasets.make_merton(3, intensity=0.3, jump_mean=2.0, random_state=0, return_ideal=True)
    k = np.arange(40)
    steps = ideal(LEVELS) - y[:-1, None]
    cdf = [(stats.poisson.pmf(k, 0.3) * stats.norm.cdf(x, 2 * k, np.sqrt(1 + 36 * k))).sum() for x in steps[0]]
    np.testing.assert_allclose(cdf, LEVELS, atol=1e-12)


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"'kind' parameter of make_regime_switch .* Got 'trend'"):
        datasets.make_regime_switch(kind="trend")
