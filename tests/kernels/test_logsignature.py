"""Log-signatures against iisignature's table and NumPy's iterated integrals, and the identities they must satisfy."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from tests.kernels.iterated import lyndon, product, shuffles, tensor_log
from tests.kernels.iterated import signature as numpy_signature
from usp_sklearn.kernels.lifts import LIFTS, lift, names
from usp_sklearn.kernels.logsignature import log_signature, shrink, signature, words

TABLE = np.load(Path(__file__).parent / "data" / "logsignature.npz")
SHAPES = [(c, d) for c in range(1, 5) for d in range(1, 6)]


def _walk(seed, n=12, channels=2):
    return np.random.default_rng(seed).normal(size=(n, channels)).cumsum(0) / np.sqrt(n)


def _series(path, depth):
    """Our signature with its level 0."""
    return [np.array(1.0), *(np.asarray(level) for level in signature(jnp.asarray(path), depth))]


def _log(path, depth=4):
    return np.asarray(log_signature(jnp.asarray(path), depth))


@pytest.mark.parametrize(("channels", "depth"), SHAPES)
def test_log_signature_is_that_of_iisignature(channels, depth):
    values = TABLE[f"values_{channels}_{depth}"]
    found = jax.vmap(lambda path: log_signature(path, depth))(jnp.asarray(TABLE[f"paths_{channels}"]))
    assert found.shape == values.shape
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("channels", "depth"), SHAPES)
def test_words_are_the_lyndon_words(channels, depth):
    assert list(words(channels, depth)) == lyndon(channels, depth)


@pytest.mark.parametrize("channels", [1, 3])
def test_signature_is_the_iterated_integral_and_its_logarithm(channels):
    path = _walk(0, channels=channels)
    expected = numpy_signature(path, 4)
    for ours, level in zip(_series(path, 4), expected, strict=True):
        np.testing.assert_allclose(ours, level, atol=1e-12)
    levels = tensor_log(expected)
    np.testing.assert_allclose(_log(path), [levels[len(w)][w] for w in lyndon(channels, 4)], atol=1e-12)


def test_chen_signature_of_a_concatenation_is_the_product():
    path = _walk(1, n=15, channels=3)
    whole = product(_series(path[:6], 5), _series(path[5:], 5))
    for ours, level in zip(_series(path, 5), whole, strict=True):
        np.testing.assert_allclose(ours, level, atol=1e-10)


def test_time_reversal_inverts():
    path = _walk(2, channels=3)
    both = product(_series(path, 5), _series(path[::-1], 5))
    for k, level in enumerate(both):
        np.testing.assert_allclose(level, 1.0 if k == 0 else 0.0, atol=1e-10)
    np.testing.assert_allclose(_log(path[::-1]), -_log(path), atol=1e-10)


def test_shuffle_product_of_two_entries_is_a_sum_of_entries():
    series = _series(_walk(3, channels=3), 5)
    for u, v in [((0,), (1,)), ((0, 1), (2,)), ((0, 1), (1, 2)), ((2, 0), (0, 1, 1))]:
        sum_of_entries = sum(series[len(w)][w] for w in shuffles(u, v))
        assert np.isclose(series[len(u)][u] * series[len(v)][v], sum_of_entries, rtol=0, atol=1e-10)


def _resampled(path, warp, unwarp, n):
    """The polyline through ``path`` run through at another speed: at φ(sᵢ), the times of its corners among the sᵢ."""
    corners = np.linspace(0, 1, len(path))
    times = np.union1d(np.linspace(0, 1, n), unwarp(corners))
    at = np.union1d(warp(times), corners)
    # Times that rounding has split into two are kept once: a repeated point adds nothing anyway.
    return np.stack([np.interp(at, corners, column) for column in path.T], 1)


@pytest.mark.parametrize(("warp", "unwarp"), [(np.square, np.sqrt), (np.sqrt, np.square)], ids=["t²", "√t"])
@pytest.mark.parametrize("channels", [2, 3])
def test_speed_does_not_matter_on_the_bare_path(warp, unwarp, channels):
    path = _walk(4, channels=channels)
    slow = _resampled(path, warp, unwarp, 40)
    assert len(slow) > 40
    np.testing.assert_allclose(_log(slow), _log(path), atol=1e-10)


def test_time_and_lead_lag_do_see_the_speed():
    path = _walk(4)
    slow = _resampled(path, np.square, np.sqrt, 40)
    for lifts in (("time",), ("leadlag",)):
        change = [_log(lift(jnp.asarray(p), jnp.ones(len(p), bool), lifts)) for p in (path, slow)]
        assert np.abs(change[0] - change[1]).max() > 0.01


def test_there_and_back_again_is_nothing():
    path, detour = _walk(5, channels=3), _walk(6, n=4, channels=3)
    tree = np.concatenate([path[:5], path[4] + detour, path[4] + detour[::-1], path[5:]])
    tree[5:13] += path[4] - tree[5]
    np.testing.assert_allclose(_log(tree), _log(path), atol=1e-10)


def _by_hand(values, lifts):
    """Lifted path of the definition, one point after another, and its channels' names."""
    points = [(1.0, tuple(x)) for x in values]
    nil = (0.0,) * values.shape[1]
    if "basepoint" in lifts:
        points.insert(0, (1.0, nil))
    if "reset" in lifts:
        points += [(0.0, points[-1][1]), (0.0, nil)]
    timed = [(i / max(len(points) - 1, 1), *p) for i, p in enumerate(points)]
    if "leadlag" in lifts:
        pairs = [(timed[0], timed[0])]
        for before, after in pairwise(timed):
            pairs += [(after, before), (after, after)]
        rows = [(a[0], a[1], *a[2], *b[2]) for a, b in pairs]
    else:
        rows = [(p[0], p[1], *p[2]) for p in timed]
    keep = [c for c in range(len(rows[0])) if c > 1 or (c == 0 and "time" in lifts) or (c == 1 and "reset" in lifts)]
    return np.array(rows)[:, keep]


