"""Resolve what a start has loaded, and commit it in one step, or nothing of it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Set
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._config.values import Conf
from aimm_plugins._loading.importer import Outcome, is_imported
from aimm_plugins._registry.change import Change, Resolution
from aimm_plugins._registry.snapshot import Start
from aimm_plugins._startup.deferred import load_deferred
from aimm_plugins._startup.messages import load_error
from aimm_plugins._startup.prepare import PreparedStart
from aimm_plugins._startup.publish import publish, resolve_now
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.report import Finding, Identity, PluginRecord, Report

if TYPE_CHECKING:
    from aimm_plugins._options.state import PluginOptions


class Resolved(NamedTuple):
    """What a start leads to."""

    start: PreparedStart
    loaded: Outcome
    resolution: Resolution
    report: Report

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of the call alone, without those about what is installed."""
        installed = set(self.start.installed.findings)
        return tuple(finding for finding in self.report.findings if finding not in installed)

    @property
    def is_undone(self) -> bool:
        is_strict = any(config.on_error == "strict" for config in self.start.configs)
        return is_strict and bool(self.report.failures)


@contextmanager
def resolved(
    runtime: Runtime,
    start: PreparedStart,
    loaded: Outcome,
    *,
    removed: Mapping[Identity, PluginRecord] = MappingProxyType({}),
    revoked: Set[Identity] = frozenset(),
    given: Conf = None,
) -> Generator[Resolved]:
    """Work out who provides what, and hold the lock while the block commits it.

    Nothing is registered before `commit` is called in the block. Where calls run on a cluster, its
    workers have loaded the same plugins by then; the `given` conf of this call is for them. Of
    `refresh` are the accounts of plugins that are not there any more, and the plugins that lose
    their keys if they are denied by now.
    """
    try:
        while True:
            with runtime.lock:
                outcome = _resolve(runtime, start, loaded, removed, revoked)
                executor = None if outcome.is_undone else runtime.executor
                snapshot = outcome.resolution.snapshot
                if executor is None or executor.is_ready(snapshot):
                    yield outcome
                    return
            from aimm_plugins._startup.cluster import sendable

            # Without the lock: workers take their time, and may send what has to be imported.
            confs = [begun.given for begun in runtime.registry.snapshot.starts]
            if given is not None and given not in confs:
                confs.append(given)
            executor.prepare([sendable(conf) for conf in confs], snapshot)
    except BaseException:
        loaded.undo()
        raise


def commit(runtime: Runtime, outcome: Resolved, starts: tuple[Start, ...]) -> Report:
    """Register an outcome: one swap, or nothing. The caller holds the lock.

    Raises:
        PluginLoadError: A plugin failed, and the start is strict.
    """
    if outcome.is_undone:
        raise load_error(outcome.report)
    if runtime.executor is not None:
        runtime.executor.switch_on()
    snapshot = outcome.resolution.snapshot
    snapshot.options = _options_after(snapshot.options, outcome)
    snapshot.starts = starts
    installed, states = outcome.start.installed, {r.state for r in snapshot.records.values()}
    snapshot.installed_findings = installed.findings
    snapshot.installed = installed if "deferred" in states else None
    publish(runtime, snapshot)
    runtime.take_over(outcome.loaded.environments)
    return outcome.report


def _resolve(
    runtime: Runtime,
    start: PreparedStart,
    loaded: Outcome,
    removed: Mapping[Identity, PluginRecord],
    revoked: Set[Identity],
) -> Resolved:
    current = runtime.registry.snapshot.records
    loaded.records = [_account_after_calls(record, current) for record in loaded.records]
    change = Change(
        loaded.records,
        start.policy.prefer,
        loaded.loaded,
        start.plan.published,
        partial(load_deferred, runtime),
        removed.keys(),
        revoked,
    )
    resolution = resolve_now(runtime, change)
    accounts = resolution.snapshot.records
    missing = start.missing(accounts.values())
    accounts.update({record.identity: record for record in missing})
    # Each report asks again whether keys are answered.
    resolution.records.extend(missing + start.unanswered(resolution.snapshot))
    findings = (
        *start.findings,
        *loaded.findings,
        *resolution.findings,
        *start.idle_preferences(resolution),
    )
    report = Report((*resolution.records, *removed.values()), findings)
    return Resolved(start, loaded, resolution, report)


def _account_after_calls(
    record: PluginRecord, current: Mapping[Identity, PluginRecord]
) -> PluginRecord:
    """The account of a plugin that a call may have loaded while the start was under way."""
    known = current.get(record.identity)
    if record.state == "deferred" and known is not None and known.is_loaded:
        return known if record.environment is None and is_imported(record.module) else record
    return record


def _options_after(before: PluginOptions | None, outcome: Resolved) -> PluginOptions | None:
    """The options of all plugins after a call; one that failed keeps those that it had."""
    staged = outcome.start.options
    if before is None and staged is None:
        return None
    from aimm_plugins._options.state import PluginOptions

    failed = {record.module for record in outcome.loaded.records if record.state == "failed"}
    return (before or PluginOptions()).after(staged, failed)
