"""What is let in: missing, outlying, late, repeated and irregular observations of one series.

A :class:`Gate` stands before a stream. It says of every observation how many steps went missing before it, whether it
is to be learned, clipped or passed over, and why. It looks only at what it was given so far; thresholds are relative
to the series' own roughness and to its own sampling interval.
"""

import math
from collections import deque
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .magnitude import LARGEST

SIGMAS = 20.0
"""Robust standard deviations of the steps, beyond which a value is an outlier."""
RECENT = 256
"""Steps whose median size is the scale."""
CLEARED = 0.8
"""Share of ``max_age`` below which a stale series is fresh again."""


class Intake(NamedTuple):
    """What became of one observation."""

    value: float
    """what is learned; NaN for a step without a value"""
    gap: int
    """steps that went missing before it"""
    missing: bool
    """no value came"""
    rejected: bool
    """an outlier, treated as missing"""
    clipped: bool
    """an outlier, moved to the edge of what is plausible"""
    stale: bool
    """the newest value is, or until now was, older than ``max_age`` intervals"""
    age: float
    """sampling intervals since the last value before this one"""
    skipped: bool
    """late or repeated, passed over: nothing was learned and no law issued"""


class Policy(NamedTuple):
    """How the gate treats what is not clean.

    ``missing`` "error" or "hold": go on with the model's own median, learn nothing, widen. ``outliers`` "keep", "clip"
    or "reject", of values more than 20 robust sigmas from the last; the second one in a row near the same place is a
    jump and let in. ``order`` "error" or "skip", for timestamps that don't increase. ``max_age`` in sampling
    intervals, None for no limit. ``interval`` between observations, as numbers or as a timedelta where timestamps are
    dates; None: the median of what is seen.
    """

    missing: str = "error"
    outliers: str = "keep"
    order: str = "error"
    max_age: float | None = None
    interval: Any = None


_CHOICES = {"missing": ("error", "hold"), "outliers": ("keep", "clip", "reject"), "order": ("error", "skip")}


def checked(policy: Policy, owner: str) -> Policy:
    """The policy with its interval in seconds, or an error that names what is wrong with it."""
    for name, choices in _CHOICES.items():
        if getattr(policy, name) not in choices:
            raise ValueError(
                f"The {name!r} parameter of {owner} must be one of {choices}. Got {getattr(policy, name)!r} instead."
            )
    age, interval = policy.max_age, policy.interval
    if age is not None and not (isinstance(age, Real) and float(age) > 0):
        raise ValueError(f"The 'max_age' parameter of {owner} must be a positive number or None. Got {age!r} instead.")
    if interval is not None:
        interval = float(interval) if isinstance(interval, Real) else pd.Timedelta(interval).total_seconds()
        if not 0 < interval < math.inf:
            raise ValueError(f"The 'interval' parameter of {owner} must be positive. Got {policy.interval!r} instead.")
    return policy._replace(interval=interval)


def seconds(at: Any) -> float:
    """A timestamp as a number: numbers as they are, dates in seconds since 1970 (UTC where they have no zone).

    >>> seconds("1970-01-02"), seconds(7)
    (86400.0, 7.0)
    """
    if isinstance(at, (Real, np.number)) and not isinstance(at, bool):
        value = float(at)
    else:
        stamp = pd.Timestamp(at)
        stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
        value = (stamp - pd.Timestamp(0, tz="UTC")).total_seconds() if not pd.isna(stamp) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"The 'at' parameter must be a date or a finite number. Got {at!r} instead.")
    return value


