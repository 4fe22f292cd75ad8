"""A schema of a plugin's options: held against values, and its defaults filled in.

No message shows a secret, and what a schema can cost is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from aimm_plugins._config.json_schema import Misfit, deepest, explain, shown, types_in_words
from aimm_plugins._discovery.published import PublishedOptions
from aimm_plugins._options.hiding import SECRET, Options, Path, copied, hidden_paths, hiding
from aimm_plugins._options.limits import (
    BeyondLimitError,
    Limit,
    UnjudgedError,
    check_size,
    mappings,
    nodes,
)
from aimm_plugins._options.schema_source import Denial, broken, read_document
from aimm_plugins._system.guard import reraise_interruption
from aimm_plugins._system.masking import remember_secret
from aimm_plugins._system.text import printable, type_name
from aimm_plugins.errors import DeclarationError, spell_path

_MAX_SHOWN = 300
_MAX_NAMED = 20

_OF_STRUCTURE = frozenset(
    {"required", "additionalProperties", "type", "minProperties", "maxProperties", "minItems"}
    | {"maxItems", "dependentRequired", "propertyNames"}
)
"""Words that speak of a container's keys and size and not of the values in it."""

_EXPLAINED = frozenset({"type", "enum", "exclusiveMinimum", "maximum"})
"""What the conf's own schema explains better than jsonschema; its other words are for itself."""

_CONDITIONAL = frozenset({"then", "else", "dependentSchemas"})

_CERTAIN = frozenset(
    {"properties", "patternProperties", "additionalProperties", "items", "prefixItems"}
    | {"additionalItems", "allOf", "$ref", "$dynamicRef", "$recursiveRef"}
)
"""Words whose schemas hold whatever the value is: their defaults are filled in."""


class KnownOption(NamedTuple):
    """An option that a schema names, in words; a default that may be a secret is hidden."""

    name: str
    type: str
    required: bool
    default: str | None
    description: str

    def __str__(self) -> str:
        return f"{self.name}: {self.summary}"

    @property
    def summary(self) -> str:
        text = self.type
        text += ", required" if self.required else ""
        text += f", default {self.default}" if self.default is not None else ""
        return f"{text}. {' '.join(self.description.split())}" if self.description else text


def read_schema(published: PublishedOptions, denial: Denial | None = None) -> Schema:
    """The schema that metadata names; of one that is code the module is imported, with a `denial`.

    A broken one is a `DeclarationError`, and code that must not run a `PluginImportError`.
    """
    document = read_document(published, denial)
    try:
        return Schema(document, published)
    except ImportError as error:  # not every interpreter can import jsonschema
        raise DeclarationError(
            f"the schema {published} of {published.distribution.who} ({published.place}) cannot be "
            f"read here: {error}"
        ) from error


