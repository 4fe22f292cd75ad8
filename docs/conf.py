"""How sphinx makes this documentation: `tox -e docs`, or `sphinx-build -W -n docs FOLDER`."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "aimm_plugins"
author = "the authors of aimm_plugins"
version = release = version_of("aimm-plugins")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "docstrings",
    "samples",
    "schemas",
    "aimm_plugins.contrib.sphinx",
]
exclude_patterns = ["_ext"]

# Links by file and heading, as they work on GitHub too.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# The first line of a file's block is its name, which JSON cannot have.
suppress_warnings = ["misc.highlighting_failure"]

default_role = "name"
add_module_names = False
autodoc_member_order = "bysource"
# Half a minute of installing, for the docstrings of one module.
autodoc_mock_imports = ["dask", "distributed"]
autodoc_typehints_format = "short"
napoleon_use_ivar = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True

nitpicky = True
# Other projects' names lead to their own documentation where that may be fetched.
if os.environ.get("AIMM_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "pluggy": ("https://pluggy.readthedocs.io/en/stable", None),
    }
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(asyncio|builtins|collections|concurrent|logging|os|pathlib|threading|types|typing)\..*",
    ),
    (r"py:.*", r"(distributed|opentelemetry|pluggy|pytest|rich|tqdm)\..*"),
    # Imported under TYPE_CHECKING alone, so that autodoc knows them by their text.
    (r"py:class", r"(Progress|datetime|Owner|Signature|Declaration|Published|PluginManager)"),
    (r"py:class", r"(Mapping|tuple)\[.*"),
    # Made by `checks` for the checks themselves.
    (r"py:class", r"aimm_plugins\.testing\._subject\.Subject"),
    # A conf that was read already, which only this package has.
    (r"py:class", r"aimm_plugins\._config\.(values\.)?Config"),
    (r"py:meth", r"PluginManager\.register"),
    # Type variables, and protocols that say what an argument needs.
    (r"py:class", r"aimm_plugins\.(_\w+\.(\w+\.)*[A-Z]|\w+\._\w+)"),
]

html_theme = "furo"
html_title = "aimm_plugins"
html_static_path: list[str] = []
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
