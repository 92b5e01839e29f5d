"""Predictors inside ``skl2onnx``: a Pipeline of scalers and a predictor, converted whole by ``skl2onnx.to_onnx``."""

from typing import Any

import numpy as np
from onnx import helper
from sklearn.base import BaseEstimator

from ..api.predictor import (
    DGMPredictor,
    JKOPredictor,
    JumpDiffusionPredictor,
    LevyPredictor,
    SignaturePredictor,
)
from . import onnx
from .graph import Port, Signature, graph
from .onnx_builder import OPSET

PREDICTORS = (JKOPredictor, LevyPredictor, DGMPredictor, JumpDiffusionPredictor, SignaturePredictor)
POINT = "variable"
"""What skl2onnx calls the prediction of a regressor."""


def register_converters() -> None:
    """Teach ``skl2onnx`` the predictors of this package.

    The converted model has the outputs of an exported one (quantiles, mean, tails, weights, telemetry) after
    ``variable`` (batch, H), what ``predict`` returns.

    >>> import numpy as np, skl2onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from usp_sklearn import LevyPredictor, datasets, sliding_window
    >>> X, y = sliding_window(datasets.make_ou(200, random_state=0), width=16, averages=None, season=None)
    >>> model = make_pipeline(StandardScaler(), LevyPredictor(width=16)).fit(X, y)
    >>> register_converters()
    >>> [o.name for o in skl2onnx.to_onnx(model, X[:1]).graph.output]
    ['variable', 'quantiles', 'mean', 'tails', 'weights', 'telemetry']
    """
    from skl2onnx import update_registered_converter

    for kind in PREDICTORS:
        update_registered_converter(kind, f"Usp{kind.__name__}", _shapes, _convert, parser=_parse)


def _signature(model: Any, dtype: str) -> Signature:
    predict = graph(model, dtype=dtype).predict
    place = 0 if model.point == "median" else 1

    def call(rows: Any) -> tuple[Any, ...]:
        out = predict.call(rows)
        law = out[place]
        point = law[..., law.shape[-1] // 2] if place == 0 else law
        return point.reshape(len(rows), -1), *out

    layout = model.state_.shape.layout
    port = Port(POINT, ("batch", layout.horizon if layout.multi else 1), "series", dtype)
    return Signature(call, predict.inputs, (port, *predict.outputs))


def _parse(scope: Any, model: BaseEstimator, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    operator = scope.declare_local_operator(f"Usp{type(model).__name__}", model)
    operator.inputs = inputs
    _, kind = _types(operator)
    for name in (POINT, "quantiles", "mean", "tails", "weights", "telemetry"):
        operator.outputs.append(scope.declare_local_variable(name, kind()))
    return list(operator.outputs)


def _types(operator: Any) -> tuple[str, Any]:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    single = isinstance(operator.inputs[0].type, FloatTensorType)
    return ("float32", FloatTensorType) if single else ("float64", DoubleTensorType)


def _shapes(operator: Any) -> None:
    dtype, kind = _types(operator)
    for variable, port in zip(operator.outputs, _signature(operator.raw_operator, dtype).outputs, strict=True):
        variable.type = kind([None if n == "batch" else n for n in port.shape])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    dtype, _ = _types(operator)
    prefix = scope.get_unique_operator_name(type(operator.raw_operator).__name__) + "_"
    # Whole numbers come as integers: the graph takes reals.
    given = prefix + "rows"
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    container.nodes.append(helper.make_node("Cast", [operator.inputs[0].full_name], [given], name=given, to=code))
    signature = _signature(operator.raw_operator, dtype)
    made, constants = onnx.nodes(signature, given, prefix)
    container.nodes.extend(made)
    container.initializers.extend(constants)
    for variable, port in zip(operator.outputs, signature.outputs, strict=True):
        name = prefix + port.name + "_out"
        container.nodes.append(helper.make_node("Identity", [prefix + port.name], [variable.full_name], name=name))
    container.node_domain_version_pair_sets.add(("", OPSET))
