"""Native libraries: the compiled graphs of a stand-in model against JAX, and what the library shows and needs."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usp_sklearn import runtime
from usp_sklearn.export import lowering, native
from usp_sklearn.export.graph import Graph, Port, Signature

F, K, T, N = 8, 5, 3, 45


def _draw(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape)


W1, W2, DRIFT, TABLE = _draw(F, 33, seed=1), _draw(33, K, seed=2), _draw(40, seed=3), _draw(132, 66, seed=4)
SINGLE = _draw(48, 48, seed=5).astype(np.float32)


def law(window):
    """Standardise, a small net, a scan, a loop of unknown length, a branch, a sort of pairs."""
    x = (window - window.mean()) / (window.std() + 1.0)
    h = jnp.tanh(x @ W1)
    h, _ = jax.lax.scan(lambda c, t: (0.9 * c + jnp.sin(c * t), None), h, jnp.asarray(DRIFT))
    h = jax.lax.while_loop(lambda v: jnp.abs(v).max() > 0.7, lambda v: 0.8 * v, h)
    q = jax.lax.cond(x[0] > 0, lambda v: v @ W2, lambda v: jnp.cos(v @ W2), h)
    order, rank = jax.lax.sort((jnp.concatenate([h, q, jnp.zeros(3)]), jnp.arange(33.0 + K + 3)), num_keys=1)
    # Matrix products that are too large to be unrolled, either side transposed, and one in single precision.
    square = q[0] * TABLE[:66] + q[1] * TABLE[66:]
    wide = (jnp.outer(jnp.ones(64), q[0] * TABLE[:, 0]) @ TABLE).sum(axis=0)[:K] / 64
    wide = wide + (square @ square.T)[1, :K] + 0.1 * (square.T @ square)[2, :K]
    single = (SINGLE * q[1].astype(jnp.float32)) @ SINGLE.T
    quantiles = jnp.sort(q) + 1e-4 * wide
    return (
        quantiles,
        quantiles.mean(),
        order[:4],
        jax.nn.softmax(rank[:4] / 40),
        jnp.stack([h[0], 1e-4 * wide[0], single[0, 0]]),
    )


def step(state, y):
    window = jnp.roll(state[:F], 1).at[0].set(y[0])
    out = law(window)
    memory = 0.9 * state[F:] + 0.1 * jnp.sin(state[F:] + out[1])
    return jnp.concatenate([window, memory]), *out


def first_values(window):
    return window[:K], window.sum(), window[:4], window[1:5], window[:T]


def remember(state, y):
    return jnp.concatenate([state[1:] / 3, y]), *first_values(state)


def _ports(lead, dtype):
    shapes = {"quantiles": (K,), "mean": (), "tails": (4,), "weights": (4,), "telemetry": (T,)}
    return tuple(Port(name, (*lead, *shape), "", dtype) for name, shape in shapes.items())


def _graph(dtype="float64", call=law, step=step):
    def rows(x):
        return tuple(o.astype(dtype) for o in jax.vmap(call)(x.astype(jnp.float64)))

    def single(state, y):
        state, *out = step(state, y.astype(jnp.float64))
        return state, *(o.astype(dtype) for o in out)

    state = Port("state", (N,), "", "float64")
    return Graph(
        "stand_in",
        Signature(rows, (Port("rows", ("batch", F), "", dtype),), _ports(("batch",), dtype)),
        Signature(single, (state, Port("y", (1,), "", dtype)), (state, *_ports((), dtype))),
        _draw(N, seed=6),
        tuple(np.linspace(0.1, 0.9, K)),
        (1,),
        ("a", "b", "c"),
        dtype,
        (_draw(16, F, seed=7), _draw(16, 1, seed=8)),
    )


def _described(graph):
    ports = {n: {"inputs": s.inputs, "outputs": s.outputs} for n, s in graph.signatures.items()}
    return {"signatures": {n: {k: [p._asdict() for p in v] for k, v in d.items()} for n, d in ports.items()}}


def _build(graph, folder, **options):
    described = _described(graph)
    described |= native.write(graph, folder, manifest=described, **options)
    return described


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    graph, folder = _graph(), tmp_path_factory.mktemp("native")
    described = _build(graph, folder, batches=(7,))
    return graph, folder, described, native.load(folder, described)


def _learn(calls, state, values):
    laws = []
    for y in values:
        state, *out = calls["step"](state, y)
        laws.append(out)
    return state, [np.stack(column) for column in zip(*laws, strict=True)]


def test_predict_is_that_of_jax_at_every_compiled_batch(built):
    graph, _, described, calls = built
    assert described["native"] == {"library": "libusp_stand_in.so", "batches": [1, 7]}
    rows = _draw(17, F, seed=9)  # 7 + 7 + 1 + 1 + 1
    with runtime.precision():
        expected = jax.jit(graph.predict.call)(rows)
    for got, want in zip(calls["predict"](rows), expected, strict=True):
        np.testing.assert_allclose(got[..., :2], want[..., :2], rtol=0, atol=1e-12)
    # The last entry of the telemetry went through single precision.
    np.testing.assert_allclose(calls["predict"](rows)[4], expected[4], rtol=1e-5, atol=1e-12)


def test_hundreds_of_learning_steps_are_those_of_jax(built):
    graph, _, _, calls = built
    values = _draw(500, 1, seed=10)
    state, laws = _learn(calls, graph.state, values)
    with runtime.precision():
        expected, columns = jax.lax.scan(
            lambda s, y: (lambda out: (out[0], out[1:]))(graph.step.call(s, y)), jnp.asarray(graph.state), values
        )
    np.testing.assert_allclose(state, expected, rtol=0, atol=1e-12)
    for got, want in zip(laws[:4], columns[:4], strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_code_for_every_processor_learns_the_same_as_the_code_chosen_here(built, tmp_path):
    graph, _, _, calls = built
    portable = native.load(tmp_path, _build(graph, tmp_path, march="x86-64"))
    values = _draw(200, 1, seed=12)
    for got, want in zip(_learn(portable, graph.state, values)[1], _learn(calls, graph.state, values)[1], strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_unaligned_and_shared_memory_give_the_same(built):
    graph, _, _, calls = built
    y = np.array([0.3])
    plain = calls["step"](graph.state, y)
    for shift in range(8):
        room = np.zeros(N + 8)
        room[shift : shift + N] = graph.state
        for got, want in zip(calls["step"](room[shift : shift + N], y), plain, strict=True):
            np.testing.assert_array_equal(got, want)


def test_threads_learn_independently(built):
    graph, _, _, calls = built
    series = [_draw(200, 1, seed=20 + i) for i in range(2)]
    alone = [_learn(calls, graph.state, values)[0] for values in series]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda values: _learn(calls, graph.state, values)[0], series))
    np.testing.assert_array_equal(together, alone)


def test_the_library_shows_only_usp_and_needs_only_the_c_library(built):
    _, folder, described, _ = built
    library = folder / described["native"]["library"]
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1] for line in symbols.splitlines()}
    assert "usp_native_table" in names and "usp_model_load" in names
    assert all(name.startswith("usp_") for name in names)
    dynamic = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    needed = {line.split("[")[1].rstrip("]") for line in dynamic.splitlines() if "NEEDED" in line}
    assert needed <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}
    assert "SYMBOLIC" in dynamic
    assert library.stat().st_size < 2_000_000


def test_single_precision_at_the_border(tmp_path):
    graph = _graph("float32", first_values, remember)._replace(name="narrow")
    described = _build(graph, tmp_path, batches=(1,))
    calls = native.load(tmp_path, described)
    rows = _draw(2, F, seed=11).astype(np.float32)
    with runtime.precision():
        expected = jax.jit(graph.predict.call)(rows)
        after = jax.jit(graph.step.call)(graph.state, rows[0, :1])
    for got, want in zip(calls["predict"](rows), expected, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(calls["step"](graph.state, rows[0, :1])[0], after[0], rtol=0, atol=1e-12)


def _refused(call, tmp_path, monkeypatch):
    monkeypatch.setattr(lowering.toolchain, "run", lambda *a, **k: pytest.fail("the compiler was run"))
    with pytest.raises(ValueError, match="cannot be compiled ahead of time") as error:
        native.write(_graph(call=call), tmp_path)
    return str(error.value)


def test_operations_that_cannot_be_compiled_are_named_first(tmp_path, monkeypatch):
    def with_(extra):
        def call(window):
            quantiles, *rest = law(window)
            return quantiles + extra(window), *rest

        return call

    matrix = np.eye(F) + 0.1
    cases = {
        "fft": lambda x: jnp.fft.fft(x).real[:K],
        "lapack_dpotrf_ffi": lambda x: jnp.linalg.cholesky(matrix * x[0] ** 2)[0, :K],
        "xla_ffi_python_cpu_callback": lambda x: jax.pure_callback(
            lambda v: v, jax.ShapeDtypeStruct((), "float64"), x[0], vmap_method="sequential"
        ),
        "erf": lambda x: jax.scipy.special.erf(x[:K]),
    }
    for word, extra in cases.items():
        assert f"uses {word}" in _refused(with_(extra), tmp_path, monkeypatch)
