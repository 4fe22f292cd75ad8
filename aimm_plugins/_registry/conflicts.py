"""A key that several plugins provide: who answers it, or the error that says that nobody does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aimm_plugins._registry.providers import Offer, Preferences, Slot, is_named
from aimm_plugins._system.text import aligned, one_line
from aimm_plugins._values.actions import Action
from aimm_plugins.errors import PluginConflictError

MOST_NAMED = 10
"""Contenders and keys that an error names: each of n gets one, and n² lines help nobody."""


def conflict(
    action: Action, key: str, contenders: Sequence[Offer], incumbent: Offer | None = None
) -> PluginConflictError:
    """The error for a slot that several plugins provide, with the line that would settle it.

    Args:
        action: The action.
        key: The key.
        contenders: All that provide it.
        incumbent: The one that had the key already, and keeps it.
    """
    named = contenders[:MOST_NAMED]
    table = "\n".join(
        f"  {line}" for line in aligned([offer.provenance.columns() for offer in named])
    )
    if len(contenders) > len(named):
        table += f"\n  and {len(contenders) - len(named)} more"
    outcome = (
        "None of them is given the key."
        if incumbent is None
        else f"{incumbent.provenance.owner} had the key before and keeps it."
    )
    choice = contenders[-1].provenance.owner
    if sum(offer.provenance.owner == choice for offer in contenders) > 1:
        choice = contenders[-1].plugin
    count = {2: "two", 3: "three"}.get(len(contenders), str(len(contenders)))
    return PluginConflictError(
        f"{count} plugins provide {action}:{one_line(key)}\n{table}\n"
        f"{outcome} To choose one, add to the conf:\n"
        f'  prefer: {{"{action}:{one_line(key)}": {choice}}}',
        action=action,
        key=key,
        providers=[offer.provenance for offer in named],
    )


def without_duplicates(contenders: Iterable[Offer]) -> list[Offer]:
    """One function that several plugins declare is one offer: that of the first."""
    found: dict[object, Offer] = {}
    for contender in contenders:
        declared = contender.declaration
        found.setdefault(contender.plugin if declared is None else id(declared.target), contender)
    return [*found.values()]


def choose(
    contenders: Sequence[Offer], slot: Slot, prefer: Preferences
) -> tuple[Offer | None, str]:
    """The one that answers, and the rule that says so; `None` for a conflict."""
    if len(contenders) == 1:
        return contenders[0], ""
    action, key = slot
    for layer in prefer:
        for rule in (f"{action}:{key}", key):
            if rule not in layer:
                continue
            wanted, place = layer[rule]
            matching = [contender for contender in contenders if is_named(contender, wanted)]
            if len(matching) == 1:
                return matching[0], f'prefer {{"{rule}": {wanted}}} ({place})'
    return None, ""