class Gate:
    """The state behind a :class:`Policy`: last value, recent step sizes, last time and interval.

    Examples
    --------
    >>> gate = Gate(Policy(missing="hold"))
    >>> [gate.admit(v).missing for v in (1.0, float("nan"), 1.5)]
    [False, True, False]
    >>> gate = Gate(Policy(missing="hold", interval=60))
    >>> gate.admit(1.0, at=0).gap, gate.admit(1.2, at=240).gap
    (0, 3)
    """

    def __init__(self, policy: Policy, owner: str = "Stream") -> None:
        self.policy, self.owner = checked(policy, owner), owner
        self.last = math.nan
        self.suspect = math.nan
        """the value rejected or clipped last, as it came"""
        self.sizes: deque[float] = deque(maxlen=RECENT)
        self.at: float | None = None
        """time of the newest step, with or without a value"""
        self.intervals: deque[float] = deque(maxlen=101)
        self.age = 0.0
        self.stale = False
        self.skipped = 0

    def admit(self, y: float | None, at: Any = None) -> Intake:
        """Judge one observation; None and NaN say that there is none.

        Raises
        ------
        ValueError
            For infinite values and those beyond 1e150; for a missing value or a gap unless ``missing="hold"``; for a
            timestamp that is not after the last one unless ``order="skip"``. The gate stands as before.
        """
        value = math.nan if y is None else float(y)
        if abs(value) > LARGEST:
            what = "finite" if math.isinf(value) else f"at most {LARGEST:g} in absolute value"
            raise ValueError(f"The 'y' parameter of push must be {what}. Got {y!r} instead.")
        time = None if at is None else seconds(at)
        gap = 0
        if time is not None and self.at is not None:
            steps = self._steps(time - self.at)
            if steps < 1:
                return self._late(at, value)
            gap = steps - 1
        if (math.isnan(value) or gap) and self.policy.missing == "error":
            what = f"a value. Got {y!r}" if math.isnan(value) else f"the next in time. Got {gap} steps later"
            raise ValueError(f"The 'y' parameter of push must be {what} instead; missing='hold' would carry on.")
        if time is not None:
            if self.at is not None and not gap:
                self.intervals.append(time - self.at)
            self.at = time
        elif self.at is not None:
            self.at += self.interval
        rejected = clipped = False
        seen = value
        if self._outlying(value):
            rejected, clipped = self.policy.outliers == "reject", self.policy.outliers == "clip"
            value = math.nan if rejected else self.last + math.copysign(self._reach(), value - self.last)
        age = self.age + gap + 1
        limit = self.policy.max_age
        # A value as such is fresh; stale is what was predicted from before it came.
        if limit is not None:
            self.stale = age > (CLEARED * limit if self.stale else limit)
        intake = Intake(value, gap, math.isnan(seen), rejected, clipped, self.stale, age, False)
        if rejected or clipped:
            self.suspect = seen
        if math.isnan(value):
            self.age = age
        else:
            self.age = 0.0
            self._learn(value, clipped)
        return intake

    @property
    def interval(self) -> float:
        """Sampling interval, in the units of the timestamps; NaN while it is unknown."""
        if self.policy.interval is not None:
            return float(self.policy.interval)
        return float(np.median(self.intervals)) if self.intervals else math.nan

    def learn(self, values: Sequence[float], times: Sequence[Any] | None = None) -> None:
        """Take in a clean history without judging it."""
        for value in values:
            self._learn(float(value), False)
        if times is not None:
            stamps = np.array([seconds(t) for t in times])
            if not (np.diff(stamps) > 0).all():
                raise ValueError("The index of history must increase.")
            self.intervals.extend(np.diff(stamps).tolist())
            self.at = float(stamps[-1])

    @property
    def saved(self) -> dict[str, Any]:
        """All of it as plain values, for :meth:`restored`."""
        held = {name: value for name, value in vars(self).items() if name not in ("policy", "owner")}
        lists = {name: list(held[name]) for name in ("sizes", "intervals")}
        return self.policy._asdict() | held | lists

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> "Gate":
        """The gate that was :attr:`saved`."""
        gate = cls(Policy(**{name: saved[name] for name in Policy._fields}))
        if set(saved) != set(gate.saved):
            raise ValueError(f"a gate has {sorted(gate.saved)}. Got {sorted(saved)} instead.")
        for name in set(saved) - set(Policy._fields):
            value = saved[name]
            if name in ("sizes", "intervals"):
                getattr(gate, name).extend(float(v) for v in value)
            else:
                setattr(gate, name, value)
        return gate

    # ------------------------------------------------------------------ plumbing

    def _steps(self, elapsed: float) -> int:
        """Whole sampling intervals in ``elapsed``; before the interval is known any positive time is one."""
        if elapsed <= 0:
            return 0
        return 1 if math.isnan(self.interval) else max(1, round(elapsed / self.interval))

    def _late(self, at: Any, value: float) -> Intake:
        if self.policy.order == "error":
            raise ValueError(
                f"The 'at' parameter of push must be after the last observation. Got {at!r} instead; order='skip' "
                "would pass it over."
            )
        self.skipped += 1
        return Intake(value, 0, math.isnan(value), False, False, self.stale, self.age, True)

    def _learn(self, value: float, clipped: bool) -> None:
        if not clipped:
            if not math.isnan(self.last) and value != self.last:
                self.sizes.append(abs(value - self.last))
            self.suspect = math.nan
        self.last = value

    def _reach(self) -> float:
        # The median of a normal's absolute value is 0.6745 of its standard deviation.
        return SIGMAS * float(np.median(self.sizes)) / 0.6745 if len(self.sizes) >= 16 else math.inf

    def _outlying(self, value: float) -> bool:
        if self.policy.outliers == "keep" or math.isnan(value) or math.isnan(self.last):
            return False
        reach = self._reach()
        # The age counts: after a gap a series may have walked further.
        near = abs(value - self.last) <= reach * math.sqrt(1 + self.age)
        jumped = abs(value - self.suspect) <= reach if not math.isnan(self.suspect) else False
        return not (near or jumped)
