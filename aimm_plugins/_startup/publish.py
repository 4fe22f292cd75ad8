"""Work out what a call would register, and register it: the parts that every commit has."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from aimm_plugins._registry.outcome import Loaded, Resolution
from aimm_plugins._registry.providers import Deferred, Preferences
from aimm_plugins._registry.resolution import resolve
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.report import Identity, PluginRecord

if TYPE_CHECKING:
    from aimm_plugins._options.values import State


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
    runtime.ledger.discard_failed_imports()
    runtime.ledger.discard_unloaded_modules()
    return resolve(
        runtime.registry.snapshot,
        runtime.ledger,
        records,
        loaded,
        prefer,
        deferred=deferred,
        removed=removed,
        demanded=demanded,
    )


def publish(runtime: Runtime, snapshot: Snapshot, options: State | None) -> None:
    """Make a snapshot, its modules' hookimpls and options what calls see; or nothing of them.

    The caller holds the lock. Whatever interrupts this, also a signal, leaves what was there
    before.

    Raises:
        pluggy.PluginValidationError: pluggy refuses a hookimpl; nothing has changed then.
    """
    before, options_before = runtime.registry.snapshot, runtime.options
    try:
        runtime.sync_hookimpls(snapshot)
        runtime.registry.publish(snapshot)
        runtime.options = options
        runtime.hooks_changed()
    except BaseException:
        runtime.registry.publish(before)
        runtime.options = options_before
        runtime.sync_hookimpls(before)
        runtime.hooks_changed()
        raise
    runtime.ledger.superseded.clear()
