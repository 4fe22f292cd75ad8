"""What happens at start-up, told once: read, scan, judge, arrange, load, commit.

`initialize`, `refresh` and the first call of a deferred plugin take the same path; `plan` takes it
up to the imports.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._config.config import Conf, Config, operator_layers, read
from aimm_plugins._declarations.ledger import modules_being_imported
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.entry_points import Published
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._loading.exceptions import as_member
from aimm_plugins._loading.importer import Outcome, load
from aimm_plugins._policy.judge import Policy, policy
from aimm_plugins._policy.plan import Plan, arrange
from aimm_plugins._registry.providers import Deferred, Preferences, named
from aimm_plugins._registry.registry import not_loaded
from aimm_plugins._registry.resolution import Resolution
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._system.log import logger
from aimm_plugins._system.text import described, indented, one_line, printable, safe_text
from aimm_plugins._values.report import Finding, Identity, PluginRecord, Report
from aimm_plugins.errors import PluginImportError, PluginLoadError

if TYPE_CHECKING:
    from aimm_plugins._options.values import State
    from aimm_plugins._policy.lockfile import Lock


def initialize(runtime: Runtime, conf: Conf, *, connect: bool = False) -> Report:
    """Load and register the plugins of a conf; see `aimm_plugins.initialize`.

    Args:
        runtime: Where to.
        conf: The conf.
        connect: Whether to open the executor that the conf asks for; workers and commands do not.
    """
    config = read(conf)
    with _executor(runtime, config if connect else None):
        here = os.path.abspath(conf) if isinstance(conf, str | os.PathLike) else conf
        given = [] if config in runtime.confs else [here]
        report = _carry_out(runtime, _prepare(runtime, [config]), given=given)
        if given and config not in runtime.confs:
            runtime.confs.append(config)
            runtime.given += given
    return report


def _executor(runtime: Runtime, config: Config | None) -> AbstractContextManager[None]:
    if runtime.executor is None and (config is None or config.dask is None):
        return nullcontext()
    from aimm_plugins._startup.cluster import opened

    return opened(runtime, config)


def plan(runtime: Runtime, conf: Conf) -> Report:
    """What `initialize` would do, as far as metadata tells; see `aimm_plugins.plan`."""
    todo = _prepare(runtime, [read(conf)], looking=True)
    records = _foreseen(runtime, todo)
    if todo.probe_seconds is not None:
        records = [
            record._replace(reason=record.reason or "its probe in a child process is pending")
            if record.state == "planned"
            else record
            for record in records
        ]
    records += todo.policy.missing(records, todo.installed.find)
    return Report(tuple(records), tuple(todo.findings))


def refresh(runtime: Runtime) -> Report:
    """Catch up with what pip did since; see `aimm_plugins.refresh`."""
    confs = list(runtime.confs)  # another thread may unload meanwhile
    if not confs:
        return Report()
    _forget_listings()
    todo = _prepare(runtime, confs)
    before = dict(runtime.registry.snapshot.records)
    planned = {record.identity for record in todo.plan.records}
    removed = {
        identity: record._replace(
            state="removed",
            provides=(),
            error=None,
            reason=f"{record.distribution} is not installed any more"
            if record.distribution and not todo.installed.has(record.distribution)
            else "its entry point is not there any more",
        )
        for identity, record in before.items()
        if identity not in planned and record.source == "entry_point"
    }
    with _executor(runtime, None):
        report = _carry_out(runtime, todo, removed)
    return Report(
        tuple(
            record
            for record in report.plugins
            if record.identity not in before or _differs(record, before[record.identity])
        ),
        report.findings,
    )


def freeze(runtime: Runtime, conf: Conf) -> tuple[str, tuple[Finding, ...]]:
    """The freeze file of what a conf would load, and what could not be frozen."""
    from aimm_plugins._policy.lockfile import freeze_text

    todo = _prepare(runtime, [read(conf)], looking=True)
    frozen: list[tuple[Distribution, str]] = []
    findings = []
    names = {
        record.distribution
        for record in todo.plan.records
        if record.state != "denied" and record.distribution is not None
    }
    for name in sorted(names):
        distribution = todo.installed.find(name)
        digest = None if distribution is None else _digest(distribution)
        if distribution is None or distribution.version is None or digest is None:
            findings.append(
                Finding(
                    code="not-frozen",
                    subject=name,
                    message="it has no version, or no RECORD with hashes of what it would run",
                    remedy="Install it from a wheel; an editable install cannot be locked.",
                )
            )
        else:
            frozen.append((distribution, digest))
    return freeze_text(frozen), tuple(findings)


class _Todo(NamedTuple):
    """What is to be done, all decided: the plan and what it was made from."""

    plan: Plan
    policy: Policy
    installed: Scan
    findings: tuple[Finding, ...]
    prefer: Preferences
    probe_seconds: float | None
    strict: bool
    options: State | None = None


def _prepare(runtime: Runtime, configs: Sequence[Config], *, looking: bool = False) -> _Todo:
    """Read, scan, judge and arrange; no plugin code runs, and nothing changes.

    Args:
        runtime: What is registered, and blocked.
        configs: The confs.
        looking: Whether nothing will be loaded, so that no secret is read.
    """
    operator = operator_layers()
    locks = _read_locks((*operator, *configs))
    installed = scan()
    findings = dict.fromkeys(installed.findings)
    records: dict[Identity, PluginRecord] = {}
    published: dict[Identity, tuple[Published, ...]] = {}
    policies = []
    parts = []
    for config in configs:
        rules = policy(
            config,
            operator,
            locks,
            blocked=runtime.manager.is_blocked,
            unverified=_unverified,
            digest=_digest,
        )
        policies.append(rules)
        part = arrange(config, rules, installed, _locate, sys.modules.__contains__)
        parts.append((config, part.records))
        for record in part.records:
            known = records.setdefault(record.identity, record)
            if known.state == "denied":  # by another conf alone
                records[record.identity] = record
        published.update(part.published)
        findings.update(dict.fromkeys(rules.unmatched(installed.has)))
    options = None
    if installed.options or any(config.options for config in configs):
        from aimm_plugins._options.values import prepare

        prepared = prepare(parts, records, installed, looking=looking)
        records, options = dict(prepared.records), prepared.state
        findings.update(dict.fromkeys(prepared.findings))
    everything = policies[0]._replace(
        layers=(
            *policies[0].layers[: len(operator)],
            *(each.layers[-1] for each in policies),
        ),
    )
    return _Todo(
        plan=Plan(tuple(records.values()), published),
        policy=everything,
        installed=installed,
        findings=tuple(findings),
        prefer=[layer.prefer for layer in everything.layers if layer.prefer],
        probe_seconds=next(
            (each.probe for each in (*operator, *configs) if each.probe is not None), None
        ),
        strict=any(config.on_error == "strict" for config in configs),
        options=options,
    )


def _read_locks(layers: Iterable[Config]) -> dict[str, Lock]:
    locks = {}
    for layer in layers:
        if layer.locked is not None:
            from aimm_plugins._policy.lockfile import read_lock

            path = layer.beside(layer.locked)
            locks[path] = read_lock(path)
    return locks


def _locate(module: str) -> str | None:
    from aimm_plugins._discovery.module_location import (
        locate,  # a conf that names no modules does without it
    )

    return locate(module)


def _unverified(distribution: Distribution, module: str) -> str | None:
    from aimm_plugins._discovery.record_file import verify_record

    return verify_record(distribution, module, _locate(module))


def _digest(distribution: Distribution) -> str | None:
    from aimm_plugins._discovery.record_file import record_digest

    return record_digest(distribution)


def _carry_out(
    runtime: Runtime,
    todo: _Todo,
    removed: Mapping[Identity, PluginRecord] | None = None,
    given: Sequence[Conf] = (),
) -> Report:
    """Import, work out who provides what, and publish it: the only part that changes anything."""
    if runtime.attempted:
        # A plugin that was repaired since may have new files in folders that were listed before.
        _forget_listings()
    runtime.attempted = True
    outcome = _load(runtime, todo.plan, todo.probe_seconds, todo.options)
    gone = removed or {}
    while True:
        with runtime.lock:
            resolution = runtime.registry.resolve(
                outcome.records,
                outcome.loaded,
                todo.prefer,
                deferred=_deferrals(runtime, todo, outcome.records),
                removed=gone.keys(),
            )
            resolution.add_missing(
                todo.policy.missing(resolution.snapshot.records.values(), todo.installed.find)
            )
            findings = (
                *todo.findings,
                *outcome.findings,
                *resolution.findings,
                *_idle_preferences(todo.prefer, todo.installed, resolution),
            )
            report = Report((*resolution.records, *gone.values()), findings)
            failed = todo.strict and bool(report.failures)
            executor = None if failed else runtime.executor
            ready = executor is None or executor.is_ready(resolution.snapshot)
            if ready and not failed:
                if executor is not None:
                    executor.switch_on()
                before = runtime.options
                if before is not None or todo.options is not None:
                    runtime.options = _options_after(runtime, todo.options, outcome)
                try:
                    _commit(runtime, resolution, findings)
                except BaseException:
                    runtime.options = before
                    raise
        if executor is None or ready:
            break
        # Without the lock: workers take their time, and what they send may have to be imported.
        executor.prepare([*runtime.given, *given], resolution.snapshot)
    if failed:
        raise _load_error(report)
    _log(report)
    return report


def _load(
    runtime: Runtime, todo: Plan, probe_seconds: float | None, options: State | None
) -> Outcome:
    """Import what is planned, with the options of the call.

    A schema that is code can be asked for when the plugin is imported, and nobody has seen by then
    what the plugin declares.
    """

    def imported() -> Outcome:
        return load(
            todo, runtime.book, runtime.manager, runtime.versions, probe_seconds=probe_seconds
        )

    if options is None:
        return imported()
    from aimm_plugins._options.values import staging

    with staging(options):
        outcome = imported()
        unfit: dict[Identity, PluginRecord] = {}
        for entry in outcome.loaded:
            record = entry.record
            if record.module in options.given:
                try:
                    options.value(record.module)
                except Exception as error:
                    unfit[record.identity] = record._replace(
                        state="failed",
                        provides=(),
                        reason=None,
                        error=as_member(error, record.provenance),
                    )
    outcome.loaded = [each for each in outcome.loaded if each.record.identity not in unfit]
    outcome.records = [unfit.get(each.identity, each) for each in outcome.records]
    return outcome


def _options_after(runtime: Runtime, staged: State | None, outcome: Outcome) -> State:
    """The options of all plugins after a call; one that failed keeps those that it had."""
    from aimm_plugins._options.values import State

    if staged is not None:
        staged.modules -= {each.module for each in outcome.records if each.state == "failed"}
    return (runtime.options or State()).merged(staged)


def _forget_listings() -> None:
    """Have the path finders list their folders anew.

    Of two threads that do so at once Python fails one with a KeyError for an entry that the other
    took out; what was asked for is done by then, or by the next try.
    """
    for _ in range(5):
        try:
            importlib.invalidate_caches()
        except KeyError:
            continue
        return


def _deferrals(
    runtime: Runtime, todo: _Todo, records: Iterable[PluginRecord]
) -> tuple[Deferred, ...]:
    return tuple(
        Deferred(
            record,
            todo.plan.published.get(record.identity, ()),
            partial(_load_deferred, runtime, record.identity, todo.prefer, todo.probe_seconds),
        )
        for record in records
        if record.state == "deferred"
    )


def _load_deferred(
    runtime: Runtime, identity: Identity, prefer: Preferences, probe_seconds: float | None
) -> None:
    """Import and register a deferred plugin, for the call that needs it.

    Raises:
        PluginLoadError: It failed; calls do not try it again.
    """
    registry = runtime.registry
    waiting = registry.snapshot.deferred.get(identity)
    if waiting is None:
        return
    module = waiting.record.module
    if module in modules_being_imported():
        error = ImportError(f"{module} is called in the middle of its own import", name=module)
        raise not_loaded(waiting.record._replace(state="failed", error=error))
    with runtime.turn(module):
        standing = registry.snapshot.deferred
        if identity not in standing:  # another thread did it, or it was unloaded
            return
        outcome = _load(
            runtime,
            Plan(
                tuple(entry.record for entry in standing.values()),
                {each: entry.published for each, entry in standing.items()},
                frozenset(i for i, entry in standing.items() if entry.record.module == module),
            ),
            probe_seconds,
            runtime.options,
        )
        with runtime.lock:
            if identity not in registry.snapshot.deferred:
                return
            resolution = registry.resolve(
                [record for record in outcome.records if record.state != "deferred"],
                outcome.loaded,
                prefer,
                demanded=True,
            )
            findings = (*outcome.findings, *resolution.findings)
            _commit(runtime, resolution, findings)
        report = Report(tuple(resolution.records), findings)
        _log(report)
        for record in report.plugins:
            if record.identity == identity and record.state == "failed":
                raise not_loaded(record)


def _foreseen(runtime: Runtime, todo: _Todo) -> list[PluginRecord]:
    """The plan's records with the conflicts and shadows that published keys foretell."""
    told = [
        Deferred(
            record._replace(state="deferred", file=record.file or _locate(record.module)),
            todo.plan.published[record.identity],
            lambda: None,
        )
        for record in todo.plan.records
        if record.state in ("planned", "deferred") and record.identity in todo.plan.published
    ]
    with runtime.lock:
        resolution = runtime.registry.resolve(
            [entry.record for entry in told], [], todo.prefer, deferred=told
        )
    foreseen = {record.identity: record for record in resolution.records}
    records = []
    for record in todo.plan.records:
        known = foreseen.get(record.identity)
        if known is None:
            known = record._replace(file=record.file or _locate(record.module))
        elif known.state == "deferred":
            known = known._replace(state=record.state, reason=record.reason)
        records.append(known)
    return records


