"""The directive `aimm-schemas`: the schemas that ship with the package, as lists of their keys.

sphinx-jsonschema knows draft 4, and json-schema-for-humans makes pages of its own with their own
style and scripts; the schemas here are flat and described, so that a list of keys says it all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from aimm_plugins._config.json_schema import schema, schema_names

Schema = Mapping[str, Any]

_LIMITS = {
    "minLength": "at least {} long",
    "maxLength": "at most {} long",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} keys",
    "maxProperties": "at most {} keys",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
}


# What people write comes first.
_WRITTEN = ("plugins", "policy", "job")


class SchemasDirective(SphinxDirective):
    """A section for each schema that the package ships."""

    def run(self) -> list[nodes.Node]:
        """The sections, with each schema's description and a list of its keys."""
        names = schema_names()
        first = [name for name in _WRITTEN if name in names]
        return [
            self._section(name) for name in [*first, *(each for each in names if each not in first)]
        ]

    def _section(self, name: str) -> nodes.section:
        root = schema(name)
        keys = nodes.definition_list(classes=["aimm-schema"])
        for path, each, required in _keys(root, root):
            keys += self._item(name, path, each, required, root)
        for title, each in root.get("$defs", {}).items():
            if each.get("properties"):
                for path, inner, required in _keys(each, root, f"({title})"):
                    keys += self._item(name, path, inner, required, root)
        made = nodes.section("", nodes.title("", name), _described(root), keys, names=[name])
        self.state.document.note_implicit_target(made, made)
        return made

    def _item(
        self, name: str, path: str, each: Schema, required: bool, root: Schema
    ) -> nodes.definition_list_item:
        target = nodes.make_id(f"schema-{name}-{path}")
        term = nodes.term("", "", nodes.literal("", path), ids=[target])
        facts = [_kind(each, root), *_limits(each), *(["required"] if required else [])]
        kind = nodes.classifier("", ", ".join(facts))
        body = nodes.definition("", _described(each))
        # Of a key that may be left out; others have a default for their own sake.
        if not required and not path.endswith(("]", "*")) and "default" in each:
            body[0] += [nodes.Text(" Default: "), nodes.literal("", json.dumps(each["default"]))]
        item = nodes.definition_list_item("", term, kind, body)
        self.set_source_info(item)
        return item


def _described(each: Schema) -> nodes.paragraph:
    """The description, what is in backquotes as code."""
    parts = each.get("description", "").split("`")
    return nodes.paragraph(
        "",
        "",
        *(
            nodes.literal("", part) if number % 2 else nodes.Text(part)
            for number, part in enumerate(parts)
        ),
    )


def _resolved(each: Schema, root: Schema) -> Schema:
    if "$ref" not in each:
        return each
    found: Any = root
    for part in each["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{key: value for key, value in each.items() if key != "$ref"}}


def _keys(parent: Schema, root: Schema, path: str = "") -> Iterator[tuple[str, Schema, bool]]:
    """Paths, schemas and whether they are required, of all that is below a schema."""
    for key, child in parent.get("properties", {}).items():
        yield from _below(child, root, f"{path}.{key}" if path else key, parent, key)
    for pattern, child in parent.get("patternProperties", {}).items():
        text = pattern.removeprefix("^") + "*"
        yield from _below(child, root, f"{path}.{text}" if path else text, parent, None)
    extra = parent.get("additionalProperties")
    if isinstance(extra, Mapping):
        yield from _below(extra, root, f"{path}.*" if path else "*", parent, None)
    if isinstance(parent.get("items"), Mapping):
        yield from _below(parent["items"], root, f"{path}[]", parent, None)
    for one in (*parent.get("anyOf", ()), *parent.get("oneOf", ())):
        yield from _keys(one, root, path)


def _below(
    child: Schema, root: Schema, path: str, parent: Schema, key: str | None
) -> Iterator[tuple[str, Schema, bool]]:
    referred = "$ref" in child and _resolved(child, root).get("properties")
    child = _resolved(child, root)
    # An item that only has a type is told with its list.
    if "description" in child:
        yield path, child, key is not None and key in parent.get("required", ())
    if not referred:
        yield from _keys(child, root, path)


def _kind(each: Schema, root: Schema) -> str:
    """In words, what a value is: "string", "array of string", "number or null"."""
    each = _resolved(each, root)
    if "enum" in each:
        return "one of " + ", ".join(_spelled(value) for value in each["enum"])
    if "const" in each:
        return _spelled(each["const"])
    kinds = each.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    for one in (*each.get("anyOf", ()), *each.get("oneOf", ())):
        kinds.append(_kind(one, root))
    if kinds == ["array"] and isinstance(each.get("items"), Mapping):
        items = _kind(each["items"], root)
        return "array" if items == "anything" else f"array of {items}"
    return " or ".join(dict.fromkeys(kinds)) or "anything"


def _limits(each: Schema) -> Iterator[str]:
    for key, text in _LIMITS.items():
        if key in each:
            yield text.format(each[key])


def _spelled(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive; sphinx calls this."""
    app.add_directive("aimm-schemas", SchemasDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
