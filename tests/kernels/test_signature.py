"""Branch D's features and ridge: NumPy signatures, Chen's identity, brute-force leave-one-out."""

import itertools

import jax.numpy as jnp
import numpy as np
import signax

from usp_sklearn.kernels import signature


def _iterated(path, word):
    """Iterated integral of a piecewise linear path over a word, from the exponential of each segment."""
    total = {(): 1.0}
    n = len(word)
    subwords = [word[i:j] for i in range(n) for j in range(i + 1, n + 1)]
    for step in np.diff(path, axis=0):

        def segment(w, step=step):
            return np.prod([step[c] for c in w]) / np.prod(np.arange(1, len(w) + 1)) if w else 1.0

        new = {w: sum(total.get(w[:k], 0.0) * segment(w[k:]) for k in range(len(w) + 1)) for w in {*subwords, ()}}
        total = new
    return total[word]


def test_signax_signature_is_the_iterated_integral():
    path = np.random.default_rng(0).normal(size=(6, 2)).cumsum(0)
    flat = np.concatenate([np.ravel(level) for level in signax.signature(jnp.asarray(path), 3, flatten=False)])
    words = [w for k in (1, 2, 3) for w in itertools.product(range(2), repeat=k)]
    np.testing.assert_allclose(flat, [_iterated(path, w) for w in words], rtol=1e-10)


def test_level_two_of_the_log_signature_is_the_levy_area():
    window = np.random.default_rng(1).normal(size=16).cumsum()
    path = np.asarray(signature.lift(jnp.asarray(window), jnp.ones(16, bool)))
    found = np.asarray(signax.logsignature(jnp.asarray(path), 2))
    d = path - path[0]

    def area(i, j):
        return 0.5 * np.sum(d[:-1, i] * np.diff(d[:, j]) - d[:-1, j] * np.diff(d[:, i]))

    expected = [*(path[-1] - path[0]), area(0, 1), area(0, 2), area(1, 2)]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_lead_lag_area_is_half_the_quadratic_variation():
    window = np.random.default_rng(2).normal(size=20).cumsum()
    path = signature.lift(jnp.asarray(window), jnp.ones(20, bool))
    area = signax.logsignature(path, 2)[5]
    assert np.isclose(abs(area), 0.5 * np.sum(np.diff(window) ** 2), rtol=1e-9)


def test_padding_does_not_change_the_features():
    window = np.random.default_rng(3).normal(size=16).cumsum()
    padded = np.concatenate([np.full(16, window[0]), window])
    short = signature.log_signature(jnp.asarray(window), jnp.asarray(16), jnp.asarray(1.0), 3)
    long = signature.log_signature(jnp.asarray(padded), jnp.asarray(16), jnp.asarray(1.0), 3)
    np.testing.assert_allclose(long, short, rtol=1e-9, atol=1e-12)


def test_leave_one_out_against_brute_force():
    rng = np.random.default_rng(4)
    x, ridges = rng.normal(size=(40, 5)), np.array([0.1, 1.0, 10.0])
    y = x @ rng.normal(size=5) + rng.normal(size=40)
    weight = (np.arange(40) < 35).astype(float)
    found = signature.leave_one_out(jnp.asarray(x), jnp.asarray(y), jnp.asarray(weight), jnp.asarray(ridges))
    for ridge, value in zip(ridges, found, strict=True):
        errors = []
        for i in range(35):
            keep = [j for j in range(35) if j != i]
            w = np.linalg.solve(x[keep].T @ x[keep] + ridge * np.eye(5), x[keep].T @ y[keep])
            errors.append((y[i] - x[i] @ w) ** 2)
        assert np.isclose(value, np.mean(errors), rtol=1e-9)
