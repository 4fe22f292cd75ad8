"""What became of one plugin, told by its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from aimm_plugins._registry.conflicts import MOST_NAMED
from aimm_plugins._registry.providers import Deferred, Offer, Slot
from aimm_plugins._values.actions import Action
from aimm_plugins._values.report import PluginRecord, State
from aimm_plugins.errors import PluginConflictError

if TYPE_CHECKING:
    from aimm_plugins._registry.outcome import Loaded


class Provided:
    """All that a module provides, in tables: thousands of plugins may be objects of it."""

    def __init__(self) -> None:
        self._published: set[Slot] = set()
        self._declared: list[Slot] = []
        self._by_target: dict[int, list[Slot]] = {}

    def add(self, slot: Slot, offer: Offer) -> None:
        """Add what one offer of the module's answers."""
        if offer.declaration is None:
            self._published.add(slot)
        else:
            self._declared.append(slot)
            self._by_target.setdefault(id(offer.declaration.target), []).append(slot)

    def by(self, target: object, published: Set[Slot]) -> tuple[Slot, ...]:
        """What an object of it declares, or all if it is `None`; and what a plugin publishes."""
        declared = self._declared if target is None else self._by_target.get(id(target), ())
        return tuple(sorted((*declared, *(published & self._published))))


def account(
    record: PluginRecord,
    before: PluginRecord | None,
    is_revoked: bool,
    loaded: Loaded | None,
    deferred: Deferred | None,
    provided: Provided,
    lost: Sequence[str],
    errors: Sequence[Exception],
) -> PluginRecord:
    """The account of one plugin after a call.

    Args:
        record: Its account so far.
        before: Its account by an earlier call.
        is_revoked: Whether it loses what it had if it is denied now.
        loaded: The plugin, if this call imported it.
        deferred: The plugin, if it waits for its first call.
        provided: All that its module provides.
        lost: Why it lost other keys.
        errors: What it broke.
    """
    if record.state == "denied" and before is not None and before.is_loaded and not is_revoked:
        return before._replace(
            reason=f"loaded by an earlier initialize, and now {record.reason}; to be rid of it, "
            "unload_all() and initialize again",
        )
    if record.state not in ("planned", "deferred"):
        return record
    target = None if loaded is None else loaded.target
    keys = deferred.published if deferred else ()
    published: set[Slot] = {(key.action, key.key) for key in keys}
    provides = provided.by(target, published)
    error = _joined(errors)
    if record.import_seconds is None and before is not None:
        record = record._replace(import_seconds=before.import_seconds, imports=before.imports)
    if error is not None and not provides:
        return record._replace(state="failed", provides=(), error=error)
    state: State = "deferred" if record.state == "deferred" else "loaded"
    if loaded is not None and loaded.is_stale:
        state = "stale"
    if lost and not provides:
        state = "shadowed"
    reasons = _reasons(record.reason if state != "shadowed" else None, lost)
    return record._replace(state=state, provides=provides, error=error, reason=reasons)


def _reasons(reason: str | None, lost: Iterable[str]) -> str | None:
    """One text of a reason and of rules, each of which may have taken several keys."""
    parts = [*(reason.split("; ") if reason else ()), *lost]
    return "; ".join(dict.fromkeys(parts)) or None


def without_lost_keys(
    record: PluginRecord,
    offers: Mapping[Action, Mapping[str, Offer]],
    shadowed: Mapping[tuple[str, Slot], str],
) -> PluginRecord:
    """The account of an earlier plugin, from which others may have taken keys since.

    Args:
        record: Its account so far.
        offers: What answers each key now.
        shadowed: By plugin and slot, the `prefer` rules that have taken keys.
    """
    provides = tuple(
        (action, key)
        for action, key in record.provides
        if (offer := offers[action].get(key)) is not None and offer.plugin == record.plugin
    )
    if provides == record.provides:
        return record
    lost = [why for (plugin, _), why in shadowed.items() if plugin == record.plugin]
    return record._replace(
        provides=provides,
        state=record.state if provides or not lost else "shadowed",
        reason=_reasons(record.reason, lost),
    )


def with_key_again(record: PluginRecord, slot: Slot, why: str | None) -> PluginRecord:
    """The account of a plugin that has got a key back.

    `why` is the `prefer` rule that had taken it; `None` where that keeps other keys of the plugin.
    """
    reasons = (record.reason or "").split("; ")
    return record._replace(
        provides=tuple(sorted({*record.provides, slot})),
        state="loaded" if record.state == "shadowed" else record.state,
        reason="; ".join(reason for reason in reasons if reason != why) or None,
    )


def _joined(errors: Sequence[Exception]) -> Exception | None:
    """One error for all: conflicts are joined, of others the first one counts."""
    conflicts = [error for error in errors if isinstance(error, PluginConflictError)]
    if len(conflicts) < len(errors) or len(errors) < 2:
        return errors[0] if errors else None
    first = conflicts[0]
    texts = [str(error) for error in conflicts[:MOST_NAMED]]
    if len(conflicts) > MOST_NAMED:
        texts.append(f"and {len(conflicts) - MOST_NAMED} more keys that other plugins provide too")
    return PluginConflictError(
        "\n".join(texts),
        action=first.action,
        key=first.key,
        providers=first.providers,
        conflicts=conflicts,
    )
