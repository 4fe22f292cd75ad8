"""Hold data against a JSON Schema, and explain the first fault in words.

jsonschema and YAML are imported where a schema is read: a start with a sound mapping needs neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from aimm_plugins._config.values import Config
from aimm_plugins._system.masking import without_passwords
from aimm_plugins._system.text import did_you_mean
from aimm_plugins._system.text import shown as shown_longer
from aimm_plugins.errors import ConfigError

if TYPE_CHECKING:
    from aimm_plugins._config.yaml_reader import Document

_MAX_DEPTH = 100
_MAX_SHOWN = 60
_MAX_BITS = 13_000

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "number": "a number",
    "integer": "a whole number",
    "null": "nothing",
}
_BOUNDS = {
    "exclusiveMinimum": ("small", "more than {}"),
    "minimum": ("small", "{} at least"),
    "maximum": ("large", "{} at most"),
}


class Misfit(NamedTuple):
    """What a schema has against a value, without any secret; `at_key` is against its key."""

    path: tuple[str | int, ...]
    message: str
    expected: str | None = None
    at_key: bool = False


@cache
def schema_names() -> tuple[str, ...]:
    from importlib.resources import files

    entries = (entry.name for entry in (files("aimm_plugins") / "schemas").iterdir())
    return tuple(sorted(n.removesuffix(".yaml") for n in entries if n.endswith(".yaml")))


@cache
def schema_text(name: str) -> str:
    from importlib.resources import files

    if name not in schema_names():
        raise LookupError(f"no schema {name!r}; there are {', '.join(schema_names())}")
    return (files("aimm_plugins") / "schemas" / f"{name}.yaml").read_text(encoding="utf-8")


def schema(name: str) -> dict[str, Any]:
    from aimm_plugins._config.yaml_reader import load

    loaded: dict[str, Any] = load(schema_text(name), file=f"{name}.yaml").data
    return loaded


def validate(
    data: object, name: str, *, document: Document | None = None, prefix: tuple[str | int, ...] = ()
) -> None:
    """Hold data against a schema; the data may be part of a document, below a prefix."""
    from jsonschema import Draft202012Validator

    layer = Config(document=document, prefix=prefix)
    wanted = schema(name)
    if document is not None and document.is_empty:
        import json

        # The smallest document that fits a schema of ours is its default.
        entries = [f"{key}: {json.dumps(value)}" for key, value in wanted["default"].items()]
        least = ", ".join(entries) or "{}"
        raise ConfigError("is empty", file=layer.source, expected=f"at least {least}")
    faults: list[Any] = list(Draft202012Validator(wanted).iter_errors(plain(data)))
    if not faults:
        return
    # Report a missing key last: usually the key is there but misspelt, and the "unknown key" error
    # says so.
    fault = min(
        map(deepest, faults),
        key=lambda f: (-len(f.absolute_path), f.validator == "required", str(f.path)),
    )
    misfit = explain(fault)
    raise layer.error(misfit.message, misfit.path, expected=misfit.expected, key=misfit.at_key)


def deepest(fault: Any) -> Any:
    """The most specific fault under an `anyOf`, unless each of its schemas wants another key."""
    while any(inner.validator != "required" for inner in fault.context):
        fault = max(
            fault.context, key=lambda inner: (len(inner.absolute_path), inner.validator != "type")
        )
    return fault


def explain(fault: Any) -> Misfit:
    """What a fault of jsonschema is, in words."""
    path = tuple(fault.absolute_path)
    if fault.validator != "additionalProperties":
        return Misfit(path, *_in_words(fault))
    known, patterns = fault.schema.get("properties", {}), fault.schema.get("patternProperties", {})
    strange = (key for key in fault.instance if key not in known)
    unknown = next(key for key in strange if not any(re.search(p, key) for p in patterns))
    hint = did_you_mean(unknown, known, cutoff=0.5)
    message = f"unknown key {unknown!r}" + (f"; {hint}" if hint else "")
    return Misfit((*path, unknown), message, "one of " + ", ".join(sorted(known)), at_key=True)


def _in_words(fault: Any) -> tuple[str, str | None]:
    value, wanted = fault.instance, fault.validator_value
    # Of a text that fits none of several patterns, what all of them are for.
    schema = fault.parent.schema if fault.validator == "pattern" and fault.parent else fault.schema
    description = schema.get("description") if isinstance(schema, dict) else None
    if isinstance(description, str):  # a sentence of its own; here it is part of another
        description = description.rstrip(".")
        description = f"a{description[1:]}" if description.startswith("A ") else description
    match fault.validator:
        case "required":
            return f"key {next(key for key in wanted if key not in value)!r} is missing", None
        case "anyOf":
            keys = ", ".join(key for schema in wanted for key in schema["required"])
            return f"one of the keys {keys} is missing", None
        case "type":
            # A wrong value directly among the options of a conf may be a secret.
            hidden = tuple(fault.absolute_path)[:1] == ("options",)
            text = f"a {type(value).__name__}" if hidden else shown(value)
            return f"{text} is of the wrong type", types_in_words(wanted)
        case "enum":
            known = ", ".join(map(str, wanted))
            return f"{shown(value)} is not known here", f"one of {known}"
        case "exclusiveMinimum" | "minimum" | "maximum" as bound:
            size, expected = _BOUNDS[bound]
            return f"{shown(value)} is too {size}", expected.format(wanted)
        case "minLength":
            return "is empty", description
        case "pattern":
            return f"{shown(value)} cannot be read", description
        case "not" if wanted:
            return description or fault.message, None
        case "not":
            where = fault.absolute_path[-1] if fault.absolute_path else "this"
            return f"{where} does not belong here", None
        case _:
            return fault.message, description


def types_in_words(types: str | list[str]) -> str:
    """What JSON Schema's `type` asks for: `a whole number or nothing`."""
    names = [types] if isinstance(types, str) else types
    return " or ".join(_TYPES.get(name, name) for name in names)


def shown(value: object) -> str:
    """The `repr` of a value for a message: encodable, short, and never an error."""
    whole = without_passwords(shown_longer(value))
    return whole if len(whole) <= _MAX_SHOWN else whole[: _MAX_SHOWN - 3] + "..."


def plain(value: object, path: tuple[str | int, ...] = ()) -> Any:
    """A copy as JSON Schema knows it: dicts with text as keys, lists, and scalars as they are."""
    if len(path) > _MAX_DEPTH:
        raise ConfigError(f"is nested deeper than {_MAX_DEPTH}")
    if isinstance(value, str):
        return str.__str__(value)  # the text of an enumeration's member, whose `str` is its name
    if isinstance(value, Mapping):
        return {key: plain(item, (*path, key)) for key, item in items(value, path)}
    if isinstance(value, list | tuple):
        return [plain(item, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ConfigError("is a number of thousands of digits", path=path)
    return value


def items(value: Mapping[Any, Any], path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The items of a mapping whose keys have to be text; see `plain`."""
    for key, item in value.items():
        if not isinstance(key, str):
            raise ConfigError(f"key {shown(key)} is not text", path=path)
        yield str.__str__(key), item
