"""Seasons of a series: how many samples its cycles have, found from the values alone.

    find_seasons(load)  # (24, 168) for hourly values with a daily and a weekly cycle

A season is a profile that comes back in phase for as long as the series lasts. In the periodogram it is a comb of lines
at the frequencies k/m, each one bin wide. Cycles that drift, as those of an autoregression do, make hills instead, and
red noise makes a slope; so a line counts by how far it rises above the bins right beside it. Values are ranked first:
neither heavy tails nor changing volatility make lines then.
"""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, ndtri
from scipy.stats import rankdata
from sklearn.utils import check_array, column_or_1d
from sklearn.utils._param_validation import Interval, validate_params

Vector = NDArray[np.float64]

# Bounds of the search.
SHORTEST = 3
CYCLES = 3
NEWEST = 2**16
LINES = 64
LADDER = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64])
# A period this many times its distance from a whole number drifts by a sixth of a cycle within the seven of a row.
DRIFT = 42
# The spectrum beside a line: bins on either side, and how far they keep from other lines and from the ends.
REACH = 6
APART = 0.75
# Points of the periodogram per bin, and what of a line spills over at most because it lies between two of them.
FINE = 16
SPILL = 3e-4
# Evidence above the logarithm of the number of looks: false alarms with probability exp(−4.6) = 1 %.
MARGIN = 4.6
# Evidence that is as good as the best: periods the spectrum can't tell apart, and parts that hold all of a comb.
TIE = 3.0
ALL = 0.8
# Lines of a season already found: bins they cover where its shape changes slowly, and how many parts it also explains.
FOOT = 1.5
PARTS = 12.5
# Up to so many parts are overtones of one profile: half a day is no season.
OVERTONES = 4


class _View(NamedTuple):
    """Normal scores (n,) of a whitened series and their periodogram, ``FINE`` points per bin."""

    scores: Vector
    power: Vector


class _Comb(NamedTuple):
    """Lines (periods, k): −log p, how many times they exceed the bins beside them, and whether they may be used."""

    surprise: Vector
    excess: Vector
    usable: NDArray[np.bool_]


class _Season(NamedTuple):
    """Samples per cycle, to a fraction, and how many of the lines stand out."""

    period: float
    lines: int


def _scores(x: Vector) -> Vector:
    """Normal scores of the ranks of ``x``, zeros if nothing moves; differences that only rounding makes are ties."""
    x = x - np.median(x)
    size = np.quantile(np.abs(x), 0.9) or np.abs(x).max() or 1.0
    ranks = rankdata(np.round(x / size, 9))
    return ndtri((ranks - 0.5) / len(x))


def _views(y: Vector) -> list[_View]:
    """Levels less a cubic trend, whitened by their own AR(1), and first differences, each (n − 1,)."""
    y = y / np.abs(y).max()
    cubic = np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, len(y)), 3)
    level = y - y.mean()
    level = _scores(level - cubic @ np.linalg.lstsq(cubic, level, rcond=None)[0])
    memory = float(level[1:] @ level[:-1]) / max(float(level @ level), 1e-300)
    white = level[1:] - memory * level[:-1]
    return [_View(x, _periodogram(x)) for x in (_scores(white), _scores(np.diff(y)))]


def _periodogram(x: Vector) -> Vector:
    power: Vector = np.abs(np.fft.rfft(x - x.mean(), FINE * len(x))) ** 2
    # A noiseless cycle leaves rounding errors between its lines; they are not to be read.
    return power + 1e-9 * max(float(x @ x), 1e-300)


def _comb(view: _View, periods: Vector, taken: tuple[_Season, ...]) -> _Comb:
    """Lines of each period, those of seasons already ``taken`` left out.

    With L the power of a line and B the mean of the N bins beside it, N log(1 + L / (N B)) is Exp(1) for a bin like
    those beside it, exactly so for white Gaussian scores.
    """
    n = len(view.scores)
    place = n * np.arange(1, min(LINES, int(periods.max() / 2)) + 1) / periods[:, None]
    offset = np.concatenate([np.arange(-REACH, 0), np.arange(1, REACH + 1)])
    gap = n / periods[:, None]
    clear = np.abs(offset / gap - np.round(offset / gap)) * gap >= APART
    beside = place[:, :, None] + offset
    asked = clear[:, None, :] & (beside >= APART) & (beside <= n / 2 - APART)
    count = asked.sum(axis=2)
    at = np.rint(FINE * place).astype(np.int32)
    bins = np.clip(at[:, :, None] + FINE * offset.astype(np.int32), 0, len(view.power) - 1)
    background = np.where(asked, view.power[bins], 0.0).sum(axis=2)
    usable = (place <= n / 2 - APART) & (count >= 2)
    count = np.maximum(count, 1)
    for season in taken:
        base = n / season.period
        harmonic = np.round(place / base)
        parts = gap / base
        same = (parts <= 1.0) | ((parts < PARTS) & (np.abs(parts - np.round(parts)) * base < FOOT))
        usable &= (np.abs(place - harmonic * base) >= FOOT) | ~((harmonic <= season.lines) | same)
    line = view.power[np.minimum(at, len(view.power) - 1)] * usable
    background = np.maximum(background / count, 1e-300)
    surprise = count * np.log1p(line / (count * background))
    spilled = SPILL * line.max(axis=1, keepdims=True)
    return _Comb(surprise, np.where(usable, (line - background) / np.maximum(background, spilled), 0.0), usable)


