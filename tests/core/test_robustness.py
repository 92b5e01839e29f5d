"""One member that goes wrong in any way costs next to nothing: garbage in its place, the real orchestration over it.

The laws of a fitted model's members are taken along a series. They come back as laws from outside, one of them
replaced, through the pipeline's own functions: clipping, stack, flows, calibration, all from scratch.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usp_sklearn import JKOPredictor, sliding_window
from usp_sklearn.core import calibration, cusum, engine, flows, orchestrator, pipeline, stack
from usp_sklearn.kernels.law import LEVELS
from usp_sklearn.runtime import precision

WIDTH, KNOWN, STEPS, GOOD = 16, 300, 900, 500
LAST = slice(int(0.6 * STEPS), None)
MEMBERS = JKOPredictor.MEMBERS


def _with_time(garbage):
    return lambda q, spread: garbage(q, spread, np.arange(len(q))[:, None])


GARBAGE = {
    "not a number": lambda q, s: np.full_like(q, np.nan),
    "infinite": _with_time(lambda q, s, t: 0 * q + np.inf * (-1.0) ** t),
    "far away": lambda q, s: np.full_like(q, 1e6 * s),
    "alternating": _with_time(lambda q, s, t: 0 * q + 1e3 * s * (-1.0) ** t),
    "shifted": lambda q, s: q + 5 * s,
    "reversed": lambda q, s: q[:, ::-1],
    "too wide": lambda q, s: q[:, 12:13] + 100 * (q - q[:, 12:13]),
    "too narrow": lambda q, s: q[:, 12:13] + 0.01 * (q - q[:, 12:13]),
    "sudden": _with_time(lambda q, s, t: np.where(t < GOOD, q, 1e6 * s)),
    "exploding": _with_time(lambda q, s, t: q + s * np.exp(t / 10)),
}
"""What takes the place of a member's quantiles (T, 25), given the members' usual half-width."""


@pytest.fixture(scope="module")
def stored():
    """Static part, state with the first law issued; along the series rows, members' and issued quantiles, outcomes."""
    rng = np.random.default_rng(3)
    X, y = sliding_window(np.cumsum(rng.standard_t(4, size=WIDTH + KNOWN + STEPS + 1)), width=WIDTH)
    model = JKOPredictor(width=WIDTH, n_level=X.shape[1] - WIDTH, random_state=0).fit(X[:KNOWN], y[:KNOWN])
    live, before, out = model.state_, None, []
    with precision():
        for t in range(KNOWN, KNOWN + STEPS):
            # The newest value of a row is the outcome of the row before.
            live, _ = engine.advance(live, model._params(), X[t], y[t - 1])
            newest = jax.tree.map(lambda ring: np.asarray(ring[0]), live.state.pending._replace(head=None, tail=None))
            assert newest.alive.all()
            out.append((newest.row, newest.members.q[: len(MEMBERS)], newest.issued.q))
            before = before or live.state
    rows, q, issued = jax.tree.map(lambda *x: np.stack(x), *out)
    return engine.spec(model.state_.shape.layout), model._params(), before, rows, q, issued, y[KNOWN:][:STEPS]


def _start(spec, state, prior, fresh=True):
    """The state without branches; ``fresh`` ones know nothing about the members but the ``prior``."""
    status = state.orchestrator
    if fresh:
        status = status._replace(
            flow=flows.init(prior),
            stack=stack.init(len(MEMBERS)),
            cusum=cusum.init(),
            calibration=calibration.init(),
            grid=calibration.init_grid(),
            grid_step=jnp.zeros(()),
        )
    row = state.pending.row._replace(experts=jnp.zeros((1, len(MEMBERS), len(LEVELS))))
    return state._replace(branches=(), orchestrator=status, pending=state.pending._replace(row=row))


@partial(jax.jit, static_argnums=0)
def _replay(spec, params, starts, rows, q, y, who, garbage):
    """Issued quantiles (cases, T, 25); each case starts at its own state and has its own member replaced."""
    outside = spec._replace(own=(), experts=len(MEMBERS))

    def case(state, who, garbage):
        def step(state, item):
            row, members, wrong, y = item
            row = row._replace(experts=members.at[who].set(wrong))
            state, law = pipeline.issue(outside, params, state, row)
            return pipeline.learn(outside, params, state, y)[0], law.q

        return jax.lax.scan(step, state, (rows, q, garbage, y))[1]

    return jax.vmap(case)(starts, who, garbage)


@pytest.fixture(scope="module")
def replayed(stored):
    """Issued quantiles by (member, garbage); "without" is the ensemble that never had the member."""
    spec, params, state, rows, q, _, y = stored
    spread = float(np.median(q[:, :, 21] - q[:, :, 3]) / 2)
    cases = {}
    with precision():
        for i, name in enumerate(MEMBERS):
            others = spec._replace(own=tuple(m for j, m in enumerate(spec.own) if j != i))
            prior = np.insert(orchestrator._prior(others), i, 0.0)
            cases[name, "without"] = _start(spec, state, prior), i, np.full_like(q[:, i], np.nan)
            for kind, garbage in GARBAGE.items():
                cases[name, kind] = _start(spec, state, orchestrator._prior(spec)), i, garbage(q[:, i], spread)
        # The first row's law was issued before the state was taken; here it is issued again.
        pending = state.pending._replace(head=state.pending.head - 1)
        cases["fitted"] = _start(spec, state._replace(pending=pending), None, fresh=False), 0, q[:, 0]
        starts, who, garbage = jax.tree.map(lambda *x: np.stack(x), *cases.values())
        out = np.asarray(_replay(spec, params, starts, rows, q, y, who, garbage))
    return dict(zip(cases, out, strict=True))


def _loss(q, y):
    return np.maximum(LEVELS * (y[:, None] - q), (LEVELS - 1) * (y[:, None] - q)).mean(1)


def test_the_replay_is_the_pipeline(stored, replayed):
    """With nothing replaced and the fitted state as its start, it issues what the model issued."""
    *_, issued, _ = stored
    np.testing.assert_allclose(replayed["fitted"], issued, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_from_one_member_costs_at_most_two_per_cent(stored, replayed, kind):
    y = stored[-1][LAST]
    cost = {
        m: _loss(replayed[m, kind][LAST], y).mean() / _loss(replayed[m, "without"][LAST], y).mean() - 1 for m in MEMBERS
    }
    assert max(cost.values()) <= 0.02, cost


@pytest.mark.parametrize("kind", ["without", *GARBAGE])
def test_laws_issued_over_garbage_are_finite_and_sorted(replayed, kind):
    q = np.stack([replayed[m, kind] for m in MEMBERS])
    assert np.isfinite(q).all()
    assert (np.diff(q, axis=-1) >= 0).all()


@pytest.mark.parametrize("kind", ["far away", "alternating", "shifted", "too wide", "sudden", "exploding"])
def test_a_plain_average_would_pay(stored, kind):
    """The same garbage with equal weights, clipped to the range as the pipeline does: what the flows are worth."""
    *_, q, _, y = stored
    spread, low, high = float(np.median(q[:, :, 21] - q[:, :, 3]) / 2), y.min(), y.max()
    for i in range(len(MEMBERS)):
        wrong = q.copy()
        wrong[:, i] = np.clip(GARBAGE[kind](q[:, i], spread), low, high)
        without = np.delete(q, i, axis=1).mean(1)
        assert _loss(wrong.mean(1)[LAST], y[LAST]).mean() > 1.02 * _loss(without[LAST], y[LAST]).mean()
