"""The conf as a checked value.

A sound conf is parsed here by hand: jsonschema takes five sixths of a start without plugins. The
schema is asked only to explain what does not parse, and a property test holds both to the same
verdict.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from aimm_plugins.errors import ConfigError, spell_path

if TYPE_CHECKING:
    from aimm_plugins._yaml import Document

OnError = Literal["strict", "isolate"]

# The same pattern as `#/$defs/requirement` of the schema.
_CLAUSE = r"((===?|~=|!=|<=?|>=?)[ \t]*[A-Za-z0-9._*+!-]+)[ \t]*"
_REQUIREMENT = re.compile(
    r"[ \t]*[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?[ \t]*(\([ \t]*)?"
    rf"({_CLAUSE}(,[ \t]*{_CLAUSE})*)?\)?[ \t]*"
)
_BARE = re.compile(r"[ \t]*[A-Za-z0-9._-]+[ \t]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPointRules:
    """The conf's rules about installed entry points.

    Attributes:
        enabled: Whether they are loaded at all.
        allow: Requirements; `None` allows all, an empty tuple none.
        deny: Requirements; deny beats allow.
    """

    enabled: bool = True
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A conf that was read and is sound.

    Attributes:
        names: Modules to import, in order.
        entry_points: Rules about installed entry points.
        prefer: `"action:key"` or `"key"` to distribution or module.
        on_error: What a failed plugin leads to.
        document: Where the conf stands, if it was read from a file.
    """

    names: tuple[str, ...] = ()
    entry_points: EntryPointRules = field(default_factory=EntryPointRules)
    prefer: Mapping[str, str] = field(default_factory=dict)
    on_error: OnError = "strict"
    document: Document | None = None
    prefix: tuple[str | int, ...] = ()

    @property
    def source(self) -> str | None:
        """Name of the file, for messages; `None` for a mapping."""
        return None if self.document is None else self.document.file

    def where(self, *path: str | int) -> str:
        """A place in the conf, for messages: `plugins.yaml:3`, or `conf entry_points.deny[0]`."""
        if self.document is not None and self.document.file is not None:
            place = self.document.place((*self.prefix, *path))
            if place is not None:
                return f"{self.document.file}:{place[0]}"
        return f"conf {spell_path(path)}"


class _UnsoundError(Exception):
    """The conf does not parse; the schema will say why."""


def read(conf: Mapping[str, object] | str | os.PathLike[str] | None) -> Config:
    """Read and check a conf.

    Args:
        conf: A mapping, the path of a YAML file, or `None` for an empty conf.

    Raises:
        ConfigError: It is not what `schemas/plugins.yaml` says.
    """
    if conf is None:
        return Config()
    if isinstance(conf, Mapping):
        return parse(conf)
    if isinstance(conf, str | os.PathLike):
        if isinstance(os.fspath(conf), bytes):
            raise ConfigError("a conf's path is text, and was given as bytes")
        from aimm_plugins._yaml import load_file

        document = load_file(conf)
        return parse(document.data, document=document)
    raise ConfigError(
        f"a conf is a mapping, the path of a YAML file or None, not {type(conf).__name__}"
    )


def parse(
    data: object, *, document: Document | None = None, prefix: tuple[str | int, ...] = ()
) -> Config:
    """Check a conf that was read already.

    Args:
        data: The conf.
        document: What it stands in, for places.
        prefix: Where it stands in `document`.

    Raises:
        ConfigError: It is not what `schemas/plugins.yaml` says.
    """
    try:
        config = _parse(data, document, prefix)
    except _UnsoundError:
        validate(data, "plugins", document=document, prefix=prefix)
        raise AssertionError("the schema accepts a conf that does not parse") from None
    _check_versions(config)
    return config


def _parse(data: object, document: Document | None, prefix: tuple[str | int, ...]) -> Config:
    top = _mapping(data, {"names", "entry_points", "prefer", "on_error"})
    if "names" not in top:
        raise _UnsoundError
    rules = _mapping(top.get("entry_points", {}), {"enabled", "allow", "deny"})
    enabled = rules.get("enabled", True)
    if not isinstance(enabled, bool):
        raise _UnsoundError
    preferences = top.get("prefer", {})
    if not isinstance(preferences, Mapping) or not all(
        isinstance(key, str) and key and isinstance(value, str) and value
        for key, value in preferences.items()
    ):
        raise _UnsoundError
    on_error: OnError = top.get("on_error", "strict")
    if on_error not in get_args(OnError):
        raise _UnsoundError
    return Config(
        names=_texts(top["names"]),
        entry_points=EntryPointRules(
            enabled=enabled,
            allow=_requirements(rules["allow"]) if "allow" in rules else None,
            deny=_requirements(rules.get("deny", [])),
        ),
        prefer=dict(preferences),
        on_error=on_error,
        document=document,
        prefix=prefix,
    )


