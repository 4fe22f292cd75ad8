"""What happens at start-up, in order: read, scan, prepare, load, resolve, commit.

That is the conf (`_config`), what is installed (`_discovery`), what of it may be imported and what
it is given (`_policy`, `_options`), the imports (`_loading`), who provides what (`_registry`), and
one swap, after which calls (`_dispatch`) reach it. `initialize`, `refresh` and the first call of a
deferred plugin take the same steps; `plan` takes those before the imports.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from aimm_plugins._config.environment import conf_or_default
from aimm_plugins._config.parse import read
from aimm_plugins._config.values import Conf, Config
from aimm_plugins._discovery.scan import scan
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.snapshot import Snapshot, Start
from aimm_plugins._startup.loading import forget_listings, load
from aimm_plugins._startup.messages import log
from aimm_plugins._startup.prepare import PreparedStart, prepare
from aimm_plugins._startup.publish import publish
from aimm_plugins._startup.registered import current_report
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._startup.transaction import Resolved, commit, resolved
from aimm_plugins._values.report import Identity, PluginRecord, Report

if TYPE_CHECKING:
    from aimm_plugins._startup.inventory import Inventory


def initialize(runtime: Runtime, conf: Conf | Config, *, connect: bool = False) -> Report:
    """Load and register the plugins of a conf; see `aimm_plugins.initialize`.

    Workers and commands do not connect to the executor that it asks for.
    """
    conf = conf_or_default(conf)
    config = conf if isinstance(conf, Config) else read(conf)
    given = _given(conf)
    before = runtime.registry.snapshot
    with _executor_of(runtime, config if connect else None):
        start = prepare(runtime, [config], scan())
        loaded = load(runtime, start)
        with resolved(runtime, start, loaded, given=given) as outcome:
            begun = Start(config, given, outcome.findings, start.policy.required)
            report = commit(runtime, outcome, _with_start(runtime.registry.snapshot.starts, begun))
    log(report, before.records)
    return report


def _executor_of(runtime: Runtime, config: Config | None = None) -> AbstractContextManager[None]:
    """Have the executor of a conf open; most confs have none, and do not import what opens it."""
    if runtime.executor is None and (config is None or config.dask is None):
        return nullcontext()
    from aimm_plugins._startup.cluster import opened

    return opened(runtime, config)


def _given(conf: Conf | Config) -> Conf:
    """What a conf is read from by a process in another folder."""
    if conf is None:
        return {"names": []}
    return os.path.abspath(conf) if isinstance(conf, str | os.PathLike) else conf


def _with_start(starts: Sequence[Start], begun: Start) -> tuple[Start, ...]:
    """The starts and a new one, which takes the place of an earlier one with the same conf."""
    again = [s.config == begun.config._replace(folder=s.config.folder) for s in starts]
    if not any(again):
        return (*starts, begun)
    return tuple(begun if same else s for s, same in zip(starts, again, strict=True))


def foresee(runtime: Runtime, conf: Conf) -> Inventory:
    """All that is known of distributions, plugins and keys before an import."""
    from aimm_plugins._startup.predict import predict  # a start reads no source

    start = prepare(runtime, [read(conf_or_default(conf))], scan(), only_looking=True)
    return predict(runtime, start)


def refresh(runtime: Runtime) -> Report:
    """Take all starts again with the files, metadata and confs of now; report what differs."""
    while (before := runtime.registry.snapshot).starts:  # one, beside which others may unload
        records = before.records
        findings = set(current_report(runtime).findings)
        with _executor_of(runtime):
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
    records = before.records
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
        found = _with_start(found, Start(config, begun.given))
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


def unload_all(runtime: Runtime) -> None:
    if runtime.executor is not None:
        from aimm_plugins._startup.cluster import close

        close(runtime)
    with runtime.lock:
        publish(runtime, Snapshot())
        runtime.trust_imports()
        runtime.forget_versions()
    runtime.close_environments()
