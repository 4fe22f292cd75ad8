"""Decide what a start will do: rules, plan and options. No plugin code runs, nothing changes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._config.environment import operator_layers
from aimm_plugins._config.parse import read
from aimm_plugins._config.values import Conf, Config
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.published import Published
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._inventory.module_files import overwritten
from aimm_plugins._policy.judge import ImportJudge, Policy
from aimm_plugins._policy.plan import Plan, arrange
from aimm_plugins._policy.rules import Rule, read_layer
from aimm_plugins._registry.change import Resolution
from aimm_plugins._registry.providers import is_named
from aimm_plugins._registry.required_keys import unanswered
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._startup.admission import Admission, Proofs
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import Finding, Identity, PluginRecord

if TYPE_CHECKING:
    from aimm_plugins._environments.plan import PlannedEnvironment
    from aimm_plugins._options.state import PluginOptions


class PreparedStart(NamedTuple):
    """What is to be done, all decided."""

    installed: Scan
    plan: Plan
    plans: tuple[Plan, ...]  # of each conf
    admission: Admission
    findings: tuple[Finding, ...]
    options: PluginOptions | None = None
    # Those that confs name; the plan has their plugins too.
    environments: tuple[PlannedEnvironment, ...] = ()

    @property
    def configs(self) -> list[Config]:
        return [judge.config for judge in self.admission.judges]

    @property
    def policy(self) -> Policy:
        return self.admission.policy

    def find(self, name: str) -> Distribution | None:
        found = (scan.find(name) for scan in self.scans.values())
        return next((distribution for distribution in found if distribution is not None), None)

    @property
    def scans(self) -> dict[str | None, Scan]:
        """What is installed in each environment, and under `None` here."""
        return {None: self.installed, **{e.name: e.installed for e in self.environments}}

    def missing(self, records: Iterable[PluginRecord]) -> list[PluginRecord]:
        """An account for each required distribution that is not there."""
        return self.policy.missing(records, self.find)

    def unanswered(self, snapshot: Snapshot, *, may_be_more: bool = False) -> list[PluginRecord]:
        """An account for each required key that no plugin answers."""
        of_keys = self.policy.required_keys(lambda name: self.find(name) is not None)
        return list(unanswered(of_keys, snapshot, may_be_more=may_be_more))

    def idle_preferences(self, resolution: Resolution) -> list[Finding]:
        """`prefer` rules that name nobody who provides the key: mostly typos."""
        planned = {record.module for record in resolution.records}
        return [
            self._idle_preference(rule, wanted, place, resolution.records)
            for layer in self.policy.prefer
            for rule, (wanted, place) in layer.items()
            if not _decides_something(rule, wanted, resolution.snapshot)
            # A module of the host may declare later, as `__main__` of a notebook does.
            and (wanted in planned or wanted not in sys.modules)
        ]

    def _idle_preference(
        self, rule: str, wanted: str, place: str, records: Sequence[PluginRecord]
    ) -> Finding:
        message = f"{wanted} does not provide {rule}"
        remedy = "Correct the key or the name, or remove the rule."
        if self.find(wanted) is None and self.find(rule) is not None:
            remedy = f'The key comes first: write prefer: {{"{wanted}": {rule}}}.'
        elif self.find(wanted) is None and self.installed.modules.find(wanted) is not None:
            message += ", as long as nothing has imported that module"
            remedy = "A host's own module counts once the host imports it; else name it in names."
        elif self.find(wanted) is None:
            remedy = "No distribution of this name is installed; correct it, or remove the rule."
        for record in records:
            if wanted == record.name and record.distribution and self.find(wanted) is None:
                remedy = f"It is a plugin of {record.distribution}: write that, or remove the rule."
        names = {wanted, normalized(wanted)}
        named = [r for r in records if names & {r.module, normalized(r.distribution or "")}]
        if named and all(record.state in ("denied", "failed") for record in named):
            message = f"{wanted} provides nothing: {named[0].reason or 'it fails'}"
            remedy = "Change the rule that keeps it out, or remove this one."
            if named[0].state == "failed":
                remedy = "Mend what its error names, or remove the rule."
        return Finding("rule-matches-nothing", f"prefer {rule}: {wanted}", message, place, remedy)


def prepare(
    runtime: Runtime, configs: Sequence[Config], installed: Scan, *, only_looking: bool = False
) -> PreparedStart:
    """Judge and arrange what is installed by the rules of all confs.

    Raises:
        ConfigError: The operator's policy, a lock or options are wrong.
    """
    operator = operator_layers()
    part = partial(_prepare_part, runtime, operator, only_looking=only_looking)
    start = with_environments(part(configs, installed), part)
    if any(environment.site is None for environment in start.environments):
        return start  # a rule may be about what is there
    idle = start.policy.unmatched(start.scans.values())
    return start._replace(findings=tuple(dict.fromkeys((*start.findings, *idle))))


def _prepare_part(
    runtime: Runtime,
    operator: Sequence[Config],
    configs: Sequence[Config],
    installed: Scan,
    *,
    here: bool = True,
    only_looking: bool,
) -> PreparedStart:
    """As `prepare`, of what is installed here, or in one environment."""
    start = decide(runtime, operator, configs, installed, here=here)
    if here:  # in an environment other plugins may be deferred
        start = start._replace(plan=_with_sure_failures(start))
    if not installed.options and not any(config.options for config in configs):
        return start
    from aimm_plugins._options.assignment import assign

    by_identity = {record.identity: record for record in start.plan.records}
    parts = [(config, part.records) for config, part in zip(configs, start.plans, strict=True)]
    by_identity, options, found = assign(parts, by_identity, installed, looking=only_looking)
    return start._replace(
        plan=start.plan._replace(records=tuple(by_identity.values())),
        options=options,
        findings=tuple(dict.fromkeys((*start.findings, *found))),
    )


def decide(
    runtime: Runtime,
    operator: Sequence[Config],
    configs: Sequence[Config],
    installed: Scan,
    *,
    here: bool = True,
) -> PreparedStart:
    """The plan and the rules of a start, all but the options; `here` or in an environment."""
    is_imported = sys.modules.__contains__ if here else lambda _: False
    admission = admission_of(runtime, configs, installed, operator)
    plans = tuple(arrange(judge, is_imported) for judge in admission.judges)
    findings = tuple(dict.fromkeys(installed.findings))
    return PreparedStart(installed, _merged(plans), plans, admission, findings)


def admission_of(
    runtime: Runtime,
    configs: Sequence[Config],
    installed: Scan,
    operator: Sequence[Config] | None = None,
) -> Admission:
    """Judges imports by some confs, and by the operator's rules that hold now or are given."""
    operator = operator_layers() if operator is None else operator
    proofs, layers = Proofs(), tuple(map(read_layer, (*operator, *configs)))
    everything = Policy(layers, runtime.manager.is_blocked, proofs.fault)
    own = layers[: len(operator)]
    policies = [everything._replace(layers=(*own, layer)) for layer in layers[len(operator) :]]
    judges = [ImportJudge(policy, installed) for policy in policies]
    return Admission(judges, everything, proofs, runtime.verify_imports)


