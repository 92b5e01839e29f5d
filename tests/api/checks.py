"""scikit-learn's estimator checks as a parametrisation, without the one that skips itself."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator


def estimator_checks(*estimators: Any) -> pytest.MarkDecorator:
    """What ``parametrize_with_checks`` runs, less the check that needs SCIPY_ARRAY_API in the environment."""
    pairs = [
        pytest.param(estimator, check, id=f"{type(estimator).__name__}-{check.func.__name__}")
        for each in estimators
        for estimator, check in estimator_checks_generator(each)
        if check.func.__name__ != "check_array_api_input"
    ]
    return pytest.mark.parametrize(("estimator", "check"), pairs)
