"""Work out what a call would register, and register it: the parts that every commit has."""

from __future__ import annotations

from collections.abc import Iterable

from aimm_plugins._declarations.ledger import DeclaredKey
from aimm_plugins._registry.change import Change, Resolution
from aimm_plugins._registry.providers import PluginOwners
from aimm_plugins._registry.resolution import resolve
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.report import Finding, Report


def resolve_now(runtime: Runtime, change: Change) -> Resolution:
    """What a change would lead to now; the caller holds the lock. See `resolve`."""
    runtime.ledger.discard_failed_imports()
    _discard_of_failed(runtime, change)
    return resolve(runtime.registry.snapshot, runtime.ledger, change)


def _discard_of_failed(runtime: Runtime, change: Change) -> None:
    """Take away what failed plugins declared by hand before.

    Modules that were run without the import system (`runpy`, `exec_module`), and submodules of a
    package that raised after them, have declared all the same.
    """
    snapshot = runtime.registry.snapshot
    sound = {entry.record.plugin for entry in change.loaded}
    sound |= {record.plugin for record in snapshot.records.values() if record.is_loaded}
    failed = {record.plugin for record in change.records if record.state == "failed"} - sound
    if not failed or not snapshot.by_hand:
        return
    owners = PluginOwners({*sound, *(record.plugin for record in change.records)})
    gone = [
        DeclaredKey(action, key, offer.declaration)
        for action, keys in snapshot.offers.items()
        for key, offer in keys.items()
        if offer.declaration is not None and offer.plugin in snapshot.by_hand
        if owners.of(offer.declaration) in failed
    ]
    runtime.declared((), gone)


def register(runtime: Runtime, change: Change, findings: Iterable[Finding] = ()) -> Report:
    """Resolve a change, of which more was found besides, and publish what it leads to."""
    with runtime.lock:
        resolution = resolve_now(runtime, change)
        report = Report(resolution.records, (*findings, *resolution.findings))
        found = {(f.code, f.subject, f.place): f for f in report.findings}
        resolution.snapshot.findings.update(found)
        publish(runtime, resolution.snapshot)
    return report


def publish(runtime: Runtime, snapshot: Snapshot) -> None:
    """Make a snapshot and its modules' hookimpls what calls see; or nothing of them.

    The caller holds the lock. Whatever interrupts this, also a signal, leaves what was there
    before.

    Raises:
        pluggy.PluginValidationError: pluggy refuses a hookimpl; nothing has changed then.
    """
    before = runtime.registry.snapshot
    try:
        runtime.sync_hookimpls(snapshot)
        runtime.registry.publish(snapshot)
        runtime.dispatcher.renew()
    except BaseException:
        runtime.registry.publish(before)
        runtime.remove_hookimpls(snapshot)  # of one that is half removed already
        runtime.sync_hookimpls(before)
        runtime.dispatcher.renew()
        raise
    runtime.ledger.superseded.clear()
