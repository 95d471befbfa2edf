"""How `make docs` builds these pages. They read as well where they lie, without being built."""

from boxless import __version__ as release

project = "boxless"
author = "the boxless contributors"
copyright = author  # noqa: A001  (Sphinx's name)
extensions = ["sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon", "myst_nb"]

html_theme = "furo"
html_title = f"boxless {release}"
html_show_sphinx = False
html_show_sourcelink = html_copy_source = False

# Offline: no page asks another host for anything, and neither does building them.
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_execution_mode = "cache"
nb_execution_timeout = 1800
nb_execution_raise_on_error = True

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header"]  # results.json is explained in pieces that begin deeper

default_role = "code"  # docstrings mark code with single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
add_module_names = False
maximum_signature_line_length = 88
napoleon_numpy_docstring = False
