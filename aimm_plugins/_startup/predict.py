"""Say what a start would lead to, by metadata and source: the inventory before any import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from aimm_plugins._discovery.published import Published
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._inventory.foresight import differing_keys, sure_failure
from aimm_plugins._inventory.module_files import foreign_module
from aimm_plugins._inventory.remedies import remedy_for_failure
from aimm_plugins._loading.importer import is_imported
from aimm_plugins._registry.change import Change
from aimm_plugins._registry.findings import declares_nothing
from aimm_plugins._registry.resolution import resolve
from aimm_plugins._source.declarations import (
    PluginSource,
    SourceDeclaration,
    published_declarations,
)
from aimm_plugins._source.reader import SourceReader
from aimm_plugins._startup.inventory import Inventory, InventoryItem, KeysFrom
from aimm_plugins._startup.prepare import PreparedStart
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.report import Finding, Identity, PluginRecord

_WILL_BE_IMPORTED = ("planned", "deferred")


def predict(runtime: Runtime, start: PreparedStart) -> Inventory:
    """What a start would lead to. No plugin code runs.

    What is sure to fail is `failed`, with the error that a start would meet. What is `deferred`
    stays so, as in a start, with the error that its first call would raise.
    """
    items: list[InventoryItem] = []
    findings = [*start.findings]
    findings += (finding for found in start.environments for finding in found.findings)
    records: list[PluginRecord] = []
    # As what is published, of which only keys and modules are compared with other plugins'.
    expected: dict[Identity, Sequence[Any]] = {}
    for planned, source in _sources(start):
        published = start.plan.published.get(planned.identity, ())
        item = _item(planned, published, source)
        record, expected[planned.identity] = item.record, published
        if planned.state in _WILL_BE_IMPORTED:
            declarations = _expected(item, published)
            installed = start.scans.get(planned.environment, start.installed)
            item, found = _foreseen(item, published, installed)
            findings += found
            record = item.record
            if record.state != "failed":
                # What will surely be declared competes as if it were published, so that conflicts
                # and shadows are known of plugins that publish nothing.
                record = record._replace(state="deferred", error=None, remedy=planned.remedy)
                expected[planned.identity] = declarations
        records.append(record)
        items.append(item)
    with runtime.lock:
        runtime.ledger.discard_failed_imports()
        change = Change(records, start.policy.prefer, published=expected)
        resolution = resolve(runtime.registry.snapshot, runtime.ledger, change)
    # Whether the active ones will surely answer the keys that are expected of them, and no others.
    is_complete = all(item.is_certain for item in items if item.active)
    if is_complete:
        findings += start.idle_preferences(resolution)
    is_probed = start.policy.probe_seconds is not None
    pending = "its probe in a child process is pending" if is_probed else None
    accounts = zip(items, resolution.records, strict=True)
    records = [_account(item, found, pending) for item, found in accounts]
    missing = start.missing(records)
    missing += start.unanswered(resolution.snapshot, may_be_more=not is_complete)
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


def _sources(start: PreparedStart) -> Iterator[tuple[PluginRecord, PluginSource | None]]:
    """Each plugin with its source, as far as that may be read.

    A line of metadata that cannot be read, and a missing environment, have no module. Of what is
    denied nothing is read that the rules did not ask for.
    """
    modules = [record.module for record in start.plan.records if record.module]
    readers = {None: SourceReader(modules, is_denied=start.admission.keeps_out)} | {
        environment.name: SourceReader(modules, environment.installed.modules)
        for environment in start.environments
        if environment.site is not None
    }
    for record in start.plan.records:
        if record.state in _WILL_BE_IMPORTED or (record.module and record.state != "denied"):
            reader = readers[record.environment]
            yield record, reader.read(record.module, record.attribute, owner=record.distribution)
        else:
            yield record, None


def _item(
    record: PluginRecord, published: Sequence[Published], source: PluginSource | None
) -> InventoryItem:
    keys_from: KeysFrom = "metadata"
    if source is not None:
        record = record._replace(file=record.file or source.file)
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
    record, source = item.record, item.source
    assert source is not None
    foreign = foreign_module(record, installed)
    findings = [] if foreign is None else [foreign]
    if record.environment is None and is_imported(record.module):  # a start does not run it again
        return item, findings
    fault = sure_failure(record, source, published, installed.modules)
    if fault is not None:
        remedy = remedy_for_failure(record, fault.error, installed)
        failed = record.failed(fault.error, remedy)
        if record.state == "deferred":
            failed = record._replace(error=fault.error, remedy=remedy)
        return replace(item, record=failed, place=fault.place), findings
    differ = differing_keys(record, source, published)
    findings += [] if differ is None else [differ]
    if source.declares_nothing and foreign is None:
        findings.append(declares_nothing(record))
    return item, findings


def _expected(item: InventoryItem, published: Sequence[Published]) -> tuple[SourceDeclaration, ...]:
    """The keys by which calls will reach a plugin, as far as metadata and source tell."""
    source = item.source
    assert source is not None
    promised = {(key.action, key.key) for key in published}
    declared = {(found.action, found.key) for found in source.declarations}
    if item.record.state == "deferred" and promised:
        declared = promised
    elif source.is_complete:
        promised &= declared
    return tuple(
        found
        for found in item.declarations
        if (found.action, found.key) in promised
        or (found.certain and (found.action, found.key) in declared)
    )


def _account(item: InventoryItem, found: PluginRecord, pending: str | None) -> PluginRecord:
    """The account of a plugin after the resolution; `pending` is what its import waits for."""
    if found.state != "deferred":
        return found
    record = item.record
    # As which it was resolved. If it is sure to fail besides, it answers none of its keys.
    error, remedy = record.error or found.error, record.remedy or found.remedy
    reason = found.reason or (pending if record.state == "planned" else None)
    found = found._replace(state=record.state, reason=reason, error=error, remedy=remedy)
    return found._replace(provides_known=item.is_certain)
