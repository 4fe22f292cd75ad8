"""The conf as a checked value.

A sound conf is parsed here by hand: jsonschema takes five sixths of a start without plugins. The
schema is asked only to explain what does not parse, and a property test holds both to the same
verdict.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from aimm_plugins._system.text import described, type_name
from aimm_plugins._values.actions import Action
from aimm_plugins.errors import ConfigError, spell_path

if TYPE_CHECKING:
    from aimm_plugins._config.yaml_reader import Document

OnError = Literal["strict", "isolate"]
Load = Literal["eager", "lazy"]
Verify = Literal["none", "record"]
OnVersion = Literal["compatible", "error", "warn", "ignore"]

# The same pattern as `#/$defs/requirement` of the schema.
_CLAUSE = r"(===?|~=|!=|<=?|>=?)[ \t]*[A-Za-z0-9._*+!-]+[ \t]*"
_CLAUSES = rf"{_CLAUSE}(,[ \t]*{_CLAUSE})*"
# Compiled by `re` at their first use: a conf without rules does without them.
_REQUIREMENT = (
    r"^[ \t]*[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?[ \t]*"
    rf"({_CLAUSES}|\([ \t]*{_CLAUSES}\)[ \t]*)?$(?!\n)"
)
_BARE = r"[ \t]*[A-Za-z0-9._-]+[ \t]*"
_MAX_SECONDS = 86_400


class EntryPointRules(NamedTuple):
    """The conf's rules about installed entry points.

    Attributes:
        enabled: Whether they are loaded at all.
        allow: Requirements; `None` allows all, an empty tuple none.
        deny: Requirements; deny beats allow.
    """

    enabled: bool = True
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    deny_origins: tuple[str, ...] = ()


class ArtifactRules(NamedTuple):
    """The conf's rules about saved models.

    Attributes:
        on_version: What another version of the provider leads to; `None` where nothing is said.
        signed: Whether a signature by one of the keys is required.
        keys: Files of the public keys that signatures are verified with, by the names that messages
            call them.
        sign_with: File of the private key that new artifacts are signed with.
    """

    on_version: OnVersion | None = None
    signed: bool = False
    keys: Mapping[str, str] = MappingProxyType({})
    sign_with: str | None = None


class DaskRules(NamedTuple):
    """Which calls run on a Dask cluster.

    Attributes:
        address: Of its scheduler; `local` for a worker process of the host's own.
        actions: Only these; `None` for all.
        keys: Only these; `None` for all.
        keep_on_cluster: Whether instances stay there.
    """

    address: str
    actions: tuple[Action, ...] | None = None
    keys: tuple[str, ...] | None = None
    keep_on_cluster: bool = False


class Config(NamedTuple):
    """A conf, or another layer of rules, that was read and is sound.

    Attributes:
        names: Modules to import, in order.
        entry_points: Rules about installed entry points.
        required: Requirements of distributions that must be there and loaded.
        prefer: `"action:key"` or `"key"` to distribution or module.
        on_error: What a failed plugin leads to.
        load: Whether plugins that publish their keys wait for their first call.
        verify: Whether installed files are held against their RECORD.
        probe: Seconds that a plugin has to be imported in a child process first; `None` for no
            probe.
        locked: File of the distributions that may be loaded.
        artifacts: Rules about saved models.
        dask: The cluster that calls run on; `None` for none.
        options: By distribution or plugin, what its plugins are given; secrets are not yet read.
        document: Where the layer stands, if it was read from a file.
        prefix: Where in `document`.
        place: What messages call every place in a layer that is neither a mapping nor a file.
    """

    names: tuple[str, ...] = ()
    entry_points: EntryPointRules = EntryPointRules()
    required: tuple[str, ...] = ()
    prefer: Mapping[str, str] = MappingProxyType({})
    on_error: OnError = "strict"
    load: Load = "eager"
    verify: Verify = "none"
    probe: float | None = None
    locked: str | None = None
    artifacts: ArtifactRules = ArtifactRules()
    dask: DaskRules | None = None
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    document: Document | None = None
    prefix: tuple[str | int, ...] = ()
    place: str | None = None

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
        return self.place or f"conf {spell_path(path)}"

    def beside(self, path: str) -> str:
        """A path that the layer names, as seen from the folder of the layer's own file."""
        if self.document is None or self.document.file is None:
            return path
        return os.path.join(os.path.dirname(self.document.file), path)

    def error(
        self,
        message: str,
        path: tuple[str | int, ...],
        *,
        expected: str | None = None,
        key: bool = False,
    ) -> ConfigError:
        """An error about a place in the conf; with `key` about its key and not its value."""
        return _error(message, path, self.document, self.prefix, expected, key)