class Schema:
    """A schema of a plugin's options, and where it comes from."""

    def __init__(self, document: dict[str, Any], published: PublishedOptions) -> None:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012, specification_with

        self.published = published
        # Where a schema is named, jsonschema goes on by classes of its own, which are not limited.
        self.document = {word: value for word, value in document.items() if word != "$schema"}
        with self._blaming_it():
            check_size(document)
            self._kind: Any = validator_for(document, default=Draft202012Validator)
            self._check_it_is_one_resource()
            try:
                # Patterns are read below. The protocol leaves the argument out.
                self._kind.check_schema(document, format_checker=None)  # type: ignore[call-arg]
            except SchemaError as error:
                place = spell_path(tuple(error.absolute_path)) or "its root"
                message = error.message[:_MAX_SHOWN]
                raise broken(published, f"it is no JSON Schema: at {place}: {message}") from None
            Limit(self.document, looking=False).compile_patterns()
            dialect = self._kind.META_SCHEMA["$schema"]
            resource = specification_with(dialect, DRAFT202012).create_resource(self.document)
            registry: Any = Registry().with_resource("", resource)  # so that nothing is fetched
            with suppress(AttributeError):  # referencing does not know all that draft 3 allows
                registry = registry.crawl()  # else each `#anchor` has the whole document read
            self._resolver: Any = registry.resolver()

    def __str__(self) -> str:
        return f"{self.published} of {self.published.distribution.who}"

    def _check_it_is_one_resource(self) -> None:
        """Refuse references out of the document, and schemas of another dialect in it."""
        for node in mappings(self.document):
            for word in ("$ref", "$dynamicRef", "$recursiveRef"):
                if isinstance(node.get(word), str) and not node[word].startswith("#"):
                    problem = f"its reference {node[word]!r} leads nowhere within it"
                    raise broken(self.published, problem)
            named = (node.get("$schema"), self._kind.ID_OF(node))
            if node is not self.document and any(isinstance(name, str) for name in named):
                raise broken(self.published, "it holds a schema with an $id or $schema of its own")

    def check(
        self, values: Mapping[str, Any], secrets: Collection[Path] = (), *, looking: bool = False
    ) -> tuple[Options, list[Misfit]]:
        """The values with defaults, and what the schema has against those that were given.

        While only `looking`, the `secrets` in the values are still the names of where they are, and
        what depends on them is not judged.
        """
        with self._blaming_it():
            limit = Limit(self.document, values, looking=looking)
            filled = self._filled(values, limit)
            hidden = self._hidden(filled, secrets, limit)
            faults = {
                _misfit(deepest(fault), hidden): None
                for fault in self._validator(limit).iter_errors(filled)
                if not (looking and _may_depend_on(secrets, fault))
            }
        for fault in faults:
            if _at(values, fault.path) is _NOTHING:
                where = f"at {spell_path(fault.path)}: {fault.message}"
                raise broken(self.published, f"its own default does not fit: {where}")
        if not looking:
            for path in (path for path, what in hidden.items() if what == SECRET):
                for text in nodes(_at(values, path)):
                    if isinstance(text, str):
                        remember_secret(text)
        return hiding(filled, hidden), list(faults)

    def defaults(self) -> Options:
        """The defaults alone, unchecked."""
        with self._blaming_it():
            limit = Limit(self.document, looking=False)
            filled = self._filled({}, limit)
            return hiding(filled, self._hidden(filled, (), limit))

    def known(self) -> list[KnownOption]:
        """The options that it names, in its order, for people."""
        import json

        properties = {
            name: child if isinstance(child, dict) else {}
            for name, child in self.document.get("properties", {}).items()
        }
        required = self.document.get("required", ())
        defaults = {n: child["default"] for n, child in properties.items() if "default" in child}
        texts = {n: json.dumps(d, ensure_ascii=False, default=str) for n, d in defaults.items()}
        with self._blaming_it():
            for path in self._hidden(defaults, (), Limit(self.document, looking=False)):
                texts |= dict.fromkeys(path[:1] or texts, "***")
            return [
                KnownOption(
                    name=name,
                    type=self._type_of(child),
                    required=name in required and name not in texts,
                    default=texts.get(name),
                    description=str(child.get("description", "")),
                )
                for name, child in properties.items()
            ]

    def _type_of(self, schema: Any) -> str:
        types: dict[str, None] = {}
        waiting, seen = [schema], set[int]()
        while waiting and len(types) < _MAX_NAMED:
            schema = waiting.pop(0)
            if id(schema) in seen:
                continue
            seen.add(id(schema))
            if not isinstance(schema, dict):
                types["anything"] = None
            elif "enum" in schema:
                types[f"one of {_listed(schema['enum'])}"] = None
            elif "type" in schema:
                types[types_in_words(schema["type"])] = None
            else:
                inner = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf", [])[:1]
                waiting[:0] = inner or [self._target(schema.get("$ref"))]
        text = " or ".join(types) or "anything"  # a `$ref` may have it shown a thousand times
        return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."

    def _target(self, reference: Any) -> Any:
        """The schema that a `$ref` leads to; `None` without one, or where it leads nowhere."""
        from referencing.exceptions import Unresolvable

        try:
            return None if reference is None else self._resolver.lookup(reference).contents
        except Unresolvable:  # the validator says so, where it is needed
            return None

    def _hidden(self, values: Any, secrets: Collection[Path], limit: Limit) -> dict[Path, str]:
        hidden = hidden_paths(values, self.document, self._target, limit.check)
        return hidden | dict.fromkeys(secrets, SECRET)

    def _validator(self, limit: Limit, **words: Callable[..., Any]) -> Any:
        from jsonschema import validators

        extend: Any = validators.extend  # typed in part
        functions = {**self._kind.VALIDATORS, **words}
        limited = {word: limit.applied(word, function) for word, function in functions.items()}
        return extend(self._kind, limited)(self.document, _resolver=self._resolver)

    def _filled(self, values: Mapping[str, Any], limit: Limit) -> dict[str, Any]:
        """The values with defaults, by jsonschema's own way of adding them.

        Reference: https://python-jsonschema.readthedocs.io/en/stable/faq/
        """
        follow = self._kind.VALIDATORS["properties"]
        added = 0

        def fill(validator: Any, properties: Any, instance: Any, schema: Any) -> Any:
            nonlocal added
            if validator.is_type(instance, "object"):
                for name, child in properties.items():
                    if isinstance(child, dict) and "default" in child and name not in instance:
                        instance[name] = copied(child["default"])
                        added += 1
            return follow(validator, properties, instance, schema)

        passed_over = dict.fromkeys(self._kind.VALIDATORS.keys() - _CERTAIN, lambda *_: None)
        validator = self._validator(limit, **{**passed_over, "properties": fill})
        made: dict[str, Any] = copied(dict(values))
        before = -1
        while added > before:  # what one schema adds may have defaults by another
            before = added
            for _ in validator.iter_errors(made):  # what does not fit is found when all is there
                pass
        return made

    @contextmanager
    def _blaming_it(self) -> Generator[None]:
        """Turn what only a broken schema raises into the error that says so."""
        from referencing.exceptions import Unresolvable

        try:
            yield
        except (DeclarationError, UnjudgedError):
            raise
        except Exception as error:
            reraise_interruption(error)
            if isinstance(error, BeyondLimitError):
                problem = str(error)
            elif isinstance(error, Unresolvable):
                problem = f"its reference {error.ref!r} leads nowhere within it"
            elif isinstance(error, re.error):
                problem = f"a pattern of it cannot be read: {error}"
            else:  # its text may hold values
                problem = f"it cannot be used: {type_name(error)}"
            raise broken(self.published, problem) from None


