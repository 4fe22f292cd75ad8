"""Take a start again with the files, metadata and confs of now, and change what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aimm_plugins._config.parse import read
from aimm_plugins._discovery.scan import scan
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.snapshot import Snapshot, Start
from aimm_plugins._startup.lifecycle import executor_of, with_start
from aimm_plugins._startup.loading import forget_listings, load
from aimm_plugins._startup.messages import log
from aimm_plugins._startup.prepare import PreparedStart, prepare
from aimm_plugins._startup.registered import current_report
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._startup.transaction import Resolved, commit, resolved
from aimm_plugins._values.report import Identity, PluginRecord, Report


def refresh(runtime: Runtime) -> Report:
    while (before := runtime.registry.snapshot).starts:  # one, beside which others may unload
        records = dict(before.records)
        findings = set(current_report(runtime).findings)
        with executor_of(runtime):
            report = _start_again(runtime, before)
        if report is not None:
            changed = [
                record
                for record in report
                if record.identity not in records or record.differs(records[record.identity])
            ]
            log(Report(changed, (found for found in report.findings if found not in findings)))
            return Report(changed, report.findings)
    return Report()


def _start_again(runtime: Runtime, before: Snapshot) -> Report | None:
    """The report; `None` if another thread has initialized, refreshed or unloaded meanwhile."""
    forget_listings()
    records = dict(before.records)
    starts = _reread(before.starts)
    start = prepare(runtime, [begun.config for begun in starts], scan())
    start = _with_deferred_in_doubt(before, start)
    removed = _removed(records, start)
    loaded = load(runtime, start)
    loaded.findings += start.installed.unread()
    revoked = records.keys() - _in_doubt(records, loaded.records, start)
    with resolved(runtime, start, loaded, removed=removed, revoked=revoked) as outcome:
        if runtime.registry.snapshot.starts is not before.starts:
            loaded.undo()
            return None
        return _commit(runtime, outcome, starts)


def _commit(runtime: Runtime, outcome: Resolved, starts: Sequence[Start]) -> Report:
    # It has looked at everything again: earlier findings and rules are out of date.
    outcome.resolution.snapshot.findings.clear()
    outcome.resolution.snapshot.prefer = outcome.start.policy.prefer
    *earlier, last = starts
    last = last._replace(findings=outcome.findings, required=outcome.start.policy.required)
    report = commit(runtime, outcome, (*earlier, last))
    runtime.forget_versions()
    for name in runtime.environments.keys() - outcome.loaded.environments.keys():
        runtime.environments.pop(name).retire(f"no conf names environment {name} any more")
    return report


def _reread(starts: Iterable[Start]) -> tuple[Start, ...]:
    """The starts with the files of their confs as they are now; a mapping is as it was given.

    Raises:
        ConfigError: A conf cannot be read any more.
    """
    found: tuple[Start, ...] = ()
    for begun in starts:
        is_file = isinstance(begun.given, str)
        config = read(begun.given, called=begun.config.source) if is_file else begun.config
        found = with_start(found, Start(config, begun.given))
    return found


def _removed(
    before: Mapping[Identity, PluginRecord], start: PreparedStart
) -> dict[Identity, PluginRecord]:
    """The accounts of plugins whose distribution or entry point is not there any more.

    Only a complete look takes keys away: what it may have missed stays, and is a finding.
    """
    planned = {record.identity for record in start.plan.records}
    return {
        identity: record._replace(
            state="removed",
            provides=(),
            error=None,
            remedy=None,
            reason=_why_removed(record, start),
        )
        for identity, record in before.items()
        if identity not in planned and (record.module or record.environment)
        if record.distribution is None or start.installed.doubt(record.distribution) is None
    }


def _in_doubt(
    before: Mapping[Identity, PluginRecord], records: Iterable[PluginRecord], start: PreparedStart
) -> set[Identity]:
    """The plugins that are denied now, and perhaps only since metadata could not be read.

    The process may have had too many files open. A rule about the name needs no file.
    """
    if not start.installed.unread():
        return set()
    return {
        record.identity
        for record in records
        if record.state == "denied" and record.identity in before
        if not start.admission.denies_by_name(record)
    }


def _with_deferred_in_doubt(current: Snapshot, start: PreparedStart) -> PreparedStart:
    """A start that leaves deferred plugins in doubt deferred: their first call is judged again."""
    in_doubt = _in_doubt(current.records, start.plan.records, start)
    kept = {identity for identity in in_doubt if current.deferred(identity)}
    records = [current.records[r.identity] if r.identity in kept else r for r in start.plan.records]
    published = {identity: tuple(current.published[identity]) for identity in kept}
    plan = Plan(tuple(records), {**start.plan.published, **published})
    return start._replace(plan=plan)


def _why_removed(record: PluginRecord, start: PreparedStart) -> str:
    if not record.module and record.environment in start.scans:
        return "it is there again"
    if record.environment is not None and record.module:
        return f"environment {record.environment} has it no more"
    if record.source == "config":
        return "no conf names it any more"
    if record.distribution and not start.installed.has(record.distribution):
        return f"{record.distribution} is not installed any more"
    if all(config.entry_points.enabled is False for config in start.configs):
        return f"entry points are switched off ({start.policy.disabled_place})"
    return "its entry point is not there any more"
