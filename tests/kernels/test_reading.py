"""What a row says of the members' short memory: the recursion against scikit-learn, and numbers there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from usp_sklearn.kernels import reading
from usp_sklearn.kernels.contract import Memory, Row

N, P, R = 400, 6, 3
FORBIDDEN = ("custom_call", "stablehlo.sort", "stablehlo.fft", "callback")


@pytest.fixture(scope="module")
def data():
    """Features with a constant, memories that partly follow from them, weights that forget."""
    rng = np.random.default_rng(0)
    x = np.c_[np.ones(N), 3 + rng.normal(size=(N, P - 1)) @ rng.normal(size=(P - 1, P - 1))]
    m = 0.2 * (x @ rng.normal(size=(P, R)) + rng.normal(size=(N, R)))
    assert np.abs(m).max() < reading.BOUND
    return x, m, 0.999 ** np.arange(N)[::-1]


def _seen(x, m):
    state = reading.init(x.shape[1], m.shape[1], jnp.float64)
    return jax.lax.scan(lambda s, row: (reading.update(s, *row), None), state, (jnp.asarray(x), jnp.asarray(m)))[0]


def test_recursion_is_the_weighted_ridge(data):
    x, m, weight = data
    at = reading.solve(_seen(x, m))
    oracle = Ridge(alpha=10.0).fit(x[:, 1:], m, sample_weight=weight)
    np.testing.assert_allclose(at.slope[1:], oracle.coef_.T, rtol=1e-8, atol=1e-10)
    near = x[:50]
    spread = np.sqrt(np.average((m - np.average(m, axis=0, weights=weight)) ** 2, axis=0, weights=weight))
    wanted = oracle.predict(near[:, 1:])
    inside = np.abs(wanted - np.average(m, axis=0, weights=weight)) < 3 * spread
    assert inside.mean() > 0.9
    np.testing.assert_allclose(jax.vmap(lambda v: reading.read(at, v))(near)[inside], wanted[inside], rtol=1e-8)


def test_readings_stay_in_reach(data):
    x, m, weight = data
    at = reading.solve(_seen(x, m))
    mean = np.average(m, axis=0, weights=weight)
    spread = np.sqrt(np.average((m - mean) ** 2, axis=0, weights=weight))
    far = np.abs(np.asarray(jax.vmap(lambda v: reading.read(at, v))(1e6 * jnp.asarray(x))) - mean)
    np.testing.assert_allclose(far.max(0), 3 * spread, rtol=1e-8)


def test_rows_that_are_not_finite_teach_nothing_and_broken_memories_little(data):
    x, m, _ = data
    spoilt = np.concatenate([x[:200], np.full((1, P), np.nan), x[200:]]), np.insert(m, 200, 1.0, axis=0)
    for part in _seen(*spoilt):
        assert np.isfinite(part).all()
    broken = np.where(np.arange(R) == 1, np.nan, m)
    whole, other = reading.solve(_seen(x, m)), reading.solve(_seen(x, broken))
    np.testing.assert_allclose(other.slope[:, [0, 2]], whole.slope[:, [0, 2]])
    assert np.isfinite(other.slope).all()


def test_nothing_seen_reads_the_neutral_memory():
    at = reading.solve(reading.init(P, R, jnp.float64))
    np.testing.assert_array_equal(reading.read(at, jnp.ones(P)), np.zeros(R))


def test_numbers_of_a_memory_there_and_back():
    rng = np.random.default_rng(1)
    chance = rng.uniform(0.001, 0.999, size=2)
    memories = (
        Memory(sizes=jnp.asarray(rng.uniform(1, 9, 3))),
        Memory(factors=jnp.asarray(rng.uniform(0.1, 2, 2)), chances=jnp.stack([1 - chance, chance], -1)),
        Memory(sizes=jnp.asarray([2.0]), values=jnp.asarray([-1.0, 4.0])),
    )
    m = reading.spell(memories, jnp.asarray(7.0))
    assert m.shape == (10,)
    back = reading.unspell(m, memories, jnp.asarray(7.0))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), back, memories)
    # Sizes are told in units of the row: the same number means twice the size in a row twice as rough.
    twice = reading.unspell(m, memories, jnp.asarray(14.0))
    np.testing.assert_allclose(twice[0].sizes, 2 * memories[0].sizes)
    np.testing.assert_allclose(twice[1].factors, memories[1].factors)


def test_features_are_finite_and_tame():
    rng = np.random.default_rng(2)
    for size in (0.0, 1.0, 1e6):
        row = Row(
            last=jnp.asarray(3.0),
            scale=jnp.asarray(2.0),
            increments=jnp.asarray(size * rng.normal(size=15)),
            gaps=jnp.asarray(size * rng.normal(size=11)),
            exog=jnp.zeros(0),
            signature=jnp.zeros(0),
            volatility=jnp.asarray(rng.normal(size=4)),
        )
        x = np.asarray(reading.features(row, jnp.asarray(1.0)))
        assert x[0] == 1.0 and np.isfinite(x).all() and np.abs(x).max() < 20


def test_graph_holds_nothing_another_runtime_lacks():
    def run(state, x, m):
        return reading.read(reading.solve(reading.update(state, x, m)), x)

    text = jax.jit(run).lower(reading.init(P, R, jnp.float64), jnp.ones(P), jnp.ones(R)).as_text()
    assert not [word for word in FORBIDDEN if word in text]
