"""The errors for a call that no plugin answers."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from aimm_plugins._registry.loads import imports_under_way
from aimm_plugins._system.text import described, indented, nearest, one_line, printable, shown
from aimm_plugins._values.actions import ACTIONS, Action
from aimm_plugins._values.provenance import Provenance
from aimm_plugins._values.report import PluginRecord, Report, State
from aimm_plugins.errors import (
    AimmPluginsError,
    PluginImportError,
    PluginLoadError,
    UnknownPluginError,
)

if TYPE_CHECKING:
    from aimm_plugins._registry.registry import Registry
    from aimm_plugins._registry.snapshot import Snapshot


_MOST_SUSPECTS = 10
"""Plugins that are named as those that may have provided an unknown key."""


def call_error(registry: Registry, action: Action, key: object) -> AimmPluginsError:
    """The error for a call that nobody answers.

    Of a deferred plugin that failed to load it is that failure; calls do not try it again.
    """
    broken = registry.snapshot.broken_publisher([(action, key)]) if isinstance(key, str) else None
    return unknown_key_error(registry, action, key) if broken is None else not_loaded_error(broken)


def unknown_key_error(registry: Registry, action: Action, key: object) -> UnknownPluginError:
    snapshot = registry.snapshot
    if not isinstance(key, str):
        return UnknownPluginError(f"a key is a str, and was given {shown(key)}", action=action)
    near = nearest(key, snapshot.offers[action].keys(), count=3)
    name = one_line(key)
    lines = [f"no plugin provides {action}:{name}"]
    if near:
        lines.append("  nearest: " + ", ".join(f"{action}:{one_line(other)}" for other in near))
    elsewhere = [other for other in ACTIONS if key in snapshot.offers[other]]
    if elsewhere:
        found = ", ".join(f"{other}:{name}" for other in elsewhere)
        lines.append(f"  under other actions: {found}")
    reasons = unavailable_reasons(registry, action, key)
    if not reasons and len(lines) == 1:
        reasons = _suspects(snapshot, "denied")  # which nothing else explains
    lines += [f"  {printable(indented(line))}" for line in reasons]
    lines += [f"  {line}" for line in _state_of_loading(registry, is_explained=len(lines) > 1)]
    return UnknownPluginError("\n".join(lines), action=action, key=key, nearest=near)


def _state_of_loading(registry: Registry, is_explained: bool) -> list[str]:
    """What the process has not done yet, so that a key may be missing."""
    if registry.loads:
        return [
            f"{phrase}; what it declares can be called when it is loaded"
            for _, phrase in imports_under_way(registry.loads)
        ] or ["Plugins are being loaded; what they declare can be called after that"]
    by_hand = sorted(registry.snapshot.by_hand)
    if registry.ever_initialized or (registry.ledger.ever_used and not by_hand):
        if registry.ever_initialized and (is_explained or any(registry.snapshot.offers.values())):
            return []
        return ["No plugin is registered at all: see aimm_plugins.current_report()."]
    what = "Nothing was ever initialized or declared in this process"
    if by_hand:
        names = ", ".join(map(one_line, by_hand[:_MOST_SUSPECTS]))
        what = f"In this process only {names} declared something, by being imported"
    remedy = "call aimm_plugins.initialize(conf) in it first. A process that is spawned begins"
    return [f"{what}: {remedy} empty."]


def unavailable_reasons(registry: Registry, action: Action, key: str) -> list[str]:
    """Who would provide a key, but was denied, failed or shadowed."""
    snapshot = registry.snapshot
    slot = (action, key)
    lines = []
    for declaration in registry.ledger.declarations_of(action, key):
        plugin = snapshot.owners.of(declaration)
        for record in snapshot.records.values():
            if record.plugin == plugin:
                who = record.provenance._replace(
                    file=declaration.file, line=declaration.line, file_module=declaration.module
                )
                lines.append(_told(record, who, snapshot.lost.get((record.plugin, slot))))
    if not lines:  # deferred plugins have declared nothing yet
        lines = [described(error) for error in snapshot.conflicts([slot])][:1]
    if not lines:  # and others were never imported
        lines = [_told(record, record.provenance) for record in snapshot.publishers([slot])]
        lines += _suspects(snapshot, "failed") + _suspects(snapshot, "missing")
    return lines


def _told(record: PluginRecord, who: Provenance, lost: object = None) -> str:
    shadow = lost if isinstance(lost, str) else None
    why = shadow or record.reason or (described(record.error) if record.error else "")
    if not why and record.attribute is not None:
        why = f"brings {record.attribute} alone"
    return f"{'shadowed' if shadow else record.state}: {who}: {why}".rstrip(": ")


def _suspects(snapshot: Snapshot, state: State) -> list[str]:
    """The plugins in a state that may have had any key, and the environments."""
    suspects = (
        record
        for record in snapshot.of_unknown_keys(state)
        if record.module or record.environment  # else it is a requirement that is not met
    )
    return [
        f"{state}, may have provided it: {record.provenance}: {_in_short(record)}"
        for record in islice(suspects, _MOST_SUSPECTS)
    ]


def _in_short(record: PluginRecord) -> str:
    if record.error is None or record.state == "missing":  # whose reason says the same
        why = record.reason or ""
    else:
        error = described(record.error).partition("\n")[0].rstrip(":.")
        why = f"{error} (in full: aimm_plugins.current_report())"
    return f"{why}. {record.remedy}" if record.remedy else why


def not_loaded_error(record: PluginRecord) -> PluginLoadError:
    """The error for a call that needs a deferred plugin which has failed to load."""
    error = record.error
    if not isinstance(error, Exception):
        error = PluginImportError(described(error) if error else str(record.reason))
    remedy = f"\n    to do: {indented(record.remedy)}" if record.remedy else ""
    text = f"{indented(described(error))}{remedy}"
    return PluginLoadError(
        f"a deferred plugin failed to load\n  {record.provenance}\n    {text}\n"
        "It is tried again by initialize() and refresh(), and not by calls.",
        [error],
        Report((record,)),
    )
