"""The schemas of plugins' options: read, held against values, and their defaults filled in.

A schema in a file is read without running any code. One that an object makes is asked for when the
plugin is imported. Nothing here shows a secret: messages name the place of a value that may be one,
and what the schema wants.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

from aimm_plugins._config.config import _deepest, _explain, _plain, _shown, _type_name
from aimm_plugins._declarations.ledger import modules_being_imported
from aimm_plugins._discovery.entry_points import PublishedOptions
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._system.files import read_file
from aimm_plugins._system.text import described, printable, type_name
from aimm_plugins.errors import ConfigError, DeclarationError, spell_path

Path = tuple[str | int, ...]

_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 100

# What speaks of a container's keys and size and not of the values in it.
_OF_STRUCTURE = frozenset(
    {"required", "additionalProperties", "type", "minProperties", "maxProperties", "minItems"}
    | {"maxItems", "dependentRequired", "propertyNames"}
)
_EXPLAINED = frozenset({"type", "enum", "exclusiveMinimum", "maximum"})
"""What the conf's own schema explains better than jsonschema; its other words are for itself."""
_MAX_SHOWN = 300

_CONDITIONAL = frozenset({"then", "else", "dependentSchemas"})


class Options(dict[str, Any]):
    """What a plugin is given: a dict of the caller's own, whose `repr` shows no secret.

    Args:
        values: The options.
        hidden: Keys whose values are secrets.
    """

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
    """A copy that shares nothing that can change with the original."""
    if isinstance(value, Options):
        return Options({key: copied(each) for key, each in value.items()}, value._hidden)
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [copied(each) for each in value]
    return value


def as_options(
    values: Mapping[str, Any],
    secrets: Iterable[Path] = (),
    hides: Callable[[str], bool] = lambda name: False,
) -> Options:
    """The values with what is to be hidden of them marked.

    Args:
        values: Plain data.
        secrets: Paths of secrets in it.
        hides: Tells whether a key holds secrets wherever it stands.
    """
    made: Options = _marked(dict(values), (), frozenset(secrets), hides, False)
    return made


def _marked(
    value: Any,
    path: Path,
    secrets: frozenset[Path],
    hides: Callable[[str], bool],
    hidden: bool,
) -> Any:
    if isinstance(value, dict):
        keys = {
            key
            for key, each in value.items()
            if hidden or hides(key) or _holds_secret(each, (*path, key), secrets)
        }
        return Options(
            {
                key: _marked(each, (*path, key), secrets, hides, key in keys)
                for key, each in value.items()
            },
            keys,
        )
    if isinstance(value, list):
        return [
            _marked(each, (*path, index), secrets, hides, hidden)
            for index, each in enumerate(value)
        ]
    return value


class Fault(NamedTuple):
    """What a schema has against a value.

    Attributes:
        path: Where, from the options' root.
        message: What is wrong, without any secret.
        expected: What would have been right.
        at_key: Whether it is the key that offends.
    """

    path: Path
    message: str
    expected: str | None = None
    at_key: bool = False


