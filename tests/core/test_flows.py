"""The two-layer flow against a NumPy re-derivation, and what it must guarantee."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usp_sklearn.core import flows
from usp_sklearn.kernels.law import LEVELS

NINE = np.array([0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])


def experts(n, m, seed=0, levels=NINE):
    """Outcomes (n,) and sorted quantiles (n, m, K) of differing location and width."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    base = np.quantile(rng.normal(size=4000), levels)
    q = (
        rng.normal(size=(n, m, 1)) * 0.3
        + np.linspace(0, 1, m)[None, :, None]
        + base * np.linspace(0.7, 1.5, m)[:, None]
    )
    return y, np.sort(q, axis=2)


def walk(state, y, q, levels=NINE, **options):
    def step(state, row):
        y, q = row
        mixed, weights = flows.combine(state, q)
        return flows.update(state, q, y, levels=levels, **options), (mixed, weights)

    return jax.jit(lambda s, y, q: jax.lax.scan(step, s, (y, q)))(state, jnp.asarray(y), jnp.asarray(q))


def reference(y, q, levels):
    """The scheme written out in NumPy loops."""
    n, m, k = q.shape
    share, rate = [0.002, 0.0001, 0.01, 0.0001, 0.0001], [0.5, 0.2, 2, 0.1, 0.02]
    pooled, linear = [0.5, 1, 0.5, 0.5, 0.5], [0, 0, 0, 1, 1]
    f = len(rate)
    rho, blend, scale = np.full((f, m, k), 1 / m), np.full((f, k), 1 / f), np.zeros(f)
    regret, square, largest = np.zeros((f, k)), np.zeros((f, k)), np.zeros((f, k))
    cost, cells = np.zeros((m, m)), np.diff(np.concatenate([[0], (levels[1:] + levels[:-1]) / 2, [1]]))
    out = np.empty((n, k))
    for t in range(n):
        mixes = np.einsum("fmk,mk->fk", rho, q[t])
        out[t] = np.sort((blend * mixes).sum(0))
        mix = (blend * mixes).sum(0)
        for i in range(m):
            for j in range(m):
                cost[i, j] += 0.02 * ((cells * (q[t, i] - q[t, j]) ** 2).sum() - cost[i, j])
        edges = 1 + np.exp(-4 * cost / cost.mean())
        for a in range(f):
            e = y[t] - q[t]
            loss = np.maximum(levels * e, (levels - 1) * e)
            if linear[a]:
                loss = ((y[t] <= mixes[a]) - levels) * (q[t] - mixes[a])
            loss = pooled[a] * loss.mean(1, keepdims=True) + (1 - pooled[a]) * loss
            loss = loss - loss.mean(0)
            size = np.abs(loss).mean()
            scale[a] = size if scale[a] == 0 else scale[a] + 0.02 * (min(size, 3 * scale[a]) - scale[a])
            z = np.clip(loss / scale[a], -10, 50)
            potential = rate[a] * z + share[a] * np.log(rho[a] * m)
            new = rho[a] * np.exp(edges @ (rho[a] * potential) - potential * (edges @ rho[a]))
            new = np.maximum(new / new.max(0), np.exp(-60))
            rho[a] = new / new.sum(0)
        gain = np.clip(((y[t] <= mix) - levels) * (mix - mixes) / scale[0], -50, 50)
        largest = np.maximum(largest, np.abs(gain))
        square = square + gain**2
        eta = np.minimum(0.5 / np.maximum(largest, 1e-12), np.sqrt(np.log(f) / np.maximum(square, 1e-12)))
        regret += 0.5 * (gain * (1 - eta * gain) - largest * (eta * gain < -0.5))
        sharp = eta * np.exp(eta * regret)
        sharp /= sharp.sum(0)
        blend = 0.5 * sharp + 0.5 * sharp.mean(1, keepdims=True)
    return out


def test_equals_the_numpy_derivation():
    y, q = experts(120, 4)
    _, (mixed, _) = walk(flows.init(jnp.ones(4), 9), y, q)
    np.testing.assert_allclose(np.asarray(mixed), reference(y, q, NINE), atol=1e-9)


@pytest.mark.parametrize("geometry", ["graph", "sinkhorn"])
def test_weights_are_a_simplex_per_level(geometry):
    y, q = experts(200, 5)
    q[50] *= 1e3
    state, (mixed, weights) = walk(flows.init(jnp.ones(5), 9), y, q, geometry=geometry)
    weights = np.asarray(weights)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-10)
    assert np.isfinite(np.asarray(mixed)).all()
    assert (np.diff(np.asarray(mixed), axis=1) >= 0).all()
    assert np.isfinite(float(state.energy)) and bool(state.converged)


@pytest.mark.parametrize("geometry", ["graph", "sinkhorn"])
def test_finds_the_good_expert(geometry):
    y, q = experts(600, 4)
    q = np.concatenate([q[:, :1], q[:, 1:] + 4.0], axis=1)
    _, (_, weights) = walk(flows.init(jnp.ones(4), 9), y, q, geometry=geometry)
    assert np.asarray(weights)[-100:, 0].mean() > (0.95 if geometry == "graph" else 0.5)


