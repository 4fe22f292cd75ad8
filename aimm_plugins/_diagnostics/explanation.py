"""Why a key, distribution or module is there or is not, and what to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from aimm_plugins._diagnostics.doctor import faults
from aimm_plugins._diagnostics.source import Sighting
from aimm_plugins._diagnostics.survey import Survey, Surveyed
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._policy.rules import Layer
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import described
from aimm_plugins._values.actions import ACTIONS
from aimm_plugins._values.provenance import short_file
from aimm_plugins._values.report import PluginRecord

Kind = Literal["key", "distribution", "module", "plugin"]
GOOD = ("loaded", "deferred", "planned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One statement about what was asked for.

    Attributes:
        subject: The key, plugin, distribution or module.
        there: Whether a call would reach it.
        state: The plugin's state; `unknown` for what no plugin is or declares.
        who: Who it is, with file and line where known.
        why: The rule with its place, the error, or what is known otherwise.
        remedy: What to change, where it is not there.
    """

    subject: str
    there: bool
    state: str
    who: str
    why: str
    remedy: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable, as in `schemas/explain.yaml`."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer to one question.

    Attributes:
        asked: What was asked for.
        kinds: What it is: a key, distribution, module or plugin's name; empty where it is nothing.
        there: Whether all of it, or of a key at least one action, is there.
        reasons: One for each plugin concerned.
    """

    asked: str
    kinds: tuple[Kind, ...]
    there: bool
    reasons: tuple[Reason, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable, as in `schemas/explain.yaml`."""
        return {
            "asked": self.asked,
            "kinds": list(self.kinds),
            "there": self.there,
            "reasons": [reason.to_dict() for reason in self.reasons],
        }


def explain(survey: Survey, asked: str) -> Explanation:
    """Why something is there or is not.

    Args:
        survey: A look at all plugins.
        asked: `fit:iris.svc`, a key, a distribution, a module, or a plugin's name. What is several
            of these is explained as each.
    """
    of_key = list(_of_key(survey, asked))
    of_distribution = list(_of_distribution(survey, asked))
    of_module = list(_of_module(survey, asked))
    of_name = [
        _of_plugin(survey, each)
        for each in survey.plugins
        if each.record.name == asked and each.record.source == "entry_point"
    ]
    kinds: list[Kind] = []
    reasons: list[Reason] = []
    by_kind: dict[Kind, list[Reason]] = {
        "key": of_key,
        "distribution": of_distribution,
        "module": of_module,
        "plugin": of_name,
    }
    for kind, found in by_kind.items():
        if found:
            kinds.append(kind)
            reasons += found
    reasons = list(dict.fromkeys(reasons))
    if not reasons:
        return Explanation(
            asked=asked, kinds=(), there=False, reasons=(_of_nothing(survey, asked),)
        )
    there = any(each.there for each in of_key) if of_key else all(each.there for each in reasons)
    return Explanation(asked=asked, kinds=tuple(kinds), there=there, reasons=tuple(reasons))


def matching(survey: Survey, asked: str) -> list[tuple[Surveyed, Sighting]]:
    """The declarations of `action:key`, or of a key for whatever action, sorted."""
    return [
        each
        for (action, key), declared in survey.slots.items()
        if asked in (key, f"{action}:{key}")
        for each in declared
    ]


def answers(plugin: Surveyed, sighting: Sighting) -> bool:
    """Whether a call of this key would reach this plugin."""
    record = plugin.record
    slot = (sighting.action, sighting.key)
    return record.state in GOOD and (slot in record.provides or not sighting.certain)


def who_declares(plugin: Surveyed, sighting: Sighting) -> str:
    """The plugin with the place of the declaration."""
    record = plugin.record
    owner = f"{record.distribution} {record.version or '(unknown version)'}"
    owner = owner if record.distribution else record.module
    place = place_of(sighting)
    return f"{owner}  {place}" if place else owner


def place_of(sighting: Sighting) -> str | None:
    """`pkg/svc.py:14`."""
    if sighting.file is None:
        return None
    short = short_file(sighting.file, sighting.module)
    return short if sighting.line is None else f"{short}:{sighting.line}"


def why_not(survey: Survey, plugin: Surveyed, sighting: Sighting) -> str:
    """Why a plugin that declares a key does not answer it."""
    record = plugin.record
    if record.reason and record.state not in GOOD:
        return record.reason
    if record.error is not None:
        return described(record.error)
    slot = f"{sighting.action}:{sighting.key}"
    rule = _preference(survey, sighting)
    if rule is not None:
        wanted, place = rule
        return f"prefer gives {slot} to {wanted} ({place})"
    return record.reason or f"another plugin provides {slot}"


