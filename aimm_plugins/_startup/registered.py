"""The account of what is registered now."""

from __future__ import annotations

from collections.abc import Sequence

from aimm_plugins._loading.importer import is_imported
from aimm_plugins._registry.conflicts import joined_reasons, with_keys
from aimm_plugins._registry.providers import Provider, Slot
from aimm_plugins._registry.required_keys import unanswered
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import Finding, PluginRecord, Report


def current_report(runtime: Runtime) -> Report:
    with runtime.lock:
        providers = runtime.registry.providers()
        snapshot = runtime.registry.snapshot
    provided: dict[str, list[Provider]] = {}
    for provider in providers.values():
        provided.setdefault(provider.plugin, []).append(provider)
    known = {record.plugin for record in snapshot.records.values()}
    findings = [
        Finding(
            code="declared-by-hand",
            subject=module,
            message="registered by being imported, not by a conf or an entry point: "
            + ", ".join(f"{provider.action}:{provider.key}" for provider in found),
        )
        for module, found in sorted(provided.items())
        if module not in known
    ]
    accounts = [
        _account_after_imports(r, provided.get(r.plugin, ()), snapshot)
        for r in snapshot.records.values()
    ]
    records = sorted(accounts, key=lambda record: record.source != "config")
    found = [
        *snapshot.installed_findings,
        *(finding for start in snapshot.starts for finding in start.findings),
        *snapshot.findings.values(),
        *findings,
    ]
    # Of distributions the records of the start tell.
    distributions = {normalized(record.distribution or "") for record in records} - {""}
    required = (rule for start in snapshot.starts for rule in start.required)
    of_keys = (rule for rule in required if rule.may_be_key and rule.name not in distributions)
    return Report((*records, *unanswered(of_keys, snapshot)), dict.fromkeys(found))


def _account_after_imports(
    record: PluginRecord, provided: Sequence[Provider], snapshot: Snapshot
) -> PluginRecord:
    """The account of a plugin, whose module or another one may have been imported by hand since."""
    keys: list[Slot] = sorted((provider.action, provider.key) for provider in provided)
    if record.is_loaded:
        is_whole = record.attribute is None
        keys = [key for key in keys if is_whole or key in record.provides]
        now = with_keys(record, tuple(keys), snapshot.lost)
        if now.state != "shadowed" and record.provides and not keys:
            gone = f"{record.module} was run again, or unregistered, by hand: it has no keys since"
            return now._replace(reason=joined_reasons(now.reason, [gone]))
        return now
    if record.state != "deferred" or record.attribute is not None or not provided:
        return record
    if any(provider.deferred for provider in provided) or not is_imported(record.module):
        return record
    return record._replace(state="loaded", provides=tuple(keys), reason=None)
