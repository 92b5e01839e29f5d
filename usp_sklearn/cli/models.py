"""Models by the name they have on the command line, and their parameters as words."""

import ast
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from ..api.base import BasePredictor
from ..api.predictor import DGMPredictor, JKOPredictor, JumpDiffusionPredictor, LevyPredictor, SignaturePredictor


class Model(StrEnum):
    """All branches weighed, or one alone."""

    jko = "jko"
    levy = "levy"
    dgm = "dgm"
    jump = "jump"
    signature = "signature"


CLASSES: dict[Model, type[BasePredictor]] = {
    Model.jko: JKOPredictor,
    Model.levy: LevyPredictor,
    Model.dgm: DGMPredictor,
    Model.jump: JumpDiffusionPredictor,
    Model.signature: SignaturePredictor,
}


def made(model: Model, layout: dict[str, int], seed: int, params: Sequence[str] = ()) -> BasePredictor:
    """An unfitted predictor for rows of ``layout``.

    Parameters
    ----------
    params : words like "tau=0.5" or "branches=['A','D']"; values are Python literals, or text as it stands.

    >>> made(Model.levy, {"width": 8, "n_level": 0, "n_exog": 0}, 0, ["tau=0.5"]).tau
    0.5
    """
    estimator = CLASSES[model](random_state=seed)
    return estimator.set_params(**layout, **given(params, estimator))


def given(params: Sequence[str], estimator: BasePredictor) -> dict[str, Any]:
    """Parameters said on the command line, by name."""
    reserved = {"width", "n_level", "n_exog", "n_ahead", "horizon", "random_state"}
    known = set(estimator.get_params(deep=False)) - reserved
    out = {}
    for word in params:
        name, equals, text = word.partition("=")
        if not equals or name not in known:
            raise ValueError(
                f"--param must be name=value with a name of {', '.join(sorted(known))}. Got {word!r} instead."
            )
        try:
            out[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            out[name] = text
    return out
