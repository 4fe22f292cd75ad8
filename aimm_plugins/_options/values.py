"""What a conf gives to which plugin: secrets read, held against the plugin's schema, kept.

A conf's `options` are for distributions or plugins; here they become one mapping a plugin module.
What a call of `initialize` gives is staged, seen by the imports of that call alone, and kept when
the call is committed.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from aimm_plugins._config.config import Config
from aimm_plugins._discovery.entry_points import PublishedOptions
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._options.schema import (
    Fault,
    Options,
    Path,
    Schema,
    as_options,
    copied,
    read_schema,
)
from aimm_plugins._system.files import read_file
from aimm_plugins._system.names import normalized
from aimm_plugins._values.provenance import Provenance
from aimm_plugins._values.report import Finding, PluginRecord
from aimm_plugins.errors import ConfigError, DeclarationError

if TYPE_CHECKING:
    from aimm_plugins._values.report import Identity

_MAX_SECRET_BYTES = 1024 * 1024

BY_HAND: dict[str, Mapping[str, Any]] = {}
"""Options of plugins that are imported without any `initialize`: those of a probe's child."""


class Given(NamedTuple):
    """What a conf gives to one plugin.

    Attributes:
        config: The conf.
        key: Under which key of its `options`.
        values: As written, with the secrets that were read.
        secrets: Where these are: path in `values` to `env:NAME` or `file:PATH`.
    """

    config: Config
    key: str
    values: Mapping[str, Any]
    secrets: Mapping[Path, str]

    def error(self, fault: Fault, schema: Schema) -> ConfigError:
        """What the schema has against it, with the place in the conf."""
        return self.config.error(
            f"{fault.message}, says {schema}",
            ("options", self.key, *fault.path),
            expected=fault.expected,
            key=fault.at_key,
        )

    @property
    def told(self) -> tuple[str, ...]:
        """The keys that are set, and where secrets come from; no values."""
        sources: dict[str, str] = {}
        for path, source in self.secrets.items():
            sources[".".join(map(str, path))] = f"{'.'.join(map(str, path))} ({source})"
        plain = {key: key for key in self.values if key not in sources}
        return tuple(text for _, text in sorted({**plain, **sources}.items()))


class State:
    """The options of plugins.

    Args:
        given: What confs give, by plugin module.
        checked: What was held against its schema, with defaults, by plugin module.
        modules: The plugin modules that this is about.
        installed: What is installed; looked for when that is first needed.
    """

    def __init__(
        self,
        given: Mapping[str, Given] | None = None,
        checked: Mapping[str, Options] | None = None,
        modules: Iterable[str] = (),
        installed: Scan | None = None,
    ) -> None:
        self.given = dict(given or {})
        self.checked = dict(checked or {})
        self.modules = frozenset(modules)
        self.installed = installed
        self.homes: dict[str, str] = {}
        self.by_hand: dict[str, Options] = {}
        self.snapshot: object = None

    def merged(self, staged: State | None) -> State:
        """These and what a call has given, for the plugins that it did not fail to load."""
        given = dict(self.given)
        checked = {module: self.checked[module] for module in given if module in self.checked}
        if staged is not None:
            for module in staged.modules & staged.given.keys():
                given[module] = staged.given[module]
                checked.pop(module, None)
                if module in staged.checked:
                    checked[module] = staged.checked[module]
        return State(given, checked)

    def value(self, module: str) -> Options:
        """A plugin's options, a copy of the caller's own.

        Raises:
            ConfigError: What its conf gives does not fit its schema.
            DeclarationError: The schema is broken.
        """
        found = self.checked.get(module)
        if found is None:
            found = self.checked[module] = self._check(module)
        made: Options = copied(found)
        return made

    def value_by_hand(self, module: str) -> Options:
        """The defaults of a plugin that no `initialize` has to do with; nothing is checked.

        Raises:
            DeclarationError: The schema is broken.
        """
        found = self.by_hand.get(module)
        if found is None:
            given = BY_HAND.get(module, {})
            schema = _schema(self.published(module))
            if schema is None:
                found = as_options(given, hides=given.__contains__)
            else:
                # What was given may be a secret; the child of a probe is not told which is.
                found = as_options(
                    schema.filled(given)[0], hides=lambda key: key in given or schema.hides(key)
                )
            self.by_hand[module] = found
        made: Options = copied(found)
        return made

    def published(self, module: str) -> tuple[PublishedOptions, ...]:
        """Where the schema of a plugin is."""
        if self.installed is None:
            self.installed = scan()
        return self.installed.options_of(module, _owner(module, self.installed))

    def _check(self, module: str) -> Options:
        given = self.given.get(module)
        schema = _schema(self.published(module))
        if schema is None:
            return as_options({}) if given is None else as_options(given.values, given.secrets)
        if given is not None:
            options, faults = schema.check(given.values, given.secrets)
            if faults:
                raise one_error([given.error(fault, schema) for fault in faults])
            return options
        options, faults = schema.check({})
        if faults:
            raise ConfigError(
                f"{module} needs options, and no conf gives it any: "
                + "; ".join(fault.message for fault in faults)
                + f", says {schema}",
                path=("options",),
                expected=f"an entry {schema.published.distribution.name}",
            )
        return options


