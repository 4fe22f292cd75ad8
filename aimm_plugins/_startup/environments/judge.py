"""Judge what a process of an environment loads at the moment when the process starts.

An environment is planned when a start begins. Its first call may come days later, and a process
that has crashed is started again: by then pip may have been at work there, or the rules have
changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aimm_plugins._config.environment import operator_layers
from aimm_plugins._discovery.scan import scan
from aimm_plugins._environments.plan import PlannedEnvironment, of_environment
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.change import Change
from aimm_plugins._startup.messages import log
from aimm_plugins._startup.prepare import decide
from aimm_plugins._startup.publish import register
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.actions import Action
from aimm_plugins._values.report import PluginRecord, Report


def judged(
    runtime: Runtime, before: PlannedEnvironment, records: Iterable[PluginRecord]
) -> tuple[PlannedEnvironment, list[PluginRecord]]:
    """An environment by the rules that hold now, and the accounts of some of its plugins.

    Raises:
        ConfigError: The operator's policy or a lock cannot be read by now.
    """
    found = _as_of_now(runtime, before)
    now = {record.identity: record for record in found.records}
    allowed = {i: r for i, r in found.wanted.items() if i in before.wanted}
    accounts = []
    for record in records:
        current = now.get(record.identity)
        if current is not None and current.identity in allowed:
            accounts.append(record._replace(version=current.version, origin=current.origin))
            continue
        gone = f"environment {before.name} has it no more"
        reason = gone if current is None else str(current.reason)
        accounts.append(record._replace(state="denied", provides=(), reason=reason))
    return found._replace(plan=Plan(tuple(allowed.values()))), accounts


def _as_of_now(runtime: Runtime, planned: PlannedEnvironment) -> PlannedEnvironment:
    site = planned.site
    assert site is not None
    naming = [config for config in runtime.confs if planned.name in config.environments]
    configs = of_environment(naming) or planned.configs
    installed = scan() if site.is_own else scan(site.folders, site.modules)
    start = decide(runtime, operator_layers(), configs, installed, here=False)
    found = planned._replace(configs=configs, installed=installed)
    return found.with_plan(start.plan, planned.options, start.admission.proofs.verified)


def take_away(
    runtime: Runtime, before: Sequence[PluginRecord], now: Sequence[PluginRecord]
) -> set[tuple[Action, str]]:
    """Register which plugins are denied or failed by now; the keys that these lose."""
    pairs = [
        pair for pair in zip(before, now, strict=True) if pair[1].state in ("denied", "failed")
    ]
    if pairs:
        with runtime.lock:
            prefer = runtime.registry.snapshot.prefer
            revoked = {lost.identity for _, lost in pairs}
            change = Change([lost for _, lost in pairs], prefer, revoked=revoked)
            resolution = register(runtime, change)
        log(Report(resolution.records))
    return {slot for was, _ in pairs for slot in was.provides}