def _preference(survey: Survey, sighting: Sighting) -> tuple[str, str] | None:
    """Who is preferred for a key, and the place of the rule."""
    for layer in survey.policy.layers:
        for rule in (f"{sighting.action}:{sighting.key}", sighting.key):
            if rule in layer.prefer:
                return layer.prefer[rule]
    return None


def _of_key(survey: Survey, asked: str) -> Iterator[Reason]:
    for plugin, sighting in matching(survey, asked):
        subject = f"{sighting.action}:{sighting.key}"
        there = answers(plugin, sighting)
        why = _how_known(plugin) if there else why_not(survey, plugin, sighting)
        remedy = None if there else _remedy(survey, plugin.record)
        if not there and plugin.record.state in GOOD and plugin.record.error is None:
            rule = _preference(survey, sighting)
            if rule is not None:
                remedy = f"Change or remove the prefer rule ({rule[1]})."
        fault = next(faults(plugin), None) if there else None
        if fault is not None:
            there, remedy = False, fault.remedy
            why = f"no rule keeps it out, but its import would fail: {fault.message}"
        yield Reason(
            subject=subject,
            there=there,
            state=plugin.record.state,
            who=who_declares(plugin, sighting),
            why=why,
            remedy=remedy,
        )


def _how_known(plugin: Surveyed) -> str:
    reason = plugin.record.reason
    return (
        reason
        or {
            "metadata": "its metadata publishes the key, and no rule keeps it out",
            "source": "its source declares the key, and no rule keeps it out",
            "import": "it is loaded",
            "unknown": "no rule keeps it out",
        }[plugin.keys_from]
    )


def _of_distribution(survey: Survey, asked: str) -> Iterator[Reason]:
    mine = [
        each
        for each in survey.plugins
        if each.record.distribution and normalized(each.record.distribution) == normalized(asked)
    ]
    for plugin in mine:
        yield _of_plugin(survey, plugin)
    if mine:
        return
    distribution = survey.installed.find(asked)
    if distribution is None:
        return
    candidates = [c for c in survey.installed.candidates if c.distribution.key == distribution.key]
    disabled = survey.policy.disabled_place
    yield Reason(
        subject=distribution.name,
        there=False,
        state="unknown",
        who=distribution.who,
        why=f"entry points are disabled ({disabled})"
        if candidates and disabled
        else "it is installed and has no entry point in the group aimm.plugins",
        remedy=f"Remove `enabled: false` ({disabled}), or name its module in the conf."
        if candidates and disabled
        else "If it brings a plugin, name its module in the conf's `names`, and ask its author for "
        "an entry point.",
    )


def _of_module(survey: Survey, asked: str) -> Iterator[Reason]:
    mine = [each for each in survey.plugins if each.record.module == asked]
    for plugin in mine:
        yield _of_plugin(survey, plugin)
    if mine or not all(part.isidentifier() for part in asked.split(".")):
        return
    file = locate(asked)
    if file is None:
        return
    above = [
        each
        for each in survey.plugins
        if each.record.module and f"{asked}.".startswith(f"{each.record.module}.")
    ]
    if above:
        plugin = max(above, key=lambda each: len(each.record.module))
        yield _of_plugin(survey, plugin)
        return
    owner = survey.installed.owner(asked, file)
    named = [c for c in survey.installed.candidates if c.module == asked]
    disabled = survey.policy.disabled_place
    yield Reason(
        subject=asked,
        there=False,
        state="unknown",
        who=f"{owner.who if owner else 'no distribution'}  {short_file(file, asked)}",
        why=f"entry points are disabled ({disabled})"
        if named and disabled
        else "no entry point in the group aimm.plugins and no name in the conf names it",
        remedy=f"Remove `enabled: false` ({disabled}), or name it in the conf."
        if named and disabled
        else f"To load it, add it to the conf: names: [{asked}].",
    )


