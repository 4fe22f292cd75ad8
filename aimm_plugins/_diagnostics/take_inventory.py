"""Take the inventory of a conf: from rules, metadata and sources, or from imports.

In comes a conf; out goes an `Inventory`. `plan` knows only the keys that metadata publishes. Here
the sources of plugins are read too, so that keys, conflicts and places are known of plugins that
publish nothing. No plugin is imported unless the caller asks for it.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from aimm_plugins._config.parse import read
from aimm_plugins._config.values import Conf
from aimm_plugins._diagnostics.inventory import Inventory, InventoryItem, KeysFrom
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.entry_points import Candidate, Published
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.providers import Provider, Slot
from aimm_plugins._source.declarations import (
    PluginSource,
    SourceDeclaration,
    published_declarations,
)
from aimm_plugins._source.reader import SourceReader
from aimm_plugins._startup.lifecycle import initialize
from aimm_plugins._startup.predict import predict_resolution
from aimm_plugins._startup.prepare import PreparedStart, prepare
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.ceilings import DENIED_SOURCE_WORK, SOURCE_WORK
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.log import logger
from aimm_plugins._system.signatures import shown_signature
from aimm_plugins._values.report import PluginRecord


def take_inventory(conf: Conf = None, *, load: bool = False, sources: bool = False) -> Inventory:
    """Find out what there is to know about all plugins of a conf.

    Args:
        conf: As for `initialize`.
        load: Import the plugins, all that are not denied, whatever `load` and `on_error` say;
            without it no plugin code runs.
        sources: Also read the sources of plugins that publish their keys, for places, signatures
            and docstrings.

    Raises:
        ConfigError: The conf is wrong.
    """
    return _with_imports(conf) if load else _without_imports(conf, sources)


def given_options(conf: Conf = None) -> dict[str, dict[str, Any]]:
    """What a conf gives to plugins, by module, for processes that import them.

    Args:
        conf: As for `initialize`.

    Raises:
        ConfigError: The conf is wrong, options do not fit a plugin's schema, or a secret cannot be
            read.
    """
    options = prepare(PROCESS.runtime, [read(conf)], scan()).options
    return {} if options is None else {m: dict(given.values) for m, given in options.given.items()}


def _without_imports(conf: Conf, sources: bool) -> Inventory:
    prepared = prepare(PROCESS.runtime, [read(conf)], scan(), only_looking=True)
    modules = [record.module for record in prepared.plan.records]
    readers = {None: SourceReader(modules)} | {
        environment.name: SourceReader(modules, environment.site.locate)
        for environment in prepared.environments
        if environment.site is not None
    }
    items = []
    for record, published in _published_keys(prepared):
        source = None
        if not record.module:  # a line of metadata that cannot be read; a missing environment
            items.append(InventoryItem(record=record))
            continue
        if sources or not published:
            source = readers[record.environment].read(
                record.module,
                record.attribute,
                owner=record.distribution,
                work=DENIED_SOURCE_WORK if record.state == "denied" else SOURCE_WORK,
            )
            record = record._replace(file=record.file or source.file)
        items.append(_item(record, published, source))
    predicted = _predict(prepared, items)
    missing = prepared.policy.missing(predicted, prepared.find)
    return Inventory(
        plugins=(
            *(replace(item, record=record) for item, record in zip(items, predicted, strict=True)),
            *(InventoryItem(record=record) for record in missing),
        ),
        findings=prepared.findings,
        installed=prepared.installed,
        scans=prepared.scans,
        policy=prepared.policy,
        admission=prepared.admission,
    )


def _published_keys(
    prepared: PreparedStart,
) -> Iterator[tuple[PluginRecord, tuple[Published, ...]]]:
    """The planned plugins with the keys in their metadata; a plan has none of denied plugins."""
    candidates: dict[tuple[str | None, ...], Candidate] = {
        (where, entry.distribution.name, entry.name, entry.module, entry.attribute): entry
        for where, scan in prepared.scans.items()
        for entry in scan.candidates
    }
    for record in prepared.plan.records:
        installed = prepared.scans[record.environment]
        who = (record.distribution, record.name, record.module, record.attribute)
        entry = candidates.get((record.environment, *who))
        if record.source == "entry_point" and entry is not None:
            yield record, installed.keys_of(entry)
        elif record.distribution is not None:
            yield record, installed.keys_of((record.distribution, record.module))
        else:
            yield record, ()


def _item(
    record: PluginRecord, published: Sequence[Published], source: PluginSource | None
) -> InventoryItem:
    keys_from: KeysFrom = "metadata"
    if published:
        declarations = published_declarations(published, source)
    else:
        declarations = () if source is None else source.declarations
        keys_from = "source" if declarations or (source and not source.gaps) else "unknown"
    return InventoryItem(
        record=record, declarations=declarations, keys_from=keys_from, source=source
    )


def _predict(prepared: PreparedStart, items: Iterable[InventoryItem]) -> list[PluginRecord]:
    """The plan's records, as if every plugin published the keys that its source surely declares.

    So conflicts and shadows are known of plugins that publish nothing.
    """
    published = dict(prepared.plan.published)
    records = []
    for item in items:
        record = item.record
        if item.keys_from == "source" and record.state in ("planned", "deferred"):
            certain = [found for found in item.declarations if found.certain]
            if certain:
                published[record.identity] = _as_published(record, certain, prepared.scans)
        if record.identity in published and record.state != "denied":
            keys = {(key.action, key.key) for key in published[record.identity]}
            record = record._replace(provides=tuple(sorted(keys)))
        records.append(record)
    return predict_resolution(
        PROCESS.runtime, prepared._replace(plan=Plan(tuple(records), published))
    )


def _as_published(
    record: PluginRecord,
    declarations: Iterable[SourceDeclaration],
    scans: Mapping[str | None, Scan],
) -> tuple[Published, ...]:
    """What the plugin would publish if it published; it is only compared with other plugins'."""
    installed = scans[record.environment]
    distribution = installed.find(record.distribution) if record.distribution else None
    distribution = distribution or Distribution(
        name=record.module, version=None, origin="unknown", place=""
    )
    return tuple(
        Published(
            action=declaration.action,
            key=declaration.key,
            module=declaration.module,
            attribute=declaration.qualname,
            distribution=distribution,
            place=f"{declaration.file}:{declaration.line}",
        )
        for declaration in declarations
    )


