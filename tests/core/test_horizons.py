"""All horizons from one model: outcomes credited when known, streams equal batches, paths coherent."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

from usp_sklearn import JKOPredictor, LevyPredictor, SlidingWindow, Stream, runtime, sliding_window
from usp_sklearn.core import engine

LEVELS = [0.05, 0.5, 0.95]
WIDTH, H, TRAIN, STEPS = 16, 4, 300, 120
SEASON = 12


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(7)
    return (
        20 + np.cumsum(rng.normal(size=TRAIN + STEPS + 80)) + 3 * np.sin(np.arange(TRAIN + STEPS + 80) * 2 * np.pi / 12)
    )


def _windows():
    return {"width": WIDTH, "horizon": H, "season": SEASON, "multi": True}


def _fit(series):
    X, Y = sliding_window(series, **_windows())
    layout = SlidingWindow(**_windows()).fit(series[:TRAIN, None]).layout
    return JKOPredictor(random_state=0, **layout).fit(X[:TRAIN], Y[:TRAIN]), X, Y


@pytest.fixture(scope="module")
def batch(series):
    model, X, Y = _fit(series)
    return model.update_predict(X[TRAIN : TRAIN + STEPS], Y[TRAIN : TRAIN + STEPS], LEVELS)


def test_shapes_and_order(series, batch):
    model, X, _ = _fit(series)
    assert batch.shape == (STEPS, H, 3)
    assert (np.diff(batch, axis=-1) >= 0).all() and np.isfinite(batch).all()
    assert model.predict(X[TRAIN:]).shape == (len(X) - TRAIN, H)
    assert np.array_equal(model.predict_quantiles(X[TRAIN : TRAIN + 1], LEVELS)[0], batch[0])


def test_intervals_widen_with_the_horizon(batch):
    width = (batch[..., 2] - batch[..., 0]).mean(0)
    assert (np.diff(width) > 0).all()


def test_stream_equals_prequential(series, batch):
    model, _, _ = _fit(series)
    start = WIDTH + TRAIN - 1 + H
    stream = Stream(model, series[:start], SlidingWindow(**_windows()))
    laws = [stream.law.ppf(LEVELS)] + [stream.push(v).ppf(LEVELS) for v in series[start : start + STEPS - H]]
    np.testing.assert_allclose(laws, batch[H - 1 :], rtol=1e-12)


def test_pieces_are_the_whole(series, batch):
    model, X, Y = _fit(series)
    parts = [
        model.update_predict(X[TRAIN + i : TRAIN + j], Y[TRAIN + i : TRAIN + j], LEVELS)
        for i, j in ((0, 1), (1, 3), (3, 50), (50, STEPS))
    ]
    np.testing.assert_allclose(np.concatenate(parts), batch, rtol=1e-12)


@pytest.mark.parametrize("h", range(1, H + 1))
def test_an_outcome_is_learned_when_it_is_known(series, h):
    """A change of the outcomes of horizon h from row 20 on is felt at row 20 + h, by that horizon alone."""
    model, X, Y = _fit(series)
    rows = slice(TRAIN, TRAIN + 40)
    changed = Y[rows].copy()
    changed[20:, h - 1] += 50.0
    with runtime.precision():
        plain = engine.walk(model.state_, model._params(), X[rows], Y[rows])[1].q
        other = engine.walk(model.state_, model._params(), X[rows], changed)[1].q
    np.testing.assert_array_equal(plain[: 20 + h], other[: 20 + h])
    assert np.abs(plain[20 + h :, h - 1] - other[20 + h :, h - 1]).max() > 1e-6
    np.testing.assert_array_equal(np.delete(plain, h - 1, 1), np.delete(other, h - 1, 1))


def test_nan_in_the_future_cannot_reach_the_past(series):
    model, X, Y = _fit(series)
    rows, outcomes = X[TRAIN : TRAIN + 40].copy(), Y[TRAIN : TRAIN + 40].copy()
    with runtime.precision():
        clean = engine.walk(model.state_, model._params(), rows, outcomes)[1]
        rows[20:] = np.nan
        for h in range(1, H + 1):
            outcomes[20 - h :, h - 1] = np.nan
        dirty = engine.walk(model.state_, model._params(), rows, outcomes)[1]
    for a, b in zip(clean, dirty, strict=True):
        np.testing.assert_array_equal(a[:20], b[:20])


def test_each_horizon_sees_its_own_seasonal_columns():
    """A pure season far from persistence: each horizon finds its phase only in its own block."""
    t = np.arange(520)
    series = 10 * np.sin(2 * np.pi * t / 12) + 0.1 * np.random.default_rng(0).normal(size=520)
    model, X, Y = _fit(series)
    point = model.update_predict(X[TRAIN:], Y[TRAIN:])
    assert np.abs(point - Y[TRAIN:]).mean(0).max() < 0.4


def test_paths_of_a_random_walk_have_its_dependence():
    """Increments of a random walk's path are independent: corr(y_h, y_k) = √(h/k) given the present."""
    series = np.cumsum(np.random.default_rng(5).normal(size=1600))
    X, Y = sliding_window(series, width=WIDTH, horizon=6, multi=True, season=None)
    model = LevyPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH).fit(X, Y)
    paths = model.sample(X[-1:], 4000, paths=True, random_state=0)
    assert paths.shape == (1, 6, 4000)
    h = np.arange(1, 7)
    truth = np.sqrt(np.minimum.outer(h, h) / np.maximum.outer(h, h))
    # 1,600 rows hold 270 paths that do not overlap: a standard deviation of 0.06.
    np.testing.assert_allclose(np.corrcoef(paths[0]), truth, atol=0.12)
    law = model.predict_distribution(X[-1:])
    np.testing.assert_allclose(np.quantile(paths[0], LEVELS, axis=1).T, law.ppf(LEVELS)[0], atol=0.25)
    alone = model.sample(X[-1:], 4000, random_state=0)
    assert np.abs(np.corrcoef(alone[0]) - np.eye(6)).max() < 0.1