def test_is_about_as_good_as_the_best_expert_on_each_stretch():
    y, q = experts(1000, 3)
    q[:500, 1:] += 3
    q[500:, :2] += 3
    _, (mixed, _) = walk(flows.init(jnp.ones(3), 9), y, q)
    e = y[:, None] - np.asarray(mixed)
    mine = np.maximum(NINE * e, (NINE - 1) * e).mean(1)
    best = np.concatenate([q[:500, 0], q[500:, 2]])
    e = y[:, None] - best
    theirs = np.maximum(NINE * e, (NINE - 1) * e).mean(1)
    assert mine.mean() < 1.1 * theirs.mean()


def test_a_member_that_extrapolates_is_dropped_at_once():
    y, q = experts(400, 4)
    q[300:, 3] += 300.0
    _, (mixed, weights) = walk(flows.init(jnp.ones(4), 9), y, q)
    share = np.asarray(weights)[:, 3].mean(1)
    assert share[301:].max() < 0.05
    assert share[310:].max() < 0.01
    assert np.median(np.abs(np.asarray(mixed)[310:])) < 2


def test_sleeping_members_weigh_nothing_and_keep_their_share():
    y, q = experts(300, 4)
    state, _ = walk(flows.init(jnp.ones(4), 9), y, q)
    awake = jnp.array([True, False, True, True])
    mixed, w = flows.combine(state, jnp.asarray(q[0]).at[1].set(jnp.nan))
    assert (np.asarray(w)[1] == 0).all()
    np.testing.assert_allclose(np.asarray(w), np.asarray(flows.weights(state, awake)), atol=0)
    np.testing.assert_allclose(np.asarray(w).sum(0), 1, atol=1e-10)
    assert np.isfinite(np.asarray(mixed)).all()
    # Twenty steps of sleep with unremarkable outcomes leave the sleeper about where it was.
    asleep = q[:20].copy()
    asleep[:, 1] = np.nan
    later, _ = walk(state, y[:20], asleep)
    before, after = np.asarray(flows.weights(state))[1].mean(), np.asarray(flows.weights(later))[1].mean()
    assert 0.5 * before < after < 2 * before


def test_members_without_prior_do_not_exist():
    y, q = experts(150, 3)
    padded = np.concatenate([q, np.full((150, 2, 9), np.nan)], axis=1)
    _, (small, _) = walk(flows.init(jnp.ones(3), 9), y, q)
    _, (large, weights) = walk(flows.init(jnp.array([1.0, 1, 1, 0, 0]), 9), y, padded)
    np.testing.assert_allclose(np.asarray(large), np.asarray(small), atol=1e-12)
    assert (np.asarray(weights)[:, 3:] == 0).all()


def test_reset_sends_the_named_flows_to_the_prior_and_only_on_alarm():
    y, q = experts(200, 4)
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    state, _ = walk(flows.init(jnp.asarray(prior), 9), y, q)
    kept = flows.reset(state, jnp.asarray(False))
    np.testing.assert_array_equal(np.asarray(flows.weights(kept)), np.asarray(flows.weights(state)))
    mass = np.asarray(flows.reset(state, jnp.asarray(True)).mass)
    share = mass / mass.sum(0)
    for flow, resets in enumerate(flows.RESETS):
        if resets:
            np.testing.assert_allclose(share[:, flow], np.repeat(prior[:, None], 9, 1), atol=1e-12)
        else:
            np.testing.assert_array_equal(mass[:, flow], np.asarray(state.mass)[:, flow])


def test_tilt_multiplies_the_prior():
    state = flows.init(jnp.ones(3), 9)
    w = np.asarray(flows.weights(state, tilt=jnp.array([3.0, 1.0, 1.0])))
    np.testing.assert_allclose(w[:, 0], [0.6, 0.2, 0.2], atol=1e-12)


def test_is_equivariant_to_shift_and_scale():
    y, q = experts(200, 4)
    _, (one, _) = walk(flows.init(jnp.ones(4), 9), y, q)
    _, (two, _) = walk(flows.init(jnp.ones(4), 9), 1e3 * y + 5e4, 1e3 * q + 5e4)
    np.testing.assert_allclose((np.asarray(two) - 5e4) / 1e3, np.asarray(one), atol=1e-9)


def test_parameters_cost_no_compilation():
    y, q = experts(3, 4, levels=LEVELS)
    traces = []

    @jax.jit
    def step(state, q, y, tau, lam, epsilon):
        traces.append(1)
        return flows.update(state, q, y, tau, lam, epsilon, 0.1, "sinkhorn")

    state = flows.init(jnp.ones(4))
    for tau, lam, epsilon in ((1.0, 0.1, 0.05), (2.0, 0.2, 0.1), (0.5, 1.0, 0.01)):
        state = step(state, q[0], y[0], tau, lam, epsilon)
    assert len(traces) == 1


def test_identical_members_and_constant_outcomes_stay_finite():
    q = np.zeros((100, 3, 9))
    state, (mixed, weights) = walk(flows.init(jnp.ones(3), 9), np.zeros(100), q)
    assert np.isfinite(np.asarray(mixed)).all() and np.isfinite(float(state.energy))
    np.testing.assert_allclose(np.asarray(weights), 1 / 3, atol=1e-12)
