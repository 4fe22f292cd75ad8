"""Which options may be shown, and a dict whose `repr` hides the others.

A value is shown only where it is known to be no secret: it was not written as `env:` or `file:`,
and each schema that holds for it is understood here and says neither `writeOnly` nor a
`format` that is not listed here, such as `password`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Path = tuple[str | int, ...]

SECRET = "a secret"
PERHAPS_SECRET = "a value that may be a secret"

_BRANCHES = ("allOf", "anyOf", "oneOf")
_OF_KEYS = frozenset({"properties", "additionalProperties"})
_OF_ITEMS = frozenset({"items"})
_WITHIN = _OF_KEYS | _OF_ITEMS
_UNDERSTOOD = (
    _WITHIN
    | {*_BRANCHES, "$ref", "$defs", "definitions", "$id", "$anchor", "$comment"}
    | {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
    | {"type", "enum", "const", "format", "contentEncoding", "contentMediaType"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems"}
    | {"minContains", "maxContains", "minProperties", "maxProperties"}
    | {"required", "dependentRequired", "propertyNames"}
)


_FORMATS = frozenset(
    {"date-time", "date", "time", "duration", "email", "idn-email", "hostname", "idn-hostname"}
    | {"ipv4", "ipv6", "uri", "uri-reference", "uri-template", "iri", "iri-reference", "uuid"}
    | {"json-pointer", "relative-json-pointer", "regex", "int32", "int64", "float", "double"}
    | {"path", "file-path", "directory-path"}
)
"""Formats of JSON Schema, OpenAPI and pydantic whose values are no secrets."""


class Options(dict[str, Any]):
    """What a plugin is given: a dict of the caller's own, whose `repr` shows no secret."""

    __slots__ = ("_hidden",)

    def __init__(self, values: Mapping[str, Any] | None = None, hidden: Iterable[str] = ()) -> None:
        super().__init__(values or {})
        self._hidden = frozenset(hidden)

    def __repr__(self) -> str:
        pairs = (
            f"{key!r}: {'***' if key in self._hidden else repr(value)}"
            for key, value in self.items()
        )
        return f"{{{', '.join(pairs)}}}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Options, (dict(self), self._hidden)


def copied(value: Any) -> Any:
    """A copy that shares no dict and no list with the original; a host's own objects stay."""
    if isinstance(value, Options):
        return Options({key: copied(item) for key, item in value.items()}, value._hidden)
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


def hiding(values: Mapping[str, Any], hidden: Iterable[Path]) -> Options:
    """The values as options that hide what is at some paths, and lists with any of them."""
    places = set(hidden)
    for place in list(places):
        while place and isinstance(place[-1], int):
            place = place[:-1]
            places.add(place)

    def made(value: Any, path: Path, within_hidden: bool) -> Any:
        within_hidden = within_hidden or path in places
        if isinstance(value, dict):
            return Options(
                {key: made(item, (*path, key), within_hidden) for key, item in value.items()},
                [key for key in value if within_hidden or (*path, key) in places],
            )
        if isinstance(value, list):
            return [made(item, (*path, i), within_hidden) for i, item in enumerate(value)]
        return value

    options: Options = made(dict(values), (), False)
    return options


def hidden_paths(
    values: Any, document: dict[str, Any], target: Callable[[str], Any], check: Callable[[], None]
) -> dict[Path, str]:
    """The paths of the values that must not be shown, with what messages call them instead.

    `target` returns the schema that a `$ref` leads to, or `None`. `check` is called at each step,
    since references can make many.
    """
    hidden: dict[Path, str] = {}

    def visit(value: Any, schemas: Iterable[Any], path: Path) -> None:
        holding = _holding(schemas, target, check)
        if isinstance(holding, str):
            hidden[path] = holding
            return
        own = _OF_KEYS if isinstance(value, dict) else _OF_ITEMS if isinstance(value, list) else ()
        within = {word for schema in holding for word in schema.keys() & _WITHIN}
        if within and within.isdisjoint(own) and not isinstance(value, bool | None):
            hidden[path] = PERHAPS_SECRET  # one that belongs into the mapping or the list
        elif isinstance(value, dict):
            for key, item in value.items():
                visit(item, _of_key(holding, key), (*path, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                visit(item, [s["items"] for s in holding if "items" in s], (*path, index))

    visit(values, [document], ())
    return hidden


def _holding(
    schemas: Iterable[Any], target: Callable[[str], Any], check: Callable[[], None]
) -> list[dict[str, Any]] | str:
    """The schemas and those that they refer to; or why a value of theirs is not shown."""
    found: dict[int, dict[str, Any]] = {}
    waiting = list(schemas)
    while waiting:
        check()
        schema = waiting.pop()
        if isinstance(schema, bool):
            continue
        if not isinstance(schema, dict):
            return PERHAPS_SECRET
        if schema.get("writeOnly", False) is not False or schema.get("format") == "password":
            return SECRET
        if not schema.keys() <= _UNDERSTOOD or schema.get("format", "date") not in _FORMATS:
            return PERHAPS_SECRET
        if id(schema) not in found:
            found[id(schema)] = schema
            waiting += [inner for word in _BRANCHES for inner in schema.get(word, ())]
            waiting += [target(schema["$ref"])] if "$ref" in schema else []
    return list(found.values())


def _of_key(schemas: list[dict[str, Any]], key: str) -> list[Any]:
    named = [s["properties"][key] for s in schemas if key in s.get("properties", ())]
    rest = [
        schema["additionalProperties"]
        for schema in schemas
        if "additionalProperties" in schema and key not in schema.get("properties", ())
    ]
    if named or not all(isinstance(schema, bool) for schema in rest):
        return named + rest
    # It may be one of the named keys, misspelt.
    return [inner for schema in schemas for inner in schema.get("properties", {}).values()]
