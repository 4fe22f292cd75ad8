"""Keys that confs and policies require, and nobody answers now.

Asked at each start, and again by each report: a deferred plugin may fail, or a plugin be unloaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aimm_plugins._policy.judge import missing_record
from aimm_plugins._policy.rules import Rule
from aimm_plugins._registry.providers import Slot
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._system.text import described, did_you_mean, one_line
from aimm_plugins._values.actions import ACTIONS
from aimm_plugins._values.report import PluginRecord


def unanswered(
    rules: Iterable[Rule], snapshot: Snapshot, *, may_be_more: bool = False
) -> Iterator[PluginRecord]:
    """A record for each required key that no plugin answers.

    A rule without an action is about all that plugins declare of the key, and at least one action.
    There may be more than the snapshot knows where plugins have keys that only their import tells.
    """
    for rule in dict.fromkeys(rules):
        why, remedy = _why_unanswered(rule, snapshot)
        if why and (remedy or not may_be_more):
            nobody = "Install what provides it, correct the key, or remove the rule"
            remedy = remedy or f"{nobody} ({rule.place})."
            yield missing_record(rule, rule.text.strip(), why, remedy)


def _why_unanswered(rule: Rule, snapshot: Snapshot) -> tuple[str | None, str | None]:
    """Why a key is not answered, if it is not; and what to do, where it is known who has it."""
    slots: list[Slot] = [rule.slot] if rule.slot else [(a, rule.text.strip()) for a in ACTIONS]
    open_slots = [slot for slot in slots if slot[1] not in snapshot.offers[slot[0]]]
    for error in snapshot.conflicts(open_slots):
        message = str(error).partition("\n")[0].rstrip(":")
        remedy = "Add one of the prefer lines of their error."
        return f"{message}, and neither has it.", remedy
    lost = snapshot.broken_publisher(open_slots)
    if len(open_slots) == len(slots):
        lost = lost or next(
            (r for r in snapshot.publishers(open_slots) if r.state in ("failed", "denied")), None
        )
    if lost is not None:
        why = described(lost.error) if lost.error is not None else str(lost.reason)
        if lost.state == "denied":
            remedy = f"Change what keeps it out, or remove the rule ({rule.place})."
            return f"{lost.subject} has it, and is denied: {one_line(why)}", remedy
        remedy = lost.remedy or "Mend it, and call initialize() or refresh() again."
        return f"{lost.subject} has it, and failed: {one_line(why)}", remedy
    if len(open_slots) < len(slots):
        return None, None
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
    return why, None


_MOST_NAMED = 5


def _names(snapshot: Snapshot) -> list[str]:
    """What a rule without an action may name: keys and distributions."""
    names = {key for keys in snapshot.offers.values() for key in keys}
    return [*(names | {r.distribution for r in snapshot.records.values() if r.distribution})]
