"""The columns beside the window: slow averages, seasonal lags and phase profiles of a series.

Every column is a *level*: it moves with the series under y → a·y + b (a > 0), and it uses y_s with s ≤ t only.
One :class:`Plan` lists them; :func:`context` computes them for a whole series, :class:`ContextState` step by step.

With season m and horizon h, column values at time t are
    average, rate a     E_t = E_{t−1} + max(a, 1/(t+1)) (y_t − E_{t−1})
    lag k               y_{t+h−k}, k moved up by whole seasons until it is known
    profile, rate a     the same recursion over cycles, separately for each phase, at the phase of t+h
    step, rate a        y_t + the profile of y_s − y_{s−h} at the phase of t+h
A value that is not there yet is replaced by y_t.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Vector = NDArray[np.float64]
PROFILE_RATES = (0.3, 0.1)


class Profile(NamedTuple):
    """One phase profile: its season, the rate over cycles, steps ahead, and whether it tracks steps or values."""

    season: int
    rate: float
    ahead: int
    of_steps: bool


class Plan(NamedTuple):
    """What a row holds besides the window: columns in this order, with their names."""

    averages: tuple[float, ...]
    backs: tuple[int, ...]
    """how far before t each seasonal lag lies"""
    profiles: tuple[Profile, ...]
    names: tuple[str, ...]

    @property
    def reach(self) -> int:
        """Values of the past a stream must keep for the lags."""
        return max(self.backs, default=0) + 1


def _known(lag: int, ahead: int, season: int) -> int:
    """Distance before t of the value ``lag`` before t + ahead, one or more seasons earlier if that is the future."""
    back = lag - ahead
    return back if back >= 0 else back + season * (-(back // season))


def make_plan(
    horizon: int, seasons: tuple[int, ...], averages: tuple[float, ...], rates: tuple[float, ...], multi: bool
) -> Plan:
    """Columns for one target ``horizon`` steps ahead or, with ``multi``, for all of 1 … horizon.

    For one target each season gives seven lags (m−1, m, m+1, 2m, 7m−1, 7m, 7m+1) and two profiles per rate. For many
    targets it gives, for each of them, the newest value of the same phase and the slowest profile.
    """
    backs: list[int] = []
    profiles: list[Profile] = []
    names = [f"average_{a:g}" for a in averages]
    profile_names: list[str] = []
    for m in seasons:
        if multi:
            backs += [_known(m, h, m) for h in range(1, horizon + 1)]
            names += [f"season{m}_ahead{h}" for h in range(1, horizon + 1)]
            if rates:
                profiles += [Profile(m, min(rates), h, False) for h in range(1, horizon + 1)]
                profile_names += [f"season{m}_profile_ahead{h}" for h in range(1, horizon + 1)]
        else:
            lags = (m - 1, m, m + 1, 2 * m, 7 * m - 1, 7 * m, 7 * m + 1)
            backs += [_known(k, horizon, m) for k in lags]
            names += [f"season{m}_lag{k}" for k in lags]
            profiles += [Profile(m, a, horizon, steps) for a in rates for steps in (False, True)]
            profile_names += [f"season{m}_{kind}_{a:g}" for a in rates for kind in ("profile", "step")]
    return Plan(averages, tuple(backs), tuple(profiles), (*names, *profile_names))


def _running(x: Vector, rate: float) -> Vector:
    """E_t = E_{t−1} + max(rate, 1/(t+1)) (x_t − E_{t−1}) along axis 0: a plain mean first, then exponential."""
    warm = min(int(1.0 / rate), len(x))
    out = np.empty_like(x)
    out[:warm] = (np.cumsum(x[:warm], axis=0).T / np.arange(1, warm + 1)).T
    if warm < len(x):
        start = (1.0 - rate) * out[warm - 1 : warm]
        out[warm:] = lfilter([rate], [1.0, rate - 1.0], x[warm:], axis=0, zi=start)[0]
    return out


def _profile(x: Vector, y: Vector, profile: Profile) -> Vector:
    """Column of one profile for all t, given values ``x`` of the series less its first value."""
    n, m, h = len(x), profile.season, profile.ahead
    track = x.copy()
    if profile.of_steps:
        track = np.zeros(n)
        track[h:] = x[h:] - x[:-h] if h < n else 0.0
    cycles = np.zeros(-(-n // m) * m)
    cycles[:n] = track
    smooth = _running(cycles.reshape(-1, m), profile.rate).ravel()[:n]
    back = _known(m, h, m)
    out = y.copy()
    if back < n:
        past = smooth[: n - back]
        out[back:] = y[back:] + past if profile.of_steps else past + y[0]
    return out


def context(y: Vector, plan: Plan) -> Vector:
    """Level-context columns (n, len(plan.names)) of a series ``y`` (n,); row t uses y[: t + 1]."""
    x = y - y[0]
    columns = [_running(x, a) + y[0] for a in plan.averages]
    for back in plan.backs:
        column = y.copy()
        column[back:] = y[: len(y) - back] if back < len(y) else column[back:]
        columns.append(column)
    columns += [_profile(x, y, p) for p in plan.profiles]
    return np.stack(columns, axis=1) if columns else np.empty((len(y), 0))


class ContextState:
    """The same columns one value at a time; memory is the longest lag plus one season per profile."""

    def __init__(self, plan: Plan, window: int):
        self.plan = plan
        self.count = 0
        self._origin = 0.0
        self._rates = np.array(plan.averages)
        self._warm = (1.0 / self._rates).astype(int) if plan.averages else np.zeros(0, int)
        self._sums = np.zeros(len(plan.averages))
        self._averages = np.zeros(len(plan.averages))
        ahead = max((p.ahead for p in plan.profiles), default=0)
        self._size = max(window, plan.reach, ahead + 1)
        self._window = window
        # Twice the length, each value written twice, so that any stretch of the past is one slice.
        self._ring = np.zeros(2 * self._size)
        self._backs = np.array(plan.backs, dtype=int)
        # Sum and value of each phase's average.
        self._groups: dict[tuple[int, float, int], Vector] = {}
        for p in plan.profiles:
            self._groups.setdefault(_track(p), np.zeros((2, p.season)))

    def push(self, value: float) -> tuple[Vector, Vector]:
        """Learn y_t; returns the window (oldest first) and the level-context columns at t."""
        t, size = self.count, self._size
        if t == 0:
            self._origin = value
        x = value - self._origin
        if t == 0:
            # A window or lag that reaches before the start is extended by the first value.
            self._ring[:] = value
        self._ring[t % size] = self._ring[t % size + size] = value
        self._sums += x
        self._averages = np.where(
            t < self._warm, self._sums / (t + 1), self._rates * x - (self._rates - 1.0) * self._averages
        )
        end = t % size + size + 1
        past = self._ring[end - size : end]
        for (season, rate, lead), cells in self._groups.items():
            new = x if lead == 0 else (x - (past[-1 - lead] - self._origin) if t >= lead else 0.0)
            phase, cycle = t % season, t // season
            cells[0, phase] += new
            young = cycle < int(1.0 / rate)
            cells[1, phase] = cells[0, phase] / (cycle + 1) if young else rate * new - (rate - 1.0) * cells[1, phase]
        self.count = t + 1
        lags = np.where(self._backs <= t, past[size - 1 - self._backs], value)
        profiles = np.array([self._profile_value(p, t, value) for p in self.plan.profiles])
        window = past[size - self._window :].copy()
        return window, np.concatenate([self._averages + self._origin, lags, profiles])

    def _profile_value(self, p: Profile, t: int, value: float) -> float:
        if _known(p.season, p.ahead, p.season) > t:
            return value
        cell = float(self._groups[_track(p)][1, (t + p.ahead) % p.season])
        return value + cell if p.of_steps else cell + self._origin


def _track(p: Profile) -> tuple[int, float, int]:
    """What a profile needs to remember; value profiles of all horizons share one memory."""
    return p.season, p.rate, p.ahead if p.of_steps else 0
