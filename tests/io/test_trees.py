"""States as data: exact both ways, and names in a file reach nothing but the classes of states."""

import sys
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
import pytest

from usp_sklearn.io.schema import SnapshotError
from usp_sklearn.io.trees import pack, unpack
from usp_sklearn.kernels.jumpdiffusion.calibrate import Nets
from usp_sklearn.kernels.law import LEVELS, Law

LABEL = "usp_sklearn.kernels.law.Law"
TABLE = {"equinox.nn.Linear": eqx.nn.Linear}


class Own(NamedTuple):
    x: int


def there_and_back(value, table=None):
    arrays = {}
    return unpack(pack(value, "v", arrays, table), arrays, table)


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -(2**40), 1.5, 0.1 + 0.2, "text", (), [], {}, (1, (2, [3, None])), {"a": (True,), "b": {"c": 1}},
     -0.0, float("inf"), -float("inf"), np.float64(0.1), np.int32(3), np.bool_(True)],
)  # fmt: skip
def test_values_come_back_with_their_types(value):
    back = there_and_back(value)
    assert type(back) is type(value) and back == value and repr(back) == repr(value)


def test_not_a_number_comes_back():
    assert np.isnan(there_and_back(float("nan")))


def test_a_law_comes_back():
    law = Law(np.sort(np.random.default_rng(0).normal(size=LEVELS.shape)), np.ones(2), np.full(2, 0.1))
    back = there_and_back({"laws": [law, law]})["laws"][1]
    assert type(back) is Law
    assert all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(law, back, strict=True))


def test_a_module_of_equinox_comes_back():
    with jax.enable_x64(True):
        nets = Nets(3, jax.random.key(0))
        back = there_and_back(nets, TABLE)
        assert jax.tree.structure(back) == jax.tree.structure(nets)
        for x, y in zip(jax.tree.leaves(nets), jax.tree.leaves(back), strict=True):
            assert isinstance(y, np.ndarray) and y.dtype == np.float64
            np.testing.assert_array_equal(x, y)
        row = np.array([0.3, -1.0, 2.0])
        assert float(back.drift(row)) == float(nets.drift(row))
    with pytest.raises(TypeError, match=r"v/drift/hidden is Linear(?s:.*)can't hold"):
        there_and_back(nets)


@pytest.mark.parametrize("value", [Own(1), object(), {1: 2}, {3}, b"bytes", lambda: 0, np.random.RandomState(0), 1j])
def test_what_has_no_place_is_refused(value):
    with pytest.raises(TypeError, match="which a snapshot can't hold"):
        there_and_back([value])


def test_the_table_admits_a_class_by_its_name():
    assert there_and_back(Own(3), {"own": Own}) == Own(3)
    with pytest.raises(SnapshotError, match="does not know"):
        unpack(pack(Own(3), "v", {}, {"own": Own}), {})


@pytest.mark.parametrize(
    "label",
    [
        "os.system",
        "builtins.dict",
        "usp_sklearn.api.context.Plan",  # another room
        "usp_sklearn.kernels.law.jax",  # what a module imports
        "usp_sklearn.kernels.law.NamedTuple",
        "usp_sklearn.kernels.law.Array",
        "usp_sklearn.kernels.law.crps",  # a function
        "usp_sklearn.kernels.law.Law.__class__",
        "usp_sklearn.kernels.law.__loader__",
        "usp_sklearn.core.engine.Law",  # a class where it is not defined
        "usp_sklearn.kernels.absent.Law",
        "usp_sklearn.kernels.lockstep",
        "usp_sklearn.kernels.law.",
        "Law",
        "",
    ],
)
def test_names_reach_only_classes_of_states(label):
    with pytest.raises(SnapshotError, match="does not know"):
        unpack({"class": label, "fields": {}}, {})


def test_nothing_is_imported_by_name(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass Law: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    for label in ("evil.Law", "usp_sklearn.kernels.evil.Law", "usp_sklearn.core.__main__.Law"):
        before = set(sys.modules)
        with pytest.raises(SnapshotError):
            unpack({"class": label, "fields": {}}, {})
        assert set(sys.modules) == before
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        ({}, "no value"),
        ([1], "no value"),
        ({"array": "absent"}, "no value"),
        ({"array": ["x"]}, "no value"),
        ({"array": "x", "more": 1}, "no value"),
        ({"number": "x"}, "no value"),
        ({"float": "1e400"}, "no value"),
        ({"tuple": {"0": 1}}, "no value"),
        ({"tuple": [{"list": 3}]}, "no value"),
        ({"class": LABEL}, "no value"),
        ({"class": LABEL, "fields": {"q": 1}}, "with the fields"),
        ({"class": LABEL, "fields": {"q": 1, "tail_scale": 2, "tail_index": 3, "__class__": 4}}, "with the fields"),
    ],
)
def test_forged_structures_are_refused(packed, message):
    with pytest.raises(SnapshotError, match=message):
        unpack(packed, {"x": np.zeros(2)})
