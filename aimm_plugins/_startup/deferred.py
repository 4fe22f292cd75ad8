"""Load a plugin that a start has left to its first call."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import partial

from aimm_plugins._declarations.declaration import modules_being_imported
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._loading.importer import Outcome, is_imported
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.key_errors import not_loaded_error
from aimm_plugins._registry.outcome import Change
from aimm_plugins._registry.providers import Deferred
from aimm_plugins._startup.loading import load
from aimm_plugins._startup.messages import log
from aimm_plugins._startup.prepare import PreparedStart, admission_of, read_inputs
from aimm_plugins._startup.publish import current_options, publish, resolve_now
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.report import Identity, PluginRecord, Report


def deferrals(runtime: Runtime, start: PreparedStart, outcome: Outcome) -> tuple[Deferred, ...]:
    """The plugins of a start that wait for their first call, each with what loads it."""
    return tuple(
        Deferred(
            record,
            start.plan.published.get(record.identity, ()),
            partial(load_deferred, runtime, record.identity, start),
        )
        for record in outcome.records
        if record.state == "deferred"
    )


def load_deferred(runtime: Runtime, identity: Identity, start: PreparedStart) -> None:
    """Import and register a deferred plugin, for the call that needs it.

    Raises:
        PluginLoadError: It failed; calls do not try it again.
        ConfigError: The operator's policy or a lock cannot be read by now; nothing changed.
    """
    waiting = runtime.registry.snapshot.deferred.get(identity)
    if waiting is None:
        return
    module = waiting.record.module
    environment = waiting.record.environment
    if environment is None and module in modules_being_imported():
        error = ImportError(f"{module} is called in the middle of its own import", name=module)
        raise not_loaded_error(waiting.record._replace(state="failed", error=error))
    with runtime.load_lock(waiting.record.plugin if environment is None else f"@{environment}"):
        deferred = runtime.registry.snapshot.deferred
        if identity not in deferred:  # another thread did it, or it was unloaded
            return
        if environment is not None:
            outcome = _start_environment(runtime, deferred, environment)
        else:
            start = _as_of_now(runtime, start)
            outcome = _import(runtime, deferred, module, start)
        with runtime.lock:
            if identity not in runtime.registry.snapshot.deferred:
                return
            change = Change(outcome.records, start.prefer, outcome.loaded, demanded=True)
            resolution = resolve_now(runtime, change)
            findings = (*outcome.findings, *resolution.findings)
            snapshot = resolution.snapshot
            snapshot.findings.update({(f.code, f.subject, f.place): f for f in findings})
            publish(runtime, snapshot, current_options(runtime))
    report = Report(resolution.records, findings)
    log(report)
    for record in report:
        if record.identity == identity and record.state == "failed":
            raise not_loaded_error(record)


def _import(
    runtime: Runtime, deferred: Mapping[Identity, Deferred], module: str, start: PreparedStart
) -> Outcome:
    outcome = load(runtime, start._replace(plan=_plan(deferred, {module}, start)))
    # Plugins whose modules it has imported have nothing left to wait for.
    others = {e.record.module for e in deferred.values() if is_imported(e.record.module)}
    if others - {module}:
        outcome.add(load(runtime, start._replace(plan=_plan(deferred, others - {module}, start))))
    return outcome


def _start_environment(
    runtime: Runtime, deferred: Mapping[Identity, Deferred], name: str
) -> Outcome:
    from aimm_plugins._startup.environment_loading import start_deferred

    waiting = [entry for entry in deferred.values() if entry.record.environment == name]
    return start_deferred(runtime.environments[name], waiting)


def _as_of_now(runtime: Runtime, start: PreparedStart) -> PreparedStart:
    """A start with what is installed by now, and with the rules that hold by now."""
    installed = start.installed if start.installed.is_current() else scan()
    inputs = read_inputs(runtime.confs or start.inputs.configs, installed)
    return start._replace(
        inputs=inputs,
        admission=admission_of(runtime, inputs),
        options=current_options(runtime),
        environments=(),
    )


def _plan(deferred: Mapping[Identity, Deferred], modules: Set[str], start: PreparedStart) -> Plan:
    """A plan that imports the deferred plugins of some modules now."""
    entries = {
        i: entry
        for i, entry in deferred.items()
        if entry.record.module in modules and entry.record.environment is None
    }
    return Plan(
        tuple(_current(entry.record, start.installed) for entry in entries.values()),
        {identity: entry.published for identity, entry in entries.items()},
        frozenset(entries),
    )


def _current(record: PluginRecord, installed: Scan) -> PluginRecord:
    """The record with the version that is installed by now."""
    found = None if record.distribution is None else installed.find(record.distribution)
    if found is None:
        return record
    return record._replace(version=found.version, origin=found.origin)
