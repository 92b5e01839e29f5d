"""Metadata on its way from a meta-estimator that learns to the fits of the regressors in it, as scikit-learn has it."""

from typing import Any

from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import has_fit_parameter

LEARNING = ("fit", "partial_fit")
"""Methods that refit regressors."""

Regressors = list[tuple[str, Any]]


def router_of(owner: Any, regressors: Regressors) -> MetadataRouter:
    """What ``get_metadata_routing`` of ``owner`` returns."""
    router, into_fit = MetadataRouter(owner=owner), MethodMapping()
    for caller in LEARNING:
        into_fit.add(caller=caller, callee="fit")
    return router.add(method_mapping=into_fit, **dict(regressors))


def routed(owner: Any, regressors: Regressors, method: str, metadata: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Keyword arguments of each regressor's ``fit``, by name.

    With metadata routing enabled regressors get what they request; without, all of them get ``sample_weight``.

    Raises
    ------
    UnsetMetadataPassedError, TypeError, ValueError
        If metadata is given that no regressor requests or that one can't take.
    """
    _raise_for_params(metadata, owner, method, allow=["sample_weight"])
    if _routing_enabled():
        ways = process_routing(owner, method, **metadata)
        return {name: dict(ways[name]["fit"]) for name, _ in regressors}
    given = {name: value for name, value in metadata.items() if value is not None}
    for name, regressor in regressors if given else ():
        if not has_fit_parameter(regressor, "sample_weight"):
            raise TypeError(f"The regressor {name!r}, {type(regressor).__name__}, does not support sample weights.")
    return {name: given for name, _ in regressors}
