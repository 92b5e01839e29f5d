"""The predictor inside a pipeline or a fitted search, with the rows as it sees them.

scikit-learn's pipelines and searches hand on the methods they know, which ``predict_distribution`` and
``update_predict`` are not.
"""

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def unwrapped(estimator: Any, X: Any) -> tuple[Any, Any]:
    """The last predictor inside ``estimator``, which is fitted, and ``X`` as the steps before it leave it."""
    check_is_fitted(estimator)
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            head, estimator = estimator[:-1], estimator[-1]
            X = head.transform(X) if len(head) else X
        else:
            return estimator, X