def _evidence(comb: _Comb) -> tuple[Vector, NDArray[np.intp]]:
    """−log p of each period, and how many of its first lines give it.

    The surprises of K lines add up to S ~ Gamma(K), and P(S > s) ≤ e^−s s^(K−1) / (Γ(K) (1 − (K−1)/s)). A smooth cycle
    shows in the first lines only, a sharp one in all; the best K of ``LADDER`` counts, at the price of its length.
    """
    sums = np.cumsum(comb.surprise, axis=1)
    counts = np.maximum(np.cumsum(comb.usable, axis=1), 1)
    best, lines = np.zeros(len(sums)), np.zeros(len(sums), dtype=np.intp)
    top = sums.shape[1]
    for rung in (*LADDER[top > LADDER], top):
        K = counts[:, rung - 1]
        s = np.maximum(sums[:, rung - 1], K)
        value = s - (K - 1) * np.log(s) + gammaln(K) + np.log1p(-(K - 1) / s)
        better = value > best
        best[better], lines[better] = value[better], rung
    return best - np.log(len(LADDER)), lines


def _weigh(view: _View, period: float, taken: tuple[_Season, ...]) -> tuple[float, _Season]:
    """Evidence of one period, and the season it would be."""
    evidence, lines = _evidence(_comb(view, np.array([period]), taken))
    return float(evidence[0]), _Season(period, int(lines[0]))


def _looks(n: int, longest: int) -> tuple[Vector, NDArray[np.intp]]:
    """Periods to look at, a quarter of a bin apart, and the whole number that each rounds to."""
    whole = np.arange(SHORTEST, longest + 1)
    step = whole**2 / (4 * n)
    reach = (np.minimum(0.5, whole / DRIFT) / step).astype(int)
    labels = np.repeat(whole, 2 * reach + 1)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(2 * reach + 1) - reach - 1, 2 * reach + 1)
    return labels + place * np.repeat(step, 2 * reach + 1), labels


