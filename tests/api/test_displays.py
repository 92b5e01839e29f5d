"""Displays: the pictures against references, what they count against brute force, scikit-learn's display form."""

import subprocess
import sys
from copy import deepcopy
from itertools import combinations

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.testing.compare import compare_images
from scipy.stats import binom, norm
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.api import pictures
from usp_sklearn import HolderTransformer, JKOAggregator, LevyPredictor, datasets, sliding_window
from usp_sklearn.api import displays
from usp_sklearn.api.displays import style
from usp_sklearn.api.displays.fan import FAN

LEVELS = pictures.LEVELS


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted():
    """A model, and rows that continue those it learned."""
    X, y = sliding_window(datasets.load_wti().iloc[-500:], width=16)
    model = LevyPredictor(width=16, n_level=X.shape[1] - 16).fit(X[:400], y[:400])
    return model, X[400:], y[400:]


@pytest.mark.parametrize("name", pictures.CASES)
def test_pictures_look_like_their_references(name, tmp_path):
    pictures.draw(name, tmp_path / f"{name}.png")
    assert compare_images(pictures.REFERENCES / f"{name}.png", tmp_path / f"{name}.png", tol=2.0) is None


def test_the_comparison_sees_a_shifted_band(tmp_path, monkeypatch):
    y, q, alarms = pictures.walk()
    monkeypatch.setattr(pictures, "walk", lambda: (y, q + 0.4, alarms))
    pictures.draw("fan", tmp_path / "fan.png")
    assert "RMS" in compare_images(pictures.REFERENCES / "fan.png", tmp_path / "fan.png", tol=2.0)


# --------------------------------------------------------------------- form


@pytest.mark.parametrize("draw", [
    lambda m, X, y, **k: displays.FanChartDisplay.from_estimator(m, X, y, **k),
    lambda m, X, y, **k: displays.WeightsDisplay.from_estimator(m, X, y, **k),
    lambda m, X, y, **k: displays.TelemetryDisplay.from_estimator(m, X, y, panels=["cusum"], **k),
    lambda m, X, y, **k: displays.PITDisplay.from_estimator(m, X, y, online=True, **k),
    lambda m, X, y, **k: displays.ReliabilityDisplay.from_estimator(m, X, y, online=True, **k),
])  # fmt: skip
def test_displays_have_scikit_learns_form(fitted, draw):
    model, X, y = fitted
    before = model.predict(X[:3])
    display = draw(model, X, y)
    assert display.figure_ is np.ravel(display.ax_)[0].figure
    _, axes = plt.subplots()
    assert np.ravel(draw(model, X, y, ax=axes).ax_)[0] is axes
    assert display.plot() is display and np.ravel(display.ax_)[0] is not axes
    with pytest.raises(ValueError, match=r"'ax' parameter of plot must be 1 axes\. Got 2"):
        draw(model, X, y, ax=plt.subplots(1, 2)[1])
    np.testing.assert_array_equal(model.predict(X[:3]), before)


def test_laws_are_those_of_the_present_state_or_learned_on_the_way(fitted):
    model, X, y = fitted
    frozen = displays.FanChartDisplay.from_estimator(model, X, y)
    np.testing.assert_array_equal(frozen.quantiles, model.predict_quantiles(X, FAN))
    online = displays.FanChartDisplay.from_estimator(model, X, y, online=True)
    twin = deepcopy(model)
    np.testing.assert_array_equal(online.quantiles, twin.update_predict(X, y, quantiles=FAN))
    record = twin.telemetry_frame_.tail(len(X))
    np.testing.assert_array_equal(online.alarms, record["regime_changed"])
    shown = displays.TelemetryDisplay.from_estimator(model, X, y).record
    np.testing.assert_array_equal(shown["cusum_up"], record["cusum_up"])
    with pytest.raises(ValueError, match="'y' parameter of from_estimator must be given"):
        displays.FanChartDisplay.from_estimator(model, X, online=True)


def test_dates_come_from_y_and_go_on_the_axis(fitted):
    model, X, y = fitted
    display = displays.FanChartDisplay.from_estimator(model, X, y.to_numpy())
    assert display.index.equals(X.index)
    dates = y.index + pd.Timedelta(days=1)
    display = displays.FanChartDisplay.from_estimator(model, X, y, index=dates)
    low, high = mpl.dates.num2date(display.ax_.get_xlim())
    assert low.date() <= dates[0].date() and dates[-1].date() <= high.date()
    with pytest.raises(ValueError, match="'index' parameter must have"):
        displays.FanChartDisplay.from_estimator(model, X, y, index=dates[1:])


