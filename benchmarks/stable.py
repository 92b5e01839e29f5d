"""Rates of the α-stable functions beside scipy.stats.levy_stable, in the same run: ``python -m benchmarks.stable``.

One core, α = 1.5, β = 0.4 in S0, float64. scipy's functions get fewer points, because each costs it a quadrature.
Compilation is not counted. The last column is the largest difference over the points that both
evaluated; for quantiles it is the difference of levels, scipy's cdf at our quantile against u.
"""

import time
from collections.abc import Callable

from benchmarks.common import one_thread, pin

one_thread()

import jax  # noqa: E402  (thread counts must be set before the numerical libraries start)
import numpy as np  # noqa: E402
from scipy import stats  # noqa: E402

from usp_sklearn.kernels import stable  # noqa: E402
from usp_sklearn.runtime import precision  # noqa: E402

ALPHA, BETA = 1.5, 0.4
MANY, FEW = 20_000, 400


def best(call: Callable[[], object], repeats: int = 3) -> float:
    """Least seconds of a few calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def peer() -> stats.rv_continuous:
    """scipy's law in S0; by default it moves an x near −β tan(πα/2) there, by up to 0.005: not here."""
    dist = type(stats.levy_stable)(name="levy_stable_s0")
    dist.parameterization = "S0"
    dist.piecewise_x_tol_near_zeta = 1e-9
    return dist


def rows() -> list[tuple[str, float, float, float]]:
    """Name, our and scipy's evaluations per second, largest difference."""
    scipys = peer()
    x, u = np.linspace(-8, 8, MANY) + 0.013, np.linspace(0.005, 0.995, MANY)
    out = []
    for name, ours, theirs, points, few in (
        ("cdf", stable.cdf, scipys.cdf, x, FEW),
        ("pdf", stable.pdf, scipys.pdf, x, FEW),
        ("quantile", stable.ppf, scipys.ppf, u, 60),
    ):
        ours(points, ALPHA, BETA)
        rate = MANY / best(lambda f=ours, p=points: f(p, ALPHA, BETA))
        some = points[:: MANY // few]
        got = np.asarray(ours(points, ALPHA, BETA))[:: MANY // few]
        start = time.perf_counter()
        want = theirs(some, ALPHA, BETA)
        slow = some.size / (time.perf_counter() - start)
        if name == "quantile":  # compared as levels: scipy's root finder stops early, its cdf does not
            got, want = scipys.cdf(got, ALPHA, BETA), some
        out.append((name, rate, slow, float(np.abs(got - want).max())))
    return out


def fits() -> tuple[float, float]:
    """Seconds of our maximum likelihood fit to 5,000 draws, and of one likelihood evaluation by scipy."""
    draws = np.asarray(stable.sample(jax.random.key(0), ALPHA, BETA, (5000,)))
    stable.fit(draws)
    ours = best(lambda: stable.fit(draws).alpha)
    scipys = peer()
    start = time.perf_counter()
    scipys.logpdf(draws[:500], ALPHA, BETA)
    return ours, (time.perf_counter() - start) * 10


def main() -> None:
    """Print the table."""
    pin()
    with precision():
        print("| function | ours, per s | scipy, per s | ratio | largest difference |\n|---|---|---|---|---|")
        for name, ours, theirs, difference in rows():
            print(f"| {name} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:,.0f} | {difference:.1e} |")
        fit, likelihood = fits()
    print(f"\nfit of 5,000 draws: {1e3 * fit:.0f} ms; one likelihood of them by scipy: {likelihood:.1f} s", end="")
    print(f" ({likelihood / fit:,.0f} times a whole fit)")


if __name__ == "__main__":
    main()
