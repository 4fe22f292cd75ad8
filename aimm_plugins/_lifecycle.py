"""What happens at start-up, told once: read, scan, judge, arrange, load, commit."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from aimm_plugins._config import Config, read
from aimm_plugins._discovery import Scan, locate, scan
from aimm_plugins._loading import as_member, load
from aimm_plugins._plan import arrange
from aimm_plugins._policy import policy
from aimm_plugins._registry import Resolution, named
from aimm_plugins._report import Finding, PluginRecord, Report
from aimm_plugins._runtime import Runtime
from aimm_plugins.errors import PluginLoadError

_LOG = logging.getLogger("aimm_plugins")

Conf = Mapping[str, object] | str | os.PathLike[str] | None


def initialize(runtime: Runtime, conf: Conf) -> Report:
    """Load and register the plugins of a conf; see `aimm_plugins.initialize`."""
    config = read(conf)
    installed = scan()
    rules = policy(config, runtime.manager.is_blocked)
    plan = arrange(config, rules, installed, locate)
    records, loaded = load(plan, runtime.book, runtime.manager)
    findings = [*installed.findings, *rules.unmatched(installed.has)]
    with runtime.lock:
        resolution = runtime.registry.resolve(records, loaded, config.prefer)
        findings += _idle_preferences(config, installed, resolution)
        report = Report(tuple(resolution.records), tuple(findings))
        if config.on_error == "strict" and report.failures:
            raise _load_error(report)
        _commit(runtime, resolution, findings)
    report = Report(tuple(resolution.records), tuple(findings))
    _log(report)
    if config.on_error == "strict" and report.failures:
        raise _load_error(report)
    return report


def plan(runtime: Runtime, conf: Conf) -> Report:
    """What `initialize` would do, as far as metadata tells; see `aimm_plugins.plan`."""
    config = read(conf)
    installed = scan()
    rules = policy(config, runtime.manager.is_blocked)
    findings = [*installed.findings, *rules.unmatched(installed.has)]
    return Report(arrange(config, rules, installed, locate), tuple(findings))


def unload_all(runtime: Runtime) -> None:
    """Empty the registry; see `aimm_plugins.unload_all`."""
    with runtime.lock:
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
    by_hand = [provider.plugin for provider in runtime.registry.providers().values()]
    added = runtime.set_modules(resolution.modules)
    try:
        runtime.set_modules(by_hand)
    except Exception as error:  # nobody asked for these; the call must not fail by them
        _LOG.warning("hookimpls of a module imported by hand are not registered: %s", error)
    try:
        runtime.registry.publish(resolution, findings)
    except BaseException:
        runtime.remove_modules(added)
        raise


def _idle_preferences(config: Config, installed: Scan, resolution: Resolution) -> list[Finding]:
    """`prefer` rules that name nobody who provides the key: mostly typos."""
    findings = []
    for rule, wanted in config.prefer.items():
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
                place=config.where("prefer", rule),
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
        if record.state == "denied"
        else replace(record, state="failed", provides=())
        if record.error is not None
        else replace(
            record,
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
    from aimm_plugins._report import safe_text

    text = safe_text(record.error) if record.error is not None else ""
    kind = type(record.error).__name__
    return f"  {record.provenance}\n    {kind}: " + text.replace("\n", "\n    ")


def _log(report: Report) -> None:
    """One line a plugin, in the report's words."""
    for record in report.plugins:
        if record.error is not None:
            _LOG.error("plugin %s: %s", record.state, _line(record).strip(), exc_info=record.error)
        elif record.state == "loaded":
            _LOG.info("plugin loaded: %s", record.provenance)
        else:
            _LOG.info("plugin %s: %s: %s", record.state, record.provenance, record.reason)
    for finding in report.findings:
        _LOG.warning("%s", finding)