@pytest.mark.parametrize("index", [
    pd.date_range("2024-03-30", periods=90, freq="h", tz="Europe/Berlin"),
    pd.period_range("2001-01", periods=90, freq="M"),
    pd.Index(np.linspace(0, 1, 90)),
    pd.Index([f"run {i}" for i in range(90)]),
])  # fmt: skip
def test_any_index_is_drawn(index):
    y, q, alarms = pictures.walk()
    display = displays.FanChartDisplay.from_predictions(y.to_numpy(), q, LEVELS, index=index, alarms=alarms)
    display.figure_.draw_without_rendering()
    assert len(display.ax_.get_xticks()) >= 3


def test_pipelines_are_read_like_the_predictor_inside():
    X, y = sliding_window(datasets.load_wti().iloc[-200:].to_numpy(), width=16, averages=None, season=None)
    pipeline = make_pipeline(StandardScaler(), LevyPredictor(width=16)).fit(X, y)
    display = displays.FanChartDisplay.from_estimator(pipeline, X[-5:], y[-5:])
    np.testing.assert_array_equal(display.quantiles[:, 3], pipeline.predict(X[-5:]))
    assert len(displays.WeightsDisplay.from_estimator(pipeline).weights) == len(X)


# --------------------------------------------------------------------- fan


def test_bands_are_mirrored_levels_and_the_rest_is_left_out():
    y, _, _ = pictures.walk()
    levels = [0.9, 0.1, 0.3, 0.5]
    q = y.to_numpy()[:, None] + norm.ppf(levels)
    display = displays.FanChartDisplay.from_predictions(y, q, levels)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["80 %", "median", "outcome"]
    band = display.ax_.collections[0].get_datalim(display.ax_.transData)
    np.testing.assert_allclose([band.y0, band.y1], [q[:, 1].min(), q[:, 0].max()])
    with pytest.raises(ValueError, match="must hold a level and its mirror"):
        displays.FanChartDisplay.from_predictions(y, q[:, :1], [0.9])


def test_outcomes_outside_are_counted_by_the_nearest_band():
    y, q, _ = pictures.walk()
    display = displays.FanChartDisplay.from_predictions(y, q, LEVELS)
    outside = next(line for line in display.ax_.lines if line.get_label() == "outside 80 %")
    assert len(outside.get_xdata()) == int(((y < q[:, 1]) | (y > q[:, 5])).sum()) > 0
    assert "outside 98 %" in str(displays.FanChartDisplay.from_predictions(y, q, LEVELS).plot(mark_outside=0.95).ax_
                                 .get_legend_handles_labels()[1])  # fmt: skip


def test_horizons_one_at_a_time_or_as_one_path():
    rng = np.random.default_rng(0)
    q = np.sort(rng.normal(size=(20, 4, 7)), axis=-1)
    y = rng.normal(size=(20, 4))
    display = displays.FanChartDisplay.from_predictions(y, q, LEVELS, step=3)
    np.testing.assert_array_equal(display.quantiles, q[:, 2])
    np.testing.assert_array_equal(display.y_true, y[:, 2])
    path = displays.FanChartDisplay.from_predictions(y, q, LEVELS, step=None)
    np.testing.assert_array_equal(path.quantiles, q[-1])
    assert path.ax_.get_xlabel() == "steps ahead" and list(path.index) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"'step' parameter must be None or in \[1, 4\]. Got 5"):
        displays.FanChartDisplay.from_predictions(y, q, LEVELS, step=5)
    with pytest.raises(ValueError, match="step=None needs forecasts of several horizons"):
        displays.FanChartDisplay.from_predictions(y[:, 0], q[:, 0], LEVELS, step=None)


def test_a_fan_opens_at_the_last_known_value():
    y, _, _ = pictures.walk()
    q = y.iloc[-1] + np.arange(1, 4)[None, :, None] * norm.ppf(LEVELS)
    index = pd.date_range("2024-05-01", periods=3)
    display = displays.FanChartDisplay.from_predictions(None, q, LEVELS, step=None, index=index, history=y)
    median = next(line for line in display.ax_.lines if line.get_label() == "median")
    assert median.get_ydata()[0] == y.iloc[-1] and len(median.get_ydata()) == 4
    with pytest.raises(ValueError, match="'history' parameter must have dates where the forecasts have dates"):
        displays.FanChartDisplay.from_predictions(None, q, LEVELS, step=None, history=y)
    single = displays.FanChartDisplay.from_predictions(None, q[:, 0], LEVELS, index=index[:1])
    assert [t.get_text() for t in single.ax_.get_xticklabels()] == ["2024-05-01"]


