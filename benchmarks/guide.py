"""Where the guide's listings are wrong or do not run: what each gives, measured beside what the package does.

    python benchmarks/guide.py

Every line backs a row of docs/deviations.md. Formulas are the guide's, written again from its text.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxopt
import numpy as np
import pywt
import signax

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from usp_sklearn.core import cusum
from usp_sklearn.kernels import cwt, lifts, logsignature, stable
from usp_sklearn.kernels.dgm import pde, watch
from usp_sklearn.kernels.jumpdiffusion import paths
from usp_sklearn.runtime import precision

RNG = np.random.default_rng(0)


def wavelet_scales() -> str:
    """40 scales 2¹ … 2⁶ on a window of 32: how many wavelets (support ±5a) fit."""
    scales = 2.0 ** np.linspace(1, 6, 40)
    ours = cwt.dyadic_scales(32)
    return f"of the guide's 40 scales {int((10 * scales <= 32).sum())} fit a window of 32; ours end at {ours.max():.1f}"


def wavelet_float32() -> str:
    """The callback returns float32."""
    walk = 1000 + np.cumsum(RNG.normal(size=512))
    scales = cwt.dyadic_scales(512)
    exact = pywt.cwt(walk, scales, "gaus1")[0]
    rounded = exact.astype(np.float32).astype(float)
    single = pywt.cwt(walk.astype(np.float32), scales, "gaus1")[0]
    mine = np.asarray(cwt.cwt(jnp.asarray(walk), scales))
    size = np.abs(exact).max()
    errors = [np.abs(x - exact).max() / size for x in (rounded, single, mine)]
    return "error over the largest coefficient: float32 out {:.0e}, float32 in {:.0e}, ours {:.0e}".format(*errors)


def _listing_stable(alpha: float, beta: float, n: int = 200_000) -> np.ndarray:
    phi, w = RNG.uniform(-np.pi / 2, np.pi / 2, n), RNG.exponential(size=n)
    t = beta * np.tan(np.pi * alpha / 2)
    s, b = (1 + t * t) ** (1 / (2 * alpha)), np.arctan(t) / alpha
    first = s * np.sin(alpha * (phi + b)) / np.cos(phi) ** (1 / alpha)
    return first * (np.cos(phi - alpha * (phi + b)) / w) ** ((1 - alpha) / alpha)


def stable_sampler() -> str:
    """Medians of S(α, ½, 1, 0) around α = 1."""
    alphas = (0.999, 1.0, 1.001)
    with np.errstate(all="ignore"):
        theirs = [np.median(_listing_stable(a, 0.5)) for a in alphas]
    key = jax.random.key(0)
    mine = [float(jnp.median(stable.sample(key, a, 0.5, shape=(200_000,)))) for a in alphas]
    show = ", ".join
    return (
        f"median at α = .999, 1, 1.001 with β = .5: listing {show(f'{m:.3g}' for m in theirs)}; "
        f"ours (S0) {show(f'{m:.3f}' for m in mine)}"
    )


def boundary_loss() -> str:
    """Heat equation on [0, 1], V = 0 at both ends: error with the boundary loss dropped (the listing) and kept."""

    def run(boundary: pde.Boundary | None) -> float:
        solution, _ = pde.solve_pde(
            lambda x, v_x, v_xx: 0.5 * v_xx[0, 0],
            lambda x: jnp.sin(jnp.pi * x[0]),
            boundary,
            (jnp.zeros(1), jnp.ones(1)),
            0.3,
            key=jax.random.key(0),
        )
        x = jnp.linspace(0, 1, 51)
        v = jax.vmap(lambda z: solution(0.0, z[None]))(x)
        return float(jnp.abs(v - jnp.exp(-0.5 * jnp.pi**2 * 0.3) * jnp.sin(jnp.pi * x)).max())

    return f"largest error of V(0, ·): boundary loss 0 {run(None):.3f}, real {run(lambda t, x: jnp.zeros(())):.4f}"


def histogram_entropy() -> str:
    """Entropy of the same values with more bins; ours is a difference on common bins."""
    v = RNG.normal(size=20_000)

    def entropy(values: np.ndarray, bins: int) -> float:
        p = np.histogram(values, bins)[0] / len(values)
        return float(-(p * np.log(p + 1e-10)).sum())

    listing = [entropy(v, b) for b in (25, 50, 100, 200)]
    mine = [float(watch.entropy_difference(jnp.asarray(v), jnp.asarray(2 * v), b)) for b in (25, 50, 100, 200)]
    scaled = entropy(1000 * v, 50) - listing[1]
    return (
        f"25, 50, 100, 200 bins: listing {', '.join(f'{e:.2f}' for e in listing)} (and {scaled:.2f} more when V is "
        f"1000 times wider); our difference to twice the width {', '.join(f'{e:.2f}' for e in mine)} (exact −0.69)"
    )


def implicit_drift() -> str:
    """Residual of the implicit equation y = x + dt·b(y) after the listing's Anderson iterations and after ours."""
    x, dt = jnp.asarray(RNG.normal(size=64)), 0.1

    def drift(y: jax.Array) -> jax.Array:
        return 40.0 * (y - y**3)

    solver = jaxopt.AndersonAcceleration(lambda y, _: x + dt * drift(y), maxiter=10, tol=1e-5)
    y = solver.run(x, None).params
    theirs = float(jnp.abs(x + dt * drift(y) - y).max())
    _, mine = paths.imex_step(x, dt, drift, jnp.zeros_like, jnp.zeros(64), jnp.zeros(64))
    return f"double well, dt·|b'| up to 8: residual of the listing {theirs:.1e}, ours {float(mine):.1e}"