def _owner(module: str, installed: Scan) -> str | None:
    """Name of the distribution that a plugin module is of."""
    for candidate in installed.candidates:
        if candidate.module == module:
            return candidate.distribution.name
    if not installed.options:
        return None
    owner = installed.owner(module, locate(module))
    return None if owner is None else owner.name


def _schema(published: Sequence[PublishedOptions]) -> Schema | None:
    """The schema of a plugin, if it publishes one.

    Raises:
        DeclarationError: It publishes several, or a broken one.
    """
    if len(published) > 1:
        raise DeclarationError(
            f"{published[0].distribution.name} {published[0].distribution.version} publishes "
            f"several schemas of the options of one plugin, {' and '.join(map(str, published))} "
            f"({', '.join(each.place for each in published)}). Its author has to remove all but "
            "one."
        )
    return read_schema(published[0]) if published else None


def one_error(errors: Sequence[ConfigError]) -> ConfigError:
    """The first of several, which tells of the others too."""
    first, *others = sorted(errors, key=lambda each: (each.line or 0, each.column or 0))
    if not others:
        return first
    whole = ConfigError("\n".join([str(first), *(f"  and {each}" for each in others)]))
    whole.file, whole.line, whole.column = first.file, first.line, first.column
    whole.path, whole.expected = first.path, first.expected
    return whole


# Of one call

_STAGED: ContextVar[State | None] = ContextVar("aimm_plugins_options", default=None)
_in_progress: list[State] = []
"""What is staged by any thread: a thread that a plugin's import starts has no context of it."""


@contextmanager
def staging(state: State) -> Generator[None]:
    """While open, plugins that this thread imports are given these options."""
    token = _STAGED.set(state)
    _in_progress.append(state)
    try:
        yield
    finally:
        _in_progress.remove(state)
        _STAGED.reset(token)


def staged() -> State | None:
    """What this thread is staging."""
    return _STAGED.get()


def staged_elsewhere() -> list[State]:
    """What any thread is staging, the latest first."""
    return _in_progress[::-1]


def given_to(module: str) -> dict[str, Any] | None:
    """What a plugin that is being loaded is given, for a child process that imports it."""
    state = _STAGED.get()
    given = None if state is None else state.given.get(module)
    return None if given is None else dict(given.values)


class Prepared(NamedTuple):
    """What the options of confs come to.

    Attributes:
        records: The accounts, with what is set; `failed` where a plugin's schema is broken.
        state: What is to be staged; `None` where no conf has options for a plugin.
        findings: Options for nobody; and where the call only looks, what `initialize` would meet.
    """

    records: Mapping[Identity, PluginRecord]
    state: State | None
    findings: tuple[Finding, ...]


