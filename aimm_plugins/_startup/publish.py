"""Work out what a call would register, and register it: the parts that every commit has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from aimm_plugins._registry.outcome import Loaded, Resolution
from aimm_plugins._registry.providers import Deferred, Preferences
from aimm_plugins._registry.resolution import resolve
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._system.log import logger
from aimm_plugins._values.report import Finding, Identity, PluginRecord


def resolve_now(
    runtime: Runtime,
    records: Sequence[PluginRecord],
    loaded: Sequence[Loaded],
    prefer: Preferences,
    *,
    deferred: Sequence[Deferred] = (),
    removed: Set[Identity] = frozenset(),
    demanded: bool = False,
) -> Resolution:
    """What registering plugins would lead to now; the caller holds the lock. See `resolve`."""
    snapshot = runtime.registry.snapshot
    runtime.ledger.discard_failed_imports()
    runtime.ledger.discard_unloaded_modules(snapshot.declarations())
    return resolve(
        snapshot,
        runtime.ledger.declared_keys(),
        records,
        loaded,
        prefer,
        deferred=deferred,
        removed=removed,
        demanded=demanded,
    )


def publish(runtime: Runtime, resolution: Resolution, findings: Iterable[Finding]) -> None:
    """Make a resolution what calls see, in one step. The caller holds the lock.

    Raises:
        pluggy.PluginValidationError: pluggy refuses a hookimpl; nothing is registered then.
    """
    snapshot = resolution.snapshot
    planned = {record.module for record in snapshot.records.values()}
    by_hand = {
        offer.plugin: None
        for keys in snapshot.offers.values()
        for offer in keys.values()
        if offer.plugin not in planned
    }
    runtime.add_modules(resolution.modules)
    try:
        runtime.add_modules(by_hand)
    except Exception as error:  # no conf asked for these, so the call must not fail by them
        logger().warning("hookimpls of a module imported by hand are not registered: %s", error)
    for finding in findings:
        snapshot.findings[finding.code, finding.subject, finding.place] = finding
    runtime.registry.publish(snapshot)
    runtime.remove_modules(resolution.dropped)
    runtime.hooks_changed()