def test_overlapping_errors_are_not_taken_for_moving_variance():
    """Errors six steps ahead of a homoscedastic series overlap with what is known by the time they are learned.

    Learned against the present state instead of that of the law, the newest error would seem to foretell its own size.
    """
    y = lfilter([1.0], [1.0, -0.9], np.random.default_rng(4).normal(size=2500))
    X, Y = sliding_window(y, width=WIDTH, horizon=6, multi=True, season=None)
    model = LevyPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH).fit(X[:2000], Y[:2000])
    q = model.update_predict(X[2000:], Y[2000:], [0.1, 0.9])
    width = q[..., 1] - q[..., 0]
    exact = 2 * norm.ppf(0.9) * np.sqrt((1 - 0.9 ** (2 * np.arange(1, 7))) / (1 - 0.81))
    np.testing.assert_allclose(width.mean(0), exact, rtol=0.12)
    assert (width.std(0) / width.mean(0)).max() < 0.15


def test_paths_need_horizons(series):
    X, y = sliding_window(series, width=WIDTH, season=None)
    model = LevyPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH).fit(X, y)
    with pytest.raises(ValueError, match="2-D y"):
        model.sample(X[-1:], 10, paths=True)


def test_members_ahead_are_the_light_ones(series):
    model, _, _ = _fit(series)
    names = {f"{b}.{m}" for b, m in model.state_.shape.layout.members}
    assert names == set(JKOPredictor.MEMBERS_AHEAD) < set(JKOPredictor.MEMBERS)


def test_blocks_that_do_not_fit_are_refused(series):
    X, Y = sliding_window(series, **_windows())
    with pytest.raises(ValueError, match="n_ahead"):
        JKOPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH, n_ahead=100).fit(X, Y)