def test_what_cannot_be_quantiles_is_said():
    y, q, _ = pictures.walk()
    frame = pd.DataFrame(q, index=y.index, columns=LEVELS)
    assert displays.FanChartDisplay.from_predictions(y, frame).index.equals(y.index)
    with pytest.raises(ValueError, match="'quantiles' parameter must be given when y_pred is neither"):
        displays.FanChartDisplay.from_predictions(y, q)
    with pytest.raises(ValueError, match=r"y_pred must hold 2 quantiles a row\. Got 7"):
        displays.FanChartDisplay.from_predictions(y, q, [0.1, 0.9])
    with pytest.raises(ValueError, match=r"y_true must have shape \(90,\). Got \(90, 2\)"):
        displays.FanChartDisplay.from_predictions(np.ones((90, 2)), q, LEVELS)
    with pytest.raises(ValueError, match="'outcome' parameter of plot must be"):
        displays.FanChartDisplay.from_predictions(y, q, LEVELS, outcome="bars")


# --------------------------------------------------------------------- weights and telemetry


def test_weights_are_those_of_the_record_and_of_an_aggregator(fitted):
    model, _, _ = fitted
    assert displays.WeightsDisplay.from_estimator(model).labels == ["A"]
    rng = np.random.default_rng(0)
    outcome = rng.normal(size=120)
    levels = np.array([0.1, 0.5, 0.9])
    E = np.broadcast_to(norm.ppf(levels) + np.array([[0.0], [2.0]]), (120, 2, 3))
    experts = JKOAggregator(quantiles=levels).fit(E[:80], outcome[:80])
    display = displays.WeightsDisplay.from_estimator(experts, E[80:], outcome[80:])
    twin = deepcopy(experts)
    twin.update_predict(E[80:], outcome[80:])
    np.testing.assert_array_equal(display.weights, twin.weights_path_)
    assert display.labels == ["expert 1", "expert 2", "stack"]
    with pytest.raises(ValueError, match="'labels' parameter must hold 2 names"):
        displays.WeightsDisplay.from_predictions([[0.5, 0.5]], labels=["A"])


def test_panels_are_chosen_by_name():
    frame = pictures.record()
    display = displays.TelemetryDisplay.from_predictions(frame, panels=["cusum", "flags"])
    assert [axes.get_title(loc="left") for axes in display.ax_] == ["Change detector", "Flags"]
    marks = [len(line.get_xdata()) for line in display.ax_[1].lines]
    assert marks == [int(frame[name].sum()) for name in ("regime_changed", "emergency", "outlier")]
    with pytest.raises(ValueError, match="'panels' parameter of TelemetryDisplay must be a selection of holder"):
        displays.TelemetryDisplay.from_predictions(frame, panels=["speed"])


# --------------------------------------------------------------------- calibration


def test_pit_cells_by_brute_force():
    y, q, _ = pictures.walk(400)
    y = y.to_numpy()
    display = displays.PITDisplay.from_predictions(y, q, LEVELS)
    assert display.edges.tolist() == [0.0, *LEVELS, 1.0]
    cells = [sum(1 for v, row in zip(y, q, strict=True) if sum(row < v) == k) for k in range(8)]
    assert display.counts.tolist() == cells
    coarse = displays.PITDisplay.from_predictions(y, q, LEVELS, bins=4)
    assert coarse.edges.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert coarse.counts.tolist() == [sum(cells[:3]), cells[3], cells[4], sum(cells[5:])]


def test_pit_spreads_ties_evenly():
    """Outcomes on a grid with laws on the same grid: right laws look right, but for the spacing of the levels."""
    levels = np.linspace(0.01, 0.99, 99)
    y = np.random.default_rng(1).binomial(3, 0.4, size=20_000).astype(float)
    q = np.broadcast_to(binom.ppf(levels, 3, 0.4), (len(y), 99))
    display = displays.PITDisplay.from_predictions(y, q, levels, bins=10, random_state=0)
    assert display.counts.sum() == len(y) and len(display.edges) == 11
    # A level more at each end of an atom, 0.01, and four standard deviations of a count, 0.008.
    np.testing.assert_allclose(display.counts / len(y), 0.1, atol=0.018)


def test_pit_of_laws_is_their_transform(fitted):
    model, X, y = fitted
    law = model.predict_distribution(X)
    display = displays.PITDisplay.from_estimator(model, X, y, bins=5, random_state=0)
    values = law.pit(y.to_numpy(), random_state=0)
    assert display.counts.tolist() == [sum(int(v * 5) == k for v in values) for k in range(5)]
    with pytest.raises(ValueError, match=r"'bins' parameter must be at least 2\. Got 1"):
        displays.PITDisplay.from_estimator(model, X, y, bins=1)
    with pytest.raises(ValueError, match="'quantiles' parameter must be None where y_pred is a distribution"):
        displays.PITDisplay.from_predictions(y, law, [0.5])


