"""Sphinx: these Markdown files become the pages of `make docs`. Why Sphinx: decisions/0015-sphinx-for-the-docs.md."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE)]

from linkodds import __version__  # noqa: E402

project = "linkodds"
author = "The linkodds developers"
copyright = "The linkodds developers, Apache-2.0"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
templates_path: list[str] = []

myst_heading_anchors = 3
myst_heading_slug_func = "anchors.heading_slug"
myst_enable_extensions = ["colon_fence"]

# Notebooks are shown as they are stored; tests/test_notebooks.py runs them.
nb_execution_mode = "off"

# Docstrings quote code with single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes after fit", "params_style")]

html_theme = "furo"
html_title = f"linkodds {release}"
html_static_path = ["_static"]
html_css_files = ["linkodds.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f8b", "color-brand-content": "#1f5f8b"},
    "dark_css_variables": {"color-brand-primary": "#7cc0f0", "color-brand-content": "#7cc0f0"},
    "footer_icons": [],
}
