"""What a call will do, in order, with the reason for each step. Imports no plugin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aimm_plugins._config import Config
from aimm_plugins._discovery import Candidate, Distribution, Scan
from aimm_plugins._policy import Policy
from aimm_plugins._report import PluginRecord


def arrange(
    config: Config, policy: Policy, scan: Scan, locate: Callable[[str], str | None]
) -> tuple[PluginRecord, ...]:
    """A record for each plugin: config names in their order, then entry points.

    A name that stands twice is one plugin. Entry points come sorted by distribution and name, so
    that the order does not depend on `sys.path`.

    Args:
        config: A conf that was read.
        policy: Its rules.
        scan: What is installed.
        locate: Finds a module's file without importing anything.

    Returns:
        Records in state `planned` or `denied`.
    """
    records = []
    for index, name in enumerate(config.names):
        if name in config.names[:index]:
            continue
        file = locate(name)
        records.append(
            _judged(
                policy,
                PluginRecord(
                    name=name,
                    source="config",
                    module=name,
                    config_place=config.where("names", index),
                    file=file,
                ),
                scan.owner(name, file),
            )
        )
    if config.entry_points.enabled:
        records += [_of_candidate(policy, candidate) for candidate in scan.candidates]
    return tuple(records)


def _of_candidate(policy: Policy, candidate: Candidate) -> PluginRecord:
    record = PluginRecord(
        name=candidate.name,
        source="entry_point",
        module=candidate.module,
        attribute=candidate.attribute,
        entry_point=f"{candidate.name} = {candidate.value}",
    )
    return _judged(policy, record, candidate.distribution)


def _judged(
    policy: Policy, record: PluginRecord, distribution: Distribution | None
) -> PluginRecord:
    if distribution is not None:
        record = replace(
            record,
            distribution=distribution.name,
            version=distribution.version,
            origin=distribution.origin,
        )
    reason = policy.denial(record.module, distribution)
    return record if reason is None else replace(record, state="denied", reason=reason)