def test_reliability_counts_by_brute_force():
    y, q, _ = pictures.walk(200)
    y, q = y.round().to_numpy(), q.round()
    display = displays.ReliabilityDisplay.from_predictions(y, q, LEVELS)
    for j in range(7):
        assert display.below[j] == sum(y[i] < q[i, j] for i in range(200)) / 200
        assert display.at_most[j] == sum(y[i] <= q[i, j] for i in range(200)) / 200
    assert display.n == 200 and (display.at_most > display.below).any()


def test_chance_band_holds_what_chance_does():
    rng = np.random.default_rng(2)
    low, high = style.chance_band(300, np.array([0.05, 0.5]))
    for j, share in enumerate((0.05, 0.5)):
        seen = rng.binomial(300, share, size=20_000) / 300
        inside = ((seen >= low[j]) & (seen <= high[j])).mean()
        assert 0.945 <= inside < 0.98


# --------------------------------------------------------------------- spectrum


def test_spectrum_of_a_cascade_is_its_closed_form():
    """τ(q) = −log₂(pᵠ + (1 − p)ᵠ): D(h) is the entropy of the weights at each q."""
    q = np.linspace(-3, 5, 161)
    p = 0.3
    display = displays.SpectrumDisplay.from_predictions(-np.log2(p**q + (1 - p) ** q), q)
    middle = (q[1:] + q[:-1]) / 2
    w = p**middle / (p**middle + (1 - p) ** middle)
    np.testing.assert_allclose(display.singularities_, -w * np.log2(p) - (1 - w) * np.log2(1 - p), atol=1e-3)
    np.testing.assert_allclose(display.dimensions_, -w * np.log2(w) - (1 - w) * np.log2(1 - w), atol=1e-3)


def test_spectrum_of_a_walk_is_one_exponent():
    walk = np.cumsum(np.random.default_rng(0).normal(size=(2, 2500)), axis=1)
    windows = HolderTransformer(width=2048).fit(walk)
    display = displays.SpectrumDisplay.from_estimator(windows, walk, row=0)
    at_zero = np.interp(0.0, [-0.25, 0.25], display.singularities_[5:7])
    assert abs(at_zero - 0.5) < 0.1 and abs(display.dimensions_.max() - 1) < 0.1
    last = displays.SpectrumDisplay.from_estimator(HolderTransformer().fit(walk[:1, 452:]), walk[:1, 452:])
    np.testing.assert_allclose(last.exponents, display.exponents)
    with pytest.raises(ValueError, match=r"windows of at least 64 values\. Got 20"):
        displays.SpectrumDisplay.from_estimator(HolderTransformer().fit(walk[:, :20]), walk[:, :20])
    with pytest.raises(ValueError, match="the orders increasing"):
        displays.SpectrumDisplay.from_predictions([1.0, 2.0, 3.0], [0.0, 1.0, 1.0])


# --------------------------------------------------------------------- look


@pytest.mark.parametrize("width", [3.0, 5.0, 8.0, 12.0])
def test_title_and_legend_never_meet_and_stay_inside(width):
    y, q, alarms = pictures.walk()
    figure, axes = plt.subplots(figsize=(width, 3.2), layout="constrained")
    display = displays.FanChartDisplay.from_predictions(y, q, LEVELS, alarms=alarms, name="One day ahead", ax=axes)
    figure.draw_without_rendering()
    title = axes._left_title.get_window_extent()
    legend = display.ax_.get_legend().get_window_extent()
    assert title.y0 >= legend.y1 - 1 and legend.y0 >= axes.get_window_extent().y1 - 1
    assert title.y1 <= figure.bbox.height + 1 and legend.x1 <= figure.bbox.width + 1


def test_colours_of_branches_stay_apart_for_every_reader():
    """CIELAB distances after Machado, Oliveira & Fernandes (2009), severity 1."""
    views = {
        "all cones": np.eye(3),
        "no M": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "no L": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "no S": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    }
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

    def lab(colour, view):
        c = np.array(mpl.colors.to_rgb(colour))
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        f = np.cbrt(to_xyz @ np.clip(np.asarray(view) @ linear, 0, 1) / [0.95047, 1.0, 1.08883])
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    for view in views.values():
        seen = [lab(colour, view) for _, colour in style.BRANCHES.values()]
        assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) >= 30


def test_matplotlib_is_imported_when_drawing_and_missed_by_name(monkeypatch):
    code = "import sys, usp_sklearn.api.displays; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"WeightsDisplay.plot needs matplotlib: pip install 'usp-sklearn\[plot\]'"):
        displays.WeightsDisplay.from_predictions([[0.5, 0.5]])
