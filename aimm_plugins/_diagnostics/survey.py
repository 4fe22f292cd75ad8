"""What is there and who provides what, for the verbs that only look.

`plan` knows the keys that metadata tells. Here the sources are read too, so that keys, conflicts
and places are known of plugins that publish nothing; or, where that is asked for, the plugins are
imported.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from aimm_plugins._config.config import Conf, read
from aimm_plugins._diagnostics.source import Description, Inspection, Inspector, Sighting
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.entry_points import Published
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._policy.judge import Policy
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.providers import Provider, Slot
from aimm_plugins._startup.lifecycle import _carry_out, _foreseen, _prepare
from aimm_plugins._startup.runtime import RUNTIME
from aimm_plugins._values.report import Finding, PluginRecord, Report

KeysFrom = Literal["metadata", "source", "import", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """One plugin, with the keys that could be found out.

    Attributes:
        record: Its account; `provides` holds the keys that calls would reach it by.
        sightings: All keys that it declares, those that it loses or is denied among them.
        keys_from: How they are known.
        inspection: What its source tells; `None` where that was not looked at.
    """

    record: PluginRecord
    sightings: tuple[Sighting, ...] = ()
    keys_from: KeysFrom = "unknown"
    inspection: Inspection | None = None

    @property
    def keys(self) -> tuple[Slot, ...]:
        """Its action and key pairs, sorted, each once."""
        return tuple(sorted({(each.action, each.key) for each in self.sightings}))

    @property
    def complete(self) -> bool:
        """Whether there are surely no other keys."""
        if self.keys_from == "source":
            return self.inspection is not None and not self.inspection.gaps
        return self.keys_from != "unknown"

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable, as in `schemas/list.yaml`."""
        told = Report((self.record,)).to_dict()["plugins"][0]
        told["keys"] = [{"action": action, "key": key} for action, key in self.keys]
        told["keys_from"] = self.keys_from
        told["complete"] = self.complete
        return dict(told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look at what is installed and what a conf makes of it.

    Attributes:
        plugins: In the order of loading; what is required and missing comes last.
        findings: As of a report.
        installed: The scan behind it.
        policy: The rules behind it, the operator's layers first.
        loaded: Whether the plugins were imported for it.
    """

    plugins: tuple[Surveyed, ...]
    findings: tuple[Finding, ...]
    installed: Scan
    policy: Policy
    loaded: bool = False

    @property
    def report(self) -> Report:
        """The accounts alone."""
        return Report(tuple(each.record for each in self.plugins), self.findings)

    @property
    def slots(self) -> dict[Slot, list[tuple[Surveyed, Sighting]]]:
        """Who declares what, sorted by action and key."""
        found: dict[Slot, list[tuple[Surveyed, Sighting]]] = {}
        for plugin in self.plugins:
            for sighting in plugin.sightings:
                found.setdefault((sighting.action, sighting.key), []).append((plugin, sighting))
        return dict(sorted(found.items()))


def survey(conf: Conf = None, *, load: bool = False, sources: bool = False) -> Survey:
    """Look at all plugins of a conf.

    Args:
        conf: As for `initialize`.
        load: Import the plugins, all that are not denied, whatever `load` and `on_error` say; else
            no plugin code runs.
        sources: Read the sources of plugins that publish their keys too, for places, signatures
            and docstrings.

    Raises:
        ConfigError: The conf is wrong.
    """
    return _loaded(conf) if load else _seen(conf, sources)


def given_options(conf: Conf = None) -> dict[str, dict[str, Any]]:
    """What a conf gives to plugins, by module, for processes that import them.

    Args:
        conf: As for `initialize`.

    Raises:
        ConfigError: The conf is wrong, options do not fit a plugin's schema, or a secret cannot be
            read.
    """
    options = _prepare(RUNTIME, [read(conf)]).options
    return {} if options is None else {m: dict(each.values) for m, each in options.given.items()}


def _seen(conf: Conf, sources: bool) -> Survey:
    todo = _prepare(RUNTIME, [read(conf)], looking=True)
    records = todo.plan.records
    inspector = Inspector([record.module for record in records])
    plugins: dict[object, Surveyed] = {}
    published = dict(todo.plan.published)
    files: dict[object, str | None] = {}
    for record in records:
        told = published.get(record.identity, ())
        if record.state == "denied" and todo.installed.published:
            told = _published_by(record, todo.installed)
        inspection = (
            inspector.inspect(record.module, record.attribute) if sources or not told else None
        )
        if told:
            sightings = _of_metadata(told, inspection)
            keys_from: KeysFrom = "metadata"
        else:
            assert inspection is not None
            sightings = inspection.sightings
            nothing_told = not sightings and inspection.gaps
            keys_from = "unknown" if nothing_told else "source"
            certain = [each for each in sightings if each.certain]
            if certain and record.state in ("planned", "deferred"):
                published[record.identity] = _as_published(record, certain, todo.installed)
        if inspection is not None:
            files[record.identity] = inspection.file
        plugins[record.identity] = Surveyed(
            record=record, sightings=sightings, keys_from=keys_from, inspection=inspection
        )
    records = tuple(
        record._replace(file=record.file or files.get(record.identity)) for record in records
    )
    expected = todo._replace(plan=Plan(_with_keys(records, published), published))
    foreseen = _foreseen(RUNTIME, expected)
    missing = todo.policy.missing(foreseen, todo.installed.find)
    return Survey(
        plugins=(
            *(replace(plugins[record.identity], record=record) for record in foreseen),
            *(Surveyed(record=record) for record in missing),
        ),
        findings=todo.findings,
        installed=todo.installed,
        policy=todo.policy,
    )


def _published_by(record: PluginRecord, installed: Scan) -> tuple[Published, ...]:
    """The published keys of a plugin that is denied, of which the plan has none."""
    if record.distribution is None:
        return ()
    for candidate in installed.candidates:
        if record.source == "entry_point" and (
            (candidate.name, candidate.module, candidate.attribute, candidate.distribution.name)
            == (record.name, record.module, record.attribute, record.distribution)
        ):
            return installed.keys_of(candidate)
    return installed.keys_of((record.distribution, record.module))


def _of_metadata(
    published: Sequence[Published], inspection: Inspection | None
) -> tuple[Sighting, ...]:
    seen = {} if inspection is None else {(s.action, s.key): s for s in inspection.sightings}
    return tuple(
        seen.get((each.action, each.key))
        or Sighting(action=each.action, key=each.key, module=each.module, qualname=each.attribute)
        for each in published
    )


def _as_published(
    record: PluginRecord, sightings: Iterable[Sighting], installed: Scan
) -> tuple[Published, ...]:
    """What the plugin would publish if it published; it is only compared with others'."""
    distribution = installed.find(record.distribution) if record.distribution else None
    distribution = distribution or Distribution(
        name=record.module, version=None, origin="unknown", place=""
    )
    return tuple(
        Published(
            action=each.action,
            key=each.key,
            module=each.module,
            attribute=each.qualname,
            distribution=distribution,
            place=f"{each.file}:{each.line}",
        )
        for each in sightings
    )


def _with_keys(
    records: Iterable[PluginRecord], published: Mapping[Any, Sequence[Published]]
) -> tuple[PluginRecord, ...]:
    return tuple(
        record._replace(
            provides=tuple(
                sorted({(each.action, each.key) for each in published[record.identity]})
            ),
        )
        if record.identity in published and record.state != "denied"
        else record
        for record in records
    )


def _loaded(conf: Conf) -> Survey:
    seen = _seen(conf, sources=True)
    before = {plugin.record.identity: plugin for plugin in seen.plugins}
    # A plugin that fails must not hide what the others provide.
    config = read(conf)._replace(on_error="isolate", load="eager")
    with _answer_alone():
        report = _carry_out(RUNTIME, _prepare(RUNTIME, [config]))
    providers: dict[str, list[Provider]] = {}
    for provider in RUNTIME.registry.providers().values():
        providers.setdefault(provider.plugin, []).append(provider)
    plugins = []
    for record in report.plugins:
        known = before.get(record.identity, Surveyed(record=record))
        mine = {(each.action, each.key): each for each in providers.get(record.module, ())}
        found = [_of_provider(mine[slot]) for slot in record.provides if slot in mine]
        # What it lost to others or to a rule is not registered, but its source tells.
        lost = [each for each in known.sightings if (each.action, each.key) not in record.provides]
        imported = record.state in ("loaded", "shadowed")
        plugins.append(
            replace(
                known,
                record=record,
                sightings=(*found, *(lost if not imported or _lost_any(record) else ())),
                keys_from="import" if imported else known.keys_from,
            )
        )
    return replace(seen, plugins=tuple(plugins), findings=report.findings, loaded=True)


def _lost_any(record: PluginRecord) -> bool:
    return record.error is not None or record.reason is not None


@contextmanager
def _answer_alone() -> Generator[None]:
    """Keep failures out of the log's last resort, stderr: the answer tells of them."""
    logger, handler = logging.getLogger("aimm_plugins"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _of_provider(provider: Provider) -> Sighting:
    return Sighting(
        action=provider.action,
        key=provider.key,
        module=provider.module,
        qualname=provider.qualname,
        file=provider.file,
        line=provider.line,
        describe=partial(_description, provider),
    )


def _description(provider: Provider) -> Description:
    function = provider.function
    try:
        signature = str(inspect.signature(function)) if function is not None else None
    except Exception:  # an extension's function, or a signature that lies
        signature = None
    try:
        docstring = inspect.getdoc(function)
    except Exception:  # a stranger's __doc__
        docstring = None
    return signature, docstring
