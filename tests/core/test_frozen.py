"""Frozen signals: when they begin and end, and what is held meanwhile."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from usp_sklearn import SignaturePredictor, datasets, sliding_window
from usp_sklearn.core import frozen


def runs(steps, ties=0.0):
    """Whether the signal is held after each of these step sizes."""
    state, out = frozen.init(), []
    for step in steps:
        state = frozen.update(state, jnp.asarray(float(step)), jnp.asarray(ties))
        out.append(bool(frozen.held(state)))
    return out


def test_five_equal_values_freeze_and_two_live_steps_release():
    assert runs([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 3, 4]) == [False] * 8 + [True] * 3 + [False] * 2
    # A single live step among equal values releases nothing.
    assert runs([0, 0, 0, 0, 1, 0, 1]) == [False] * 3 + [True] * 3 + [False]
    assert not any(runs([0] * 30, ties=0.1))


def test_branch_d_and_the_weights_are_held():
    series = datasets.make_ou(330, random_state=0)
    series[310:320] = series[310]
    X, y = sliding_window(series, width=16, averages=None, season=None)
    model = SignaturePredictor(width=16, random_state=0)
    model.fit(X[:280], y[:280])
    seen = []
    for i in range(280, len(y)):
        model.partial_fit(X[i : i + 1], y[i : i + 1])
        branch, flow = model.state_.state.branches[0], model.state_.state.orchestrator.flow
        # An alarm begins one flow anew, held or not.
        weights = 0.0 if model.telemetry_["regime_changed"] else flow.logits
        learned = (branch.member, branch.net.weights, branch.steps, weights)
        seen.append((model.telemetry_["frozen_signal"], [np.asarray(x).copy() for x in jax.tree.leaves(learned)]))
    held = [flag for flag, _ in seen]
    assert 6 <= sum(held) <= 8
    for (_, before), (flag, after) in pairwise(seen):
        same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True) if a.shape == b.shape]
        assert len(same) >= len(after) - 1 and all(same) == flag
