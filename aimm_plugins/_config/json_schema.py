"""Hold data against a JSON Schema, and explain the first fault in words.

jsonschema and YAML are imported where a schema is read: a start with a sound mapping needs neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from aimm_plugins._config.values import Config
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import described, did_you_mean, encodable, type_name
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


@cache
def schema_names() -> tuple[str, ...]:
    """Names of the schemas that are shipped, sorted."""
    from importlib.resources import files

    return tuple(
        sorted(
            entry.name.removesuffix(".yaml")
            for entry in (files("aimm_plugins") / "schemas").iterdir()
            if entry.name.endswith(".yaml")
        )
    )


@cache
def schema_text(name: str) -> str:
    """A schema as it is shipped.

    Args:
        name: One of `schema_names()`.

    Raises:
        LookupError: There is no such schema.
    """
    from importlib.resources import files

    if name not in schema_names():
        raise LookupError(f"no schema {name!r}; there are {', '.join(schema_names())}")
    return (files("aimm_plugins") / "schemas" / f"{name}.yaml").read_text(encoding="utf-8")


def schema(name: str) -> dict[str, Any]:
    """A schema as plain data; see `schema_text`."""
    from aimm_plugins._config.yaml_reader import load

    loaded: dict[str, Any] = load(schema_text(name), file=f"{name}.yaml").data
    return loaded


def validate(
    data: object,
    name: str,
    *,
    document: Document | None = None,
    prefix: tuple[str | int, ...] = (),
) -> None:
    """Hold data against a schema.

    Args:
        data: What was read.
        name: Name of the schema.
        document: The document that the data is part of, for places.
        prefix: Where in `document` it is.

    Raises:
        ConfigError: It does not fit; the most specific fault, with its place.
    """
    from jsonschema import Draft202012Validator

    layer = Config(document=document, prefix=prefix)
    wanted = schema(name)
    if document is not None and document.is_empty:
        raise ConfigError("is empty", file=layer.source, expected=f"at least {_least(wanted)}")
    faults: list[Any] = []
    validator, value = Draft202012Validator(wanted), plain(data)
    with guarded() as attempt:
        faults += validator.iter_errors(value)
    if attempt.error is not None:  # jsonschema writes down what does not fit
        raise ConfigError(
            f"holds an object that cannot be written down: {described(attempt.error)}",
            file=layer.source,
        ) from attempt.error
    if not faults:
        return
    # Report a missing key last: usually the key is there but misspelt, and the "unknown key" error
    # says so.
    fault = min(
        map(deepest, faults),
        key=lambda fault: (
            -len(fault.absolute_path),
            fault.validator == "required",
            str(fault.path),
        ),
    )
    path = tuple(fault.absolute_path)
    message, expected, key = explain(fault)
    raise layer.error(message, (*path, key) if key else path, expected=expected, key=bool(key))


def _least(schema: Mapping[str, Any]) -> str:
    """The smallest document that fits a schema of ours, which is its default."""
    import json

    entries = [f"{key}: {json.dumps(value)}" for key, value in schema["default"].items()]
    return ", ".join(entries) or "{}"


def deepest(fault: Any) -> Any:
    """The most specific fault under an `anyOf`."""
    while fault.context:
        fault = max(
            fault.context, key=lambda inner: (len(inner.absolute_path), inner.validator != "type")
        )
    return fault


class Explanation(NamedTuple):
    """A fault in words.

    Attributes:
        message: What is wrong.
        expected: What would have been right, where the schema says so.
        key: The key that is wrong, where it is not the value.
    """

    message: str
    expected: str | None = None
    key: str | None = None


def explain(fault: Any) -> Explanation:
    """What one fault of jsonschema means."""
    value, wanted = fault.instance, fault.validator_value
    description = fault.schema.get("description") if isinstance(fault.schema, dict) else None
    match fault.validator:
        case "required":
            missing = next(key for key in wanted if key not in value)
            return Explanation(f"key {missing!r} is missing")
        case "additionalProperties":
            return _unknown_key(value, fault.schema)
        case "type":
            # A wrong value directly among the options of a conf may be a secret.
            hidden = tuple(fault.absolute_path)[:1] == ("options",)
            text = f"a {type(value).__name__}" if hidden else shown(value)
            return Explanation(f"{text} is of the wrong type", types_in_words(wanted))
        case "enum":
            known = ", ".join(map(str, wanted))
            return Explanation(f"{shown(value)} is not known here", f"one of {known}")
        case "exclusiveMinimum":
            return Explanation(f"{shown(value)} is too small", f"more than {wanted}")
        case "maximum":
            return Explanation(f"{shown(value)} is too large", f"{wanted} at most")
        case "minLength":
            return Explanation("is empty", description)
        case "pattern":
            return Explanation(f"{shown(value)} cannot be read", description)
        case "not":
            where = fault.absolute_path[-1] if fault.absolute_path else "this"
            return Explanation(f"{where} does not belong here")
        case _:
            return Explanation(fault.message, description)


def _unknown_key(value: Mapping[str, object], schema: Mapping[str, Any]) -> Explanation:
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    unknown = next(
        key
        for key in value
        if key not in known and not any(re.search(pattern, key) for pattern in patterns)
    )
    hint = did_you_mean(unknown, known, cutoff=0.5)
    return Explanation(
        f"unknown key {unknown!r}" + (f"; {hint}" if hint else ""),
        "one of " + ", ".join(sorted(known)),
        unknown,
    )


def types_in_words(types: str | list[str]) -> str:
    """What JSON Schema's `type` asks for: `a whole number or nothing`."""
    names = [types] if isinstance(types, str) else types
    return " or ".join(_TYPES.get(name, name) for name in names)


def shown(value: object) -> str:
    """The `repr` of a value for a message: encodable, short, and never an error."""
    text = f"a {type_name(value)}"
    with guarded():  # an object of the host's in a mapping
        text = encodable(repr(value))
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def plain(value: object, path: tuple[str | int, ...] = ()) -> Any:
    """A copy as JSON Schema knows it: dicts with text as keys, lists, and scalars as they are.

    Args:
        value: Anything from Python.
        path: Where it is, for the error.

    Raises:
        ConfigError: It is nested too deep, has a key that is not text, or a number that Python
            would refuse to write down.
    """
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


def items(
    value: Mapping[Any, object], path: tuple[str | int, ...] = ()
) -> list[tuple[str, object]]:
    """The items of a mapping whose keys have to be text; see `plain`."""
    found = []
    for key, item in value.items():
        if not isinstance(key, str):
            raise ConfigError(f"key {shown(key)} is not text", path=path)
        found.append((str.__str__(key), item))
    return found
