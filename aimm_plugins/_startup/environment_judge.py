"""Judge what a process of an environment loads at the moment when the process starts.

An environment is planned when a start begins. Its first call may come days later, and a process
that has crashed is started again: by then pip may have been at work there, or the rules have
changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aimm_plugins._config.environment import operator_layers
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._dispatch.dispatcher import no_call_error
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.outcome import Change
from aimm_plugins._startup.environment_plan import PlannedEnvironment, of_environment
from aimm_plugins._startup.messages import log
from aimm_plugins._startup.prepare import decide
from aimm_plugins._startup.publish import publish, resolve_now
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.actions import Action
from aimm_plugins._values.report import PluginRecord, Report


class EnvironmentJudge:
    """Says which of an environment's plugins a process may load."""

    def __init__(self, runtime: Runtime, planned: PlannedEnvironment) -> None:
        self._runtime, self._planned = runtime, planned
        self._wanted = planned.wanted.keys()
        self._refused: set[tuple[str, str]] = set()

    @property
    def installed(self) -> Scan:
        """What is installed in the environment."""
        return self._planned.installed

    @property
    def is_whole(self) -> bool:
        """Whether nothing was refused since the environment was planned."""
        return self._planned.wanted.keys() == self._wanted

    def told(self) -> dict[str, Any]:
        """What a process is told of the plugins that it may load, by the last judgement."""
        return {
            "plugins": [_there(record) for record in self._planned.wanted.values()],
            "verified": [tuple(verified) for verified in self._planned.verified],
        }

    def judge(self, records: Iterable[PluginRecord]) -> list[PluginRecord]:
        """The accounts of plugins by the rules that hold now: some denied, all of this version.

        Raises:
            ConfigError: The operator's policy or a lock cannot be read by now.
        """
        before, found = self._planned, self._as_of_now()
        allowed = {i: r for i, r in found.wanted.items() if i in before.wanted}
        self._planned = found._replace(plan=Plan(tuple(allowed.values())))
        now = {record.identity: record for record in found.records}
        return [self._account(record, now.get(record.identity)) for record in records]

    def _as_of_now(self) -> PlannedEnvironment:
        planned, runtime = self._planned, self._runtime
        assert planned.site is not None
        naming = [config for config in runtime.confs if planned.name in config.environments]
        configs = of_environment(naming) or planned.configs
        site = planned.site
        installed = scan() if site.is_own else scan(site.folders, site.modules)
        start = decide(runtime, operator_layers(), configs, installed, here=False)
        found = planned._replace(configs=configs, installed=installed)
        return found.with_plan(start.plan, planned.options, start.admission.proofs.verified)

    def _account(self, record: PluginRecord, now: PluginRecord | None) -> PluginRecord:
        if now is None:
            reason = f"environment {self._planned.name} has it no more"
        elif now.identity in self._planned.wanted:
            return record._replace(version=now.version, origin=now.origin)
        else:
            reason = str(now.reason)
        return record._replace(state="denied", provides=(), reason=reason)

    def admit(self) -> Mapping[str, Any]:
        """Judge before a process is started again, and register what is refused by now."""
        snapshot = self._runtime.registry.snapshot
        wanted = self._planned.wanted
        before = [r for i, r in snapshot.records.items() if i in wanted and r.is_loaded]
        judged = zip(before, self.judge(before), strict=True)
        refused = {record: now for record, now in judged if now.state == "denied"}
        if refused:
            self._refused.update(slot for record in refused for slot in record.provides)
            with self._runtime.lock:
                change = Change(
                    list(refused.values()),
                    self._runtime.registry.snapshot.prefer,
                    revokes=True,
                )
                resolution = resolve_now(self._runtime, change)
                publish(self._runtime, resolution.snapshot)
            log(Report(resolution.records))
        return self.told()

    def check(self, action: Action, key: str) -> None:
        """Refuse the call of a key that was taken away while the call was on its way."""
        if (action, key) in self._refused:
            raise no_call_error(self._runtime.registry, action, key)


def _there(record: PluginRecord) -> dict[str, Any]:
    """What makes a plugin's record in its process; builtins alone."""
    names = ("name", "source", "module", "attribute", "distribution", "version", "entry_point")
    return {name: getattr(record, name) for name in names}