def signature_names() -> str:
    """`logsSignature`, and what the signature of a bare path knows."""
    one, two = np.cumsum(RNG.normal(size=30)), np.cumsum(RNG.normal(size=30))
    two = two - two[0] + np.linspace(0, (one[-1] - one[0]) - (two[-1] - two[0]), 30)
    bare = [np.asarray(signax.signature(jnp.asarray(p)[:, None], 4)) for p in (one, two)]
    real = jnp.ones(30, bool)
    lifted = [
        np.asarray(logsignature.log_signature(lifts.lift(jnp.asarray(p)[:, None], real, ("time", "leadlag")), 3))
        for p in (one, two)
    ]
    return (
        f"signax.logsSignature exists: {hasattr(signax, 'logsSignature')}; two paths with equal ends differ by "
        f"{np.abs(bare[0] - bare[1]).max():.0e} in the bare signature, "
        f"{np.abs(lifted[0] - lifted[1]).max():.1f} in the lifted one"
    )


def compilation_cache() -> str:
    """Programs below the default threshold are not kept."""
    return (
        f"a folder keeps what compiles for {jax.config.jax_persistent_cache_min_compile_time_secs:g} s or longer; "
        "configure(cache_dir=…) keeps all"
    )


def matmul_precision() -> str:
    """`highest` in float32 on a CPU."""
    with jax.enable_x64(False):
        a = jnp.asarray(RNG.normal(size=(300, 300)), jnp.float32)
        with jax.default_matmul_precision("default"):
            plain = np.asarray(a @ a)
        with jax.default_matmul_precision("highest"):
            high = np.asarray(a @ a)
    exact = np.asarray(a, float) @ np.asarray(a, float)
    return (
        f"float32 product of 300 × 300: the switch changes it by {np.abs(plain - high).max():.0e} on a CPU; either is "
        f"{np.abs(high - exact).max():.0e} from the float64 product"
    )


def _run_length(h: float, noise: Callable[[int], np.ndarray], series: int = 2000, longest: int = 4000) -> float:
    up, down, alive, length = np.zeros(series), np.zeros(series), np.ones(series, bool), np.zeros(series)
    for _ in range(longest):
        e = noise(series)
        up, down = np.maximum(0, up + e - 0.5), np.maximum(0, down - e - 0.5)
        length += alive
        alive &= (up <= h) & (down <= h)
        if not alive.any():
            break
    return float(length.mean())


def kurtosis_clamp() -> str:
    """The threshold with κ < 3, uniform noise: with and without the clamp."""
    edge = np.sqrt(3)
    low = 5 * (1 + np.log(1.8 / 3))
    kept = float(cusum.threshold(jnp.asarray(1.8), 5.0))

    def uniform(n: int) -> np.ndarray:
        return RNG.uniform(-edge, edge, n)

    return (
        f"uniform noise (κ = 1.8): threshold {low:.2f} without the clamp, a false alarm every "
        f"{_run_length(low, uniform):.0f} steps; with it {kept:.2f}, every {_run_length(kept, uniform):.0f} or more"
    )


FINDINGS = (
    wavelet_scales,
    wavelet_float32,
    stable_sampler,
    boundary_loss,
    histogram_entropy,
    implicit_drift,
    signature_names,
    compilation_cache,
    matmul_precision,
    kurtosis_clamp,
)


def main() -> None:
    """Print every finding."""
    with precision():
        for finding in FINDINGS:
            print(f"{finding.__name__.replace('_', ' ')}: {finding()}", flush=True)


if __name__ == "__main__":
    main()