def _mapping(value: object, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _UnsoundError
    for key in value:
        if not isinstance(key, str) or not (key in known or key.startswith("x-")):
            raise _UnsoundError
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise _UnsoundError
    return tuple(value)


def _requirements(value: object) -> tuple[str, ...]:
    texts = _texts(value)
    if not all(_REQUIREMENT.fullmatch(text) for text in texts):
        raise _UnsoundError
    return texts


def _check_versions(config: Config) -> None:
    """Specifiers that have the right shape and still say nothing, such as `>=1.0.x`."""
    for name in ("allow", "deny"):
        for index, text in enumerate(getattr(config.entry_points, name) or ()):
            if _BARE.fullmatch(text):
                continue
            from packaging.requirements import InvalidRequirement, Requirement

            try:
                Requirement(text)
            except InvalidRequirement as error:
                path = ("entry_points", name, index)
                raise _error(
                    f"{text!r} is no requirement: {str(error).splitlines()[0]}",
                    path,
                    config.document,
                    config.prefix,
                    expected="a name with versions, such as aimm-sklearn>=1,<2",
                ) from error


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
    from aimm_plugins._yaml import load

    loaded: dict[str, Any] = load(schema_text(name), file=f"{name}.yaml").data
    return loaded


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
        document: What it stands in, for places.
        prefix: Where it stands in `document`.

    Raises:
        ConfigError: It does not fit; the most specific fault, with its place.
    """
    from jsonschema import Draft202012Validator

    loaded = schema(name)
    faults = list(Draft202012Validator(loaded).iter_errors(_plain(data, ())))
    if not faults:
        return
    fault = min(map(_deepest, faults), key=lambda each: (-len(each.absolute_path), str(each.path)))
    path = tuple(fault.absolute_path)
    message, expected, key = _explain(fault, path)
    raise _error(message, (*path, key) if key else path, document, prefix, expected, bool(key))


def _error(
    message: str,
    path: Sequence[str | int],
    document: Document | None,
    prefix: tuple[str | int, ...],
    expected: str | None = None,
    key: bool = False,
) -> ConfigError:
    whole = (*prefix, *path)
    place = None if document is None else document.place(whole, key=key)
    return ConfigError(
        message,
        file=None if document is None else document.file,
        line=place[0] if place else None,
        column=place[1] if place else None,
        path=whole,
        expected=expected,
    )


def _deepest(fault: Any) -> Any:
    """The most specific fault under an `anyOf`."""
    while fault.context:
        fault = max(fault.context, key=lambda each: len(each.absolute_path))
    return fault


def _explain(fault: Any, path: tuple[str | int, ...]) -> tuple[str, str | None, str | None]:
    """Message, what was expected, and the offending key where it is a key that offends."""
    value = fault.instance
    description = fault.schema.get("description") if isinstance(fault.schema, dict) else None
    if fault.validator == "required":
        missing = [key for key in fault.validator_value if key not in value]
        return f"key {missing[0]!r} is missing", None, None
    if fault.validator == "additionalProperties":
        known = list(fault.schema.get("properties", {}))
        unknown = next(key for key in value if key not in known and not str(key).startswith("x-"))
        near = get_close_matches(str(unknown), known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown key {unknown!r}{hint}", "one of " + ", ".join(sorted(known)), str(unknown)
    if fault.validator == "type":
        wanted = fault.validator_value
        names = wanted if isinstance(wanted, list) else [wanted]
        return f"{_shown(value)} is of the wrong type", " or ".join(map(_type_name, names)), None
    if fault.validator == "enum":
        return (
            f"{_shown(value)} is not known here",
            "one of " + ", ".join(str(each) for each in fault.validator_value),
            None,
        )
    if fault.validator == "minLength":
        return "is empty", description, None
    if fault.validator == "pattern":
        return f"{_shown(value)} cannot be read", description, None
    if fault.validator == "not":
        return f"{path[-1] if path else 'this'} does not belong here", None, None
    return fault.message, description, None


def _type_name(name: str) -> str:
    return {
        "object": "a mapping",
        "array": "a list",
        "string": "text",
        "boolean": "true or false",
        "number": "a number",
        "integer": "a whole number",
        "null": "nothing",
    }.get(name, name)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(value: object, path: tuple[str | int, ...]) -> Any:
    """A mapping given from Python as the schema knows it: dicts, lists and scalars."""
    if len(path) > 100:
        raise ConfigError("is nested deeper than 100")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ConfigError(f"key {key!r} is not text", path=path)
        return {key: _plain(each, (*path, key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, (*path, index)) for index, each in enumerate(value)]
    return value
