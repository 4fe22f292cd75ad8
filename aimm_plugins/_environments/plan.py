"""What the environments of confs hold, looked up without running or importing anything of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from aimm_plugins._config.values import Config, EnvironmentRules
from aimm_plugins._discovery.published import Published
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._environments.made import environment_path, wanted
from aimm_plugins._environments.site import (
    MADE_ANEW,
    EnvironmentSite,
    NoEnvironmentError,
    find_site,
)
from aimm_plugins._policy.judge import matches_nothing
from aimm_plugins._policy.plan import Plan
from aimm_plugins._policy.rules import Rule
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import Finding, Identity, PluginRecord, State
from aimm_plugins.errors import PluginImportError

if TYPE_CHECKING:
    from aimm_plugins._discovery.verification import Verified
    from aimm_plugins._options.state import PluginOptions


class PlannedEnvironment(NamedTuple):
    """An environment that confs name, and what is planned of it.

    Attributes:
        rules: What the last of these confs says of it, at a place.
        configs: These confs, without what concerns the host alone.
        site: Where it is; `None` where it is not there, or cannot be used.
        plan: Its plugins; where it is missing, its own account alone.
        options: What confs give to its plugins.
        verified: The distributions of which only what was verified may run.
    """

    rules: EnvironmentRules
    place: str
    configs: tuple[Config, ...]
    installed: Scan
    site: EnvironmentSite | None
    plan: Plan = Plan()
    options: PluginOptions | None = None
    verified: tuple[Verified, ...] = ()

    @property
    def name(self) -> str:
        return self.rules.name

    def missing(self, problem: str, remedy: str) -> PlannedEnvironment:
        """The environment where it cannot be used: why not, and what to do about that."""
        record = PluginRecord(
            name=self.name,
            source="config",
            module="",
            state="missing",
            reason=problem,
            error=PluginImportError(f"environment {self.name} ({self.place}): {problem}"),
            remedy=f"{remedy}, or remove the environment ({self.place}).",
            config_place=self.place,
            environment=self.name,
        )
        return self._replace(plan=Plan((record,)))

    @property
    def wanted(self) -> dict[Identity, PluginRecord]:
        """The plugins that its processes load."""
        return {r.identity: r for r in self.plan.records if r.state in ("planned", "deferred")}

    @property
    def setup(self) -> dict[str, Any]:
        """What a process needs to know of the plugins that it may load; builtins alone."""
        names = ("name", "source", "module", "attribute", "distribution", "version", "entry_point")
        plugins = [{n: getattr(r, n) for n in names} for r in self.wanted.values()]
        return {"plugins": plugins, "verified": [tuple(found) for found in self.verified]}

    @property
    def findings(self) -> list[Finding]:
        """What cannot be foreseen of its plugins."""
        file = None if self.site is None else self.site.unknown_finder
        if file is None or not self.wanted:
            return []
        text = f"{file} may bring modules there, so that no module is called missing before it runs"
        remedy = "Run `aimm-plugins doctor --load` with this conf, which starts it."
        return [Finding("environment-not-foreseen", self.name, text, self.place, remedy)]

    @property
    def idle_choices(self) -> list[Finding]:
        """Entries of `plugins` that choose nothing, mostly typos: what they mean runs elsewhere."""
        rules = [] if self.site is None else self._chosen
        idle = [r for r in rules if not any(_is_about(r, record) for record in self.plan.records)]
        message = f"no plugin of environment {self.name} is of this distribution and version"
        return [f._replace(message=message) for f in matches_nothing(idle, [self.installed])]

    def with_plan(
        self, plan: Plan, options: PluginOptions | None, verified: tuple[Verified, ...]
    ) -> PlannedEnvironment:
        """The environment with what the rules say of its plugins."""
        assert self.site is not None
        records: list[PluginRecord] = []
        published: dict[Identity, tuple[Published, ...]] = {}
        for record in plan.records:
            record_there = record._replace(
                environment=self.name, file=self.installed.modules.locate(record.module)
            )
            excluded = self._exclusion(record)
            if excluded is not None and self.site.is_own:
                continue  # it is the host's
            if excluded is not None and record.state != "denied":
                remedy = f"Add {record.distribution} to plugins ({self._chosen_at})."
                record_there = record_there._replace(
                    state="denied", provides=(), reason=excluded, remedy=remedy
                )
            if record.identity in plan.published:
                published[record_there.identity] = plan.published[record.identity]
            records.append(record_there)
        plan = Plan(self._lazily(records), published)
        return self._replace(plan=plan, options=options, verified=verified)

    @property
    def may_be_own(self) -> bool:
        """Whether it is missing, and might have been that of this process."""
        if self.site is not None or self.rules.path is None:
            return False
        path = environment_path(self.configs[-1], self.rules)
        roots = map(os.path.realpath, (path, os.path.dirname(os.path.dirname(path))))
        is_own = os.path.realpath(sys.prefix) in roots
        return is_own or (self.rules.plugins is not None and not os.path.exists(path))

    def withholding(self, record: PluginRecord) -> PluginRecord:
        """A plugin of the host, denied where it is to run in this environment, which is missing."""
        if record.source != "entry_point" or self._exclusion(record) is not None:
            return record
        (missing,) = self.plan.records
        reason = f"it is to run in environment {self.name}, and {missing.reason} ({self.place})"
        return record._replace(state="denied", provides=(), reason=reason, remedy=missing.remedy)

    def _exclusion(self, record: PluginRecord) -> str | None:
        if self.rules.plugins is None or any(_is_about(rule, record) for rule in self._chosen):
            return None
        return f"{record.distribution} is not among plugins ({self._chosen_at})"

    @property
    def _chosen_at(self) -> str:
        return self.configs[-1].where("environments", self.name, "plugins")

    @property
    def _chosen(self) -> list[Rule]:
        return [Rule(text, self._chosen_at) for text in self.rules.plugins or ()]

    def _lazily(self, records: Sequence[PluginRecord]) -> tuple[PluginRecord, ...]:
        """When the processes start: with the host, or with the first call."""
        if self.rules.start == "eager":
            return tuple(records)
        place = self.configs[-1].where("environments", self.name, "start")
        planned = [record for record in records if record.state == "planned"]
        silent = [record.name for record in planned if not record.provides]
        reason = f"start: lazy ({place}): its environment starts with the first call"
        if silent:
            reason = (
                f"start: lazy ({place}), but no keys are published by {', '.join(silent)}, so that "
                "its environment starts at once"
            )
        state: State = "planned" if silent else "deferred"
        changed = [
            record._replace(reason=reason, state=state) if record.state == "planned" else record
            for record in records
        ]
        return tuple(changed)


def _is_about(rule: Rule, record: PluginRecord) -> bool:
    own = normalized(record.distribution or "")
    return rule.name == own and bool(rule.fits(record.version))


def look_up(configs: Sequence[Config], here: Scan) -> list[PlannedEnvironment]:
    """The environments that confs name, in their order, with what is installed in each and here."""
    names = dict.fromkeys(name for config in configs for name in config.environments)
    return [_look_up(name, [c for c in configs if name in c.environments], here) for name in names]


def _look_up(name: str, configs: Sequence[Config], here: Scan) -> PlannedEnvironment:
    config = configs[-1]
    rules, place = config.environments[name], config.where("environments", name)
    found = PlannedEnvironment(rules, place, of_environment(configs), scan(()), site=None)
    try:
        site = find_site(environment_path(config, rules))
    except NoEnvironmentError as error:
        remedy = error.remedy or "Correct its path"
        if rules.path is None and error.remedy in ("", MADE_ANEW):
            remedy = f"Run `{wanted(config, rules).command}`"
        return found.missing(str(error), remedy)
    installed = here if site.is_own else scan(site.folders, site.modules)
    if not installed.has("aimm-plugins"):
        command = f"{site.python} -m pip install aimm-plugins"
        problem = f"{site.root} has no aimm-plugins, which its processes need: {command}"
        return found.missing(problem, f"Run `{command}`")
    return found._replace(site=site, installed=installed)


def of_environment(configs: Iterable[Config]) -> tuple[Config, ...]:
    """Confs without what concerns the host alone."""
    return tuple(config._replace(names=(), load="eager", dask=None) for config in configs)


def without_taken_over(plan: Plan, environments: Sequence[PlannedEnvironment]) -> Plan:
    """The host's plan without what its own interpreter runs in a process of an environment."""
    taken = {
        identity_there(record)
        for environment in environments
        if environment.site is not None and environment.site.is_own
        for record in environment.plan.records
    }
    missing = [environment for environment in environments if environment.may_be_own]
    records = tuple(
        reduce(lambda kept, environment: environment.withholding(kept), missing, record)
        for record in plan.records
        if record.source != "entry_point" or identity_there(record) not in taken
    )
    return plan._replace(records=records)


def identity_there(record: PluginRecord) -> Identity:
    return record._replace(environment=None).identity


def travel_as_arrow(here: Scan, there: Scan) -> bool:
    """Whether tables travel as Arrow between this process and those of an environment."""
    one, other = here.find("pandas"), there.find("pandas")
    if one is None or other is None or one.version == other.version:
        return False
    return here.has("pyarrow") and there.has("pyarrow")