def _differs(record: PluginRecord, before: PluginRecord) -> bool:
    """Whether an operator would call it a change."""
    errors = [None if each.error is None else safe_text(each.error) for each in (record, before)]
    return errors[0] != errors[1] or any(
        getattr(record, name) != getattr(before, name)
        for name in ("state", "version", "origin", "provides", "reason")
    )


def unload_all(runtime: Runtime) -> None:
    """Empty the registry; see `aimm_plugins.unload_all`."""
    if runtime.executor is not None:
        from aimm_plugins._startup import cluster as _executor

        _executor.close(runtime)
    with runtime.lock:
        runtime.confs.clear()
        runtime.given.clear()
        runtime.options = None
        modules = [record.module for record in runtime.registry.snapshot.records.values()]
        modules += [provider.plugin for provider in runtime.registry.providers().values()]
        runtime.registry.clear()
        runtime.remove_modules(list(dict.fromkeys(modules)))


def current_report(runtime: Runtime) -> Report:
    """The account of what is registered now; see `aimm_plugins.current_report`."""
    runtime.registry.sweep()
    with runtime.lock:
        snapshot = runtime.registry.snapshot
        by_hand: dict[str, list[str]] = {}
        known = {record.module for record in snapshot.records.values()}
        for (action, key), provider in runtime.registry.providers().items():
            if provider.plugin not in known:
                by_hand.setdefault(provider.plugin, []).append(f"{action}:{key}")
    findings = [
        Finding(
            code="declared-by-hand",
            subject=module,
            message="registered by being imported, not by a conf or an entry point: "
            + ", ".join(keys),
        )
        for module, keys in sorted(by_hand.items())
    ]
    records = sorted(snapshot.records.values(), key=lambda record: record.source != "config")
    return Report(tuple(records), (*snapshot.findings.values(), *findings))


