"""Keys that several plugins provide: the error, and the accounts of those who lose them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from aimm_plugins._registry.providers import Lost, Offer, Slot, named_by
from aimm_plugins._system.files import has_same_content
from aimm_plugins._system.text import aligned, one_line
from aimm_plugins._values.actions import Action
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.errors import PluginConflictError

MOST_NAMED = 10
"""Contenders and keys that an error names: each of n gets one, and n² lines help nobody."""


def conflict(
    actions: Sequence[Action],
    key: str,
    contenders: Sequence[Offer],
    incumbent: Offer | None = None,
    *,
    is_lasting: bool = True,
) -> PluginConflictError:
    """The error for a key that several plugins provide, with the lines that would settle it.

    The incumbent had the key already, and keeps it: after a restart too, if that is lasting.
    """
    import json  # most starts have no conflict

    ordered = sorted(contenders, key=lambda offer: offer is not incumbent)
    named = ordered[:MOST_NAMED]
    table = aligned([offer.provenance.columns() for offer in named])
    if len(ordered) > len(named):
        table.append(f"and {len(ordered) - len(named)} more")
    is_one = len(actions) == 1
    slot = f"{actions[0]}:{key}" if is_one else key
    for_all = "" if is_one else f" ({', '.join(actions)})"
    rule = one_line(json.dumps(slot, ensure_ascii=False))
    outcome = "None of them is given the key."
    if incumbent is not None:
        same = "a restart in the same order does the same"
        restart = same if is_lasting else "after a restart none of them is given it"
        outcome = f"{_choice(incumbent, ordered)} had the key first and keeps it; {restart}."
    count = {2: "two", 3: "three"}.get(len(ordered), str(len(ordered)))
    lines = [
        f"{count} plugins provide {one_line(slot)}{for_all}",
        *(f"  {line}" for line in table),
        *_imported_twice(named),
        f"{outcome} To choose, add one of these lines to the conf:",
        *(f"  prefer: {{{rule}: {_choice(offer, ordered)}}}" for offer in named),
    ]
    return PluginConflictError(
        "\n".join(lines),
        action=actions[0],
        key=key,
        providers=[offer.provenance for offer in named],
        actions=actions,
    )


def _imported_twice(contenders: Sequence[Offer]) -> Iterator[str]:
    """A line that says that contenders are one file, or copies of one, under two names."""
    here = [offer for offer in contenders if offer.provenance.environment is None]
    for one, other in combinations(here, 2):
        files = [offer.provenance.file or "" for offer in (one, other)]
        owned = all(offer.provenance.distribution for offer in (one, other))
        is_copy = not owned and os.path.basename(files[0]) == os.path.basename(files[1])
        if all(files) and (files[0] == files[1] or (is_copy and has_same_content(*files))):
            kept = one if one.provenance.distribution else other
            where = " and ".join(dict.fromkeys(files))
            yield (
                f"{one.module} and {other.module} are the same code, imported under two names "
                f"({where}): import it as {kept.module} alone, and run programs from a module of "
                "their own."
            )
            return


def _choice(offer: Offer, contenders: Sequence[Offer]) -> str:
    """What a `prefer` rule names one contender by, and no other."""
    names = (offer.provenance.owner, offer.plugin, offer.module)
    alone = (name for name in names if named_by(contenders, name) == [offer])
    name = next(alone, names[0])
    # `null` and `a, b: c` are no texts in YAML, or more than one.
    if re.fullmatch(r"(?!(?i:null|true|false)$)[A-Za-z_][\w.@-]*", name) is None:
        import json

        name = json.dumps(name)
    return one_line(name)


def without_duplicates(contenders: Iterable[Offer]) -> list[Offer]:
    """One function that several plugins declare is one offer: that of the first."""
    found: dict[object, Offer] = {}
    for contender in contenders:
        declared = contender.declaration
        found.setdefault(contender.plugin if declared is None else id(declared.target), contender)
    return [*found.values()]


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
