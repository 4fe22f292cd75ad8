"""From plain data to a checked `Config`.

A sound conf is parsed here by hand: jsonschema takes five sixths of a start without plugins. The
schema is asked only to explain what does not parse, and a property test holds both to the same
verdict.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from aimm_plugins._config import values
from aimm_plugins._config.json_schema import items, plain, shown, validate
from aimm_plugins._config.values import Conf, Config
from aimm_plugins._system.text import type_name
from aimm_plugins._values.actions import Action
from aimm_plugins.errors import ConfigError

if TYPE_CHECKING:
    from aimm_plugins._config.yaml_reader import Document

PROBE_SECONDS = 60.0
"""What `probe: true` allows one import: a large library on a cold disk takes tens of seconds."""

_MAX_SECONDS = 86_400
_ORIGINS = ("index", "local", "url", "vcs", "editable", "unknown")

# The same pattern as `#/$defs/requirement` of the schema.
_CLAUSE = r"(===?|~=|!=|<=?|>=?)[ \t]*[A-Za-z0-9._*+!-]+[ \t]*"
_CLAUSES = rf"{_CLAUSE}(,[ \t]*{_CLAUSE})*"
# Compiled by `re` at their first use: a conf without rules does without them.
_REQUIREMENT = (
    r"^[ \t]*[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?[ \t]*"
    rf"({_CLAUSES}|\([ \t]*{_CLAUSES}\)[ \t]*)?$(?!\n)"
)
# The same as `#/$defs/required` has beside that.
_SLOT = rf"^({'|'.join(get_args(Action))}):."
_NAME_ALONE = r"[ \t]*[A-Za-z0-9._-]+[ \t]*"
_WITH_PATHS = {"locked", "artifacts", "options", "environments", "environments_folder"}
_ENVIRONMENT_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)"

SchemaName = Literal["plugins", "policy"]


class _UnsoundError(Exception):
    """The conf does not parse; the schema will say why."""


def read(conf: Conf, *, called: str | None = None) -> Config:
    if conf is None:
        return Config()
    if isinstance(conf, Config):
        return conf
    if isinstance(conf, Mapping):
        # A copy: what a host does to its mapping later changes nothing. Keys that begin with `x-`
        # are the host's own, and their values may be anything.
        return parse({k: v if k.startswith("x-") else plain(v, (k,)) for k, v in items(conf)})
    path: object = os.fspath(conf) if isinstance(conf, os.PathLike) else conf
    if not isinstance(path, str):
        raise ConfigError(
            f"a conf is a mapping, the path of a YAML file or None, not {type_name(path)}"
        )
    from aimm_plugins._config.yaml_reader import load_file

    document = load_file(path, called=called)
    return _checked(document.data, "plugins", Config(document=document, folder=_folder(path)))


def parse(
    data: object, *, document: Document | None = None, prefix: tuple[str | int, ...] = ()
) -> Config:
    """Check a conf that was read already, as part of a document below a prefix."""
    file = None if document is None else document.file
    folder = None if file is None else _folder(file)
    return _checked(data, "plugins", Config(document=document, folder=folder, prefix=prefix))


def read_policy(path: str) -> Config:
    """Read and check an operator's policy; a relative path is where it was when first read."""
    from aimm_plugins._config.yaml_reader import load_file

    document = load_file(_lasting(path), called=path)
    folder = os.path.dirname(_lasting(path))
    return _checked(document.data, "policy", Config(document=document, folder=folder))


def denying(rules: Sequence[str], place: str) -> Config:
    """A layer of deny rules alone, all of them from one place."""
    try:
        return _checked({"entry_points": {"deny": rules}}, "policy", Config(place=place))
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def _folder(file: str) -> str:
    return os.path.dirname(os.path.abspath(file))


@cache
def _lasting(path: str) -> str:
    return os.path.abspath(path)


def _checked(data: object, schema_name: SchemaName, bare: Config) -> Config:
    fields = None
    with suppress(_UnsoundError):
        fields = _fields(data, *(_AS_CONF if schema_name == "plugins" else _AS_POLICY))
    if fields is None:
        with suppress(FileNotFoundError, ImportError):  # frozen or zipped without what this needs
            validate(data, schema_name, document=bare.document, prefix=bare.prefix)
        raise ConfigError(f"is not what schema {schema_name} says", file=bare.source)
    if bare.folder is None and fields.keys() & _WITH_PATHS:
        with suppress(FileNotFoundError):  # somebody has removed it
            bare = bare._replace(folder=os.getcwd())
    config = bare._replace(**fields)
    _check_meaning(config)
    return config


def _check_meaning(config: Config) -> None:
    """Refuse what has the right shape and still says nothing: `>=1.0.x`, or a time of `.nan`."""
    rules = config.entry_points
    requirements: dict[tuple[str, ...], Sequence[str]] = {
        ("entry_points", "allow"): rules.allow or (),
        ("entry_points", "deny"): rules.deny,
        ("required",): config.required,
    }
    times: dict[tuple[str, ...], float | None] = {("probe",): config.probe}
    for name, environment in config.environments.items():
        requirements["environments", name, "requirements"] = environment.requirements
        requirements["environments", name, "plugins"] = environment.plugins or ()
        times["environments", name, "call_seconds"] = environment.call_seconds
    for path, texts in requirements.items():
        for index, text in enumerate(texts):
            if re.fullmatch(_NAME_ALONE, text) or re.match(_SLOT, text):
                continue
            from packaging.requirements import Requirement

            try:
                for clause in Requirement(text).specifier:
                    clause.contains("0", prereleases=True)  # packaging reads numbers only now
            except ValueError as error:  # also a number that is too long for Python
                raise config.error(
                    f"{shown(text)} is no requirement: {str(error).splitlines()[0]}",
                    (*path, index),
                    expected="a name with versions, such as aimm-sklearn>=1,<2",
                ) from error
    for path, seconds in times.items():
        if seconds is not None and seconds != seconds:  # JSON Schema lets NaN pass
            raise config.error(
                f"{seconds} is no time to wait for", path, expected=f"seconds up to {_MAX_SECONDS}"
            )