def _commit(runtime: Runtime, resolution: Resolution, findings: Iterable[Finding]) -> None:
    """Hookimpls first, since pluggy may refuse them; then everything becomes callable at once."""
    planned = {record.module for record in resolution.snapshot.records.values()}
    by_hand = {
        provider.plugin: None
        for keys in resolution.snapshot.providers.values()
        for provider in keys.values()
        if provider.plugin not in planned
    }
    added = runtime.set_modules(resolution.modules)
    try:
        runtime.set_modules(list(by_hand))
    except Exception as error:  # nobody asked for these; the call must not fail by them
        logger().warning("hookimpls of a module imported by hand are not registered: %s", error)
    try:
        runtime.registry.publish(resolution, findings)
    except BaseException:
        runtime.remove_modules(added)
        raise
    runtime.remove_modules(resolution.dropped)


def _idle_preferences(
    prefer: Preferences, installed: Scan, resolution: Resolution
) -> list[Finding]:
    """`prefer` rules that name nobody who provides the key: mostly typos."""
    findings = []
    for rule, (wanted, place) in (item for layer in prefer for item in layer.items()):
        action, colon, key = rule.partition(":")
        candidates = [
            provider
            for each, keys in resolution.snapshot.providers.items()
            for name, provider in keys.items()
            if name == rule or (colon and each == action and name == key)
        ]
        lost = any(
            slot[1] == rule or f"{slot[0]}:{slot[1]}" == rule
            for _, slot in resolution.snapshot.shadowed
        )
        if lost or any(named(provider, wanted) for provider in candidates):
            continue
        findings.append(
            Finding(
                code="rule-matches-nothing",
                subject=f"prefer {rule}: {wanted}",
                message=f"{wanted} does not provide {rule}",
                place=place,
                remedy="Correct the key or the name, or remove the rule."
                if installed.has(wanted)
                else "No distribution of this name is installed; correct it, or remove the rule.",
            )
        )
    return findings