def _misfit(fault: Any, hidden: Mapping[Path, str]) -> Misfit:
    """A fault of jsonschema in words, without what is hidden."""
    path: Path = tuple(fault.absolute_path)
    word, wanted = str(fault.validator), fault.validator_value
    if word == "required":
        missing = [repr(key) for key in wanted if key not in fault.instance]
        keys = f"keys {_listed(missing)} are" if missing[1:] else f"key {missing[0]} is"
        return Misfit(path, f"{keys} missing")
    if word == "additionalProperties" and wanted is False:
        return explain(fault)
    above = [name for place, name in hidden.items() if path[: len(place)] == place]
    if above or any(place[: len(path)] == path for place in hidden):
        what = above[0] if above else "what stands here, with a secret in it,"
        if word == "type":
            word = types_in_words(wanted)
        elif isinstance(wanted, str | int | float):
            word += f" {shown(wanted)}"
        return Misfit(path, f"{what} does not fit", word)
    if word in _EXPLAINED:
        return explain(fault)
    return Misfit(path, printable(fault.message[:_MAX_SHOWN]))


def _listed(items: Sequence[object]) -> str:
    """Some items of any number, with how many more there are."""
    first = ", ".join(str(item)[:_MAX_SHOWN] for item in items[:_MAX_NAMED])
    more = len(items) - _MAX_NAMED
    return f"{first} and {more} more" if more > 0 else first


def _may_depend_on(secrets: Collection[Path], fault: Any) -> bool:
    """Whether a fault may be due to secrets that were not read."""
    path = tuple(fault.absolute_path)
    is_conditional = not _CONDITIONAL.isdisjoint(fault.absolute_schema_path)
    if any(path[: len(secret)] == secret for secret in secrets):
        # What names a secret is a text, as every secret is.
        return is_conditional or path not in secrets or fault.validator != "type"
    if fault.validator not in _OF_STRUCTURE and any(s[: len(path)] == path for s in secrets):
        return True
    return bool(secrets) and is_conditional


_NOTHING = object()


def _at(values: Any, path: Path) -> Any:
    """What was given at a path; `_NOTHING` where a default stands, or nothing."""
    try:
        for part in path:
            values = values[part]
    except (KeyError, IndexError, TypeError):
        return _NOTHING
    return values