Conf = Mapping[str, object] | str | os.PathLike[str] | Config | None
"""What a conf may be given as, within this package: callers of it have no `Config`."""

PROBE_SECONDS = 60.0
"""What `probe: true` allows one import: a large library on a cold disk takes tens of seconds."""

_POLICY_KEYS = frozenset(
    {"names", "entry_points", "required", "prefer", "verify", "probe", "locked", "artifacts"}
)
_CONF_KEYS = _POLICY_KEYS | {"on_error", "load", "options", "dask"}
ORIGINS = ("index", "local", "url", "vcs", "editable", "unknown")


class _UnsoundError(Exception):
    """The conf does not parse; the schema will say why."""


def read(conf: Conf) -> Config:
    """Read and check a conf.

    Args:
        conf: A mapping, the path of a YAML file, `None` for an empty conf, or one that was read.

    Raises:
        ConfigError: It is not what `schemas/plugins.yaml` says.
    """
    if conf is None:
        return Config()
    if type(conf) is Config:
        return conf
    try:
        given = _given(conf)
    except (ConfigError, KeyboardInterrupt):
        raise
    except BaseException as error:  # an object of the host's may raise anything
        raise ConfigError(
            f"a conf of class {type_name(conf)} cannot be read: {described(error)}"
        ) from error
    if isinstance(given, dict):
        return parse(given)
    from aimm_plugins._config.yaml_reader import load_file

    document = load_file(given)
    return parse(document.data, document=document)


def _given(conf: object) -> dict[str, object] | str:
    """A conf's path, or a copy of what a mapping holds, whatever its class says of it."""
    if isinstance(conf, Mapping):
        return {
            # What begins with `x-` is the host's own, and may be anything.
            key: value if key.startswith("x-") else _plain(value, (key,))
            for key, value in _items(conf, ())
        }
    if isinstance(conf, str | os.PathLike):
        path = os.fspath(conf)
        if isinstance(path, bytes):
            raise ConfigError("a conf's path is text, and was given as bytes")
        return str.__str__(path)
    raise ConfigError(
        f"a conf is a mapping, the path of a YAML file or None, not {type_name(conf)}"
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
    return _checked(data, "plugins", Config(document=document, prefix=prefix))


def read_policy(path: str) -> Config:
    """Read and check an operator's policy.

    Raises:
        ConfigError: It cannot be read, or is not what `schemas/policy.yaml` says.
    """
    from aimm_plugins._config.yaml_reader import load_file

    document = load_file(path)
    return _checked(document.data, "policy", Config(document=document))


def operator_layers() -> tuple[Config, ...]:
    """The rules that the environment sets, which no conf can widen.

    `AIMM_PLUGINS_POLICY` names a file as in `schemas/policy.yaml`; `AIMM_PLUGINS_DENY` holds
    requirements with commas between them, for one run.

    Raises:
        ConfigError: One of them cannot be read: a rule that is not understood must not pass.
    """
    layers = []
    path = os.environ.get("AIMM_PLUGINS_POLICY")
    if path:
        layers.append(read_policy(path))
    denied = os.environ.get("AIMM_PLUGINS_DENY")
    if denied and denied.strip(" \t,"):
        rules = _split_requirements(denied)
        bare = Config(place="AIMM_PLUGINS_DENY")
        try:
            layer = bare._replace(entry_points=EntryPointRules(deny=_requirements(rules)))
        except _UnsoundError:
            wrong = next(rule for rule in rules if not re.search(_REQUIREMENT, rule))
            raise ConfigError(
                f"AIMM_PLUGINS_DENY: {wrong!r} cannot be read",
                expected="distributions, such as aimm-x,aimm-old<2",
            ) from None
        try:
            _check_values(layer)
        except ConfigError as error:
            raise ConfigError(f"AIMM_PLUGINS_DENY: {error}") from None
        layers.append(layer)
    return tuple(layers)


def _split_requirements(text: str) -> list[str]:
    """`a,b>=1,<2` as `["a", "b>=1,<2"]`: a piece that begins with an operator is no new name."""
    rules: list[str] = []
    for piece in text.split(","):
        stripped = piece.strip()
        if rules and stripped[:1] in ("<", ">", "=", "!", "~"):
            rules[-1] += f",{stripped}"
        elif stripped:
            rules.append(stripped)
    return rules


def _checked(data: object, schema_name: Literal["plugins", "policy"], bare: Config) -> Config:
    try:
        config = _parse(data, schema_name, bare)
    except _UnsoundError:
        validate(data, schema_name, document=bare.document, prefix=bare.prefix)
        raise ConfigError(f"is not what schema {schema_name} says", file=bare.source) from None
    _check_values(config)
    return config


def _parse(data: object, schema_name: Literal["plugins", "policy"], bare: Config) -> Config:
    top = _mapping(data, _CONF_KEYS if schema_name == "plugins" else _POLICY_KEYS)
    names = top.get("names", ())
    if schema_name == "plugins" and "names" not in top:
        raise _UnsoundError
    if schema_name == "policy" and names:  # it says what may be loaded, not what is
        raise _UnsoundError
    rules = _mapping(
        top.get("entry_points", {}), frozenset({"enabled", "allow", "deny", "deny_origins"})
    )
    enabled = rules.get("enabled", True)
    if not isinstance(enabled, bool):
        raise _UnsoundError
    preferences = top.get("prefer", {})
    if not isinstance(preferences, Mapping) or not all(
        isinstance(key, str) and key and isinstance(value, str) and value
        for key, value in preferences.items()
    ):
        raise _UnsoundError
    return bare._replace(
        names=_texts(names),
        entry_points=EntryPointRules(
            enabled=enabled,
            allow=_requirements(rules["allow"]) if "allow" in rules else None,
            deny=_requirements(rules.get("deny", ())),
            deny_origins=tuple(
                _one_of(each, ORIGINS) for each in _texts(rules.get("deny_origins", ()))
            ),
        ),
        required=_requirements(top.get("required", ())),
        prefer=dict(preferences),
        on_error=_one_of(top.get("on_error", "strict"), get_args(OnError)),
        load=_one_of(top.get("load", "eager"), get_args(Load)),
        verify=_one_of(top.get("verify", "none"), get_args(Verify)),
        probe=_seconds(top.get("probe", False)),
        locked=_path(top["locked"]) if "locked" in top else None,
        artifacts=_artifacts(top.get("artifacts", {})),
        dask=_dask(top["dask"]) if "dask" in top else None,
        options=_options(top["options"]) if "options" in top else bare.options,
    )


def _options(value: object) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and name and isinstance(given, Mapping)
        for name, given in value.items()
    ):
        raise _UnsoundError
    # A copy: what a host does to its mapping later on is not what was checked.
    copied: Mapping[str, Mapping[str, Any]] = _plain(value, ("options",))
    return copied


