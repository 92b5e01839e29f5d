"""Trained, still-learning models outside Python. See ``docs/export.md``."""

from .manifest import ArtefactError
from .model import LoadedModel, export_model, load_model

__all__ = ["ArtefactError", "LoadedModel", "export_model", "load_model"]