# Parsers: each takes plain data, and returns what a field of `Config` holds or raises.

Parser = Callable[[object], Any]


def _fields(
    value: object, parsers: Mapping[str, Parser], required: Collection[str] = ()
) -> dict[str, Any]:
    """The values of a mapping with known keys; keys that begin with `x-` are left out."""
    given = _mapping(value)
    _need(given.keys() >= set(required))
    _need(all(key in parsers or key.startswith("x-") for key in given))
    return {key: parsers[key](item) for key, item in given.items() if key in parsers}


def _need(fits: bool) -> None:
    if not fits:
        raise _UnsoundError


def _if(fits: Callable[[Any], bool]) -> Parser:
    def parsed(value: object) -> Any:
        _need(fits(value))
        return value

    return parsed


def _text_if(fits: Callable[[str], bool]) -> Parser:
    return _if(lambda value: isinstance(value, str) and fits(value))


def _one_of(known: Collection[str]) -> Parser:
    return _text_if(known.__contains__)


def _tuple_of(parser: Parser) -> Parser:
    return lambda value: tuple(map(parser, _list(value)))


def _mapping_of(parser: Parser) -> Parser:
    return lambda value: {_name(key): parser(item) for key, item in _mapping(value).items()}


_list = _if(lambda value: isinstance(value, list | tuple))
_mapping = _if(lambda value: isinstance(value, Mapping) and all(isinstance(k, str) for k in value))
_bool = _if(lambda value: isinstance(value, bool))
_text = _if(lambda value: isinstance(value, str))
_name = _text_if(bool)
_requirements = _tuple_of(_text_if(lambda text: re.search(_REQUIREMENT, text) is not None))
_number = _if(lambda value: isinstance(value, int | float) and not isinstance(value, bool))


def _seconds(value: object) -> Any:
    _need(not (_number(value) <= 0 or _number(value) > _MAX_SECONDS))  # NaN is refused later
    return value


def _probe_seconds(value: object) -> Any:
    if isinstance(value, bool):
        return PROBE_SECONDS if value else None
    return _seconds(value)


def _whole(least: int, most: int) -> Parser:
    def parsed(value: object) -> int:
        number = _number(value)
        _need(number == number // 1)  # JSON Schema calls 2.0 an integer too
        _need(least <= number <= most)
        return int(number)

    return parsed


def _key_file(value: object) -> Any:
    given = _mapping(value)
    _need(given.keys() == {"ed25519"})
    return _name(given["ed25519"])


def _environments(value: object) -> dict[str, values.EnvironmentRules]:
    found = {}
    for name, given in _mapping(value).items():
        _need(re.search(_ENVIRONMENT_NAME, name) is not None)
        fields = _fields(given, _ENVIRONMENT)
        _need(len(fields.keys() & {"requirements", "lock", "path"}) == 1)
        _need(not fields.keys() >= {"path", "python"})
        found[name] = values.EnvironmentRules(name, **fields)
    return found


_ENTRY_POINTS: dict[str, Parser] = {
    "enabled": _bool,
    "allow": _requirements,
    "deny": _requirements,
    "deny_origins": _tuple_of(_one_of(_ORIGINS)),
}
_ARTIFACTS: dict[str, Parser] = {
    "on_version": _one_of(get_args(values.OnVersion)),
    "signed": lambda value: _one_of(["optional", "required"])(value) == "required",
    "keys": _mapping_of(_key_file),
    "sign_with": _key_file,
}
_DASK: dict[str, Parser] = {
    "address": _name,
    "actions": _tuple_of(_one_of(get_args(Action))),
    "keys": _tuple_of(_text),
    "keep_on_cluster": _bool,
}
_ENVIRONMENT: dict[str, Parser] = {
    "requirements": _tuple_of(_name),
    "lock": _name,
    "path": _name,
    "python": _name,
    "plugins": _requirements,
    "processes": _whole(1, 64),
    "call_seconds": _seconds,
    "memory_mb": _whole(1, 2**40),
    "start": _one_of(get_args(values.StartMode)),
    "restarts_per_minute": _whole(0, 1000),
}
_POLICY: dict[str, Parser] = {
    "names": _tuple_of(_one_of([])),  # a policy says what may be loaded, and loads nothing
    "entry_points": lambda value: values.EntryPointRules(**_fields(value, _ENTRY_POINTS)),
    "required": _tuple_of(_text_if(lambda text: bool(re.search(f"{_REQUIREMENT}|{_SLOT}", text)))),
    "prefer": _mapping_of(_name),
    "verify": _one_of(get_args(values.Verify)),
    "probe": _probe_seconds,
    "locked": _name,
    "artifacts": lambda value: values.ArtifactRules(**_fields(value, _ARTIFACTS)),
}
_CONF: dict[str, Parser] = {
    **_POLICY,
    "names": _tuple_of(_text),
    "on_error": _one_of(get_args(values.OnError)),
    "load": _one_of(get_args(values.LoadMode)),
    "options": _mapping_of(_mapping),
    "dask": lambda value: values.DaskRules(**_fields(value, _DASK, required=["address"])),
    "environments": _environments,
    "environments_folder": _name,
}
_AS_POLICY: tuple[dict[str, Parser], list[str]] = (_POLICY, [])
_AS_CONF = (_CONF, ["names"])
