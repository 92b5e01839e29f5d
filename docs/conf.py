"""Sphinx: Markdown pages, API reference from docstrings, a gallery whose programs are run."""

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import usp_sklearn  # noqa: E402

project = "usp_sklearn"
author = "usp_sklearn maintainers"
version = release = usp_sklearn.__version__
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "_templates", "math/figures", "gallery/*"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4
autosummary_generate = True
templates_path = ["_templates"]
autodoc_typehints = "none"
numpydoc_show_class_members = False
html_theme = "furo"
html_title = f"usp_sklearn {version}"
html_show_sphinx = False

# Programs of the gallery share compiled code with each other and with the next build.
usp_sklearn.configure(cache_dir=os.environ.get("USP_DOCS_CACHE", Path(tempfile.gettempdir()) / "usp-docs-cache"))
sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["auto_gallery"],
    "filename_pattern": r"plot_\d+",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "min_reported_time": 0,
    "download_all_examples": False,
    "plot_gallery": "True",
    "show_memory": False,
    "capture_repr": ("_repr_html_",),
}
