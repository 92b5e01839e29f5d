"""ONNX graphs, run by ONNX Runtime, against the estimators and functions they were made from."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
import skl2onnx
from onnx import helper
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from usp_sklearn import JKOPredictor, LevyPredictor, datasets, runtime, sliding_window
from usp_sklearn.export import export_model, load_model
from usp_sklearn.export.graph import TELEMETRY, Port, Signature, graph
from usp_sklearn.export.onnx import model as onnx_model
from usp_sklearn.export.onnx import nodes
from usp_sklearn.export.onnx_builder import OPSET
from usp_sklearn.export.onnx_pipeline import PREDICTORS, register_converters
from usp_sklearn.kernels.law import LEVELS

SERIES = 20 + datasets.make_ou(440, random_state=0)
X, Y = sliding_window(SERIES, width=16, averages=None, season=None)
SEEN = 240


def same(ours, theirs, tolerance=1e-12):
    """Equal relative to the size of each number, or of one where it is smaller."""
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    assert ours.shape == theirs.shape
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    assert np.nanmax(np.abs(ours - theirs) / (1 + np.abs(theirs)), initial=0.0) <= tolerance


def odd_rows():
    """Far away, in other units, constant, alternating, heavy-tailed, nearly constant."""
    usual, wild = X[SEEN : SEEN + 4], np.random.default_rng(0).standard_cauchy((8, 16))
    far = [usual + 1e6, usual - 1e4, usual * 1e3, -usual]
    flat = [np.full((2, 16), 20.0), np.zeros((1, 16)), np.repeat([[20.0, 20.5]], 8, axis=1)]
    return np.concatenate([*far, *flat, wild, 20 + 1e-9 * wild])


USUAL, ODD = 28, odd_rows()
ROWS = np.concatenate([X[SEEN : SEEN + USUAL], ODD])


@pytest.fixture(scope="module")
def model():
    """All branches, all members, the stack."""
    return JKOPredictor(width=16, random_state=0).fit(X[:SEEN], Y[:SEEN])


@pytest.fixture(scope="module")
def made(model):
    return onnx_model(graph(model, name="jko"))


@pytest.fixture(scope="module")
def laws(made):
    """Outputs by name for the rows, each batch in one call."""
    return lambda rows: run(made, rows)


@pytest.fixture(scope="module")
def levy():
    return make_pipeline(StandardScaler(), LevyPredictor(width=16, random_state=0)).fit(X[:SEEN], Y[:SEEN])


def run(made, rows):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: rows}), strict=True))


def test_laws_of_rows(laws, model):
    out, law = laws(ROWS), model.predict_distribution(ROWS)
    # Where the values are a million, their own rounding is 1e-10.
    for part, tolerance in ((slice(USUAL), 1e-12), (slice(USUAL, None), 1e-9)):
        same(out["quantiles"][part], law.ppf(LEVELS)[part], tolerance)
        same(out["mean"][part], law.mean()[part], tolerance)
    some = [4, 12, 20]
    same(out["quantiles"][:, some], model.predict_quantiles(ROWS, LEVELS[some]), 1e-9)


def test_all_outputs(laws, model):
    predict = graph(model).predict
    with runtime.precision():
        compiled = jax.jit(predict.call)(ROWS)
    out = laws(ROWS)
    for port, values in zip(predict.outputs, compiled, strict=True):
        same(out[port.name][:USUAL], values[:USUAL])
        same(out[port.name], values, 1e-9)
    assert out["telemetry"].shape == (len(ROWS), len(TELEMETRY))


@pytest.mark.parametrize("batch", [1, 3])
def test_any_batch(laws, batch):
    whole = laws(ROWS)
    for name, values in laws(ROWS[:batch]).items():
        same(values, whole[name][:batch], 1e-13)


def test_the_graph_is_straight(made):
    onnx.checker.check_model(made, full_check=True)
    found = {n.op_type for n in made.graph.node}
    assert not found & {"Loop", "Scan", "If", "SequenceMap"}
    assert {n.domain for n in made.graph.node} == {""} and [o.version for o in made.opset_import] == [OPSET]
    # Every node costs about half a microsecond: a loop that was unrolled by mistake would show here.
    assert len(made.graph.node) < 2500
    names = [v.name for v in (*made.graph.input, *made.graph.output)]
    assert names == ["rows", "quantiles", "mean", "tails", "weights", "telemetry"]
    assert {v.type.tensor_type.shape.dim[0].dim_param for v in (*made.graph.input, *made.graph.output)} == {"batch"}


def test_levels_and_single_precision(levy, tmp_path):
    rows = X[SEEN : SEEN + 5]
    folder = export_model(levy, tmp_path / "levy", "onnx", quantiles=[0.001, 0.2, 0.5, 0.99], dtype="float32")
    out = load_model(folder).predict(rows)
    assert out["quantiles"].dtype == np.float32
    law = levy[-1].predict_distribution(levy[:-1].transform(rows.astype(np.float32).astype(float)))
    same(out["quantiles"], law.ppf([0.001, 0.2, 0.5, 0.99]), 1e-6)


def test_a_pipeline_converts_whole(levy):
    register_converters()
    rows = X[SEEN : SEEN + 7]
    out = run(skl2onnx.to_onnx(levy, X[:1]), rows)
    same(out["variable"][:, 0], levy.predict(rows))
    law = levy[-1].predict_distribution(levy[:-1].transform(rows))
    same(out["quantiles"], law.ppf(LEVELS))
    same(out["mean"], law.mean())
    single = run(skl2onnx.to_onnx(levy, X[:1].astype(np.float32)), rows.astype(np.float32))
    same(single["variable"][:, 0], levy.predict(rows), 1e-5)


def test_a_pipeline_of_all_branches_converts_whole(model):
    register_converters()
    scaler = StandardScaler().fit(X[:SEEN] - 20)
    out = run(skl2onnx.to_onnx(Pipeline([("scale", scaler), ("model", model)]), X[:1]), ROWS)
    law = model.predict_distribution(scaler.transform(ROWS))
    same(out["variable"][:, 0], law.median(), 1e-9)
    same(out["quantiles"][:USUAL], law.ppf(LEVELS)[:USUAL], 1e-12)


def test_every_predictor_is_registered():
    from skl2onnx._supported_operators import sklearn_operator_name_map

    register_converters()
    assert {kind.__name__ for kind in PREDICTORS} <= {kind.__name__ for kind in sklearn_operator_name_map}


def test_importing_the_package_leaves_onnx_alone():
    code = "import sys, usp_sklearn, usp_sklearn.export; sys.exit(bool({'onnx', 'skl2onnx'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SIX = np.random.default_rng(1).normal(size=(5, 6)) * np.array([1e-9, 1e-3, 0.5, 1, 3, 8])
NEAR_ZERO = np.array(
    [[0, 1e-320, -1e-17, 800, -0.9, np.nan], [np.inf, -np.inf, 1e-8, -0.5, 0.7, 37], [1, 1, 1, 0, 0, 2]]
)
LONG = np.random.default_rng(2).normal(size=300)
TABLE = np.arange(40.0).reshape(10, 4)


def loops(r):
    down = jax.lax.scan(lambda c, x: (c + x, c * x), 0.0, r, reverse=True)[1]
    return down + jax.lax.fori_loop(0, 5, lambda i, c: c * 0.5 + r[i], r)


FUNCTIONS = {
    "expm1": jnp.expm1,
    "log1p": lambda r: jnp.log1p(jnp.maximum(r, -0.99)),
    "powers": lambda r: (r**-3, r**5, jnp.abs(r) ** 1.7, jnp.exp2(r), jax.lax.rsqrt(jnp.abs(r))),
    "activations": lambda r: (jnp.tanh(r), jax.nn.sigmoid(r), jax.nn.softplus(r), jax.nn.softmax(r)),
    "rounding": lambda r: (jnp.round(r), jnp.floor(r), jnp.sign(r), jnp.mod(r, 1.3), (r * 9).astype(int) % 3 * 1.0),
    "flags": lambda r: (jnp.where(jnp.where(r > 0, r > 1, r < -1), 1.0, 0.0), ((r > 0).any() ^ (r > 1).all()) * 1.0),
    "finite": lambda r: jnp.where(jnp.isfinite(jnp.log(r)), 1.0, 2.0),
    "running": lambda r: (
        jax.lax.cummax(r), jax.lax.cummin(r, reverse=True), jnp.cumprod(r), jnp.cumsum(r[::-1]),
        jax.lax.cummax(jnp.argsort(r)) * 1.0, jax.lax.cummax(LONG * r[0]), jax.lax.cummin(LONG * r[0], reverse=True),
        jax.lax.cummax(r.reshape(2, 3), axis=0), jax.lax.cumsum(r.reshape(2, 3), axis=1, reverse=True),
    ),
    "order": lambda r: (jnp.sort(r), jnp.argsort(r) * 1.0, jnp.median(r), jnp.argmax(r) * 1.0, jnp.argmin(r) * 1.0),
    "lookup": lambda r: (
        r[jnp.argmax(r)], jnp.take_along_axis(r.reshape(2, 3), jnp.argsort(r.reshape(2, 3), 1), 1),
        jnp.asarray(TABLE)[jnp.argsort(r)], jnp.asarray(TABLE)[jnp.argsort(r), jnp.argsort(-r) % 4],
        jnp.asarray(TABLE)[jnp.argsort(r) - 3], jnp.asarray(TABLE).at[jnp.argsort(r) * 3].get(mode="fill"),
        jax.lax.dynamic_slice(r, (jnp.argmin(r),), (3,)),
    ),
    "tables": lambda r: (
        jnp.interp(r, jnp.arange(5.0), jnp.arange(5.0) ** 2), jnp.interp(jnp.arange(5.0) / 3, jnp.sort(r), r),
        jnp.searchsorted(jnp.sort(r), jnp.array([-1.0, 0.0, 1.0])) * 1.0,
        jnp.searchsorted(jnp.array([-1.0, 0.0, 0.0, 1.0]), jnp.round(r), side="right") * 1.0,
    ),
    "products": lambda r: (
        r @ r, jnp.asarray(TABLE[:6]).T @ r, r.reshape(2, 3).T @ r.reshape(2, 3), jnp.outer(r, r).sum(0),
        jnp.einsum("ij,ik->ijk", r.reshape(2, 3), r.reshape(2, 3)), r.reshape(2, 3) @ jnp.asarray(TABLE[:3]),
        jnp.einsum("bij,bj->bi", jnp.asarray(TABLE).reshape(2, 5, 4)[..., :3], r.reshape(2, 3)),
    ),
    "layout": lambda r: (
        r.reshape(2, 3).ravel(order="F"), r.reshape(2, 3)[:, ::-1].T, jnp.roll(r, 2), r[4:1:-2], jnp.pad(r, (2, 1)),
        jnp.pad(r, (1, 2), mode="edge"), jnp.broadcast_to(r[:, None], (6, 4)).sum(1), jnp.stack([r, r * 2], 1),
        jnp.broadcast_to(r[:1], (6,)).sum() + r, jnp.arange(3.0), jnp.concatenate([jnp.zeros(2), r[:3], r[:0]]),
    ),
    "branches": lambda r: (
        jax.lax.cond(r[0] > 0, lambda: r * 2, lambda: r - 1),
        jax.lax.switch(jnp.argmax(r) - 2, [lambda: r, lambda: r * 2, lambda: r * 3]),
    ),
    "loops": loops,
    "spread": lambda r: (jnp.var(r), jnp.std(r), jnp.mean(r), jax.scipy.special.logsumexp(r)),
}  # fmt: skip


def converted(function, width):
    """A function of one row as a model for many."""
    with runtime.precision():
        each = jax.vmap(function)
        shapes = jax.tree.leaves(jax.eval_shape(each, jax.ShapeDtypeStruct((1, width), jnp.float64)))
        ports = [Port(f"out{i}", ("batch", *s.shape[1:]), "", "float64") for i, s in enumerate(shapes)]
        row = Port("rows", ("batch", width), "", "float64")
        made, constants = nodes(Signature(lambda x: tuple(jax.tree.leaves(each(x))), (row,), tuple(ports)), "rows")
    (given, *results) = (helper.make_tensor_value_info(p.name, 11, p.shape) for p in (row, *ports))
    whole = helper.make_graph(made, "test", [given], results, constants)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operations(name):
    made = converted(FUNCTIONS[name], 6)
    onnx.checker.check_model(made, full_check=True)
    assert not {n.op_type for n in made.graph.node} & {"Loop", "Scan", "If"}
    for rows in (SIX, SIX[:1]):
        with runtime.precision():
            expected = [np.asarray(x) for x in jax.tree.leaves(jax.vmap(FUNCTIONS[name])(rows))]
        for ours, theirs in zip(run(made, rows).values(), expected, strict=True):
            same(ours, theirs, 1e-14)


def test_small_and_missing_numbers():
    """Relative accuracy near zero, and infinities, as NumPy has them."""
    with np.errstate(all="ignore"):
        for function, expected in ((jnp.expm1, np.expm1(NEAR_ZERO)), (jnp.log1p, np.log1p(NEAR_ZERO))):
            (ours,) = run(converted(function, 6), NEAR_ZERO).values()
            np.testing.assert_allclose(ours, expected, rtol=1e-14, atol=0)


def test_what_cannot_be_converted_is_named():
    with pytest.raises(NotImplementedError, match="no ONNX form of 'erf_inv'"):
        converted(jax.scipy.special.erfinv, 6)
    with pytest.raises(NotImplementedError, match="cannot be unrolled"):
        converted(lambda r: jax.lax.while_loop(lambda x: x[0] < 9, lambda x: x + 1, r), 6)
