"""NarrowWindow before a predictor, as tune leaves it: its stream is the one of the shorter window, equal to batch."""

import jax
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler

from usp_sklearn import LevyPredictor, NarrowWindow, SlidingWindow, Stream, datasets, load, save, sliding_window, tune
from usp_sklearn.export.graph import graph
from usp_sklearn.runtime import precision

KNOWN, WIDE, WIDTH = 300, 16, 6
LEVELS = [0.1, 0.5, 0.9]
SERIES = datasets.make_ou(360, random_state=2) + np.sin(np.arange(360) * 2 * np.pi / 12)
EXOG = np.random.default_rng(1).normal(size=(360, 1))
OPTIONS = {"width": WIDE, "season": 12, "averages": (0.1,)}


def fitted(steps, exog=None, horizon=1, multi=False, **options):
    """A pipeline fitted on the rows that are known, and rows and outcomes of what follows."""
    X, y = sliding_window(SERIES, exog=exog, horizon=horizon, multi=multi, **options)
    known = KNOWN - horizon - options["width"] + 1
    layout = {"n_level": X.shape[1] - options["width"] - (0 if exog is None else 1), "n_exog": 0 if exog is None else 1}
    ahead = SlidingWindow(horizon=horizon, multi=multi, **options).fit(SERIES[:, None]).layout.get("n_ahead", 0)
    model = LevyPredictor(**layout, n_ahead=ahead, horizon=1 if multi else horizon, random_state=0)
    pipeline = make_pipeline(*steps, NarrowWindow(width=WIDTH, window=options["width"]), model).fit(
        X[:known], y[:known]
    )
    return pipeline, X[known:], y[known:]


@pytest.mark.parametrize(
    "case",
    [
        {"steps": [], **OPTIONS},
        {"steps": [StandardScaler()], "exog": EXOG, **OPTIONS},
        {"steps": [RobustScaler()], "horizon": 3, **OPTIONS},
        {"steps": [], "horizon": 3, "multi": True, **OPTIONS},
    ],
)
def test_a_stream_gives_what_the_pipeline_gives(case, tmp_path):
    pipeline, X, y = fitted(**case)
    exog, horizon, multi = case.get("exog"), case.get("horizon", 1), case.get("multi", False)
    options = {k: case[k] for k in OPTIONS}
    table = SERIES[:, None] if exog is None else np.c_[SERIES, exog]
    windows, history = SlidingWindow(horizon=horizon, multi=multi, **options).fit(table), table[:KNOWN]
    stream = Stream(pipeline, history, windows)
    assert windows.width == WIDE
    laws = [stream.law.ppf(LEVELS)]
    for t in range(KNOWN, 330):
        if t == 310:
            save(stream, tmp_path / "s.usp")
            stream = load(tmp_path / "s.usp")
        laws.append(stream.push(SERIES[t], None if exog is None else exog[t]).ppf(LEVELS))
    # The first law of the stream ends at the last value known: row `horizon - 1` of those that follow.
    expected = pipeline[-1].update_predict(pipeline[:-1].transform(X), y, quantiles=LEVELS)
    np.testing.assert_allclose(laws, expected[horizon - 1 :][: len(laws)], rtol=1e-9, atol=1e-12)


def test_what_tune_finds_can_be_streamed_and_exported():
    X, y = sliding_window(SERIES[:KNOWN], **OPTIONS)
    model = LevyPredictor(width=WIDE, n_level=X.shape[1] - WIDE, random_state=0)
    best = tune(model, X, y, space={"width": [8]}, n_trials=1, cv=2).best_estimator_
    assert [type(step).__name__ for _, step in best.steps] == ["NarrowWindow", "LevyPredictor"]
    stream = Stream(best, SERIES[:KNOWN], SlidingWindow(**OPTIONS))
    newest = SlidingWindow(**OPTIONS).fit_transform(SERIES[:KNOWN, None])[-1:]
    expected = best[-1].predict_quantiles(best[:-1].transform(newest), LEVELS)[0]
    np.testing.assert_allclose(stream.law.ppf(LEVELS), expected, rtol=1e-9)
    exported = graph(best, history=SERIES[:KNOWN], windows=SlidingWindow(**OPTIONS), quantiles=LEVELS)
    state, step = exported.state, jax.jit(exported.step.call)
    for value in SERIES[KNOWN : KNOWN + 3]:
        with precision():
            state, quantiles, *_ = step(state, np.array([value]))
        np.testing.assert_allclose(quantiles, stream.push(value).ppf(LEVELS), rtol=1e-9)
    with pytest.raises(ValueError, match=r"must not cut windows, unless history .* 8 values shorter"):
        graph(best)


def test_a_bare_window_needs_no_options():
    pipeline, X, y = fitted([], width=WIDE, season=None, averages=None)
    stream = Stream(pipeline, SERIES[:KNOWN])
    expected = pipeline[-1].update_predict(pipeline[:-1].transform(X), y, quantiles=LEVELS)
    laws = [stream.law.ppf(LEVELS), *(stream.push(v).ppf(LEVELS) for v in SERIES[KNOWN : KNOWN + 5])]
    np.testing.assert_allclose(laws, expected[:6], rtol=1e-9)


@pytest.mark.parametrize(
    ("step", "windows", "message"),
    [
        (None, SlidingWindow(width=WIDTH, season=None, averages=None), "with 16 columns. Got 6 columns"),
        (FunctionTransformer(lambda X: X[:, ::-1]), None, "must scale each column by itself"),
        (FunctionTransformer(lambda X: X[:, 2:]), None, "must scale each column by itself"),
        (FunctionTransformer(np.tanh), None, "must scale each column by itself"),
    ],
)
def test_other_rows_and_other_steps_are_refused(step, windows, message):
    X, y = sliding_window(SERIES[:KNOWN], width=WIDE, season=None)
    level = X.shape[1] - WIDE
    if step is None:
        X, level = X[:, level:], 0
    width = 14 if step is not None and step.func(X).shape[1] < X.shape[1] else WIDE
    last = NarrowWindow(width=WIDTH, window=width)
    steps = [last] if step is None else [step, last]
    model = LevyPredictor(n_level=0 if step is None else level - (WIDE - width), random_state=0)
    with pytest.raises(ValueError, match=message):
        Stream(make_pipeline(*steps, model).fit(X, y), SERIES[:KNOWN], windows)
