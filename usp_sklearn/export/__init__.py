"""Trained, still-learning models outside Python. See ``docs/export.md``."""

from .check import Report, check
from .manifest import ArtefactError
from .model import LoadedModel, export_model, load_model


def register_converters() -> None:
    """Teach ``skl2onnx`` the predictors: ``skl2onnx.to_onnx(pipeline, X[:1])`` then converts whole pipelines."""
    from .onnx_pipeline import register_converters as register

    register()


__all__ = ["ArtefactError", "LoadedModel", "Report", "check", "export_model", "load_model", "register_converters"]