def prepare(
    parts: Sequence[tuple[Config, Sequence[PluginRecord]]],
    records: Mapping[Identity, PluginRecord],
    installed: Scan,
    *,
    looking: bool,
) -> Prepared:
    """Give options to plugins, and hold them against those schemas that can be read by now.

    Args:
        parts: Each conf with the accounts of its plugins; later ones hold.
        records: The accounts of all.
        installed: What is installed.
        looking: Whether nothing will be loaded: then no secret is read, and what is missing is a
            finding.

    Raises:
        ConfigError: Options do not fit their schema, or a secret cannot be read.
    """
    findings: list[Finding] = []
    given: dict[str, Given] = {}
    for config, own in parts:
        if config.options:
            given.update(_given(config, own, installed, looking, findings))
    checked: dict[str, Options] = {}
    errors: list[ConfigError] = []
    done: dict[Identity, PluginRecord] = {}
    broken: dict[str, DeclarationError] = {}
    seen: set[str] = set()
    for identity, record in records.items():
        module = record.module
        published = installed.options_of(module, record.distribution)
        mine = given.get(module)
        if (
            module not in seen
            and record.state != "denied"
            and (mine is not None or looking)
            and (len(published) > 1 or (published and published[0].is_file))
        ):
            seen.add(module)
            try:
                schema = _schema(published)
                assert schema is not None
                if mine is not None:
                    options, faults = schema.check(mine.values, mine.secrets, unread=looking)
                    errors += [mine.error(fault, schema) for fault in faults]
                    checked[module] = options
                else:
                    findings += _unmet(record.provenance, schema)
            except DeclarationError as error:
                if mine is None:
                    findings.append(_broken_schema(record.provenance, error, published[0]))
                else:
                    broken[module] = error
        record = record._replace(
            options=mine.told if mine is not None and record.state != "denied" else (),
            options_schema=str(published[0]) if published else None,
        )
        if module in broken:
            record = record._replace(state="failed", error=broken[module], provides=())
        elif (
            (looking and mine is not None and record.state == "planned")
            and (published and not published[0].is_file)
            and record.reason is None
        ):
            record = record._replace(
                reason="its options are checked when it is imported, since their schema "
                f"{published[0]} is code"
            )
        done[identity] = record
    if errors:
        raise one_error(errors)
    state = State(given, checked, (r.module for r in records.values()), installed)
    return Prepared(done, state if given else None, tuple(dict.fromkeys(findings)))


def _unmet(who: Provenance, schema: Schema) -> list[Finding]:
    """What a plugin needs that no conf gives."""
    _, faults = schema.check({})
    return [
        Finding(
            code="options-needed",
            subject=str(who),
            message=f"no conf gives it options, and {fault.message}, says {schema}",
            place=schema.published.place,
            remedy=f"Add to the conf: options: {{{schema.published.distribution.name}: {{...}}}}.",
        )
        for fault in faults
    ]


def _broken_schema(who: Provenance, error: DeclarationError, place: PublishedOptions) -> Finding:
    return Finding(
        code="broken-options-schema",
        subject=str(who),
        message=str(error),
        place=place.place,
        remedy="Until then it cannot ask for its options.",
    )


# Whose options they are


def _given(
    config: Config,
    records: Sequence[PluginRecord],
    installed: Scan,
    looking: bool,
    findings: list[Finding],
) -> dict[str, Given]:
    """What one conf gives, by plugin module.

    Raises:
        ConfigError: It is not clear to whom, or a secret cannot be read.
    """
    direct: dict[str, str] = {}
    by_distribution: dict[str, str] = {}
    for key in config.options:
        named, owned = _meant(key, records, config)
        if not named and not owned:
            findings.append(_for_nobody(key, config, records, installed))
        for chosen, found in ((direct, named), (by_distribution, owned)):
            for record in found:
                if record.state == "denied":
                    continue
                other = chosen.setdefault(record.module, key)
                if other != key:
                    raise config.error(
                        f"{key!r} and {other!r} are both options of {record.module}",
                        ("options", key),
                        expected="one of them",
                        key=True,
                    )
    keys = {**by_distribution, **direct}
    for key in dict.fromkeys(by_distribution.values()):
        if key not in keys.values():
            findings.append(
                Finding(
                    code="rule-matches-nothing",
                    subject=f"options {key}",
                    message="every plugin of this distribution has options by its own name, which "
                    "hold instead",
                    place=config.where("options", key),
                    remedy="Remove one of them.",
                )
            )
    read = {
        key: _with_secrets(key, config, looking, findings) for key in dict.fromkeys(keys.values())
    }
    return {module: read[key] for module, key in keys.items()}


