"""What a call will do, in order, with the reason for each step. Imports no plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from aimm_plugins._values.report import Identity, PluginRecord
from aimm_plugins.errors import PluginImportError

if TYPE_CHECKING:  # a process of an environment does without
    from aimm_plugins._config.values import Config
    from aimm_plugins._discovery.distribution import Distribution
    from aimm_plugins._discovery.published import BrokenLine, Candidate, Published
    from aimm_plugins._discovery.scan import Scan
    from aimm_plugins._policy.judge import ImportJudge


class Plan(NamedTuple):
    """The steps of a call: a record for each plugin, in order."""

    records: tuple[PluginRecord, ...] = ()
    # The keys that a plugin's metadata publishes, a denied one's too.
    published: Mapping[Identity, tuple[Published, ...]] = MappingProxyType({})
    demanded: bool = False  # whether a call needs the deferred ones now


def arrange(judge: ImportJudge, imported: Callable[[str], bool]) -> Plan:
    """A record for each plugin: config names in their order, then entry points.

    A name that stands twice is one plugin. Entry points come sorted by distribution and name, so
    that the order does not depend on `sys.path`. What is `imported` already is never deferred.
    """
    config, scan = judge.config, judge.installed
    steps = list(_of_names(config, scan))
    if judge.policy.disabled_place is None:
        points = [
            (record_of(candidate), candidate.distribution, scan.keys_of(candidate))
            for candidate in scan.candidates
        ]
        points += [(_of_broken(line), line.distribution, ()) for line in scan.broken]
        if scan.broken:  # sorting is stable, so that only broken lines move
            points.sort(key=lambda step: step[1].key)
        steps += points
    records: list[PluginRecord] = []
    published: dict[Identity, tuple[Published, ...]] = {}
    for record, publisher, keys in steps:
        reason = judge.reason(record.module, publisher)
        if keys:
            published[record.identity] = keys
        if reason is not None:
            record = record._replace(state="denied", reason=reason, error=None)
        elif record.state != "failed":
            if keys:
                record = record._replace(provides=tuple(sorted((k.action, k.key) for k in keys)))
            if config.load == "lazy":
                record = _lazily(config, record, imported)
        records.append(record)
    return Plan(tuple(records), published)


_Step: TypeAlias = "tuple[PluginRecord, Distribution | None, tuple[Published, ...]]"
"""A plugin, who brings it, and the keys that it publishes."""


def _of_names(config: Config, scan: Scan) -> Iterator[_Step]:
    seen: set[str] = set()
    for index, name in enumerate(config.names):
        if name in seen:
            continue
        seen.add(name)
        file = scan.modules.locate(name)
        owner = scan.owner(name, file)
        record = PluginRecord(
            name=name,
            source="config",
            module=name,
            **_owned_by(owner),
            config_place=config.where("names", index),
            file=file,
        )
        yield record, owner, scan.keys_of((owner.name, name)) if owner else ()


def _owned_by(owner: Distribution | None) -> dict[str, Any]:
    if owner is None:
        return {"distribution": None, "version": None, "origin": None}
    return {"distribution": owner.name, "version": owner.version, "origin": owner.origin}


def record_of(candidate: Candidate) -> PluginRecord:
    return PluginRecord(
        name=candidate.name,
        source="entry_point",
        module=candidate.module,
        attribute=candidate.attribute,
        **_owned_by(candidate.distribution),
        entry_point=f"{candidate.name} = {candidate.value}",
    )


def _of_broken(line: BrokenLine) -> PluginRecord:
    who = line.distribution
    error = PluginImportError(
        f"the entry point `{line.line}` of {who.who} {line.fault} ({line.place})"
    )
    return PluginRecord(
        name=line.name,
        source="entry_point",
        module="",
        **_owned_by(who),
        entry_point=line.line,
        state="failed",
        error=error,
        remedy=(
            f"Install a version of {who.name} in which that is mended, or deny it: entry_points: "
            f"{{deny: [{who.name}]}}"
        ),
    )


def _lazily(config: Config, record: PluginRecord, imported: Callable[[str], bool]) -> PluginRecord:
    """When the plugin is imported: at once, or by the first call that needs it."""
    place = f"load: lazy ({config.where('load')})"
    if not record.provides:
        reason = f"{place}, but it publishes no keys, and so is imported at once"
        return record._replace(reason=reason)
    if imported(record.module):
        return record
    return record._replace(
        state="deferred", reason=f"{place}: imported by the first call that needs it"
    )
