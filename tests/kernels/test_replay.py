"""The replay net: one training step against NumPy with numerical gradients, what it learns, and that it is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from usp_sklearn.kernels import replay
from usp_sklearn.kernels.law import LEVELS

NORMAL = norm.ppf(LEVELS)


@jax.jit
def walk(x, z, base):
    """Quantiles (n, 25) issued along the stream, and the last state."""

    def step(state, item):
        t, x, z = item
        return replay.update(state, x, z, base, t), replay.quantiles(state, x, base, t)

    start = replay.init(x.shape[1], jax.random.key(0))
    return jax.lax.scan(step, start, (jnp.arange(len(z), dtype=jnp.int32), x, z))


def pinball(q, z):
    e = z[:, None] - q
    return np.maximum(LEVELS * e, (LEVELS - 1) * e).mean()


def stream(n, seed):
    """Location and scale depend on the inputs in ways no line can follow."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    loc, scale = np.sin(2 * x[:, 0]), np.where(x[:, 1] > 0, 1.5, 0.5)
    return x, loc + scale * rng.normal(size=n), loc, scale


def forward(weights, x):
    """The net in NumPy, from the one vector of weights."""
    sizes, parts, start = [(x.shape[1], 64), (64,), (64, 64), (64,), (64, 25), (25,)], [], 0
    for shape in sizes:
        stop = start + int(np.prod(shape))
        parts.append(weights[start:stop].reshape(shape))
        start = stop
    w1, b1, w2, b2, w3, b3 = parts
    return np.maximum(np.maximum(x @ w1 + b1, 0) @ w2 + b2, 0) @ w3 + b3


def test_an_adam_step_against_numpy():
    """Gradient of the smoothed pinball loss by central differences, Adam and decay written again."""
    x, z, _, _ = stream(replay.START + 3, 3)
    before, after = (walk(*map(jnp.asarray, (x[:n], z[:n], NORMAL)))[0] for n in (replay.START + 2, replay.START + 3))
    t = replay.START + 2
    held = t + 1
    ages = np.concatenate([[0], (held * replay._AGES[t % len(replay._AGES)]).astype(int)])
    pick, p = t - ages, x.shape[1]
    spot = (t * 7919) % (len(replay._KNOCKS) - replay.BATCH)
    place = (spot + np.arange(16)[:, None] * 1021 + np.arange(p)) % len(replay._KNOCKS)
    inputs = np.round(x[pick] * 1024) / 1024 + replay.NOISE * replay._KNOCKS[place].astype(float)
    outcomes = np.round(np.clip(z[pick], -30, 30) * 1024) / 1024
    weights = np.asarray(before.weights, float)

    def loss(w):
        e = outcomes[:, None] - NORMAL - forward(w, inputs)
        h = replay.SMOOTHING
        bent = np.where(np.abs(e) < h, e * e / (4 * h) + h / 4, np.abs(e) / 2)
        return (bent + (LEVELS - 0.5) * e).sum() / replay.BATCH

    rng = np.random.default_rng(0)
    chosen = np.concatenate([rng.choice(len(weights), 40, replace=False), np.arange(len(weights) - 30, len(weights))])
    moments = [np.asarray(m, float) for m in (before.first, before.second)]
    for i in chosen:
        step = np.zeros_like(weights)
        step[i] = 1e-5
        gradient = (loss(weights + step) - loss(weights - step)) / 2e-5
        first = 0.9 * moments[0][i] + 0.1 * gradient
        second = 0.999 * moments[1][i] + 0.001 * gradient**2
        hat = first / (1 - 0.9**3), second / (1 - 0.999**3)
        expected = weights[i] * (1 - replay.RATE * replay.DECAY) - replay.RATE * hat[0] / (np.sqrt(hat[1]) + 1e-8)
        np.testing.assert_allclose(float(after.weights[i]), expected, atol=3e-6 + 0.01 * replay.RATE)
    average = 0.99 * np.asarray(before.average) + 0.01 * np.asarray(after.weights)
    np.testing.assert_allclose(np.asarray(after.average), average, atol=1e-6)


def test_learns_location_and_scale_that_no_line_can_follow():
    x, z, loc, scale = stream(4000, 1)
    _, q = walk(*map(jnp.asarray, (x, z, NORMAL)))
    late = slice(2500, None)
    ideal = pinball((loc[:, None] + scale[:, None] * NORMAL)[late], z[late])
    base = pinball(np.broadcast_to(NORMAL, (1500, 25)), z[late])
    got = pinball(np.asarray(q)[late], z[late])
    assert got < ideal + (base - ideal) / 3
    inside = (z[late] > np.asarray(q)[late, 4]) & (z[late] < np.asarray(q)[late, -5])
    assert abs(inside.mean() - (LEVELS[-5] - LEVELS[4])) < 0.05


def test_is_the_base_law_before_training_and_harmless_where_there_is_nothing_to_learn():
    rng = np.random.default_rng(2)
    x, z = rng.normal(size=(3000, 4)), rng.normal(size=3000)
    _, q = walk(*map(jnp.asarray, (x, z, NORMAL)))
    np.testing.assert_array_equal(np.asarray(q)[: replay.START], np.broadcast_to(NORMAL, (replay.START, 25)))
    late = slice(1500, None)
    assert pinball(np.asarray(q)[late], z[late]) < 1.04 * pinball(np.broadcast_to(NORMAL, (1500, 25)), z[late])
    assert (np.diff(np.asarray(q)) >= 0).all()


def test_rounding_of_the_inputs_leaves_no_trace():
    """Inputs perturbed by 1e-10, far above the rounding of float64, train to the same weights, bit for bit."""
    x, z, _, _ = stream(900, 4)
    shaken = [v * (1 + 1e-10 * np.random.default_rng(5).normal(size=v.shape)) for v in (x, z)]
    one, two = (walk(*map(jnp.asarray, (a, b, NORMAL)))[0] for a, b in ((x, z), shaken))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("bad", [1e300, -1e300])
def test_absurd_outcomes_are_clipped(bad):
    x, z, _, _ = stream(400, 6)
    z[300] = bad
    _, q = walk(*map(jnp.asarray, (x, z, NORMAL)))
    assert np.isfinite(np.asarray(q)).all()
