"""Keys that confs and policies require, and nobody answers now.

Asked at each start, and again by each report: a deferred plugin may fail, or a plugin be unloaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

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
        if told is not None and (told.is_sure or not may_be_more):
            why, name = told.why, rule.text.strip()
            yield PluginRecord(
                name=name,
                source="config",
                module="",
                distribution=None if rule.slot else rule.name,
                state="missing",
                reason=f"required by {rule}: {why}",
                error=PluginImportError(f"{name} is required ({rule.place}): {why}"),
                config_place=rule.place,
                remedy=told.remedy or f"{_NOBODY} ({rule.place}).",
            )


_NOBODY = "Install what provides it, correct the key, or remove the rule"


class _Unanswered(NamedTuple):
    """Why a key is not answered; what to do, and whether it is sure, where a plugin is known."""

    why: str
    remedy: str | None = None

    @property
    def is_sure(self) -> bool:
        return self.remedy is not None


def _why_unanswered(rule: Rule, snapshot: Snapshot) -> _Unanswered | None:
    slots: list[Slot] = [rule.slot] if rule.slot else [(a, rule.text.strip()) for a in ACTIONS]
    open_slots = [slot for slot in slots if slot[1] not in snapshot.offers[slot[0]]]
    for error in snapshot.conflicts(open_slots):
        message = str(error).partition("\n")[0].rstrip(":")
        remedy = "Add one of the prefer lines of their error."
        return _Unanswered(f"{message}, and neither has it.", remedy)
    lost = snapshot.broken_publisher(open_slots)
    if len(open_slots) == len(slots):
        lost = lost or next(
            (r for r in snapshot.publishers(open_slots) if r.state in ("failed", "denied")), None
        )
    if lost is not None:
        why = described(lost.error) if lost.error is not None else str(lost.reason)
        if lost.state == "denied":
            remedy = f"Change what keeps it out, or remove the rule ({rule.place})."
            return _Unanswered(f"{lost.subject} has it, and is denied: {one_line(why)}", remedy)
        return _Unanswered(
            f"{lost.subject} has it, and failed: {one_line(why)}",
            lost.remedy or "Mend it, and call initialize() or refresh() again.",
        )
    if len(open_slots) < len(slots):
        return None
    why = "it is not installed, and no plugin provides a key of this name"
    if rule.slot:
        why = "no plugin that is loaded provides it"
    missing = snapshot.of_unknown_keys("missing")
    suspects = [f"environment {record.environment}" for record in missing if record.environment]
    suspects += [record.subject for record in snapshot.of_unknown_keys("failed")]
    if suspects:
        why += f"; it may be in what failed or is missing: {', '.join(suspects[:_MOST_NAMED])}"
    known = list(snapshot.offers[rule.slot[0]]) if rule.slot else _names(snapshot)
    if hint := did_you_mean(slots[0][1], known):
        why += f"; {hint}"
    return _Unanswered(why)


_MOST_NAMED = 5


def _names(snapshot: Snapshot) -> list[str]:
    """What a rule without an action may name: keys and distributions."""
    names = {key for keys in snapshot.offers.values() for key in keys}
    return [*(names | {r.distribution for r in snapshot.records.values() if r.distribution})]
