"""Which plugin a conf gives which options, held against the schemas that can be read by now.

A conf's `options` are for distributions or plugins; here they become one mapping a plugin module.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from aimm_plugins._config.values import Config
from aimm_plugins._discovery.published import PublishedOptions
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._options.hiding import Options, Path, hiding
from aimm_plugins._options.limits import Allowance, UnjudgedError
from aimm_plugins._options.state import Given, PluginOptions, one_error, schema_of
from aimm_plugins._system.files import read_file
from aimm_plugins._system.masking import remember_secret
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import nearest
from aimm_plugins._values.report import Finding, Identity, PluginRecord
from aimm_plugins.errors import ConfigError, DeclarationError


def assign(
    parts: Sequence[tuple[Config, Sequence[PluginRecord]]],
    records: Mapping[Identity, PluginRecord],
    installed: Scan,
    *,
    looking: bool,
) -> tuple[dict[Identity, PluginRecord], PluginOptions | None, list[Finding]]:
    """Give options to plugins, and hold them against those schemas that can be read by now.

    Of several `parts`, confs with the accounts of their plugins, later ones hold. While only
    `looking` no secret is read.

    Returns the accounts with what is set, `failed` where a plugin's schema is broken; what is to be
    staged, if anything; options for no plugin, and plugins that need some and are given none.
    """
    findings: list[Finding] = []
    given: dict[str, Given] = {}
    for config, plugins in parts:
        if config.options:
            given |= _given(config, plugins, installed, looking, findings)
    verdicts: dict[str, _Verdict] = {}
    allowance = Allowance()
    done: dict[Identity, PluginRecord] = {}
    for identity, record in records.items():
        module, is_denied = record.module, record.state == "denied"
        published = installed.options_of(module, record.distribution)
        own = None if is_denied else given.get(module)
        if not is_denied and module not in verdicts:
            # A start without options of its own looks no longer than a plan.
            brief = allowance if looking or own is None else None
            verdicts[module] = _judge(record, published, own, brief)
        record = record._replace(
            options=() if own is None else own.summary,
            options_schema=str(published[0]) if published else None,
        )
        done[identity] = record if is_denied else verdicts[module].on(record)
    errors = [error for verdict in verdicts.values() for error in verdict.errors]
    if errors:
        raise one_error(errors)
    findings += [finding for verdict in verdicts.values() for finding in verdict.findings]
    findings += allowance.findings
    checked = {m: v.options for m, v in verdicts.items() if v.options is not None}
    modules = {record.module for record in records.values()}
    options = PluginOptions(given, checked, modules, installed) if given else None
    return done, options, findings


class _Verdict(NamedTuple):
    """What the schema of one plugin says; `findings` are of plugins that no conf gives anything."""

    options: Options | None = None
    errors: Sequence[ConfigError] = ()
    findings: Sequence[Finding] = ()
    broken: DeclarationError | None = None
    reason: str | None = None

    def on(self, record: PluginRecord) -> PluginRecord:
        if self.broken is not None:
            return record._replace(state="failed", error=self.broken, provides=())
        if self.reason is not None and record.state == "planned" and record.reason is None:
            return record._replace(reason=f"its options are checked when it is {self.reason}")
        return record


def _judge(
    record: PluginRecord,
    published: Sequence[PublishedOptions],
    given: Given | None,
    allowance: Allowance | None,
) -> _Verdict:
    """Hold what a plugin is given against a schema in a file; `allowance` is for only looking."""
    looking = allowance is not None
    if not published:
        return _Verdict()
    if len(published) == 1 and not published[0].is_file:
        pending = f"imported, since their schema {published[0]} is code"
        return _Verdict(reason=pending if given is not None and looking else None)
    try:
        with nullcontext() if allowance is None else allowance.of(published[0]):
            schema = schema_of(published)
            assert schema is not None
            if given is not None:
                options, faults = schema.check(given.values, given.secrets, looking=looking)
                return _Verdict(options, [given.error(fault, schema) for fault in faults])
            _, faults = schema.check({}, looking=looking)
    except UnjudgedError as error:
        pending = f"loaded, since of their schema {published[0]} {error}"
        return _Verdict(reason=pending if given is not None else None)
    except DeclarationError as error:
        if given is not None:
            return _Verdict(broken=error)
        code, texts, remedy = "broken-options-schema", [str(error)], _NO_OPTIONS
    else:
        code = "options-needed"
        texts = [f"no conf gives it options, and {f.message}, says {schema}" for f in faults]
        name = published[0].distribution.name
        remedy = f"Add to the conf: options: {{{name}: {{...}}}}."
    who, place = str(record.provenance), published[0].place
    return _Verdict(findings=[Finding(code, who, text, place, remedy) for text in texts])


_NO_OPTIONS = "Until then it cannot ask for its options."


def _given(
    config: Config,
    records: Sequence[PluginRecord],
    installed: Scan,
    looking: bool,
    findings: list[Finding],
) -> dict[str, Given]:
    """What one conf gives, by plugin module."""
    by_plugin: dict[str, str] = {}
    by_distribution: dict[str, str] = {}
    for key in config.options:
        named, owned = _meant(key, records, config)
        if not named and not owned:
            findings.append(_for_no_plugin(key, config, records, installed))
        for keys, plugins in ((by_plugin, named), (by_distribution, owned)):
            for module in (record.module for record in plugins if record.state != "denied"):
                other = keys.setdefault(module, key)
                if other != key:
                    raise config.error(
                        f"{key!r} and {other!r} are both options of {module}",
                        ("options", key),
                        expected="one of them",
                        key=True,
                    )
    chosen = {**by_distribution, **by_plugin}
    given = {
        key: _read_given(config, key, looking=looking, findings=findings)
        for key in dict.fromkeys(chosen.values())
    }
    return {module: given[key] for module, key in chosen.items()}


def _meant(
    key: str, records: Sequence[PluginRecord], config: Config
) -> tuple[list[PluginRecord], list[PluginRecord]]:
    """The plugins that a key names, or else those of the distribution that it names."""
    named = [record for record in records if record.module == key] or [
        record for record in records if record.source == "entry_point" and record.name == key
    ]
    owned = [
        record
        for record in records
        if record.distribution and normalized(record.distribution) == normalized(key)
    ]
    owners = {
        normalized(record.distribution) if record.distribution else record.module: record.provenance
        for record in (*named, *owned)
        if record.state != "denied"
    }
    if len(owners) > 1:
        raise config.error(
            f"{key!r} is several: " + " and ".join(map(str, owners.values())),
            ("options", key),
            expected="the name of a module or distribution that is one of them alone",
            key=True,
        )
    return named, [] if named else owned


def _for_no_plugin(
    key: str, config: Config, records: Sequence[PluginRecord], installed: Scan
) -> Finding:
    known = {record.name for record in records if record.source == "entry_point"}
    known |= {record.module for record in records}
    known |= {record.distribution for record in records if record.distribution}
    near = nearest(key, sorted(known))
    message = (
        "this distribution brings no plugin that this conf loads"
        if installed.has(key)
        else "no plugin, module or distribution that this conf loads has this name"
    )
    remedy = f"Did you mean {near[0]}?" if near else "Correct the name, or remove them."
    place = config.where("options", key)
    return Finding("rule-matches-nothing", f"options {key}", message, place, remedy)


# Secrets that a conf names by `env:NAME` and `file:PATH`

_SECRET_BYTES = 1024 * 1024


def _read_given(config: Config, key: str, *, looking: bool, findings: list[Finding]) -> Given:
    """The options under a key of a conf's `options`, with secrets read.

    While only `looking` no secret is in the values, and `findings` gets those that cannot be read.
    """
    secrets: dict[Path, str] = {}

    def read(value: Any, path: Path) -> Any:
        if isinstance(value, Mapping):
            return {name: read(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [read(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        kind, colon, name = value.partition(":")
        if not colon or kind not in ("env", "file") or name.startswith("//"):  # file:// is a URL
            return value
        if name.startswith(":"):
            return f"{kind}{name}"
        secrets[path] = value
        try:
            text = _secret(kind, name, config)
        except ValueError as error:
            where, problem = ("options", key, *path), f"cannot be read: {error}"
            if not looking:
                expected = f"{kind}::{name} for the text {value} itself"
                raise config.error(f"{value} {problem}", where, expected=expected) from None
            remedy = "Provide it where initialize is called."
            remedy = remedy if name else f"Name it; or write {kind}:: for the text {value} itself."
            findings.append(Finding("secret-missing", value, problem, config.where(*where), remedy))
            return value
        if looking:
            return value
        remember_secret(text)
        return text

    values = read(config.options[key], ())
    # The `repr` of what is kept hides secrets too: tools that report errors print local variables.
    return Given(config, key, hiding(values, secrets), secrets)


def _secret(kind: str, name: str, config: Config) -> str:
    """The text of a secret; a ValueError says why there is none."""
    if not name:
        raise ValueError("it names nothing")
    if kind == "env":
        if name not in os.environ:
            raise ValueError(f"the environment variable {name} is not set")
        return os.environ[name]
    path = config.resolved(name)
    try:
        content = read_file(path, _SECRET_BYTES)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if content is None:
        raise ValueError(f"there is no file {path}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # whose text would show what is in the file
        raise ValueError(f"{path} is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