def _of_plugin(survey: Survey, plugin: Surveyed) -> Reason:
    record = plugin.record
    there = record.state in GOOD and record.error is None
    fault = next(faults(plugin), None) if there else None
    if fault is not None:
        return Reason(
            subject=record.name,
            there=False,
            state=record.state,
            who=str(record.provenance),
            why=f"no rule keeps it out, but its import would fail: {fault.message}",
            remedy=fault.remedy,
        )
    if there:
        keys = ", ".join(f"{action}:{key}" for action, key in plugin.keys)
        more = "" if plugin.complete else ", and perhaps more that only its import tells"
        declared = f"declares {keys}{more}" if keys else "its keys are known when it is imported"
        why = (
            f"{record.reason}; {declared}" if record.reason else f"no rule keeps it out; {declared}"
        )
        if record.options_told is not None:
            why += f"; its options: {record.options_told}"
    else:
        why = record.reason or (described(record.error) if record.error else record.state)
        if record.reason and record.error is not None and record.state != "missing":
            why = f"{record.reason}; {described(record.error)}"
    return Reason(
        subject=record.name,
        there=there,
        state=record.state,
        who=str(record.provenance),
        why=why,
        remedy=None if there else _remedy(survey, record),
    )


def _of_nothing(survey: Survey, asked: str) -> Reason:
    known = {
        *(each.record.name for each in survey.plugins),
        *(each.record.module for each in survey.plugins),
        *(each.record.distribution or "" for each in survey.plugins),
        *(key for _, key in survey.slots),
        *(f"{action}:{key}" for action, key in survey.slots),
    }
    action, colon, _ = asked.partition(":")
    if colon and action not in ACTIONS:
        near = get_close_matches(action, ACTIONS, n=1)
        why = f"there is no action {action!r}; the actions are {', '.join(ACTIONS)}"
        hint = f"Did you mean {near[0]}:{asked.partition(':')[2]}?" if near else None
    else:
        near = get_close_matches(asked, sorted(known - {""}), n=3)
        why = "no plugin declares such a key, and no distribution or module has this name"
        hint = f"Did you mean {' or '.join(near)}?" if near else "Install what provides it."
    blind = [
        each.record.name for each in survey.plugins if not each.complete and each.record.module
    ]
    if blind and not near:
        hint = (
            f"{hint or ''} The keys of {', '.join(sorted(set(blind)))} cannot be told without "
            "importing: --load does that."
        ).strip()
    return Reason(subject=asked, there=False, state="unknown", who="nobody", why=why, remedy=hint)


def _remedy(survey: Survey, record: PluginRecord) -> str:
    if record.state == "missing":
        return (
            f"Install {record.name} in a version that fits, or remove the rule "
            f"({record.config_place})."
        )
    if record.state == "shadowed":
        return f"Change or remove the prefer rule ({_place_in(record.reason)})."
    if record.state != "denied":
        error = record.error
        told = getattr(error, "providers", None)
        if told:
            return "Add the prefer line of the message to the conf, or deny one of them."
        return (
            "Mend what the message names and call initialize again; `aimm-plugins doctor` looks "
            "closer."
        )
    distribution = survey.installed.find(record.distribution) if record.distribution else None
    remedies = [
        remedy
        for layer in survey.policy.layers
        for remedy in _of_layer(survey, layer, record, distribution)
    ]
    if survey.policy.blocked(record.module):
        remedies.append("Take the block back: get_plugin_manager().unblock(...).")
    if not remedies:
        return (
            "Change the rule that the reason names; it is about another distribution, whose files "
            "the import would run."
        )
    return " ".join(remedies)


def _of_layer(
    survey: Survey, layer: Layer, record: PluginRecord, distribution: Distribution | None
) -> Iterator[str]:
    if distribution is None:
        return
    name = distribution.name
    for rule in layer.deny.get(distribution.key, ()):
        if rule.fits(distribution.version) is not False:
            yield (
                f"Remove {rule} from deny, or narrow it to versions other than "
                f"{distribution.version}."
            )
    place = layer.deny_origins.get(distribution.origin)
    if place is not None:
        yield (
            f"Install {name} from another origin than {distribution.origin}, or remove "
            f"{distribution.origin} from deny_origins ({place})."
        )
    if layer.exclusion(distribution) is not None:
        yield f"Add {name} in a version like {distribution.version} to allow ({layer.allow_place})."
    if layer.locked is not None:
        lock, locked_place = layer.locked
        entry = lock.entries.get(normalized(name))
        if (
            entry is None
            or entry.version != distribution.version
            or entry.digest != survey.policy.digest(distribution)
        ):
            yield (
                f"Install what {lock.file} locks (pip install -r), or freeze anew ({locked_place})."
            )
    if layer.verify_place is not None and survey.policy.unverified(distribution, record.module):
        yield f"Reinstall {name}, or change verify ({layer.verify_place})."


def _place_in(reason: str | None) -> str:
    """The last place in brackets of a reason."""
    return (reason or "").rpartition("(")[2].partition(")")[0] or "see the reason"
