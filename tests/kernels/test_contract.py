"""One contract test for every branch: shapes, dtypes, causality of fit, finite laws on hard series, no host calls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usp_sklearn.kernels import reading, signature, window
from usp_sklearn.kernels.contract import Config
from usp_sklearn.kernels.law import N_LEVELS
from usp_sklearn.kernels.registry import BRANCHES

CONFIG = Config(16, 8, 4, 2)
N = 128
FORBIDDEN = ("lapack", 'custom_call_target="xla_python', "xla_ffi_python", "fft", "callback")


def _rows(series):
    windows = np.lib.stride_tricks.sliding_window_view(series, 16)[:N]
    level = np.repeat(windows[:, -1:], 8, axis=1)
    exog = np.random.default_rng(0).normal(size=(N, 4))
    raw = window.Raw(*(jnp.asarray(v) for v in (exog, level, windows, np.full(N, 16))))
    target = jnp.asarray(series[16 : 16 + N])
    mask = jnp.arange(N) < 100
    local = jax.vmap(window.localise)(raw)
    signs = jax.vmap(lambda w, n, u: signature.log_signature(w, n, u, CONFIG.depth))(raw.window, raw.width, local.local)
    stats = window.measure(raw, target, mask)
    return jax.vmap(window.standardise, in_axes=(0, None, 0))(local, stats, signs), target, mask


def _series(kind):
    rng = np.random.default_rng(1)
    walk = rng.standard_t(3, size=N + 16).cumsum()
    return {
        "walk": walk,
        "constant": np.full(N + 16, 3.5),
        "outliers": walk + 1e4 * (rng.uniform(size=N + 16) < 0.02),
        "far": 1e9 + walk,
    }[kind]


def _program(branch):
    """fit, then walk all rows: the laws issued before each outcome, and the statuses."""

    def run(rows, targets, mask):
        state, info = branch.fit(branch.init(CONFIG, jax.random.key(0)), rows, targets, mask, jax.random.key(1))

        def step(state, item):
            row, target = item
            issued = branch.law(state, row)
            state, info = branch.update(state, row, target)
            return state, (issued, info)

        state, (laws, infos) = jax.lax.scan(step, state, (rows, targets))
        return state, laws, info, infos

    return jax.jit(run)


@pytest.fixture(scope="module", params=sorted(BRANCHES))
def branch(request):
    return BRANCHES[request.param]


@pytest.fixture(scope="module")
def program(branch):
    return _program(branch)


@pytest.mark.parametrize("kind", ["walk", "constant", "outliers", "far"])
def test_laws_are_finite_ordered_and_shaped(branch, program, kind):
    rows, targets, mask = _rows(_series(kind))
    state, laws, info, infos = program(rows, targets, mask)
    assert laws.q.shape == (N, len(branch.members), N_LEVELS)
    assert laws.tail_scale.shape == laws.tail_index.shape == (N, len(branch.members), 2)
    for part in laws:
        assert np.isfinite(part).all()
    assert (np.diff(laws.q, axis=-1) >= -1e-9 * np.abs(laws.q[..., 1:])).all()
    assert (np.asarray(laws.tail_scale) >= 0).all()
    assert info.status.dtype == infos.status.dtype == jnp.int32
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating))


def test_padding_rows_do_not_matter(program):
    """Rows beyond the mask may hold anything finite: training must not see them."""
    rows, targets, mask = _rows(_series("walk"))
    first = program(rows, targets, mask)[1].q[:100]
    spoilt = jax.tree.map(lambda x: x.at[100:].set(7.25 if jnp.issubdtype(x.dtype, jnp.floating) else x[0]), rows)
    second = program(spoilt, targets.at[100:].set(-1e3), mask)[1].q[:100]
    np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-9)


def test_law_and_update_stay_inside_xla(branch):
    """Exported graphs must hold no LAPACK, no FFT and no call back to the host."""
    rows, targets, _ = _rows(_series("walk"))
    state = branch.init(CONFIG, jax.random.key(0))
    row = jax.tree.map(lambda x: x[0], rows)

    def step(state, row, target):
        met = branch.recall(state, row)
        return branch.law(state, row), branch.law(state, row, met), branch.update(state, row, target)

    text = jax.jit(step).lower(state, row, targets[0]).as_text().lower()
    assert not [word for word in FORBIDDEN if word in text]


def test_a_law_rests_on_the_memory_it_is_handed(branch, program):
    """Its own memory changes nothing; sizes and factors twice as large widen every law that has one."""
    rows, targets, mask = _rows(_series("walk"))
    state = program(rows, targets, mask)[0]
    row = jax.tree.map(lambda x: x[-1], rows)
    met, own = branch.recall(state, row), branch.law(state, row)
    np.testing.assert_array_equal(branch.law(state, row, met).q, own.q)
    told = reading.unspell(reading.spell((met,), row.scale), (met,), row.scale)[0]
    np.testing.assert_allclose(branch.law(state, row, told).q, own.q, rtol=1e-9, atol=1e-9)
    larger = met._replace(**{k: 2 * v for k in ("sizes", "factors") if (v := getattr(met, k)) is not None})
    # Quartiles: the outer quantiles may be clipped.
    grown = np.ptp(branch.law(state, row, larger).q[:2, 8:17], axis=-1) / np.ptp(own.q[:2, 8:17], axis=-1)
    assert (grown > 1.5).all()
    if met.chances is not None:
        calm = met._replace(chances=jnp.asarray([[1.0, 0.0]] * 2))
        wild = met._replace(chances=jnp.asarray([[0.0, 1.0]] * 2))
        assert np.abs(branch.law(state, row, calm).q - branch.law(state, row, wild).q)[2:].max() > 0.1
