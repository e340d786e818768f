"""The site: `make docs` writes it to docs/_build/html, with warnings as errors and no network."""

from __future__ import annotations

import os
import warnings
from importlib.metadata import version as version_of

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ["MPLBACKEND"] = "Agg"
warnings.filterwarnings("ignore", category=FutureWarning)

project, author = "ntkscope", "The ntkscope developers"
version = release = version_of("ntkscope")
copyright = author

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery", "paper.md", "terminal", "sg_execution_times.rst"]
highlight_language = "none"  # a block says what it is: most are commands
default_role = "code"  # as `single backticks` are meant in docstrings
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache", "myst.header"]  # a page may quote a deeper section

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_use_ivar = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "tutorials",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "capture_repr": (),  # what is printed is shown, and figures
    "min_reported_time": float("inf"),
    "write_computation_times": False,
    "show_signature": False,
    "abort_on_example_error": True,
}

html_theme = "furo"
html_title = "ntkscope"
html_static_path: list[str] = []
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"code-font-size": "75%"},  # 98 characters fit a wide page
}
