"""Docstrings of this package as sphinx reads them: Google's sections, and names in backquotes.

Types stand in annotations alone, so that a colon in `Returns` or in a property's docstring is a
colon, where napoleon takes what is before it for a type. A public name in backquotes is a link.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.docutils import SphinxRole

import aimm_plugins

_PUBLIC = {*aimm_plugins.__all__, "compare", "inspect"}


class Docstring(GoogleDocstring):
    """A docstring whose sections have descriptions and no types."""

    def _consume_returns_section(
        self, preprocess_types: bool = False
    ) -> list[tuple[str, str, list[str]]]:
        lines = self._dedent(self._consume_to_next_section())
        return [("", "", lines)] if lines else []

    def _consume_inline_attribute(self) -> tuple[str, list[str]]:
        return "", self.__class__(self._dedent(self._consume_to_end()), self._config).lines()


class Name(SphinxRole):
    """Code in backquotes; a link where it is a public name of the package."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The code, or a link around it."""
        code = nodes.literal(self.rawtext, self.text, classes=["xref", "py"])
        if self.text not in _PUBLIC:
            return [nodes.literal(self.rawtext, self.text)], []
        link = addnodes.pending_xref(
            self.rawtext,
            code,
            refdomain="py",
            reftype="obj",
            reftarget=f"aimm_plugins.{self.text}",
            refdoc=self.env.docname,
            refwarn=True,
        )
        link.source, link.line = self.get_source_info()
        return [link], []


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn the sections of a docstring into fields, in place."""
    lines[:] = Docstring(lines, app.config, app, what, name, obj, options).lines()


def setup(app: Sphinx) -> dict[str, Any]:
    """Take napoleon's place; sphinx calls this."""
    app.setup_extension("sphinx.ext.napoleon")
    for listener in app.events.listeners["autodoc-process-docstring"]:
        if listener.handler.__module__ == "sphinx.ext.napoleon":
            app.disconnect(listener.id)
            break
    app.connect("autodoc-process-docstring", process)
    app.add_role("name", Name())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
