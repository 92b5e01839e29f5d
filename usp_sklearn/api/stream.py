"""Stream: one value in, one law out. Holds the window, so nobody builds rows by hand."""

import os
from collections import deque
from copy import copy
from typing import Any, NamedTuple, Self

import jax
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from .. import runtime
from ..core import engine
from ..io.magnitude import within
from ..io.sanitise import Gate, Intake, Policy
from .affine import scaled
from .base import BasePredictor
from .distribution import PredictiveDistribution
from .records import named, on_host
from .windows import SlidingWindow, WindowBuffer


class Standing(NamedTuple):
    """Where a stream stands, in one piece: readers in other threads see one step, never two."""

    engine: engine.Engine
    row: Any
    """what the last step yielded, packed"""
    basis: Any
    """the same of the last step on a real row"""
    since: int
    """steps since that one"""
    intake: Intake | None
    """what became of the value pushed last"""
    late: int
    """observations passed over so far"""


class Stream:
    """A fitted predictor beside its own ring buffer.

    Parameters
    ----------
    model : fitted predictor, or Pipeline of scalers and NarrowWindow that ends in one
        Its state is copied into the stream; the model itself is not changed by pushes.
    history : (n,) array or Series, or (n, 1 + E) array or DataFrame with exogenous columns
        The series the model was fitted on, up to its newest value, whole: slow averages and seasonal profiles
        reach back to its start. An index of dates tells the sampling interval.
    windows : SlidingWindow, optional
        The options X was made with, best the fitted transformer itself: one that is not fitted is fitted on the
        history, where ``season="auto"`` may find more than in a part of it. Default: the bare window.
    missing : {"error", "hold"}
        What NaN, None and gaps in time do. "hold": the stream goes on with its own median in the place of the value,
        learns nothing from it, and keeps the width of its last law, which grows with the square root of the time since.
    outliers : {"keep", "clip", "reject"}
        Values more than 20 robust standard deviations of a step away from the last one are learned as they are, moved
        to that distance, or treated as missing. The second one in a row near the same place is a jump and let in.
    order : {"error", "skip"}
        What a timestamp that is not after the last one does.
    max_age : float, optional
        Sampling intervals without a value after which the flag "stale" is set; it is cleared below 0.8 of that.
    interval : float or timedelta, optional
        Sampling interval. Default: the median of those seen.

    Examples
    --------
    >>> from usp_sklearn import LevyPredictor, SlidingWindow, Stream, datasets, sliding_window
    >>> series = datasets.make_ou(310, random_state=0)
    >>> X, y = sliding_window(series[:300], width=16)
    >>> model = LevyPredictor(width=16, n_level=X.shape[1] - 16).fit(X, y)
    >>> stream = Stream(model, series[:300], SlidingWindow(width=16), missing="hold")
    >>> law = stream.push(series[300])
    >>> law.ppf([0.1, 0.9]).shape
    (2,)
    >>> wider = stream.push(None)
    >>> bool(np.ptp(wider.ppf([0.1, 0.9])) > np.ptp(law.ppf([0.1, 0.9]))), stream.telemetry_["missing"]
    (True, True)
    """

    def __init__(
        self,
        model: BaseEstimator,
        history: ArrayLike,
        windows: SlidingWindow | None = None,
        *,
        missing: str = "error",
        outliers: str = "keep",
        order: str = "error",
        max_age: float | None = None,
        interval: Any = None,
    ) -> None:
        model, cut, self.slope, self.shift = scaled(model)
        if not isinstance(model, BasePredictor):
            raise TypeError(
                "The 'model' parameter of Stream must be a predictor that learns at constant cost, JKOPredictor or a "
                "single branch, alone or at the end of a Pipeline; others, JKOEnsemble too, go on with partial_fit or "
                f"update_predict. Got {type(model).__name__} instead."
            )
        check_is_fitted(model)
        if windows is None:
            windows = SlidingWindow(width=model.width_ + cut, averages=None, season=None)
        index = getattr(history, "index", None)
        series = check_array(history, dtype=np.float64, ensure_2d=False, input_name="history")
        series = within(series, "history").reshape(len(series), -1)
        if not hasattr(windows, "n_exog_"):
            # The season is then the one of the whole history.
            windows = clone(windows).fit(series)
        self.buffer = windows.buffer(n_exog=series.shape[1] - 1)
        columns, expected = self.buffer.n_features, model.n_features_in_ + cut
        if columns != expected:
            raise ValueError(
                "The 'windows' parameter of Stream must give the rows the model was fitted on, with "
                f"{expected} columns. Got {columns} columns instead."
            )
        if cut:
            # What a shorter window gives is what the pipeline leaves of the rows, for no other column depends on it.
            self.buffer = copy(windows).set_params(width=model.width_).buffer(n_exog=series.shape[1] - 1)
        longest = model.state_.shape.layout.horizon
        if len(series) < model.width_ + longest:
            raise ValueError(
                f"history must hold at least width + horizon = {model.width_ + longest} values. "
                f"Got {len(series)} instead."
            )
        self.gate = Gate(Policy(missing, outliers, order, max_age, interval))
        self.gate.learn(series[:, 0].tolist(), list(index) if isinstance(index, pd.DatetimeIndex) else None)
        self.settings = model._params()
        self._column = model._column
        self._now = Standing(model.state_, None, None, 0, None, 0)
        self._real: deque[bool] = deque(maxlen=longest)
        # The law of the step that comes next was issued now, or by a single distant horizon some steps ago.
        self._medians: deque[float] = deque(maxlen=1 if model.state_.shape.layout.multi else longest)
        self._exog = series[-1, 1:]
        # Rows of fit end one horizon before the newest value: issue the laws that are still to be made.
        rows = [self.buffer.push(v[0], v[1:] if len(v) > 1 else None) for v in series]
        for row, value in zip(rows[-longest:], series[-longest:, 0], strict=True):
            self._advance(row, value, 0, None)

    @property
    def engine_(self) -> engine.Engine:
        """The model as it stands."""
        return self._now.engine

    def push(self, y: float | None, exog: ArrayLike | None = None, at: Any = None) -> PredictiveDistribution:
        """Learn the newest value and return the law of the value ``horizon`` steps ahead (of all horizons: (H,)).

        Parameters
        ----------
        y : the value; with ``missing="hold"`` None or NaN where there is none.
        exog : (E,) exogenous values.
        at : its time, a date or a number. Steps left out since the last time count as missing.
        """
        # First what can be refused without a trace.
        absent = y is None or np.isnan(y)
        extra = self._exog if exog is None and absent else self.buffer.exogenous(exog)
        if self.gate.policy.missing == "hold":
            extra = np.where(np.isnan(extra), self._exog, extra)
        if not np.isfinite(extra).all():
            raise ValueError(f"The 'exog' parameter of push must be finite. Got {exog!r} instead.")
        intake = self.gate.admit(y, at)
        if intake.skipped:
            self._now = self._now._replace(intake=intake, late=self.gate.skipped)
            return self.law
        held, width = int(intake.age) - intake.gap - 1, self.buffer.layout["width"]
        # A window of nothing but imputed values says no more with each further one.
        quiet = intake.gap - max(width, self._real.maxlen or 1)
        for step in range(1, intake.gap + 1):
            self._hold(self._exog, held + step, intake, silent=step <= quiet)
        if np.isnan(intake.value):
            self._hold(extra, held + intake.gap + 1, intake)
        else:
            self._advance(self.buffer.push(intake.value, extra), intake.value, 0, intake)
        self._exog = extra
        return self.law

    def _hold(self, exog: Any, since: int, intake: Intake, silent: bool = False) -> None:
        """A step without a value, the ``since``-th in a row."""
        value = self._medians[0]
        row = self.buffer.push(value, exog)
        if not silent:
            self._advance(row, value, since, intake)

    def _advance(self, row: Any, value: float, since: int, intake: Intake | None) -> None:
        """Learn and issue; ``since`` steps ago the last real value came."""
        row = row if self.slope is None else row * self.slope + self.shift
        # Only laws of real rows are scored, by real values.
        multi = self.engine_.shape.layout.multi
        learns = not since and (all(self._real) if multi else not self._real or self._real[0])
        with runtime.precision():
            state, out = engine.advance(self.engine_, self.settings, row, value, learns)
        self._real.append(not since)
        self._medians.append(float(out[engine.laws.MEDIAN]))
        self._now = Standing(state, out, self._now.basis if since else out, since, intake, self.gate.skipped)

    @property
    def saved(self) -> dict[str, Any]:
        """All but the window buffer, as arrays, tuples of them and plain values, for :meth:`restored`."""
        now, held = self._now, {k: v for k, v in vars(self).items() if k not in ("buffer", "_now")}
        plainly = {"_real": list(self._real), "_medians": list(self._medians), "gate": self.gate.saved}
        return held | plainly | now._asdict() | {"engine": now.engine.saved}

    @classmethod
    def restored(cls, saved: dict[str, Any], buffer: WindowBuffer) -> Self:
        """The stream that was :attr:`saved`, over its window buffer and an engine."""
        stream = object.__new__(cls)
        layout, now = saved["engine"].shape.layout, Standing(**{k: saved[k] for k in Standing._fields})
        rest = {k: v for k, v in saved.items() if k not in Standing._fields}
        vars(stream).update(rest, buffer=buffer, gate=Gate.restored(saved["gate"]), _now=now)
        stream._real = deque(map(bool, saved["_real"]), maxlen=layout.horizon)
        stream._medians = deque(map(float, saved["_medians"]), maxlen=1 if layout.multi else layout.horizon)
        return stream

    def checkpoint(self, folder: str | os.PathLike[str], keep: int = 5) -> None:
        """Add a snapshot of the stream to ``folder``, keep the newest ``keep``; see :func:`usp_sklearn.save`."""
        from .persistence import checkpoint

        checkpoint(self, folder, keep)

    @classmethod
    def restore(cls, folder: str | os.PathLike[str]) -> "Stream":
        """The stream of the newest valid snapshot in ``folder``."""
        from .persistence import restore

        found = restore(folder)
        if not isinstance(found, Stream):
            raise TypeError(f"The newest snapshot in {os.fspath(folder)} is a {type(found).__name__}, no Stream.")
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_now": self._now._replace(engine=on_host(self.engine_))}

    @property
    def law(self) -> PredictiveDistribution:
        """The law issued last."""
        now = self._now
        law = engine.issued_law(now.engine, now.row)
        if now.since:
            # Imputed values are smoother than real ones: widths are those of the last law of a real row, and grow.
            law = engine.widened(engine.issued_law(now.engine, now.basis), np.sqrt(1.0 + now.since), law)
        law = jax.tree.map(lambda x: x[None], law) if self._column else law
        return PredictiveDistribution(law, engine.correlation(now.engine))

    @property
    def telemetry_(self) -> dict[str, Any]:
        """Risk record of the last push, and what became of its value: missing, rejected, clipped, stale, age, gap."""
        now = self._now
        record, taken = named(engine.issued_record(now.engine, now.row)), now.intake
        if taken is None:
            return record | dict.fromkeys(FLAGS, False) | {"age": 0.0, "gap": 0, "late": now.late}
        record["outlier"] = record["outlier"] or taken.rejected or taken.clipped
        for name in FLAGS:
            record[name] = getattr(taken, name)
        record["age"], record["gap"], record["late"] = taken.age, taken.gap, now.late
        return record


FLAGS = ("missing", "rejected", "clipped", "stale", "skipped")
"""Of the input, beside those of the model."""