SUBSETS = [tuple(name for i, name in enumerate(LIFTS) if bits >> i & 1) for bits in range(16)]


@pytest.mark.parametrize("lifts", SUBSETS, ids="+".join)
def test_lifts(lifts):
    values = _walk(7, n=5)
    padded = np.concatenate([np.repeat(values[:1], 3, axis=0), values])
    expected = _by_hand(values, lifts)
    assert expected.shape[1] == len(names(2, lifts))
    run = jax.jit(partial(lift, lifts=lifts[::-1]))
    np.testing.assert_allclose(run(jnp.asarray(values), jnp.ones(5, bool)), expected, atol=1e-15)
    # Padding stands still, and what stands still is not in a signature.
    padded = run(jnp.asarray(padded), jnp.arange(8) >= 3)
    ours, theirs = (steps[(steps != 0).any(1)] for steps in (np.diff(p, axis=0) for p in (padded, expected)))
    np.testing.assert_allclose(ours, theirs, atol=1e-15)


def test_lead_lag_area_is_half_the_quadratic_variation():
    values = _walk(8, n=20, channels=1)
    area = _log(lift(jnp.asarray(values), jnp.ones(20, bool), ("leadlag",)), 2)[2]
    assert np.isclose(abs(area), 0.5 * np.sum(np.diff(values, axis=0) ** 2), rtol=1e-12)


ORDER = np.array([len(w) for w in lyndon(3, 4)])


@pytest.mark.parametrize("size", [3.0, 30.0, 1e3])
def test_shrink_solves_its_equation(size):
    path, bound = size * _walk(9, channels=3), 2.0
    plain = _log(path)
    squared = np.sum(plain**2)
    wanted = squared if squared <= bound**2 else 2 * bound**2 - bound**4 / squared
    root = brentq(lambda x: np.sum(x ** (2 * ORDER) * plain**2) - wanted, 0.0, 2.0, xtol=1e-15, rtol=1e-14)
    found = np.asarray(log_signature(jnp.asarray(path), 4, bound))
    np.testing.assert_allclose(found, root**ORDER * plain, rtol=1e-9, atol=1e-12)
    # The log-signature of the path root·x, not just some numbers:
    np.testing.assert_allclose(found, _log(root * path), rtol=1e-9, atol=1e-12)


def test_short_log_signatures_are_left_alone():
    path = _walk(10, channels=3)
    plain = _log(path)
    long = float(np.linalg.norm(plain))
    np.testing.assert_array_equal(shrink(jnp.asarray(plain), 3, 4, 1.01 * long), plain)
    np.testing.assert_allclose(log_signature(path, 4, 1.01 * long), plain, rtol=1e-11, atol=1e-14)
    constant = jnp.zeros((5, 3))
    np.testing.assert_array_equal(log_signature(constant, 4, 0.1), np.zeros(len(ORDER)))


def test_shrunk_vectors_are_bounded_and_keep_their_order():
    """However large the path; growing all the while, so no two sizes of a path look alike."""
    path, bound = jnp.asarray(_walk(11, channels=3)), 2.0
    sizes = jnp.asarray(10.0 ** np.arange(-3, 8, 0.25))
    norms = np.linalg.norm(jax.vmap(lambda s: log_signature(s * path, 4, bound))(sizes), axis=1)
    assert (np.diff(norms[norms < 0.999 * np.sqrt(8)]) > 0).all() and norms.max() <= np.sqrt(8) * (1 + 1e-9)
    huge = np.asarray(log_signature(1e200 * path, 4, bound))
    assert np.isfinite(huge).all() and np.isclose(np.linalg.norm(huge), np.sqrt(8), rtol=1e-9)
