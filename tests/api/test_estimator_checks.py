"""Every predictor, and the log-signature transformer, passes scikit-learn's own checks, none expected to fail."""

import numpy as np
import pytest

from tests.api.checks import estimator_checks
from usp_sklearn import (
    DGMPredictor,
    JKOPredictor,
    JumpDiffusionPredictor,
    LevyPredictor,
    LogSignatureTransformer,
    SignaturePredictor,
)

PREDICTORS = [LevyPredictor, DGMPredictor, JumpDiffusionPredictor, SignaturePredictor, JKOPredictor]


LOGSIGNATURES = [
    LogSignatureTransformer(),
    LogSignatureTransformer(depth=2, lifts=("reset", "time"), scaling="train", bound=None),
]


@estimator_checks(*[cls(random_state=0) for cls in PREDICTORS], *LOGSIGNATURES)
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", PREDICTORS)
def test_defaults_are_what_the_signature_says(cls):
    assert cls().get_params() == cls(**cls().get_params()).get_params()
    assert np.array_equal(sorted(cls().get_params()), sorted(cls(random_state=1).get_params()))