def _artifacts(value: object) -> ArtifactRules:
    rules = _mapping(value, frozenset({"on_version", "signed", "keys", "sign_with"}))
    keys = rules.get("keys", {})
    if not isinstance(keys, Mapping) or not all(isinstance(name, str) and name for name in keys):
        raise _UnsoundError
    return ArtifactRules(
        on_version=_one_of(rules["on_version"], get_args(OnVersion))
        if "on_version" in rules
        else None,
        signed=_one_of(rules.get("signed", "optional"), ("optional", "required")) == "required",
        keys={name: _key_file(key) for name, key in keys.items()},
        sign_with=_key_file(rules["sign_with"]) if "sign_with" in rules else None,
    )


def _key_file(value: object) -> str:
    if not isinstance(value, Mapping) or set(value) != {"ed25519"}:
        raise _UnsoundError
    return _path(value["ed25519"])


def _dask(value: object) -> DaskRules:
    rules = _mapping(value, frozenset({"address", "actions", "keys", "keep_on_cluster"}))
    keep = rules.get("keep_on_cluster", False)
    if not isinstance(keep, bool):
        raise _UnsoundError
    return DaskRules(
        address=_path(rules.get("address")),
        actions=tuple(_one_of(each, get_args(Action)) for each in _texts(rules["actions"]))
        if "actions" in rules
        else None,
        keys=_texts(rules["keys"]) if "keys" in rules else None,
        keep_on_cluster=keep,
    )


def _one_of(value: object, known: tuple[Any, ...]) -> Any:
    if not isinstance(value, str) or value not in known:
        raise _UnsoundError
    return value


def _seconds(value: object) -> float | None:
    if isinstance(value, bool):
        return PROBE_SECONDS if value else None
    if not isinstance(value, int | float) or value <= 0 or value > _MAX_SECONDS:
        raise _UnsoundError
    return value


