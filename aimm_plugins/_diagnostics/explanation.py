"""Why a key, distribution or module is there or is not, and what to change.

In comes an inventory and what was asked for; out goes an `Explanation`. Nothing is imported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from aimm_plugins._diagnostics.doctor import lost_entry_points
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._discovery.scan import faults_of_metadata
from aimm_plugins._startup.inventory import Inventory, InventoryItem, InventoryKey
from aimm_plugins._system.text import described, nearest
from aimm_plugins._values.actions import ACTIONS
from aimm_plugins._values.provenance import short_file
from aimm_plugins._values.report import Finding

Kind = Literal["key", "distribution", "module", "plugin"]

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One statement about what was asked for; `schemas/explain.yaml` describes the fields."""

    subject: str
    there: bool = False
    state: str = "unknown"
    who: str
    why: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer to one question; `schemas/explain.yaml` describes the fields."""

    asked: str
    kinds: tuple[Kind, ...]
    there: bool
    reasons: tuple[Reason, ...]


def explain(inventory: Inventory, asked: str) -> Explanation:
    """Why a key, distribution, module or plugin is there; what is several is explained as each."""
    found: dict[Kind, list[Reason]] = {
        "key": [_of_key(inventory, key) for key in inventory.keys_named(asked)],
        "distribution": _of_distribution(inventory, asked),
        "module": _of_module(inventory, asked),
        "plugin": [
            _of_plugin(inventory, item)
            for item in inventory.plugins
            if item.record.name == asked
            and (item.record.source == "entry_point" or item.record.state == "missing")
        ],
    }
    reasons = tuple(dict.fromkeys(reason for some in found.values() for reason in some))
    if not reasons:
        nothing = _of_nothing(inventory, asked)
        return Explanation(asked=asked, kinds=(), there=False, reasons=(nothing,))
    return Explanation(
        asked=asked,
        kinds=tuple(kind for kind, some in found.items() if some),
        there=any(reason.there for reason in found["key"] or reasons),
        reasons=reasons,
    )


def _of_key(inventory: Inventory, key: InventoryKey) -> Reason:
    item, record = key.item, key.item.record
    remedy = None if key.answers else inventory.remedy(item)
    if key.prefer_place is not None:
        remedy = f"Change or remove the prefer rule ({key.prefer_place})."
    owner = record.provenance.columns()[0] or record.module
    return Reason(
        subject=key.slot,
        there=key.answers,
        state=record.state,
        who=f"{owner}  {key.place}" if key.place else owner,
        why=_placed(key.why_not, item) if key.why_not else _how_known(item),
        remedy=remedy,
    )


def _how_known(item: InventoryItem) -> str:
    if item.record.reason:
        return item.record.reason
    return {
        "metadata": "its metadata publishes the key, and no rule keeps it out",
        "source": "its source declares the key, and no rule keeps it out",
        "import": "it is loaded",
        "unknown": "no rule keeps it out",
    }[item.keys_from]


def _of_distribution(inventory: Inventory, asked: str) -> list[Reason]:
    items = inventory.of_distribution(asked)
    if items:
        return [_of_plugin(inventory, item) for item in items]
    distribution = inventory.installed.find(asked)
    if distribution is None:
        return []
    own = (*faults_of_metadata([distribution]), *lost_entry_points(distribution))
    for finding in (*inventory.findings, *own):
        is_in_it = (finding.place or "").startswith(os.path.join(distribution.place, ""))
        if is_in_it or finding.subject == distribution.subject:
            return [_of_finding(distribution.name, finding)]
    why = "it is installed and has no entry point in the group aimm.plugins"
    remedy = (
        "If it brings a plugin, name its module in the conf's `names`, and ask its author for an "
        "entry point."
    )
    publishers = [candidate.distribution.key for candidate in inventory.installed.candidates]
    why, remedy = _disabled(inventory, distribution.key in publishers) or (why, remedy)
    return [Reason(subject=distribution.name, who=distribution.who, why=why, remedy=remedy)]


def _disabled(inventory: Inventory, is_published: bool) -> tuple[str, str] | None:
    """Why an entry point brings no plugin, and what to change, where none does."""
    place = inventory.policy.disabled_place
    if place is None or not is_published:
        return None
    remedy = f"Remove `enabled: false` ({place}), or name its module in the conf."
    return f"entry points are disabled ({place})", remedy


def _of_module(inventory: Inventory, asked: str) -> list[Reason]:
    items = [
        item
        for item in inventory.plugins
        if item.record.module and asked in (item.record.module, item.identity_cells[-1])
    ]
    if items:
        return [_of_plugin(inventory, item) for item in items]
    if not all(part.isidentifier() for part in asked.split(".")):
        return []
    file = locate(asked)
    if file is None:
        return []
    containing = [
        item
        for item in inventory.plugins
        if item.record.module and asked.startswith(f"{item.record.module}.")
    ]
    if containing:
        innermost = max(containing, key=lambda item: len(item.record.module))
        return [_of_plugin(inventory, innermost)]
    owner = inventory.installed.owner(asked, file)
    who = f"{owner.who if owner else 'no distribution'}  {short_file(file, asked)}"
    why = "no entry point in the group aimm.plugins and no name in the conf names it"
    remedy = f"To load it, add it to the conf: names: [{asked}]."
    modules = [candidate.module for candidate in inventory.installed.candidates]
    why, remedy = _disabled(inventory, asked in modules) or (why, remedy)
    return [Reason(subject=asked, who=who, why=why, remedy=remedy)]


def _of_plugin(inventory: Inventory, item: InventoryItem) -> Reason:
    record = item.record
    # A plugin that lost some keys to a conflict still answers its other keys.
    active = item.active and (record.error is None or bool(record.provides))
    names = (record.subject, str(record.provenance))
    findings = [finding for finding in inventory.findings if finding.subject in names]
    empty = [f for f in findings if f.code in ("declares-nothing", "foreign-module")]
    why = [f"{finding.code}: {finding.message}" for finding in findings]
    if there := active and inventory.ends is None:
        why.append(f"{record.reason or 'no rule keeps it out'}; {_declared(item)}")
        there = bool(item.keys) or not empty
    if active and inventory.why_ended is not None:
        why.append(inventory.why_ended)
    if record.error is not None and record.state != "missing":  # whose reason says the same
        why.append(_placed(described(record.error), item))
    if not there and record.reason:
        why.append(record.reason)
    return Reason(
        subject=record.name,
        there=there,
        state=record.state,
        who=str(record.provenance),
        why="; ".join(why) or record.state,
        remedy=inventory.remedy(item) or next((finding.remedy for finding in findings), None),
    )


def _placed(why: str, item: InventoryItem) -> str:
    """Why a plugin fails, with the place where it does, if that says something new."""
    error, place = item.record.error, item.place
    is_told = place in (None, item.record.config_place) or isinstance(error, SyntaxError)
    return why if is_told or error is None else f"{why} ({place})"


def _declared(item: InventoryItem) -> str:
    keys = ", ".join(f"{action}:{key}" for action, key in item.keys)
    unknown = "declares no key" if item.complete else "its keys are known when it is imported"
    declared = f"declares {keys}" if keys else unknown
    if keys and not item.complete:
        declared += ", and perhaps more that only its import tells"
    if item.record.options_told is not None:
        declared += f"; its options: {item.record.options_told}"
    return declared


def _of_finding(subject: str, finding: Finding) -> Reason:
    place = f" ({finding.place})" if finding.place else ""
    why = f"{finding.code}: {finding.message}{place}"
    return Reason(subject=subject, who=finding.subject, why=why, remedy=finding.remedy)


def _of_nothing(inventory: Inventory, asked: str) -> Reason:
    for finding in inventory.findings:  # such as keys that are published without a plugin
        if asked in finding.message.replace(",", "").split():
            return _of_finding(asked, finding)
    if asked in ACTIONS:
        why = f"it is an action; a key is written {asked}:KEY"
        hint = f"`aimm-plugins list --provides {asked}` lists who declares it."
        return Reason(subject=asked, who="nobody", why=why, remedy=hint)
    action, colon, key = asked.partition(":")
    if colon and action not in ACTIONS:
        near = nearest(action.lower(), ACTIONS)
        why = f"there is no action {action!r}; the actions are {', '.join(ACTIONS)}"
        hint = f"Did you mean {near[0]}:{key}?" if near else ""
    else:
        records = [item.record for item in inventory.plugins]
        known = {name for r in records for name in (r.name, r.module, r.distribution) if name}
        known |= {name for key in inventory.keys for name in (key.declaration.key, key.slot)}
        near = nearest(asked, sorted(known - {""}), count=3)
        why = "no plugin declares such a key, and no distribution or module has this name"
        hint = f"Did you mean {' or '.join(near)}?" if near else "Install what provides it."
    unread = [
        item
        for item in inventory.plugins
        if not item.complete and (item.record.module or item.record.environment)
    ]
    away = [f"{item.record.name} ({item.account})" for item in unread if not item.active]
    active = sorted({item.record.name for item in unread if item.active})
    if away:
        names = ", ".join(away[:_MOST_NAMED] + ["..."] * (len(away) > _MOST_NAMED))
        hint = f"{hint} It may be in what is missing, denied or failed: {names}.".strip()
    if active:
        text = (
            f"The keys of {', '.join(active)} cannot be told without importing: --load does that."
        )
        hint = f"{hint} {text}".strip()
    return Reason(subject=asked, who="nobody", why=why, remedy=hint or None)
