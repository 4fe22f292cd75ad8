"""Say what a start would lead to, by metadata and source: the inventory before any import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.published import Candidate, Published
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._inventory.foresight import differing_keys, sure_failure
from aimm_plugins._inventory.imported_files import foreign_module
from aimm_plugins._inventory.remedies import remedy_for_failure
from aimm_plugins._loading.importer import is_imported
from aimm_plugins._registry.findings import declares_nothing, published_keys_differ
from aimm_plugins._registry.outcome import Change, Resolution
from aimm_plugins._registry.providers import Deferred
from aimm_plugins._registry.required_keys import unanswered
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._source.declarations import (
    PluginSource,
    SourceDeclaration,
    published_declarations,
)
from aimm_plugins._source.reader import SourceReader
from aimm_plugins._startup.inventory import Inventory, InventoryItem, KeysFrom
from aimm_plugins._startup.prepare import PreparedStart
from aimm_plugins._startup.publish import resolve_now
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.report import Finding, PluginRecord

_WILL_BE_IMPORTED = ("planned", "deferred")


def predict(runtime: Runtime, start: PreparedStart) -> Inventory:
    """What a start would lead to. No plugin code runs.

    What is sure to fail is `failed`, with the error that a start would meet.
    """
    modules = [record.module for record in start.plan.records if record.module]
    readers = {None: SourceReader(modules, is_denied=start.admission.keeps_out)} | {
        environment.name: SourceReader(modules, environment.installed.modules)
        for environment in start.environments
        if environment.site is not None
    }
    items: list[InventoryItem] = []
    findings, offers = [*start.findings], []
    for planned, published in _published_keys(start):
        if not planned.module:  # a line of metadata that cannot be read; a missing environment
            items.append(InventoryItem(record=planned))
            continue
        if planned.state == "denied":  # nothing of it is read that the rules did not ask for
            items.append(_item(planned, published, None))
            continue
        source = readers[planned.environment].read(
            planned.module, planned.attribute, owner=planned.distribution
        )
        record = planned._replace(file=planned.file or source.file)
        item = _item(record, published, source)
        if record.state in _WILL_BE_IMPORTED:
            installed = start.scans[record.environment]
            offers.append(_offers(item, published, source, installed))
            if record.environment is not None or not is_imported(record.module):
                item, found = _foreseen(item, published, installed)
                findings += found
                # A deferred plugin competes by what it publishes before its import fails.
                if item.record.state == "failed" and planned.state != "deferred":
                    offers.pop()
        items.append(item)
    with runtime.lock:
        offering = [entry.record for entry in offers]
        resolution = resolve_now(runtime, Change(offering, start.prefer, deferred=offers))
    is_complete = all(item.complete or not item.active for item in items)
    if is_complete:
        findings += start.idle_preferences(resolution)
    records = _accounts(items, resolution)
    _tell_unavailable(items, start, resolution.snapshot)
    missing = start.policy.missing(records, start.find)
    keys = start.policy.required_keys(lambda name: start.find(name) is not None)
    missing += unanswered(keys, resolution.snapshot, may_be_more=not is_complete)
    return Inventory(
        plugins=(
            *(replace(item, record=record) for item, record in zip(items, records, strict=True)),
            *(InventoryItem(record=record) for record in missing),
        ),
        findings=tuple(dict.fromkeys(findings)),
        installed=start.installed,
        scans=start.scans,
        policy=start.policy,
        admission=start.admission,
    )


def _published_keys(start: PreparedStart) -> Iterator[tuple[PluginRecord, tuple[Published, ...]]]:
    """The planned plugins with the keys in their metadata; a plan has none of denied plugins."""
    candidates: dict[tuple[str | None, ...], Candidate] = {
        (where, entry.distribution.name, entry.name, entry.module, entry.attribute): entry
        for where, scan in start.scans.items()
        for entry in scan.candidates
    }
    for record in start.plan.records:
        installed = start.scans.get(record.environment, start.installed)
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
    declared = declarations = () if source is None else source.declarations
    if published:
        declarations = published_declarations(published, source)
        slots = {(found.action, found.key) for found in declarations}
        declarations += tuple(
            found for found in declared if found.certain and (found.action, found.key) not in slots
        )
    else:
        is_told = source is not None and (declared or source.is_complete)
        keys_from = "source" if is_told else "unknown"
    return InventoryItem(
        record=record, declarations=declarations, keys_from=keys_from, source=source
    )


def _foreseen(
    item: InventoryItem, published: Sequence[Published], installed: Scan
) -> tuple[InventoryItem, list[Finding]]:
    """A plugin that is to be imported, with what its source and its files show."""
    record, source = item.record, item.source
    assert source is not None
    foreign = foreign_module(record, installed)
    findings = [] if foreign is None else [foreign]
    fault = sure_failure(record, source, published, installed.modules)
    told = None if fault is not None else differing_keys(record, source, published)
    if told is not None:
        findings.append(published_keys_differ(record, *told))
    if fault is None and source.declares_nothing and foreign is None:
        findings.append(declares_nothing(record))
    if fault is not None:
        remedy = remedy_for_failure(record, fault.error, installed)
        item = replace(item, record=record.failed(fault.error, remedy), place=fault.place)
    return item, findings


def _expected(
    item: InventoryItem, published: Sequence[Published], source: PluginSource
) -> list[SourceDeclaration]:
    """The keys by which calls will reach a plugin, as far as metadata and source tell."""
    promised = {(key.action, key.key) for key in published}
    declared = {(found.action, found.key) for found in source.declarations}
    if item.record.state == "deferred" and promised:
        declared = promised
    elif source.is_complete:
        promised &= declared
    return [
        found
        for found in item.declarations
        if (found.action, found.key) in promised
        or (found.certain and (found.action, found.key) in declared)
    ]


def _offers(
    item: InventoryItem, published: Sequence[Published], source: PluginSource, installed: Scan
) -> Deferred:
    """What a plugin competes by, as if it published what it will surely declare.

    So conflicts and shadows are known of plugins that publish nothing.
    """
    record = item.record
    keys = [_as_published(record, found, installed) for found in _expected(item, published, source)]
    slots = tuple(sorted({(key.action, key.key) for key in keys}))
    return Deferred(
        record._replace(state="deferred", provides=slots), tuple(keys), load=lambda: None
    )


def _accounts(items: Iterable[InventoryItem], resolution: Resolution) -> list[PluginRecord]:
    """The accounts after the resolution, without the keys of deferred plugins that will fail."""
    resolved = {record.identity: record for record in resolution.records}
    snapshot = resolution.snapshot
    accounts = []
    for item in items:
        record = item.record
        found = resolved.get(record.identity)
        if found is None:
            accounts.append(record)
        elif record.state == "failed":
            accounts.append(record)
            for action, key in found.provides:
                snapshot.offers[action].pop(key, None)
                snapshot.broken[action, key] = record
        elif found.state == "deferred":  # as which it was resolved
            accounts.append(found._replace(state=record.state, reason=record.reason))
        else:
            accounts.append(found)
    return accounts


def _tell_unavailable(
    items: Iterable[InventoryItem], start: PreparedStart, snapshot: Snapshot
) -> None:
    """Have the snapshot know, as that of a start, who has keys that nobody will answer."""
    published = dict(snapshot.published)
    for item in items:
        record = item.record
        if not item.active and (item.keys or not item.complete):
            installed = start.scans.get(record.environment, start.installed)
            published[record.identity] = [
                _as_published(record, found, installed) for found in item.declarations
            ]
            snapshot.records[record.identity] = record
    snapshot.published = published


def _as_published(
    record: PluginRecord, declaration: SourceDeclaration, installed: Scan
) -> Published:
    """What the plugin would publish if it published; it is only compared with other plugins'."""
    distribution = installed.find(record.distribution) if record.distribution else None
    return Published(
        action=declaration.action,
        key=declaration.key,
        module=declaration.module,
        attribute=declaration.qualname,
        distribution=distribution
        or Distribution(name=record.module, version=None, origin="unknown", place=""),
        place=f"{declaration.file}:{declaration.line}",
    )