class KnownOption(NamedTuple):
    """An option that a schema names.

    Attributes:
        name: Its key.
        type: What it may be, in words.
        required: Whether it has to be given.
        default: What holds where it is not given, as JSON; hidden where it may be a secret.
        description: Of the schema.
    """

    name: str
    type: str
    required: bool
    default: str | None
    description: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable, as in `schemas/show.yaml`."""
        return {
            "name": self.name,
            "type": self.type,
            "required": self.required,
            "default": self.default,
            "description": self.description,
        }

    def __str__(self) -> str:
        return f"{self.name}: {self.told}"

    @property
    def told(self) -> str:
        """All but its name, on one line."""
        text = self.type
        text += ", required" if self.required else ""
        text += f", default {self.default}" if self.default is not None else ""
        return f"{text}. {' '.join(self.description.split())}" if self.description else text


def read_schema(published: PublishedOptions) -> Schema:
    """The schema that metadata names.

    One in a file is read without importing its package. For any other the module is imported.

    Raises:
        DeclarationError: It is not there, or is no sound JSON Schema.
    """
    document = _of_file(published) if published.is_file else _of_object(published)
    if not isinstance(document, Mapping):
        raise _broken(published, f"it is a {type(document).__name__}, and no mapping")
    try:
        plain = _plain(document, ())
    except ConfigError as error:
        raise _broken(published, str(error)) from error
    return Schema(plain, published)


def _of_file(published: PublishedOptions) -> object:
    file = locate(published.module)
    if file is None:
        raise _broken(published, f"{published.module} has no folder that can be found")
    path = os.path.join(os.path.dirname(file), published.attribute)
    content = _content(path, published)
    if published.attribute.endswith(".json"):
        import json

        try:
            return json.loads(content)
        except RecursionError:
            raise _broken(published, "it is nested too deep") from None
        except ValueError as error:
            line = getattr(error, "lineno", None)
            raise _broken(published, f"it is no JSON: {error}", path, line) from error
    from aimm_plugins._config.yaml_reader import load

    try:
        return load(content, file=path).data
    except ConfigError as error:
        raise _broken(published, f"it cannot be read: {error}", path, error.line) from error


def _content(path: str, published: PublishedOptions) -> bytes:
    problem = "there is no such file"
    try:
        content = read_file(path, _MAX_BYTES)
    except (OSError, ValueError) as error:
        content, problem = None, f"it cannot be read: {error}"
    if content is None:
        from pkgutil import get_importer

        importer: Any = get_importer(os.path.dirname(path))  # in a zip
        if hasattr(importer, "get_data"):
            with suppress(OSError):
                content = importer.get_data(path)
    if content is None:
        raise _broken(published, problem)
    return content


def _of_object(published: PublishedOptions) -> object:
    import importlib

    found: Any = None
    try:
        found = importlib.import_module(published.module)
        for name in published.attribute.split("."):
            found = getattr(found, name)
        if hasattr(found, "model_json_schema"):
            found = found.model_json_schema()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, AttributeError) and published.module in modules_being_imported():
            raise _broken(
                published,
                f"{published.module} asks for options before it has made {published.attribute}; "
                "ask within functions, or keep the class in a module of its own",
            ) from error
        raise _broken(published, f"it cannot be had: {described(error)}") from error
    return found


def _broken(
    published: PublishedOptions, message: str, file: str | None = None, line: int | None = None
) -> DeclarationError:
    return DeclarationError(
        f"{published.distribution.who} publishes {published} as the schema of its options "
        f"({published.place}), and {message}. Its author has to mend that.",
        file=file if line is not None else None,
        line=line,
    )


class Schema:
    """A schema of a plugin's options.

    Args:
        document: The schema.
        published: Where it comes from.

    Raises:
        DeclarationError: It is no sound JSON Schema.
    """

    def __init__(self, document: dict[str, Any], published: PublishedOptions) -> None:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        self.document = document
        self.published = published
        registry: Any = Registry()
        with _Guard(published):
            kind: Any = validator_for(document, default=Draft202012Validator)
            try:
                kind.check_schema(document)
            except SchemaError as error:
                place = spell_path(tuple(error.absolute_path)) or "its root"
                raise _broken(
                    published, f"it is no JSON Schema: at {place}: {error.message[:_MAX_SHOWN]}"
                ) from None
            # An empty registry: what is not in the schema itself is never fetched from anywhere.
            self._validator: Any = kind(document, registry=registry)
            resource = DRAFT202012.create_resource(document)
            self._resolver: Any = registry.with_resource("", resource).resolver()

    def __str__(self) -> str:
        return f"{self.published} of {self.published.distribution.who}"

    def filled(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], set[Path]]:
        """The values with the schema's defaults, and the paths of those.

        Raises:
            DeclarationError: A reference in the schema leads nowhere, or in a circle.
        """
        made: dict[str, Any] = copied(dict(values))
        added: set[Path] = set()
        with _Guard(self.published):
            self._fill(made, self.document, (), added, 0)
        return made, added

    def check(
        self,
        values: Mapping[str, Any],
        secrets: Iterable[Path] = (),
        *,
        unread: bool = False,
    ) -> tuple[Options, list[Fault]]:
        """The values with defaults, and what the schema has against those that were given.

        Args:
            values: What is given.
            secrets: Where the secrets in it are.
            unread: Whether the secrets are still names of where they are, so that what depends on
                them cannot be judged.

        Raises:
            DeclarationError: A default does not fit, or a reference leads nowhere.
        """
        made, added = self.filled(values)
        paths = tuple(secrets)
        with _Guard(self.published):
            found = [
                fault
                for fault in self._validator.iter_errors(made)
                if not (unread and _depends(fault, paths))
            ]
        faults: dict[Fault, None] = {}
        for each in found:
            fault = self._told(each, paths)
            if any(fault.path[:length] in added for length in range(1, len(fault.path) + 1)):
                raise _broken(
                    self.published,
                    f"its own default does not fit: at {spell_path(fault.path)}: {fault.message}",
                )
            faults.setdefault(fault)
        return as_options(made, paths, self.hides), list(faults)

    def hides(self, name: str) -> bool:
        """Whether the schema says that a key holds a secret: `writeOnly`, or format `password`."""
        return (
            self._all_secret
            or name in self._secret_names
            or any(pattern.search(name) for pattern in self._secret_patterns)
        )

    def known(self) -> list[KnownOption]:
        """The options that it names, in its order, for people."""
        required = self.document.get("required", ())
        return [
            KnownOption(
                name=name,
                type=self._type_told(child),
                required=name in required and self._default(child) is None,
                default=self._default_told(name, child),
                description=str(_mapping(child).get("description", "")),
            )
            for name, child in _mapping(self.document.get("properties")).items()
        ]

    def _type_told(self, schema: Any, depth: int = 0) -> str:
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return "anything"
        if "enum" in schema:
            return "one of " + ", ".join(str(each) for each in schema["enum"])
        kinds = schema.get("type")
        if kinds is not None:
            return " or ".join(map(_type_name, [kinds] if isinstance(kinds, str) else kinds))
        for word in ("anyOf", "oneOf"):
            if word in schema:
                told = (self._type_told(each, depth + 1) for each in schema[word])
                return " or ".join(dict.fromkeys(told))
        all_of = schema.get("allOf") or [None]
        return self._type_told(self._target(schema) or all_of[0], depth + 1)

    def _default_told(self, name: str, schema: Any) -> str | None:
        import json

        found = self._default(schema)
        if found is None:
            return None
        return "***" if self.hides(name) else json.dumps(found[0], ensure_ascii=False, default=str)

    # Messages

    def _told(self, found: Any, secrets: tuple[Path, ...]) -> Fault:
        fault = _deepest(found)
        path: Path = tuple(fault.absolute_path)
        if fault.validator == "required":
            missing = [key for key in fault.validator_value if key not in fault.instance]
            keys = ", ".join(map(repr, missing))
            several = len(missing) > 1
            return Fault(path, f"keys {keys} are missing" if several else f"key {keys} is missing")
        if fault.validator == "additionalProperties" and fault.validator_value is False:
            message, expected, key = _explain(fault, path)
            return Fault((*path, str(key)), message, expected, True)
        if self._may_show(fault.instance, path, secrets):
            if fault.validator in _EXPLAINED:
                message, expected, _ = _explain(fault, path)
                return Fault(path, message, expected)
            return Fault(path, printable(fault.message[:_MAX_SHOWN]))
        wanted = fault.validator_value
        asked = str(fault.validator)
        if asked == "type":
            asked = " or ".join(map(_type_name, [wanted] if isinstance(wanted, str) else wanted))
        elif isinstance(wanted, str | int | float):
            asked += f" {_shown(wanted)}"
        what = "what stands here, with a secret in it," if path in _above(secrets) else "a secret"
        return Fault(path, f"{what} does not fit", asked)

    def _may_show(self, value: Any, path: Path, secrets: tuple[Path, ...]) -> bool:
        if self._all_secret or any(isinstance(each, str) and self.hides(each) for each in path):
            return False
        if any(each[: len(path)] == path or path[: len(each)] == each for each in secrets):
            return False
        return not any(self.hides(each) for each in _keys_in(value))

    # Secrets

    @cached_property
    def _secret_names(self) -> frozenset[str]:
        return frozenset(
            name
            for node in _nodes(self.document)
            for name, child in _mapping(node.get("properties")).items()
            if self._is_secret(child)
        )

    @cached_property
    def _secret_patterns(self) -> list[re.Pattern[str]]:
        return [
            _pattern(pattern)
            for node in _nodes(self.document)
            for pattern, child in _mapping(node.get("patternProperties")).items()
            if self._is_secret(child)
        ]

    @cached_property
    def _all_secret(self) -> bool:
        return self._is_secret(self.document)

    def _is_secret(self, schema: Any, seen: tuple[int, ...] = ()) -> bool:
        """Whether a value, or one in it that no `properties` name, is marked as a secret.

        Read generously: a mark in any branch counts, since a value too many that is hidden does no
        harm.
        """
        if not isinstance(schema, dict) or id(schema) in seen:
            return False
        if schema.get("writeOnly") is True or schema.get("format") == "password":
            return True
        seen = (*seen, id(schema))
        inner = [
            schema.get(word)
            for word in ("items", "additionalProperties", "contains", "if", "then", "else")
        ]
        for word in ("anyOf", "oneOf", "allOf", "prefixItems"):
            if isinstance(schema.get(word), list):
                inner += schema[word]
        inner.append(self._target(schema))
        return any(self._is_secret(each, seen) for each in inner)

    def _target(self, schema: Mapping[str, Any]) -> Any:
        """The schema that a `$ref` leads to; `None` without one, or where it leads nowhere."""
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return None
        from referencing.exceptions import Unresolvable

        try:
            return self._resolver.lookup(reference).contents
        except Unresolvable:  # the validator says so
            return None

    # Defaults

    def _fill(self, value: Any, schema: Any, path: Path, added: set[Path], depth: int) -> None:
        if not isinstance(schema, dict) or not isinstance(value, dict | list):
            return
        if depth > _MAX_DEPTH:
            raise RecursionError
        depth += 1
        if isinstance(value, dict):
            self._fill_mapping(value, schema, path, added, depth)
        else:
            first = schema.get("prefixItems")
            first = first if isinstance(first, list) else []
            for index, each in enumerate(value):
                child = first[index] if index < len(first) else schema.get("items")
                self._fill(each, child, (*path, index), added, depth)
        for child in self._applying(value, schema, depth):
            self._fill(value, child, path, added, depth)

    def _fill_mapping(
        self,
        value: dict[str, Any],
        schema: dict[str, Any],
        path: Path,
        added: set[Path],
        depth: int,
    ) -> None:
        properties = _mapping(schema.get("properties"))
        patterns = _mapping(schema.get("patternProperties"))
        for name, child in properties.items():
            if name not in value:
                found = self._default(child)
                if found is not None:
                    value[name] = copied(found[0])
                    added.add((*path, name))
        for name in list(value):
            children = [properties[name]] if name in properties else []
            children += [each for pattern, each in patterns.items() if re.search(pattern, name)]
            for child in children or [schema.get("additionalProperties")]:
                self._fill(value[name], child, (*path, name), added, depth)

    def _default(self, schema: Any, depth: int = 0) -> tuple[Any] | None:
        """The default of a property, from wherever its schema has it."""
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return None
        if "default" in schema:
            return (schema["default"],)
        all_of = schema.get("allOf")
        for child in (self._target(schema), *(all_of if isinstance(all_of, list) else ())):
            found = self._default(child, depth + 1)
            if found is not None:
                return found
        return None

    def _applying(self, value: Any, schema: dict[str, Any], depth: int) -> Iterator[Any]:
        """The further schemas that hold for a value."""
        yield self._target(schema)
        yield from schema.get("allOf", ())
        for word in ("anyOf", "oneOf"):
            # The first that fits: what other branches would add is not for this value.
            yield next(
                (each for each in schema.get(word, ()) if self._fits(value, each, depth)), None
            )
        if "if" in schema:
            yield schema.get("then" if self._fits(value, schema["if"], depth) else "else")

    def _fits(self, value: Any, schema: Any, depth: int) -> bool:
        trial = copied(value)
        self._fill(trial, schema, (), set(), depth)
        return bool(self._validator.evolve(schema=schema).is_valid(trial))


class _Guard:
    """Turns what only a broken schema raises into the error that says so."""

    def __init__(self, published: PublishedOptions) -> None:
        self._published = published

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception) or isinstance(error, DeclarationError):
            return
        from referencing.exceptions import Unresolvable

        if isinstance(error, RecursionError):
            problem = "it leads in a circle, or is nested too deep"
        elif isinstance(error, Unresolvable):
            problem = f"its reference {error.ref!r} leads nowhere within it"
        elif isinstance(error, re.error):
            problem = f"a pattern of it cannot be read: {error}"
        else:  # its text may hold values
            problem = f"it cannot be used: {type_name(error)}"
        raise _broken(self._published, problem) from None


def _depends(fault: Any, secrets: tuple[Path, ...]) -> bool:
    """Whether a fault may be due to secrets that were not read."""
    path = tuple(fault.absolute_path)
    if not secrets:
        return False
    if any(path[: len(each)] == each for each in secrets):
        return True
    if _CONDITIONAL.intersection(fault.absolute_schema_path):
        return True
    return fault.validator not in _OF_STRUCTURE and any(
        each[: len(path)] == path for each in secrets
    )


def _above(paths: Iterable[Path]) -> set[Path]:
    """The containers of values."""
    return {path[:length] for path in paths for length in range(len(path))}


def _holds_secret(value: Any, path: Path, secrets: frozenset[Path]) -> bool:
    """Whether a value is a secret, or a list with one outside of mappings."""
    if path in secrets:
        return True
    return isinstance(value, list) and any(
        _holds_secret(each, (*path, index), secrets) for index, each in enumerate(value)
    )


def _keys_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _keys_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _keys_in(each)


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """All mappings in a document."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from _nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from _nodes(each)


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of keys that hold secrets; one that cannot be read hides all."""
    try:
        return re.compile(text)
    except re.error:
        return re.compile("")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