def _with_imports(conf: Conf) -> Inventory:
    seen = _without_imports(conf, sources=True)
    before = {item.record.identity: item for item in seen.plugins}
    # A plugin that fails must not hide what the others provide.
    config = read(conf)._replace(on_error="isolate", load="eager")
    with _silent_log():
        report = initialize(PROCESS.runtime, config)
    providers: dict[str, dict[Slot, Provider]] = {}
    for slot, provider in PROCESS.runtime.registry.providers().items():
        providers.setdefault(provider.plugin, {})[slot] = provider
    return replace(
        seen,
        plugins=tuple(
            _imported(
                before.get(record.identity, InventoryItem(record=record)),
                record,
                providers.get(record.plugin, {}),
            )
            for record in report.plugins
        ),
        # A plan also finds options that are needed and not set, of which an import knows nothing.
        findings=tuple(dict.fromkeys((*seen.findings, *report.findings))),
        loaded=True,
    )


def _imported(
    item: InventoryItem, record: PluginRecord, providers: Mapping[Slot, Provider]
) -> InventoryItem:
    """The item after the import of its plugin."""
    registered = [_of_provider(providers[slot]) for slot in record.provides if slot in providers]
    imported = record.is_loaded or record.state == "shadowed"
    lost: list[SourceDeclaration] = []
    if not imported or record.error is not None or record.reason is not None:
        # Keys that it lost to a rule or another plugin are not registered, but in its source.
        provided = frozenset(record.provides)
        lost = [found for found in item.declarations if (found.action, found.key) not in provided]
    return replace(
        item,
        record=record,
        declarations=(*registered, *lost),
        keys_from="import" if imported else item.keys_from,
    )


@contextmanager
def _silent_log() -> Generator[None]:
    """Keep failures out of logging's fallback handler, stderr: the answer has them."""
    handler = logging.NullHandler()
    logger().addHandler(handler)
    try:
        yield
    finally:
        logger().removeHandler(handler)


def _of_provider(provider: Provider) -> SourceDeclaration:
    signature, docstring = _description(provider.function)
    return SourceDeclaration(
        action=provider.action,
        key=provider.key,
        module=provider.module,
        qualname=provider.qualname,
        file=provider.file,
        line=provider.line,
        signature=signature,
        docstring=docstring,
    )


def _description(function: Callable[..., Any] | None) -> tuple[str | None, str | None]:
    signature = docstring = None
    if function is not None:
        with guarded():  # a function of an extension may have none, and `__signature__` may be odd
            signature = shown_signature(function)
        with guarded():  # `__doc__` may be a property that raises
            docstring = inspect.getdoc(function)
    return signature, docstring
