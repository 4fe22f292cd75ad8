"""Sphinx: a directive that lists a distribution's plugins, with their keys and docstrings.

Keys come from metadata and from parsed source: no plugin is imported, so that what it depends on
need not be there. What is missing or cannot be known is a warning at the directive's line; the page
on integrations has the kinds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import aimm_plugins
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._discovery.published import Candidate
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._options.schema import KnownOption, read_schema
from aimm_plugins._source.declarations import (
    PluginSource,
    SourceDeclaration,
    published_declarations,
)
from aimm_plugins._source.reader import SourceReader
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import did_you_mean
from aimm_plugins.errors import DeclarationError

try:
    from docutils import nodes
    from docutils.parsers.rst import Parser, roles
    from sphinx import addnodes
    from sphinx.ext.napoleon import Config
    from sphinx.ext.napoleon.docstring import GoogleDocstring, NumpyDocstring
    from sphinx.util import logging
    from sphinx.util.docutils import LoggingReporter, SphinxDirective, new_document, register_role
    from sphinx.util.rst import default_role
except ImportError as error:
    raise ImportError(
        "aimm_plugins.contrib.sphinx needs sphinx: pip install 'aimm-plugins[sphinx]'",
        name=error.name,
    ) from error

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_log = logging.getLogger(__name__)
# Fields as lists of their own: those that sphinx gathers by itself are of its Python domain alone.
_STYLE = Config(
    napoleon_use_ivar=True,
    napoleon_use_param=False,
    napoleon_use_rtype=False,
    napoleon_use_keyword=False,
)


class PluginsDirective(SphinxDirective):
    """The directive `aimm-plugins`: its argument is the name of an installed distribution."""

    required_arguments = 1
    final_argument_whitespace = False

    def run(self) -> list[nodes.Node]:
        """The nodes of all plugins, in the order in which `initialize` would load them."""
        name = self.arguments[0]
        installed = scan()
        distribution = installed.find(name)
        if distribution is None:
            known = {candidate.distribution.name for candidate in installed.candidates}
            hint = did_you_mean(name, known) or "see `aimm-plugins list`"
            self._warn("distribution", f"{name} is not installed; {hint}")
            return []
        # What pip changes when it installs another version.
        self.env.note_dependency(os.path.join(distribution.place, "entry_points.txt"))
        candidates = [c for c in installed.candidates if c.distribution.key == normalized(name)]
        if not candidates:
            message = f"{distribution.subject} has no entry point of the group aimm.plugins"
            self._warn("distribution", message)
        reader = SourceReader([candidate.module for candidate in installed.candidates])
        made: list[nodes.Node] = []
        for candidate in candidates:
            source = reader.read(candidate.module, candidate.attribute)
            published = installed.keys_of(candidate)
            if published:
                declarations = published_declarations(published, source)
            else:
                declarations = source.declarations
                for gap in source.gaps:
                    self._warn("key", f"{_who(candidate)}: {gap}")
                if not declarations and not source.gaps and not source.has_hooks:
                    self._warn("key", f"{_who(candidate)}: {candidate.module} declares nothing")
            made += self._plugin(candidate, source, declarations)
            made += self._options(candidate, installed)
        return made

    def _plugin(
        self,
        candidate: Candidate,
        source: PluginSource,
        declarations: tuple[SourceDeclaration, ...],
    ) -> Iterator[nodes.Node]:
        yield nodes.paragraph(
            "",
            "",
            nodes.strong("", candidate.name),
            nodes.Text(" of "),
            nodes.literal("", candidate.distribution.subject),
            nodes.Text(", module "),
            nodes.literal("", candidate.module),
            classes=["aimm-plugin"],
        )
        for file in dict.fromkeys([source.file, *(found.file for found in declarations)]):
            if file is not None:
                self.env.note_dependency(file)
        for declaration in declarations:
            yield from self._key(declaration, _who(candidate))

    def _options(self, candidate: Candidate, installed: Scan) -> Iterator[nodes.Node]:
        """The options that the plugin's schema names; of one that is code, where that is."""
        known: list[KnownOption] = []
        for published in installed.options_of(candidate.module, candidate.distribution.name):
            if not published.is_file:
                said = nodes.literal("", str(published))
                yield nodes.paragraph("", "", nodes.Text("Options are those of "), said)
                continue
            try:
                known += read_schema(published).known()
            except DeclarationError as error:
                self._warn("options", f"{_who(candidate)}: {error}")
            file = locate(published.module)
            if file is not None:
                self.env.note_dependency(os.path.join(os.path.dirname(file), published.attribute))
        if known:
            yield nodes.paragraph("", "Options:", classes=["aimm-options"])
            yield nodes.definition_list(
                "",
                *(
                    nodes.definition_list_item(
                        "",
                        nodes.term("", "", nodes.literal("", option.name)),
                        nodes.definition("", nodes.paragraph("", option.summary)),
                    )
                    for option in known
                ),
            )

    def _key(self, declaration: SourceDeclaration, who: str) -> Iterator[nodes.Node]:
        spelled = f"{declaration.action}:{declaration.key}"
        if declaration.docstring is None:
            self._warn("docstring", f"{who}: no docstring of {spelled} was found")
        signature = addnodes.desc_signature(
            spelled,
            "",
            addnodes.desc_annotation("", f"{declaration.action} "),
            addnodes.desc_name("", declaration.key),
            addnodes.desc_addname("", declaration.signature or ""),
        )
        anchor = nodes.make_id(f"aimm-{declaration.action}-{declaration.key}")
        if anchor not in self.state.document.ids:
            signature["ids"].append(anchor)
            self.state.document.note_explicit_target(signature)
            entry = f"{declaration.key} ({declaration.action})"
            yield addnodes.index(entries=[("single", entry, anchor, "", None)])
        content = addnodes.desc_content("", *self._docstring(declaration, who))
        # A domain without a name: these are keys, which no language's domain knows.
        yield addnodes.desc(
            "", signature, content, domain="", objtype="aimm-key", desctype="aimm-key"
        )

    def _docstring(self, declaration: SourceDeclaration, who: str) -> list[nodes.Node]:
        """A docstring's nodes; its faults are reported with its source file."""
        text = declaration.docstring or ""
        for style in (GoogleDocstring, NumpyDocstring):
            text = str(style(text, _STYLE))  # type: ignore[arg-type]  # made by default
        where = f"{declaration.file or who}:docstring of {declaration.qualname or declaration.key}"
        settings = self.state.document.settings
        document = new_document(where, settings)
        document.reporter = LoggingReporter(where, settings.report_level, settings.halt_level)
        # The parser forgets the default role of the page that is being read.
        role = roles._roles.get("")  # type: ignore[attr-defined]  # docutils has no other way
        with default_role(self.env.docname, self.config.default_role or ""):
            if role is not None:
                register_role("", role)
            # Whatever language the page is written in, docstrings are reStructuredText.
            Parser().parse(text, document)
        if role is not None:
            register_role("", role)
        for name in document.findall(nodes.field_name):
            title = name.astext().replace("ivar ", "attribute ", 1)
            name.clear()
            name += nodes.Text(title[:1].upper() + title[1:])
        return [*document.children]

    def _warn(self, subtype: str, message: str) -> None:
        _log.warning(
            f"aimm-plugins: {message}",
            type="aimm_plugins",
            subtype=subtype,
            location=self.get_location(),
        )


def _who(candidate: Candidate) -> str:
    return f"plugin {candidate.name} of {candidate.distribution.subject}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive; sphinx calls this."""
    app.add_directive("aimm-plugins", PluginsDirective)
    return {
        "version": aimm_plugins.__version__,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