def _scan(view: _View, looks: Vector, taken: tuple[_Season, ...]) -> Vector:
    """Evidence of every look, some hundred at a time."""
    blocks = np.array_split(looks, len(looks) // 300 + 1)
    return np.concatenate([_evidence(_comb(view, block, taken))[0] for block in blocks])


def _autocorrelation(x: Vector) -> Vector:
    power = np.abs(np.fft.rfft(x - x.mean(), 2 * len(x))) ** 2
    covariance: Vector = np.fft.irfft(power)[: len(x)]
    return covariance / covariance[0]


def _aligned(
    view: _View, looks: Vector, labels: NDArray[np.intp], evidence: Vector, taken: tuple[_Season, ...]
) -> float:
    """The best period, whole if the spectrum, half a bin sharp, can't tell it from a whole one.

    Of several such it is the only multiple of a season already found, or else the peak of the autocorrelation.
    """
    best = looks[evidence.argmax()]
    blur = best**2 / (2 * len(view.scores))
    near = (np.abs(looks - best) <= blur) & (looks == labels)
    for season in taken:
        nested = labels[near & (labels % round(season.period) == 0) & (evidence > ALL * evidence.max())]
        if len(nested) == 1 and blur < season.period:
            return float(nested[0])
    whole = labels[near & (evidence > evidence.max() - TIE)]
    return float(whole[_autocorrelation(view.scores)[whole].argmax()]) if len(whole) else float(best)


def _fundamental(view: _View, period: float, taken: tuple[_Season, ...], enough: float, longest: int) -> float:
    """The season that a comb of lines belongs to: the period itself, or the part of it that has the lines.

    Parts period / j are tried from the shortest. If the lines that only the whole period has don't stand out, as the
    best of all multiples of the part would by chance, the part is the season. If they do, but the lines of a part rise
    above the mean line as lines do above the spectrum, the part is the first season, and the whole is left for the
    second: a day within a week.
    """
    evidence, _ = _weigh(view, period, taken)
    whole = _comb(view, np.array([period]), taken)
    mean = max(1.0, whole.excess.sum() / whole.usable.sum())
    most, inner = 0.0, period
    for j in range(int(period / SHORTEST), 1, -1):
        d = period / j
        if abs(d - round(d)) > min(0.5, d / DRIFT) or _weigh(view, d, taken)[0] < min(enough, ALL * evidence):
            continue
        shared = np.arange(1, whole.usable.shape[1] + 1) % j == 0
        own = _Comb(whole.surprise * ~shared, whole.excess * ~shared, whole.usable & ~shared)
        if _evidence(own)[0][0] < MARGIN + np.log(longest / d):
            return _fundamental(view, d, taken, enough, longest)
        part = _Comb(whole.excess * shared / mean, whole.excess * shared, whole.usable & shared)
        nests = not taken and j > OVERTONES and d == round(d)
        if nests and _evidence(part)[0][0] > MARGIN and part.excess.sum() > most:
            most, inner = float(part.excess.sum()), d
    return period if inner == period else _fundamental(view, inner, taken, enough, longest)


@validate_params(
    {
        "y": ["array-like"],
        "max_season": [Interval(Integral, 1, None, closed="left"), None],
        "n": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def find_seasons(y: ArrayLike, max_season: int | None = None, n: int = 2) -> tuple[int, ...]:
    """Samples per cycle of the seasons of a series, the most evident first; () if there is none.

    A period m is a season if the lines k/m of its periodogram stand out from the spectrum beside them beyond what the
    best of all periods does by chance in one series of a hundred, in the levels less a slow trend or in the first
    differences. Cycles that drift out of phase, such as those of an autoregression, are told from seasons only where
    they drift within the series. Periods that the spectrum can't tell apart (they differ by less than m²/2n) are
    decided by the autocorrelation.

    Parameters
    ----------
    y : (n_samples,) values in time order; the newest 65,536 are read.
    max_season : longest season wanted. Default: a third of the series, since a season has to be seen three times.
    n : how many seasons at most. A further one is a cycle beside the first, such as a week beside a day, never a
        multiple or a part of it with the same lines.

    Returns
    -------
    tuple of int, each at least 3. The same for ``a * y + b``.

    References
    ----------
    Schuster (1898), On the investigation of hidden periodicities. Thomson (1982), Spectrum estimation and harmonic
    analysis (lines against a smooth spectrum). Vlachos, Yu & Castelli (2005), On periodicity detection and structural
    periodic similarity (periods from the periodogram, refined on the autocorrelation).

    Examples
    --------
    >>> import numpy as np
    >>> hours, rng = np.arange(1000), np.random.default_rng(0)
    >>> load = np.sin(2 * np.pi * hours / 24) + (hours // 24 % 7 > 4) + 0.3 * rng.normal(size=1000)
    >>> find_seasons(load)
    (24, 168)
    >>> find_seasons(rng.normal(size=1000).cumsum())
    ()
    """
    values = column_or_1d(check_array(y, dtype=np.float64, ensure_2d=False, input_name="y"))[-NEWEST:]
    longest = min(len(values) // CYCLES, len(values) if max_season is None else max_season)
    if longest < SHORTEST or np.ptp(values) == 0.0:
        return ()
    views = _views(values)
    looks, labels = _looks(len(values) - 1, longest)
    enough = MARGIN + np.log(len(looks))
    taken: tuple[_Season, ...] = ()
    while len(taken) < n:
        evidence = [_scan(view, looks, taken) for view in views]
        which = int(np.argmax([e.max() for e in evidence]))
        if evidence[which].max() < enough:
            break
        period = _aligned(views[which], looks, labels, evidence[which], taken)
        period = _fundamental(views[which], period, taken, enough, longest)
        taken += (_weigh(views[which], period, taken)[1],)
        # What slow changes of the first season's shape leave in the spectrum is not a second one.
        enough = 1.5 * MARGIN + np.log(len(looks))
    return tuple(round(season.period) for season in taken)


def settled(season: Any, second_season: Any, known: Vector) -> tuple[Any, Any]:
    """Both seasons of a row's options, "auto" replaced by what ``known`` values of the series show."""
    if season != "auto":
        return season, second_season
    found: tuple[int | None, ...] = find_seasons(known)
    first, second, *_ = (*found, None, None)
    return first, second if second_season is None else second_season
