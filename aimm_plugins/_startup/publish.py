"""Work out what a call would register, and register it: the parts that every commit has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aimm_plugins._declarations.ledger import DeclaredKey
from aimm_plugins._registry.outcome import Change, Resolution
from aimm_plugins._registry.providers import PluginOwners
from aimm_plugins._registry.resolution import resolve
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._startup.runtime import Runtime

if TYPE_CHECKING:
    from aimm_plugins._options.state import PluginOptions


def resolve_now(runtime: Runtime, change: Change) -> Resolution:
    """What a change would lead to now; the caller holds the lock. See `resolve`."""
    runtime.ledger.discard_failed_imports()
    runtime.ledger.discard_unloaded_modules()
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


def publish(runtime: Runtime, snapshot: Snapshot, options: PluginOptions | None) -> None:
    """Make a snapshot, its modules' hookimpls and options what calls see; or nothing of them.

    The caller holds the lock. Whatever interrupts this, also a signal, leaves what was there
    before.

    Raises:
        pluggy.PluginValidationError: pluggy refuses a hookimpl; nothing has changed then.
    """
    before, options_before = runtime.registry.snapshot, current_options(runtime)
    try:
        runtime.sync_hookimpls(snapshot)
        runtime.registry.publish(snapshot)
        _set_options(runtime, options)
        runtime.dispatcher.renew()
    except BaseException:
        runtime.registry.publish(before)
        _set_options(runtime, options_before)
        runtime.remove_hookimpls(snapshot)  # of one that is half removed already
        runtime.sync_hookimpls(before)
        runtime.dispatcher.renew()
        raise
    runtime.ledger.superseded.clear()


def current_options(runtime: Runtime) -> PluginOptions | None:
    """What plugins are given now, if any conf gives something or any plugin has asked."""
    return None if runtime.options is None else runtime.options.current


def _set_options(runtime: Runtime, options: PluginOptions | None) -> None:
    if options is not None:
        from aimm_plugins._startup.plugin_options import options_state

        options_state(runtime).current = options
    elif runtime.options is not None:
        runtime.options.forget()
