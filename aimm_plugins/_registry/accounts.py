"""What became of one plugin, told by its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aimm_plugins._registry.conflicts import MOST_NAMED
from aimm_plugins._registry.providers import Lost, Offer, Slot
from aimm_plugins._values.actions import Action
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.errors import PluginConflictError


def joined_reasons(reason: str | None, lost: Iterable[str]) -> str | None:
    """One text of a reason and of rules, each of which may have taken several keys."""
    parts = [*(reason.split("; ") if reason else ()), *lost]
    return "; ".join(dict.fromkeys(parts)) or None


def without_lost_keys(
    record: PluginRecord,
    offers: Mapping[Action, Mapping[str, Offer]],
    lost: Lost,
) -> PluginRecord:
    """The account of an earlier plugin, from which others may have taken keys since."""
    provides: tuple[Slot, ...] = tuple(
        (action, key)
        for action, key in record.provides
        if (offer := offers[action].get(key)) is not None and offer.plugin == record.plugin
    )
    return with_keys(record, provides, lost)


def with_keys(record: PluginRecord, provides: tuple[Slot, ...], lost: Lost) -> PluginRecord:
    """The account with the keys that it has now, and the rules that have taken others."""
    if provides == record.provides:
        return record
    plugin = record.plugin
    rules = [w for (loser, _), w in lost.items() if loser == plugin and isinstance(w, str)]
    return record._replace(
        provides=provides,
        state=record.state if provides or not rules else "shadowed",
        reason=joined_reasons(record.reason, rules),
    )


def joined(errors: Sequence[Exception]) -> Exception | None:
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
