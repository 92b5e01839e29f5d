"""Trained, still-learning models outside Python. See ``docs/export.md``."""

from .check import Report, check
from .manifest import ArtefactError
from .model import LoadedModel, export_model, load_model

__all__ = ["ArtefactError", "LoadedModel", "Report", "check", "export_model", "load_model"]