def _load_error(report: Report) -> PluginLoadError:
    """The error of a strict call: nothing of it stays registered."""
    records = tuple(
        record
        if record.state in ("denied", "missing")
        else record._replace(state="failed", provides=())
        if record.error is not None
        else record._replace(
            state="undone",
            provides=(),
            reason="another plugin failed, and on_error is strict",
        )
        for record in report.plugins
    )
    undone = Report(records, report.findings)
    members = [
        as_member(record.error, record.provenance)
        for record in undone.plugins
        if record.error is not None
    ]
    count = len(members)
    lines = [f"{count} plugin{'s' if count > 1 else ''} failed to load; nothing was registered"]
    for record in undone.plugins:
        if record.error is not None:
            lines.append(_line(record))
    return PluginLoadError("\n".join(lines), members, undone)


def _line(record: PluginRecord) -> str:
    text = described(record.error) if record.error is not None else str(record.reason)
    return printable(f"  {record.provenance}\n    {indented(text)}")


def _log(report: Report) -> None:
    """One line a plugin, in the report's words.

    Where logging itself fails, by a plugin's handler or a closed stream, there is nobody to tell,
    and the report still has it all. Where nothing is wrong and logging is not even loaded, nobody
    can be listening.
    """
    try:
        if "logging" not in sys.modules and not report.failures and not report.findings:
            return
    except BaseException:  # an earlier plugin has replaced `sys.modules`
        pass
    for record in report.plugins:
        if record.error is not None:
            line = f"plugin {record.state}: {_line(record).strip()}"
            _write("error", "%s", line, error=_traced(record.error))
        else:
            why = f": {one_line(record.reason)}" if record.reason else ""
            _write("info", "plugin %s: %s%s", record.state, record.provenance, why)
    for finding in report.findings:
        _write("warning", "%s", finding)


def _write(level: str, text: str, *values: object, error: BaseException | None = None) -> None:
    try:
        getattr(logger(), level)(text, *values, exc_info=error)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return


def _traced(error: BaseException) -> BaseException:
    """An error whose text every handler can write; with the traceback."""
    text = safe_text(error)
    try:
        if str(error) == text:
            return error
    except KeyboardInterrupt:
        raise
    except BaseException:  # as `safe_text` found
        pass
    return PluginImportError(described(error)).with_traceback(error.__traceback__)
