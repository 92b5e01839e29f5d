"""The columns beside the window: slow averages, seasonal lags and phase profiles of a series.

Every column is a *level*: it moves with the series under y → a·y + b (a > 0), and it uses y_s with s ≤ t only.
One :class:`Plan` lists them; :func:`context` computes them for a whole series, :class:`ContextState` step by step.

With season m and horizon h, column values at time t are
    average, rate a     E_t = E_{t−1} + max(a, 1/(t+1)) (y_t − E_{t−1})
    lag k               y_{t+h−k}, k moved up by whole seasons until it is known
    profile, rate a     the same recursion over cycles, separately for each phase, at the phase of t+h
    step, rate a        y_t + the profile of y_s − y_{s−h} at the phase of t+h
A value that is not there yet is replaced by y_t.

For several targets at once there is one block of seasonal columns per horizon, each what a single target at that
horizon would have: ``[averages | block of h=1 | block of h=2 | … ]``.
"""

from numbers import Real
from typing import Any, NamedTuple

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
    """What a row holds besides the window: averages, then per block its lags and its profiles, with their names."""

    averages: tuple[float, ...]
    backs: tuple[int, ...]
    """how far before t each seasonal lag lies, block after block"""
    profiles: tuple[Profile, ...]
    """phase profiles, block after block"""
    names: tuple[str, ...]
    blocks: int
    """one per horizon 1 … blocks, or 0: one block, for a single target"""

    @property
    def reach(self) -> int:
        """Values of the past a stream must keep for the lags."""
        return max(self.backs, default=0) + 1

    @property
    def ahead(self) -> int:
        """Columns of one horizon's block; 0 for a single target and without season."""
        return (len(self.names) - len(self.averages)) // self.blocks if self.blocks else 0

    def places(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where in a row the lags and the profiles stand."""
        blocks = max(self.blocks, 1)
        lags = len(self.backs) // blocks
        grid = np.arange(len(self.averages), len(self.names)).reshape(blocks, -1)
        return grid[:, :lags].ravel(), grid[:, lags:].ravel()


def known(lag: int, ahead: int, season: int) -> int:
    """Distance before t of the value ``lag`` before t + ahead, one or more seasons earlier if that is the future."""
    back = lag - ahead
    return back if back >= 0 else back + season * (-(back // season))


def make_plan(
    horizon: int, seasons: tuple[int, ...], averages: tuple[float, ...], rates: tuple[float, ...], multi: bool
) -> Plan:
    """Columns for one target ``horizon`` steps ahead or, with ``multi``, for all of 1 … horizon.

    For each target and season there are seven lags (m−1, m, m+1, 2m, 7m−1, 7m, 7m+1) and two profiles per rate.
    """
    backs: list[int] = []
    profiles: list[Profile] = []
    names = [f"average_{a:g}" for a in averages]
    for h in range(1, horizon + 1) if multi else (horizon,):
        end = f"_ahead{h}" if multi else ""
        profile_names: list[str] = []
        for m in seasons:
            lags = (m - 1, m, m + 1, 2 * m, 7 * m - 1, 7 * m, 7 * m + 1)
            backs += [known(k, h, m) for k in lags]
            names += [f"season{m}_lag{k}{end}" for k in lags]
            profiles += [Profile(m, a, h, steps) for a in rates for steps in (False, True)]
            profile_names += [f"season{m}_{kind}_{a:g}{end}" for a in rates for kind in ("profile", "step")]
        names += profile_names
    return Plan(averages, tuple(backs), tuple(profiles), tuple(names), horizon if multi else 0)


def _rates(values: Any, name: str, owner: str) -> tuple[float, ...]:
    rates = tuple(values if values is not None else ())
    for rate in rates:
        if not isinstance(rate, Real) or not 0.0 < float(rate) <= 1.0:
            raise ValueError(f"The {name!r} parameter of {owner} must hold rates in the range (0, 1]. Got {rate!r}.")
    return tuple(float(r) for r in rates)


def checked_plan(
    owner: str, horizon: int, season: Any, second_season: Any, averages: Any, profile: Any, multi: bool
) -> Plan:
    """The plan of ``owner``'s options, or an error that names what is wrong with them."""
    seasons = tuple(dict.fromkeys(int(m) for m in (season, second_season) if m is not None and m > 1))
    if isinstance(profile, (bool, np.bool_)):
        profile = PROFILE_RATES if profile else ()
    return make_plan(
        int(horizon), seasons, _rates(averages, "averages", owner), _rates(profile, "profile", owner), bool(multi)
    )


def _running(x: Vector, rate: float) -> Vector:
    """E_t = E_{t−1} + max(rate, 1/(t+1)) (x_t − E_{t−1}) along axis 0: a plain mean first, then exponential."""
    warm = min(int(1.0 / rate), len(x))
    out = np.empty_like(x)
    out[:warm] = (np.cumsum(x[:warm], axis=0).T / np.arange(1, warm + 1)).T
    if warm < len(x):
        start = (1.0 - rate) * out[warm - 1 : warm]
        out[warm:] = lfilter([rate], [1.0, rate - 1.0], x[warm:], axis=0, zi=start)[0]
    return out


def _memory(x: Vector, season: int, rate: float, lead: int) -> Vector:
    """Running average over cycles at the phase of each t: of the values, or of the steps x_t − x_{t−lead}."""
    n, track = len(x), x
    if lead:
        track = np.zeros(n)
        track[lead:] = x[lead:] - x[:-lead] if lead < n else 0.0
    cycles = np.zeros(-(-n // season) * season)
    cycles[:n] = track
    return _running(cycles.reshape(-1, season), rate).ravel()[:n]


def context(y: Vector, plan: Plan) -> Vector:
    """Level-context columns (n, len(plan.names)) of a series ``y`` (n,); row t uses y[: t + 1]."""
    n, x = len(y), y - y[0]
    # Transposed, so that each column is written in one stretch.
    columns = np.repeat(y[None], len(plan.names), axis=0)
    for i, a in enumerate(plan.averages):
        columns[i] = _running(x, a) + y[0]
    lags, places = plan.places()
    for i, back in zip(lags, plan.backs, strict=True):
        columns[i, back:] = y[: max(n - back, 0)]
    memories: dict[tuple[int, float, int], Vector] = {}
    for i, p in zip(places, plan.profiles, strict=True):
        if track(p) not in memories:
            memories[track(p)] = _memory(x, *track(p))
        back = known(p.season, p.ahead, p.season)
        past = memories[track(p)][: max(n - back, 0)]
        columns[i, back:] = y[back:] + past if p.of_steps else past + y[0]
    return columns.T


class ContextState:
    """The same columns one value at a time; memory is the longest lag plus one season per tracked profile."""

    def __init__(self, plan: Plan, window: int):
        self.plan = plan
        self.count = 0
        self.origin = 0.0
        self._rates = np.array(plan.averages)
        self._warm = (1.0 / self._rates).astype(int)
        self.sums = np.zeros(len(plan.averages))
        self.averages = np.zeros(len(plan.averages))
        ahead = max((p.ahead for p in plan.profiles), default=0)
        self.size = max(window, plan.reach, ahead + 1)
        self._window = window
        # Twice the length, each value written twice, so that any stretch of the past is one slice.
        self.ring = np.zeros(2 * self.size)
        self._backs = np.array(plan.backs, dtype=int)
        self._at_lags, self._at_profiles = plan.places()
        self.memory = _Memory(plan.profiles)

    @property
    def newest(self) -> float:
        """The value learned last."""
        return float(self.ring[(self.count - 1) % self.size])

    def push(self, value: float) -> tuple[Vector, Vector]:
        """Learn y_t; returns the window (oldest first) and the level-context columns at t."""
        t, size = self.count, self.size
        if t == 0:
            self.origin = value
        x = value - self.origin
        if t == 0:
            # A window or lag that reaches before the start is extended by the first value.
            self.ring[:] = value
        self.ring[t % size] = self.ring[t % size + size] = value
        self.sums += x
        self.averages = np.where(
            t < self._warm, self.sums / (t + 1), self._rates * x - (self._rates - 1.0) * self.averages
        )
        end = t % size + size + 1
        past = self.ring[end - size : end]
        self.memory.learn(t, x, past - self.origin)
        self.count = t + 1
        level = np.empty(len(self.plan.names))
        level[: len(self.averages)] = self.averages + self.origin
        level[self._at_lags] = np.where(self._backs <= t, past[size - 1 - self._backs], value)
        level[self._at_profiles] = self.memory.columns(t, value, self.origin)
        return past[size - self._window :].copy(), level


class _Memory:
    """Averages over cycles of each phase, for all profiles of a plan in one flat array."""

    def __init__(self, profiles: tuple[Profile, ...]):
        tracks = list(dict.fromkeys(track(p) for p in profiles))
        self._season = np.array([season for season, _, _ in tracks], dtype=int)
        self._rate = np.array([rate for _, rate, _ in tracks])
        self._lead = np.array([lead for _, _, lead in tracks], dtype=int)
        self._warm = (1.0 / self._rate).astype(int)
        self._start = np.cumsum(self._season) - self._season
        self.sums = np.zeros(self._season.sum())
        self.means = np.zeros(self._season.sum())
        # Per column: whose memory it reads, at which phase, and from when on.
        self._whose = np.array([tracks.index(track(p)) for p in profiles], dtype=int)
        self._ahead = np.array([p.ahead for p in profiles], dtype=int)
        self._of_steps = np.array([p.of_steps for p in profiles], dtype=bool)
        self._since = np.array([known(p.season, p.ahead, p.season) for p in profiles], dtype=int)

    def learn(self, t: int, x: float, past: Vector) -> None:
        """Add x_t; ``past`` ends with it."""
        before = np.where(self._lead > 0, past[-1 - self._lead], 0.0)
        new = np.where(t >= self._lead, x - before, 0.0)
        cell, cycle = self._start + t % self._season, t // self._season
        self.sums[cell] += new
        plain = self.sums[cell] / (cycle + 1)
        self.means[cell] = np.where(cycle < self._warm, plain, self._rate * new - (self._rate - 1.0) * self.means[cell])

    def columns(self, t: int, value: float, origin: float) -> Vector:
        """Values of the profiles at t."""
        cell = self._start[self._whose] + (t + self._ahead) % self._season[self._whose]
        return np.where(self._since <= t, self.means[cell] + np.where(self._of_steps, value, origin), value)


def track(p: Profile) -> tuple[int, float, int]:
    """What a profile needs to remember; value profiles of all horizons share one memory."""
    return p.season, p.rate, p.ahead if p.of_steps else 0
