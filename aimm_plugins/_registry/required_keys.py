"""Keys that confs and policies require, and nobody answers now.

Asked at each start, and again by each report: a deferred plugin may fail, or a plugin be unloaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aimm_plugins._policy.rules import Rule
from aimm_plugins._registry.providers import Slot
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._system.text import described, did_you_mean, one_line
from aimm_plugins._values.actions import ACTIONS
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.errors import PluginImportError


def unanswered(
    rules: Iterable[Rule], snapshot: Snapshot, *, may_be_more: bool = False
) -> Iterator[PluginRecord]:
    """A record for each required key that no plugin answers.

    A rule without an action is about all that plugins declare of the key, and at least one action.

    Args:
        rules: The rules about keys.
        snapshot: What is registered, or would be.
        may_be_more: Whether plugins may have keys that are not known before their import.
    """
    for rule in dict.fromkeys(rules):
        told = _why_unanswered(rule, snapshot)
        if told is not None and not (told[1] is None and may_be_more):
            why, remedy = told
            name = rule.text.strip()
            yield PluginRecord(
                name=name,
                source="config",
                module="",
                distribution=None if rule.slot else rule.name,
                state="missing",
                reason=f"required by {rule}: {why}",
                error=PluginImportError(f"{name} is required ({rule.place}): {why}"),
                config_place=rule.place,
                remedy=remedy,
            )


def _why_unanswered(rule: Rule, snapshot: Snapshot) -> tuple[str, str | None] | None:
    """Why a key is not answered, and what to do; the latter only where a plugin is known for it."""
    slots: list[Slot] = [rule.slot] if rule.slot else [(a, rule.text.strip()) for a in ACTIONS]
    open_slots = [slot for slot in slots if slot[1] not in snapshot.offers[slot[0]]]
    for (_, slot), error in snapshot.contested.items():
        if slot in open_slots:
            message = str(error).partition("\n")[0].rstrip(":")
            return f"{message}, and neither has it.", "Add one of the prefer lines of their error."
    for slot in open_slots:
        if slot in snapshot.broken:
            failed = snapshot.broken[slot]
            why = described(failed.error) if failed.error is not None else str(failed.reason)
            return (
                f"{failed.subject} publishes it, and failed: {one_line(why)}",
                failed.remedy or "Mend it, and call initialize() or refresh() again.",
            )
    if len(open_slots) < len(slots):
        return None
    if not rule.slot:
        why = "it is not installed, and no plugin provides a key of this name"
        return f"{why}. Install it, or remove the rule.", None
    action, key = rule.slot
    hint = did_you_mean(key, list(snapshot.offers[action]))
    why = f"no plugin that is loaded provides it{f'; {hint}' if hint else '.'}"
    return f"{why} Install what provides it, correct the key, or remove the rule.", None