def admission_now(runtime: Runtime, conf: Conf = None) -> Admission:
    """Judges imports by the operator's rules, and those of a conf, else of all confs so far."""
    configs = runtime.confs or [Config()] if conf is None else [read(conf)]
    return admission_of(runtime, configs, scan())


def _merged(plans: Sequence[Plan]) -> Plan:
    """One plan of several; a plugin is denied only if each of them denies it."""
    records: dict[Identity, PluginRecord] = {}
    published: dict[Identity, tuple[Published, ...]] = {}
    for plan in plans:
        for record in plan.records:
            known = records.setdefault(record.identity, record)
            if known.state == "denied":
                records[record.identity] = record
        published.update(plan.published)
    return Plan(tuple(records.values()), published)


def _with_sure_failures(start: PreparedStart) -> Plan:
    """The plan, with plugins failed where that shows without a look into the sources.

    Of what is imported at once the import tells more. Of what waits for its first call, and is
    required, the sources are read: nobody would hear of it before.
    """
    installed, records = start.installed, start.plan.records
    done = list(records)
    by_module: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        if record.distribution is not None and record.source == "entry_point":
            by_module.setdefault(record.module, []).append(place)
        if record.state == "deferred":
            error = _missing(record, installed)
            if error is None and any(is_about(rule, record) for rule in start.policy.required):
                from aimm_plugins._inventory.foresight import failure_of_required

                published = start.plan.published.get(record.identity, ())
                keeps_out = start.admission.keeps_out
                error = failure_of_required(record, published, keeps_out, installed.modules)
            if error is not None:
                from aimm_plugins._inventory.remedies import remedy_for_failure

                done[place] = record.failed(error, remedy_for_failure(record, error, installed))
    for places in by_module.values():
        if len({records[place].distribution for place in places}) > 1:
            found = overwritten([records[place] for place in places], installed)
            for number, (error, remedy) in found.items():
                record = records[places[number]]
                if record.state != "denied":
                    done[places[number]] = record.failed(error, remedy)
    return start.plan._replace(records=tuple(done))


