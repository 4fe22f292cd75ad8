"""What happens at start-up, in order: read, scan, prepare, load, resolve, commit.

`initialize`, `refresh` and the first call of a deferred plugin take the same steps; `plan` takes
those before the imports.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from aimm_plugins._config.environment import conf_or_default
from aimm_plugins._config.parse import read
from aimm_plugins._config.values import Conf, Config
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.scan import scan
from aimm_plugins._policy.rules import Rule
from aimm_plugins._registry.required_keys import unanswered
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._startup.loading import forget_listings, load
from aimm_plugins._startup.messages import log
from aimm_plugins._startup.prepare import PreparedStart, prepare, record_digest_of
from aimm_plugins._startup.publish import publish
from aimm_plugins._startup.runtime import Runtime, Start
from aimm_plugins._startup.transaction import commit, resolved
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import safe_text
from aimm_plugins._values.report import Finding, Identity, PluginRecord, Report

if TYPE_CHECKING:
    from aimm_plugins._inventory.inventory import Inventory


def initialize(runtime: Runtime, conf: Conf | Config, *, connect: bool = False) -> Report:
    """Load and register the plugins of a conf; see `aimm_plugins.initialize`.

    Args:
        runtime: Where to.
        conf: The conf; one that was read already where a command has changed it.
        connect: Whether to open the executor that the conf asks for; workers and commands do not.
    """
    conf = conf_or_default(conf)
    config = conf if isinstance(conf, Config) else read(conf)
    with _executor(runtime, config if connect else None):
        found = scan()
        start = prepare(runtime, [config], found)
        loaded = load(runtime, start)
        with resolved(runtime, start, loaded, given=_given(conf)) as outcome:
            report = commit(runtime, outcome)
            runtime.required += _required(start)
            _remember(runtime, Start(config, _given(conf), _of_start(report, start)))
    log(report)
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


def _required(start: PreparedStart) -> tuple[Rule, ...]:
    return tuple(rule for layer in start.policy.layers for rule in layer.required)


def _of_start(report: Report, start: PreparedStart) -> tuple[Finding, ...]:
    """The findings of one start, without those about what is installed, which all starts share."""
    installed = set(start.installed.findings)
    return tuple(finding for finding in report.findings if finding not in installed)


def _remember(runtime: Runtime, start: Start) -> None:
    """Keep a start for `refresh`; one with the same conf takes the place of an earlier one."""
    for place, earlier in enumerate(runtime.starts):
        if earlier.config == start.config:
            runtime.starts[place] = start
            return
    runtime.starts.append(start)


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
    confs = list(runtime.confs)  # another thread may unload meanwhile
    if not confs:
        return Report()
    forget_listings()
    before = dict(runtime.registry.snapshot.records)
    with _executor(runtime, None):
        found = scan()
        start = prepare(runtime, confs, found)
        removed = _removed(before, start)
        loaded = load(runtime, start)
        with resolved(runtime, start, loaded, removed=removed) as outcome:
            if not runtime.starts:  # another thread has unloaded everything meanwhile
                return Report()
            outcome.resolution.snapshot.findings.clear()
            report = commit(runtime, outcome)
            runtime.required = _required(start)
            # It has looked at everything again, so that all findings of before are out of date.
            *earlier, last = (begun._replace(findings=()) for begun in runtime.starts)
            runtime.starts = [*earlier, last._replace(findings=_of_start(report, start))]
    log(report)
    changed = [
        record
        for record in report
        if record.identity not in before or _differs(record, before[record.identity])
    ]
    return Report(changed, report.findings)


def _removed(
    before: dict[Identity, PluginRecord], start: PreparedStart
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
            reason=f"{record.distribution} is not installed any more"
            if record.distribution and not start.installed.has(record.distribution)
            else "its entry point is not there any more",
        )
        for identity, record in before.items()
        if identity not in planned and record.source == "entry_point"
        if record.distribution is None or start.installed.doubt(record.distribution) is None
    }


def _differs(record: PluginRecord, before: PluginRecord) -> bool:
    """Whether an operator would call it a change."""
    errors = [None if r.error is None else safe_text(r.error) for r in (record, before)]
    return errors[0] != errors[1] or any(
        getattr(record, name) != getattr(before, name)
        for name in ("state", "version", "origin", "provides", "reason")
    )


def unload_all(runtime: Runtime) -> None:
    """Empty the registry; see `aimm_plugins.unload_all`."""
    if runtime.executor is not None:
        from aimm_plugins._startup.cluster import close

        close(runtime)
    with runtime.lock:
        publish(runtime, Snapshot(), options=None)
        runtime.starts = []
        runtime.required = ()
        runtime.installed_findings = ()
        for module in runtime.versions.keys() - sys.modules.keys():
            del runtime.versions[module]


def current_report(runtime: Runtime) -> Report:
    """The account of what is registered now; see `aimm_plugins.current_report`."""
    with runtime.lock:
        providers = runtime.registry.providers()
        snapshot, starts = runtime.registry.snapshot, list(runtime.starts)
        installed, required = runtime.installed_findings, runtime.required
    known = {record.module for record in snapshot.records.values()}
    by_hand: dict[str, list[str]] = {}
    for (action, key), provider in providers.items():
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
    found = [
        *installed,
        *(finding for start in starts for finding in start.findings),
        *snapshot.findings.values(),
        *findings,
    ]
    # Of distributions the records of the start tell.
    known = {normalized(record.distribution or "") for record in records} - {""}
    of_keys = (rule for rule in required if rule.may_be_key and rule.name not in known)
    return Report((*records, *unanswered(of_keys, snapshot)), dict.fromkeys(found))


def freeze(runtime: Runtime, conf: Conf) -> tuple[str, tuple[Finding, ...]]:
    """The freeze file of what a conf would load, and what could not be frozen."""
    from aimm_plugins._policy.lockfile import freeze_text

    start = prepare(runtime, [read(conf_or_default(conf))], scan(), only_looking=True)
    frozen: list[tuple[Distribution, str]] = []
    findings = []
    names = {
        record.distribution
        for record in start.plan.records
        if record.state != "denied" and record.distribution is not None
    }
    for name in sorted(names):
        distribution = start.installed.find(name)
        digest = None if distribution is None else record_digest_of(distribution)
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