def _path(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _UnsoundError
    return value


def _mapping(value: object, known: frozenset[str]) -> Mapping[str, Any]:
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
    if not all(re.search(_REQUIREMENT, text) for text in texts):
        raise _UnsoundError
    return texts


def _check_values(config: Config) -> None:
    """What has the right shape and still says nothing, such as `>=1.0.x` or a time of `.nan`."""
    rules = config.entry_points
    for path, texts in (
        (("entry_points", "allow"), rules.allow or ()),
        (("entry_points", "deny"), rules.deny),
        (("required",), config.required),
    ):
        for index, text in enumerate(texts):
            if re.fullmatch(_BARE, text):
                continue
            from packaging.requirements import Requirement

            try:
                for clause in Requirement(text).specifier:
                    clause.contains("0", prereleases=True)  # numbers are read as late as here
            except ValueError as error:  # also a number that is too long for Python
                raise config.error(
                    f"{_shown(text)} is no requirement: {str(error).splitlines()[0]}",
                    (*path, index),
                    expected="a name with versions, such as aimm-sklearn>=1,<2",
                ) from error
    if config.probe is not None and config.probe != config.probe:  # JSON Schema passes NaN
        raise config.error(
            f"{config.probe} is no time to wait for",
            ("probe",),
            expected=f"true, false, or seconds up to {_MAX_SECONDS}",
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

    loaded, plain = schema(name), _plain(data, ())
    try:
        faults = list(Draft202012Validator(loaded).iter_errors(plain))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # jsonschema writes down what does not fit
        raise ConfigError(
            f"holds an object that cannot be written down: {described(error)}",
            file=None if document is None else document.file,
        ) from error
    if not faults:
        return
    fault = min(
        map(_deepest, faults),
        # A key that is missing is most often there, with a typo that another fault names.
        key=lambda each: (
            -len(each.absolute_path),
            each.validator == "required",
            str(each.path),
        ),
    )
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
        fault = max(
            fault.context, key=lambda each: (len(each.absolute_path), each.validator != "type")
        )
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
        own = tuple(fault.schema.get("patternProperties", ()))
        unknown = next(
            key
            for key in value
            if key not in known and not any(re.search(each, str(key)) for each in own)
        )
        from difflib import get_close_matches

        near = get_close_matches(str(unknown), known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown key {unknown!r}{hint}", "one of " + ", ".join(sorted(known)), str(unknown)
    if fault.validator == "type":
        wanted = fault.validator_value
        names = wanted if isinstance(wanted, list) else [wanted]
        # What stands in the wrong place among the options may be a secret all the same.
        shown = f"a {type(value).__name__}" if path[:1] == ("options",) else _shown(value)
        return f"{shown} is of the wrong type", " or ".join(map(_type_name, names)), None
    if fault.validator == "enum":
        return (
            f"{_shown(value)} is not known here",
            "one of " + ", ".join(str(each) for each in fault.validator_value),
            None,
        )
    if fault.validator == "exclusiveMinimum":
        return f"{_shown(value)} is too small", f"more than {fault.validator_value}", None
    if fault.validator == "maximum":
        return f"{_shown(value)} is too large", f"{fault.validator_value} at most", None
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
    try:
        text = repr(value).encode("utf-8", "backslashreplace").decode()
    except KeyboardInterrupt:
        raise
    except BaseException:  # an object of the host's in a mapping
        text = f"a {type_name(value)}"
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(value: object, path: tuple[str | int, ...]) -> Any:
    """A mapping given from Python as the schema knows it: dicts, lists and scalars."""
    if len(path) > 100:
        raise ConfigError("is nested deeper than 100")
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {key: _plain(each, (*path, key)) for key, each in _items(value, path)}
    if isinstance(value, list | tuple):
        # Past what a subclass says of itself: a rule that it hides must not go unnoticed.
        held = list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value)
        return [_plain(each, (*path, index)) for index, each in enumerate(held)]
    if isinstance(value, int) and value.bit_length() > 13_000:
        # Python refuses to write down what is longer than 4,300 digits, and messages would.
        raise ConfigError("is a number of thousands of digits", path=path)
    return value


def _items(value: Mapping[Any, object], path: tuple[str | int, ...]) -> list[tuple[str, object]]:
    items = dict.items(value) if isinstance(value, dict) else value.items()
    found = []
    for key, each in items:
        if not isinstance(key, str):
            raise ConfigError(f"key {_shown(key)} is not text", path=path)
        found.append((str.__str__(key), each))
    return found