def is_about(rule: Rule, record: PluginRecord) -> bool:
    """Whether a `required` rule is about a plugin, or a key that it publishes."""
    if rule.slot is not None:
        return rule.slot in record.provides
    return rule.name == normalized(record.distribution or "") or any(
        key == rule.text.strip() for _, key in record.provides
    )


def _missing(record: PluginRecord, installed: Scan) -> Exception | None:
    """What the import of a deferred plugin would raise where its module is not there."""
    distribution = installed.find(record.distribution) if record.distribution else None
    if distribution is not None and distribution.folder is not None:
        base = os.path.join(distribution.folder, *record.module.split("."))
        if os.path.isfile(f"{base}.py") or os.path.isfile(f"{base}{os.sep}__init__.py"):
            return None
    return installed.modules.missing(record.module)  # slower


def with_environments(start: PreparedStart, prepare: Callable[..., PreparedStart]) -> PreparedStart:
    """A start with the environments that its confs name; `prepare` judges what is in one."""
    if not any(config.environments for config in start.configs):
        return start
    from aimm_plugins._environments.plan import look_up, without_taken_over

    parts, environments = [start], []
    for environment in look_up(start.configs, start.installed):
        if environment.site is not None:
            part = prepare(environment.configs, environment.installed, here=False)
            parts.append(part._replace(findings=_findings_there(environment, part, start)))
            verified = part.admission.proofs.verified
            environment = environment.with_plan(part.plan, part.options, verified)
            plan = _with_sure_failures(part._replace(plan=environment.plan))
            environment = environment._replace(plan=plan)
        environments.append(environment)
    plan = without_taken_over(start.plan, environments)
    return start._replace(
        plan=_merged([plan, *(e.plan for e in environments)]),
        findings=(
            *dict.fromkeys(finding for part in parts for finding in part.findings),
            *(finding for environment in environments for finding in environment.idle_choices),
        ),
        environments=tuple(environments),
    )


def _findings_there(
    environment: PlannedEnvironment, part: PreparedStart, host: PreparedStart
) -> tuple[Finding, ...]:
    """The findings of an environment; what is installed there is to be mended there."""
    from aimm_plugins._inventory.remedies import in_environment

    about = set(environment.installed.findings) - set(host.findings)
    return tuple(
        f._replace(remedy=in_environment(environment.name, f.remedy))
        if f in about and f.remedy
        else f
        for f in part.findings
    )


def _decides_something(rule: str, wanted: str, snapshot: Snapshot) -> bool:
    """Whether a `prefer` rule names a provider of its key, or has taken the key from one."""
    for action, keys in snapshot.offers.items():
        for key in {rule, rule.removeprefix(f"{action}:")}:
            provider = keys.get(key)
            if provider is not None and is_named(provider, wanted):
                return True
    return any(
        rule in (key, f"{action}:{key}")
        for (_, (action, key)), why in snapshot.lost.items()
        if isinstance(why, str)
    )
