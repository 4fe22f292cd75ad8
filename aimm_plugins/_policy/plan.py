"""What a call will do, in order, with the reason for each step. Imports no plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from aimm_plugins._config.values import Config
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.entry_points import Candidate, Published
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._policy.judge import Import, Policy
from aimm_plugins._values.report import Identity, PluginRecord


class Plan(NamedTuple):
    """The steps of a call.

    Attributes:
        records: A record for each plugin, `planned`, `deferred` or `denied`, in order.
        published: The keys that a plugin's metadata publishes, a denied one's too.
        demanded: Deferred plugins that a call needs now.
    """

    records: tuple[PluginRecord, ...] = ()
    published: Mapping[Identity, tuple[Published, ...]] = MappingProxyType({})
    demanded: frozenset[Identity] = frozenset()


def arrange(
    config: Config,
    policy: Policy,
    scan: Scan,
    locate: Callable[[str], str | None],
    imported: Callable[[str], bool],
) -> Plan:
    """A record for each plugin: config names in their order, then entry points.

    A name that stands twice is one plugin. Entry points come sorted by distribution and name, so
    that the order does not depend on `sys.path`.

    Args:
        config: A conf that was read.
        policy: Its rules and the operator's.
        scan: What is installed.
        locate: Finds a module's file without importing anything.
        imported: Tells whether a module is imported already; such a one is never deferred.
    """
    steps = list(_of_names(config, scan, locate))
    if policy.disabled_place is None:
        steps += [
            (_of_candidate(candidate), candidate.distribution, scan.keys_of(candidate))
            for candidate in scan.candidates
        ]
    suspects = policy.suspects(scan.find, scan.distributions)
    code_owners = scan.code_owners(suspects) if suspects else None
    records: list[PluginRecord] = []
    published: dict[Identity, tuple[Published, ...]] = {}
    for record, publisher, keys in steps:
        files = code_owners.files(record.module, locate) if code_owners is not None else ()
        reason = policy.judge(Import(record.module, publisher, files))
        if keys:
            published[record.identity] = keys
        if reason is not None:
            record = record._replace(state="denied", reason=reason)
        else:
            if keys:
                provides = tuple(sorted((key.action, key.key) for key in keys))
                record = record._replace(provides=provides)
            if config.load == "lazy":
                record = _lazily(config, record, imported)
        records.append(record)
    return Plan(tuple(records), published)


_Step = tuple[PluginRecord, Distribution | None, tuple[Published, ...]]
"""A plugin, who brings it, and the keys that it publishes."""


def _of_names(config: Config, scan: Scan, locate: Callable[[str], str | None]) -> Iterator[_Step]:
    seen: set[str] = set()
    for index, name in enumerate(config.names):
        if name in seen:
            continue
        seen.add(name)
        file = locate(name)
        owner = scan.owner(name, file)
        record = PluginRecord(
            name=name,
            source="config",
            module=name,
            distribution=None if owner is None else owner.name,
            version=None if owner is None else owner.version,
            origin=None if owner is None else owner.origin,
            config_place=config.where("names", index),
            file=file,
        )
        yield record, owner, scan.keys_of((owner.name, name)) if owner else ()


def _of_candidate(candidate: Candidate) -> PluginRecord:
    return PluginRecord(
        name=candidate.name,
        source="entry_point",
        module=candidate.module,
        attribute=candidate.attribute,
        distribution=candidate.distribution.name,
        version=candidate.distribution.version,
        origin=candidate.distribution.origin,
        entry_point=f"{candidate.name} = {candidate.value}",
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
