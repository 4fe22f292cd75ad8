"""What happens at start-up, in order: read, scan, prepare, load, resolve, commit.

`initialize`, `refresh` and the first call of a deferred plugin take the same steps; `plan` takes
those before the imports.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from aimm_plugins._config.environment import conf_or_default, operator_layers
from aimm_plugins._config.parse import read
from aimm_plugins._config.values import Conf, Config
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.scan import scan
from aimm_plugins._loading.importer import is_imported
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.providers import Provider
from aimm_plugins._registry.required_keys import unanswered
from aimm_plugins._registry.snapshot import Snapshot, Start
from aimm_plugins._startup.loading import forget_listings, load
from aimm_plugins._startup.messages import log
from aimm_plugins._startup.prepare import (
    Inputs,
    PreparedStart,
    decide,
    locate_module,
    prepare,
    record_digest_of,
    with_environments,
)
from aimm_plugins._startup.publish import publish
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._startup.transaction import commit, resolved
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import Finding, Identity, PluginRecord, Report

if TYPE_CHECKING:
    from aimm_plugins._startup.inventory import Inventory


def initialize(runtime: Runtime, conf: Conf | Config, *, connect: bool = False) -> Report:
    """Load and register the plugins of a conf; see `aimm_plugins.initialize`.

    Args:
        runtime: Where to.
        conf: The conf; one that was read already where a command has changed it.
        connect: Whether to open the executor that the conf asks for; workers and commands do not.
    """
    conf = conf_or_default(conf)
    config = conf if isinstance(conf, Config) else read(conf)
    before = runtime.registry.snapshot.records
    with _executor(runtime, config if connect else None):
        found = scan()
        start = prepare(runtime, [config], found)
        loaded = load(runtime, start)
        given = _given(conf)
        with resolved(runtime, start, loaded, given=given) as outcome:
            begun = Start(config, given, outcome.findings, start.required)
            report = commit(runtime, outcome, _with(runtime.registry.snapshot.starts, begun))
    log(report, before)
    return report


def _executor(runtime: Runtime, config: Config | None) -> AbstractContextManager[None]:
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


def _with(starts: Sequence[Start], begun: Start) -> Iterator[Start]:
    """The starts and a new one, which takes the place of an earlier one with the same conf."""
    is_new = True
    for start in starts:
        is_new = is_new and start.config != begun.config
        yield begun if start.config == begun.config else start
    if is_new:
        yield begun


def plan(runtime: Runtime, conf: Conf) -> Report:
    """What `initialize` would do, as far as metadata and source tell; see `aimm_plugins.plan`."""
    return foresee(runtime, conf).report


def foresee(runtime: Runtime, conf: Conf) -> Inventory:
    """All that is known of distributions, plugins and keys before an import."""
    from aimm_plugins._startup.predict import predict  # a start reads no source

    start = prepare(runtime, [read(conf_or_default(conf))], scan(), only_looking=True)
    inventory = predict(runtime, start)
    return inventory if start.probe_seconds is None else inventory.probed_first()


def refresh(runtime: Runtime) -> Report:
    """Catch up with what pip did since; see `aimm_plugins.refresh`."""
    starts = runtime.registry.snapshot.starts
    if not starts:
        return Report()
    forget_listings()
    before = dict(runtime.registry.snapshot.records)
    found_before = set(current_report(runtime).findings)
    with _executor(runtime, None):
        read_again: tuple[Start, ...] = ()
        for begun in starts:
            anew = Start(reread(begun), begun.given)
            read_again = tuple(_with(read_again, anew))
        found = scan()
        start = prepare(runtime, [begun.config for begun in read_again], found)
        start = _with_deferred_in_doubt(runtime.registry.snapshot, start)
        removed = _removed(before, start)
        loaded = load(runtime, start)
        revoked = before.keys() - _in_doubt(before, loaded.records, start)
        loaded.findings += start.installed.unread()
        with resolved(runtime, start, loaded, removed=removed, revoked=revoked) as outcome:
            if runtime.registry.snapshot.starts is starts:
                # It has looked at everything again: earlier findings and rules are out of date.
                outcome.resolution.snapshot.findings.clear()
                outcome.resolution.snapshot.prefer = start.prefer
                *earlier, last = list(read_again)
                last = last._replace(findings=outcome.findings, required=start.required)
                report = commit(runtime, outcome, (*earlier, last))
                for name in runtime.environments.keys() - loaded.environments.keys():
                    why = f"no conf names environment {name} any more"
                    runtime.environments.pop(name).retire(why)
            else:
                loaded.undo()
                report = None
    if report is None:  # another thread has initialized, refreshed or unloaded meanwhile
        return refresh(runtime)
    changed = [
        record
        for record in report
        if record.identity not in before or record.differs(before[record.identity])
    ]
    log(Report(changed, (found for found in report.findings if found not in found_before)))
    return Report(changed, report.findings)


def reread(start: Start) -> Config:
    """The conf of a start as its file is now; a mapping is as it was when it was given.

    Raises:
        ConfigError: The file cannot be read any more.
    """
    if isinstance(start.given, str):
        return read(start.given, called=start.config.source)
    return start.config


def _removed(
    before: Mapping[Identity, PluginRecord], start: PreparedStart
) -> dict[Identity, PluginRecord]:
    """The accounts of plugins whose distribution or entry point is not there any more.

    Only a complete look takes keys away: what it may have missed stays, and is a finding.
    """
    planned = {record.identity for record in start.plan.records}
    return {
        identity: record._replace(
            state="removed", provides=(), error=None, reason=_why_removed(record, start)
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
    """A start that leaves deferred plugins in doubt deferred: their first call is judged anew."""
    in_doubt = _in_doubt(current.records, start.plan.records, start)
    kept = {identity: current.deferred[identity] for identity in in_doubt & current.deferred.keys()}
    records = [
        current.records[record.identity] if record.identity in kept else record
        for record in start.plan.records
    ]
    published = {identity: entry.published for identity, entry in kept.items()}
    plan = Plan(tuple(records), {**start.plan.published, **published})
    return start._replace(plan=plan) if kept else start


def _why_removed(record: PluginRecord, start: PreparedStart) -> str:
    if record.environment is not None:
        return f"environment {record.environment} has it no more"
    if record.source == "config":
        return "no conf names it any more"
    if record.distribution and not start.installed.has(record.distribution):
        return f"{record.distribution} is not installed any more"
    if all(config.entry_points.enabled is False for config in start.inputs.configs):
        return f"entry points are switched off ({start.policy.disabled_place})"
    return "its entry point is not there any more"


def unload_all(runtime: Runtime) -> None:
    """Empty the registry; see `aimm_plugins.unload_all`."""
    if runtime.executor is not None:
        from aimm_plugins._startup.cluster import close

        close(runtime)
    with runtime.lock:
        publish(runtime, Snapshot(), options=None)
        runtime.installed_findings = ()
        runtime.trust_imports()
        for module in runtime.versions.keys() - sys.modules.keys():
            del runtime.versions[module]
    runtime.close_environments()


def current_report(runtime: Runtime) -> Report:
    """The account of what is registered now; see `aimm_plugins.current_report`."""
    with runtime.lock:
        providers = runtime.registry.providers()
        snapshot = runtime.registry.snapshot
        installed = runtime.installed_findings
    provided: dict[str, list[Provider]] = {}
    for provider in providers.values():
        provided.setdefault(provider.plugin, []).append(provider)
    known = {record.plugin for record in snapshot.records.values()}
    findings = [
        Finding(
            code="declared-by-hand",
            subject=module,
            message="registered by being imported, not by a conf or an entry point: "
            + ", ".join(f"{provider.action}:{provider.key}" for provider in found),
        )
        for module, found in sorted(provided.items())
        if module not in known
    ]
    accounts = [_of_now(r, provided.get(r.plugin, ())) for r in snapshot.records.values()]
    records = sorted(accounts, key=lambda record: record.source != "config")
    found = [
        *installed,
        *(finding for start in snapshot.starts for finding in start.findings),
        *snapshot.findings.values(),
        *findings,
    ]
    # Of distributions the records of the start tell.
    distributions = {normalized(record.distribution or "") for record in records} - {""}
    required = (rule for start in snapshot.starts for rule in start.required)
    of_keys = (rule for rule in required if rule.may_be_key and rule.name not in distributions)
    return Report((*records, *unanswered(of_keys, snapshot)), dict.fromkeys(found))


def _of_now(record: PluginRecord, provided: Sequence[Provider]) -> PluginRecord:
    """The account of a plugin, which somebody may have imported while it was deferred."""
    if record.state != "deferred" or record.attribute is not None or not provided:
        return record
    if any(provider.deferred for provider in provided) or not is_imported(record.module):
        return record
    keys = tuple((provider.action, provider.key) for provider in provided)
    return record._replace(state="loaded", provides=keys, reason=None)


def freeze(runtime: Runtime, conf: Conf) -> tuple[str, tuple[Finding, ...]]:
    """The freeze file of what a conf would load, whatever is locked now; and what is not in it."""
    from aimm_plugins._policy.lockfile import freeze_line

    operator = tuple(layer._replace(locked=None) for layer in operator_layers())
    config = read(conf_or_default(conf))._replace(locked=None)
    inputs = Inputs(operator, (config,), {}, scan())
    start = with_environments(decide(runtime, inputs), partial(decide, runtime))
    findings = [
        Finding("left-out", str(record.provenance), str(record.reason))
        for record in start.plan.records
        if record.state == "denied"
    ]
    findings += [
        Finding("required-missing", record.name, str(record.reason))
        for record in start.policy.missing(start.plan.records, start.find)
    ]
    findings += [
        Finding("environment-missing", str(record.environment), str(record.reason))
        for record in start.plan.records
        if record.state == "missing"
    ]
    text, lines = "", dict[str, str]()
    for distribution in _run_by(start):
        line = freeze_line(distribution, record_digest_of(distribution))
        if line is not None and lines.setdefault(distribution.key, line) != line:
            findings.append(
                Finding(
                    "not-frozen",
                    distribution.subject,
                    f"a freeze file holds one version, and {lines[distribution.key].split()[0]} of "
                    "another environment is in it",
                    remedy="Freeze what is in each environment by itself, and give each a conf.",
                )
            )
            continue
        if line is None:
            findings.append(
                Finding(
                    "not-frozen",
                    distribution.name,
                    "it has no sound name and version, or no RECORD with hashes of what it would "
                    "run",
                    remedy="Install it from a wheel; an editable install cannot be locked.",
                )
            )
        if line is not None and line not in text:
            text += line
    return text, tuple(findings)


def _run_by(start: PreparedStart) -> list[Distribution]:
    """The distributions whose files a start would run or go by, sorted by name."""
    locates = {environment.name: environment.site for environment in start.environments}
    owners = {name: installed.code_owners(None) for name, installed in start.scans.items()}
    found: dict[tuple[str, str], Distribution] = {}
    for record in start.plan.records:
        if record.state not in ("denied", "missing") and record.distribution is not None:
            site, installed = locates.get(record.environment or ""), start.scans[record.environment]
            locate = locate_module if site is None else site.locate
            schemas = installed.options_of(record.module, record.distribution)
            modules = [record.module, *(s.module for s in schemas if not s.is_file)]
            files = [
                file
                for module in modules
                for file in owners[record.environment].files(module, locate)
            ]
            publisher = installed.find(record.distribution)
            for owner in (publisher, *(owner for file in files for owner in file.owners)):
                if owner is not None:
                    found[owner.key, owner.place] = owner
    return [found[key] for key in sorted(found)]
