"""Load a plugin that a start has left to its first call."""

from __future__ import annotations

from collections.abc import Set
from functools import partial

from aimm_plugins._declarations.declaration import modules_being_imported
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._loading.importer import Outcome, is_imported
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.change import Change
from aimm_plugins._registry.key_errors import not_loaded_error
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._startup.loading import load
from aimm_plugins._startup.messages import log
from aimm_plugins._startup.prepare import PreparedStart, admission_of
from aimm_plugins._startup.publish import register
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import Identity, PluginRecord


def load_deferred(runtime: Runtime, identity: Identity) -> None:
    """Import and register a deferred plugin, for the call that needs it.

    Raises:
        PluginLoadError: It failed; calls do not try it again.
        ConfigError: The operator's policy or a lock cannot be read by now; nothing changed.
    """
    snapshot = runtime.registry.snapshot
    if not snapshot.deferred(identity):
        return
    waiting = snapshot.records[identity]
    module = waiting.module
    environment = waiting.environment
    if environment is None and module in modules_being_imported():
        error = ImportError(f"{module} is called in the middle of its own import", name=module)
        raise not_loaded_error(waiting._replace(state="failed", error=error))
    with runtime.load_lock(waiting.plugin if environment is None else f"@{environment}"):
        snapshot = runtime.registry.snapshot
        if not snapshot.deferred(identity):  # another thread did it, or it was unloaded
            return
        if environment is not None:
            from aimm_plugins._startup.environments.loading import start_deferred

            outcome = start_deferred(runtime, runtime.environments[environment])
        else:
            outcome = _import(runtime, snapshot, module)
        with runtime.lock:
            snapshot = runtime.registry.snapshot
            if not snapshot.deferred(identity):
                return
            change = Change(
                outcome.records,
                snapshot.prefer,
                outcome.loaded,
                snapshot.published,
                partial(load_deferred, runtime),
                demanded=True,
            )
            report = register(runtime, change, outcome.findings)
    log(report)
    for record in report:
        if record.identity == identity and record.state == "failed":
            raise not_loaded_error(record)


def _import(runtime: Runtime, snapshot: Snapshot, module: str) -> Outcome:
    """Import a module with what is installed by now, and by the rules that hold by now."""
    installed = snapshot.installed
    if installed is None or not installed.is_current():
        installed = scan()
    admission = admission_of(runtime, snapshot.confs, installed)
    plan = _plan(snapshot, {module}, installed)
    start = PreparedStart(installed, plan, (), admission, (), snapshot.options)
    outcome = load(runtime, start)
    # Plugins whose modules it has imported have nothing left to wait for.
    waiting = {r.module for r in snapshot.records.values() if r.state == "deferred"}
    others = {name for name in waiting if is_imported(name)} - {module}
    if others:
        outcome.add(load(runtime, start._replace(plan=_plan(snapshot, others, installed))))
    return outcome


def _plan(snapshot: Snapshot, modules: Set[str], installed: Scan) -> Plan:
    there = {
        (c.name, c.module, c.attribute, c.distribution.key)
        for c in installed.candidates
        if c.module in modules
    }
    records = [
        _current(record, installed, there)
        for record in snapshot.records.values()
        if record.state == "deferred" and record.module in modules and record.environment is None
    ]
    return Plan(tuple(records), demanded=True)


def _current(record: PluginRecord, installed: Scan, there: Set[object]) -> PluginRecord:
    """The record with the version that is installed by now; `denied` where it is there no more.

    The entry points that are there by now are told by name, module, object and distribution.
    """
    distribution = record.distribution or ""
    found = installed.find(distribution) if distribution else None
    if found is not None:
        record = record._replace(version=found.version, origin=found.origin)
    named = (record.name, record.module, record.attribute, normalized(distribution))
    if record.source == "config" or named in there or installed.doubt(distribution) is not None:
        return record
    gone = "its entry point is not there" if found else f"{distribution} is not installed"
    return record._replace(state="denied", provides=(), reason=f"{gone} any more: call refresh()")