def _meant(
    key: str, records: Sequence[PluginRecord], config: Config
) -> tuple[list[PluginRecord], list[PluginRecord]]:
    """The plugins that a key names, or else those of the distribution that it names."""
    name = normalized(key)
    named = [each for each in records if each.module == key]
    if not named:
        named = [each for each in records if each.source == "entry_point" and each.name == key]
    owned = [
        each for each in records if each.distribution and normalized(each.distribution) == name
    ]
    owners = {
        normalized(each.distribution) if each.distribution else each.module: each.provenance
        for each in (*named, *owned)
        if each.state != "denied"
    }
    if len(owners) > 1:
        raise config.error(
            f"{key!r} is several: " + " and ".join(str(each) for each in owners.values()),
            ("options", key),
            expected="the name of a module or distribution that is one of them alone",
            key=True,
        )
    return named, [] if named else owned


def _for_nobody(
    key: str, config: Config, records: Sequence[PluginRecord], installed: Scan
) -> Finding:
    known = {each.name for each in records if each.source == "entry_point"}
    known |= {each.module for each in records}
    known |= {each.distribution for each in records if each.distribution}
    near = get_close_matches(key, sorted(known), n=1)
    if installed.has(key):
        message = "this distribution brings no plugin that this conf loads"
    else:
        message = "no plugin, module or distribution that this conf loads has this name"
    return Finding(
        code="rule-matches-nothing",
        subject=f"options {key}",
        message=message,
        place=config.where("options", key),
        remedy=f"Did you mean {near[0]}?" if near else "Correct the name, or remove them.",
    )


# Secrets


def _with_secrets(key: str, config: Config, looking: bool, findings: list[Finding]) -> Given:
    """The options under a key, with secrets read unless the call only looks."""
    secrets: dict[Path, str] = {}

    def read(value: Any, path: Path) -> Any:
        if isinstance(value, Mapping):
            return {name: read(each, (*path, name)) for name, each in value.items()}
        if isinstance(value, list):
            return [read(each, (*path, index)) for index, each in enumerate(value)]
        if not isinstance(value, str):
            return value
        kind, colon, rest = value.partition(":")
        if not colon or kind not in ("env", "file") or rest.startswith("//"):
            return value
        if rest.startswith(":"):
            return f"{kind}{rest}"
        secrets[path] = value
        problem, found = _secret(kind, rest, config)
        if problem is None:
            return value if looking else found
        where = ("options", key, *path)
        if not looking:
            raise config.error(
                f"{value} cannot be read: {problem}",
                where,
                expected=f"{kind}::{rest} for the text {value} itself",
            )
        findings.append(
            Finding(
                code="secret-missing",
                subject=value,
                message=f"cannot be read: {problem}",
                place=config.where(*where),
                remedy="Provide it where initialize is called.",
            )
        )
        return value

    values = read(config.options[key], ())
    # Their repr shows no secret either: tools that report errors print local variables.
    return Given(config, key, as_options(values, secrets), secrets)


def _secret(kind: str, rest: str, config: Config) -> tuple[str | None, str]:
    """What is wrong with it, and its text."""
    if not rest:
        return "it names nothing", ""
    if kind == "env":
        try:
            return None, os.environ[rest]
        except KeyError:
            return f"the environment variable {rest} is not set", ""
        except ValueError as error:
            return str(error), ""
    path = config.beside(rest)
    try:
        content = read_file(path, _MAX_SECRET_BYTES)
        if content is None:
            return f"there is no file {path}", ""
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # whose text would show what is in the file
        return f"{path} is not UTF-8", ""
    except (OSError, ValueError) as error:
        return f"{path}: {getattr(error, 'strerror', None) or error}", ""
    return None, text[: -2 if text.endswith("\r\n") else -1] if text.endswith("\n") else text
