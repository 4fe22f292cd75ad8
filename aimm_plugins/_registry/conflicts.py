"""The error for a key that several plugins provide."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations

from aimm_plugins._registry.providers import Offer
from aimm_plugins._system.files import has_same_content
from aimm_plugins._system.text import aligned, one_line
from aimm_plugins._values.actions import Action
from aimm_plugins.errors import PluginConflictError


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
    table = "\n".join(
        f"  {line}" for line in aligned([offer.provenance.columns() for offer in contenders])
    )
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
        f"{count} plugins provide {action}:{one_line(key)}\n{table}\n{_imported_twice(contenders)}"
        f"{outcome} To choose one, add to the conf:\n"
        f'  prefer: {{"{action}:{one_line(key)}": {choice}}}',
        action=action,
        key=key,
        providers=[offer.provenance for offer in contenders],
    )


def _imported_twice(contenders: Sequence[Offer]) -> str:
    """A line that says that contenders are one file, or copies of one, under two names."""
    for one, other in combinations(contenders, 2):
        files = [offer.provenance.file or "" for offer in (one, other)]
        owned = all(offer.provenance.distribution for offer in (one, other))
        is_copy = not owned and os.path.basename(files[0]) == os.path.basename(files[1])
        if all(files) and (files[0] == files[1] or (is_copy and has_same_content(*files))):
            kept = one if one.provenance.distribution else other
            where = " and ".join(dict.fromkeys(files))
            return (
                f"{one.module} and {other.module} are the same code, imported under two names "
                f"({where}): import it as {kept.module} alone, and run programs from a module of "
                "their own.\n"
            )
    return ""
