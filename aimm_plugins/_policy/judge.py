"""What all layers of rules say of an import, before anything of it is imported.

The rules come in layers: the conf, the operator's own file, the environment. An import has to pass
each of them, so that no layer can widen another. What needs a further look (the file of a module,
blocked names, RECORD and its digest) is asked through functions that are passed in; nothing here
touches a file, `sys` or plugin code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._policy.rules import Layer, Rule
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import Finding, PluginRecord
from aimm_plugins.errors import PluginImportError

if TYPE_CHECKING:
    from aimm_plugins._discovery.ownership import CodeOwners, ModuleFile
    from aimm_plugins._discovery.scan import Scan

_THERE = ("planned", "loaded", "stale", "deferred")
"""States of a plugin that is there, or will be."""


class Import(NamedTuple):
    """An import that is to be judged.

    Attributes:
        module: Dotted name of the module.
        publisher: The distribution that brings it; `None` for a module of the host's own.
        files: What it would run, with those owners that a rule could concern.
    """

    module: str
    publisher: Distribution | None
    files: Sequence[ModuleFile] = ()


class Policy(NamedTuple):
    """All rules of one call.

    Attributes:
        layers: Rules that all hold; for `prefer`, in the order in which they are asked.
        blocked: Tells whether the plugin manager blocks a module's name.
        unverified: Tells why a file, or with `None` any, is not that of a distribution's RECORD.
        digest: Gives the digest of a distribution's RECORD.
    """

    layers: tuple[Layer, ...]
    blocked: Callable[[str], bool]
    unverified: Callable[[Distribution, ModuleFile | None], str | None]
    digest: Callable[[Distribution], str | None]

    @property
    def disabled_place(self) -> str | None:
        """Where entry points are switched off, if they are."""
        return next((layer.disabled_place for layer in self.layers if layer.disabled_place), None)

    def suspects(
        self,
        find: Callable[[str], Distribution | None],
        distributions: Callable[[], Iterable[Distribution]],
    ) -> list[Distribution] | None:
        """The distributions that may be denied, so that it matters which files are theirs.

        It is `None` for all, where only some are allowed; those that are installed are asked for
        only where an origin is denied.
        """
        if any(layer.exclusive_place for layer in self.layers):
            return None
        names = dict.fromkeys(name for layer in self.layers for name in layer.deny)
        found = [known for name in names if (known := find(name)) is not None]
        origins = {origin for layer in self.layers for origin in layer.deny_origins}
        if origins:
            found += [known for known in distributions() if known.origin in origins]
        return found

    def judge(self, wanted: Import) -> str | None:
        """Why a module must not be imported, or `None` if it may be."""
        if self.blocked(wanted.module):
            return f"{wanted.module} is blocked in the plugin manager (set_blocked)"
        for layer in self.layers:
            reason = _objection(wanted, layer.denial, "which is", wanted.files)
            if reason is not None:
                return reason
        # What no distribution installed is the host's own only where the conf names it.
        doubtful = wanted.files if wanted.publisher is None else ()
        for layer in self.layers:
            reason = _objection(wanted, partial(self._exclusion, layer), "and", doubtful)
            reason = reason or _of_nobody(wanted, layer)
            if reason is not None:
                return reason
        for layer in self.layers:
            reason = None if layer.verify_place is None else self._unproven(wanted)
            if reason is not None:
                return f"refused by verify: record ({layer.verify_place}): {reason}"
        return None

    def denies_by_name(self, module: str, publisher: Distribution | None) -> bool:
        """Whether an import is denied whatever files it would run."""
        return self.blocked(module) or any(
            publisher is not None and (layer.denial(publisher) or layer.exclusion(publisher))
            for layer in self.layers
        )

    def _exclusion(self, layer: Layer, distribution: Distribution) -> str | None:
        return layer.exclusion(distribution) or self._lock_fault(layer, distribution)

    def _unproven(self, wanted: Import) -> str | None:
        """Why what an import runs is not proven to be what was installed."""
        if wanted.publisher is not None and (reason := self.unverified(wanted.publisher, None)):
            return reason
        for file in wanted.files:
            # Cached bytecode is not read by the imports that verify.
            if not file.is_bytecode:
                faults = [self.unverified(owner, file) for owner in file.intact or file.owners]
                if faults and (all(faults) if file.intact else any(faults)):
                    return next(filter(None, faults))
            if wanted.publisher is None and file.suspects:
                suspect, doubt = file.suspects[0]
                return f"importing {wanted.module} may run {suspect.who}: {doubt}"
        return None

    def _lock_fault(self, layer: Layer, distribution: Distribution) -> str | None:
        if layer.locked is None:
            return None
        lock, place = layer.locked
        who = distribution.who
        entry = lock.entries.get(distribution.key)
        if entry is None:
            return f"{distribution.name} is not in {lock.file}, and locked ({place})"
        where = f"{lock.file}:{entry.line}"
        if entry.version != distribution.version:
            return f"{who} is locked at {entry.version} ({where})"
        digest = self.digest(distribution)
        if digest is None:
            return f"{who} has no RECORD with hashes to compare with its lock ({where})"
        if digest != entry.digest:
            return f"{who}: its RECORD is not the one that was locked ({where})"
        return None

    def unmatched(self, installed: Callable[[str], bool]) -> list[Finding]:
        """Rules about distributions that are not installed: mostly typos.

        A `required` one is no finding but a missing plugin; see `missing`.
        """
        findings = []
        for layer in self.layers:
            findings += [
                _matches_nothing(rule)
                for rules in (layer.allow or {}, layer.deny)
                for name, about_it in rules.items()
                if not installed(name)
                for rule in about_it
            ]
            if layer.locked is not None:
                lock, _ = layer.locked
                findings += [
                    Finding(
                        code="locked-not-installed",
                        subject=f"{entry.name} {entry.version}",
                        message="is locked, and not installed",
                        place=f"{lock.file}:{entry.line}",
                        remedy="Install it, or freeze anew.",
                    )
                    for name, entry in lock.entries.items()
                    if not installed(name)
                ]
        return findings

    def required_keys(self, installed: Callable[[str], bool]) -> list[Rule]:
        """The `required` rules about keys: `action:key`, or a name that no distribution has."""
        return [
            rule
            for layer in self.layers
            for rule in layer.required
            if rule.may_be_key and (rule.slot or not installed(rule.name))
        ]

    def missing(
        self,
        records: Iterable[PluginRecord],
        find: Callable[[str], Distribution | None],
    ) -> list[PluginRecord]:
        """A record for each `required` distribution that is not there; what is planned counts."""
        of_distribution: dict[str, list[PluginRecord]] = {}
        for record in records:
            if record.distribution and record.state != "missing":  # which is no plugin
                of_distribution.setdefault(normalized(record.distribution), []).append(record)
        missing = []
        of_keys = self.required_keys(lambda name: find(name) is not None)
        for rule in dict.fromkeys(rule for layer in self.layers for rule in layer.required):
            plugins = of_distribution.get(rule.name, [])
            if rule not in of_keys and not _is_accounted_for(rule, plugins):
                missing.append(_missing_record(rule, plugins, find(rule.name)))
        return missing


class ImportJudge:
    """Judges imports by one conf's rules and the operator's.

    `locate` finds a module's file without importing anything.
    """

    def __init__(
        self, policy: Policy, installed: Scan, locate: Callable[[str], str | None]
    ) -> None:
        self.policy = policy
        self.installed = installed
        self.locate = locate
        self._code_owners: CodeOwners | None = None
        suspects = policy.suspects(installed.find, installed.distributions)
        if suspects is None or suspects:
            self._code_owners = installed.code_owners(suspects)

    @property
    def asks_files(self) -> bool:
        """Whether the rules are about files at all."""
        return self._code_owners is not None

    def keeps_out(self, module: str) -> bool:
        """Whether a module must not be imported for whoever has installed it."""
        owner = self.installed.owner(module, self.locate(module))
        return self.reason(module, owner) is not None

    def reason(self, module: str, publisher: Distribution | None) -> str | None:
        """Why a module must not be imported now; with an empty name, its publisher alone."""
        owners = self._code_owners
        files = () if owners is None or not module else owners.files(module, self.locate)
        return self.policy.judge(Import(module, publisher, files))


def _objection(
    wanted: Import,
    rule: Callable[[Distribution], str | None],
    link: str,
    doubtful: Sequence[ModuleFile],
) -> str | None:
    """What a rule has against the publisher of an import, or against whose files it would run.

    The `link` leads from a distribution to the reason. Of `doubtful` files it counts who may have
    installed them.
    """
    if wanted.publisher is not None and (reason := rule(wanted.publisher)) is not None:
        return reason
    for file in wanted.files:
        if any(rule(owner) is None for owner in file.intact):
            continue
        for owner in file.owners:
            if owner is not wanted.publisher and (reason := rule(owner)) is not None:
                return f"importing {wanted.module} would run {owner.who}, {link} {reason}"
    for file in doubtful:
        for suspect, doubt in file.suspects:
            if (reason := rule(suspect)) is not None:
                return f"importing {wanted.module} may run {suspect.who}, {link} {reason}; {doubt}"
    return None


def _of_nobody(wanted: Import, layer: Layer) -> str | None:
    """Why a file of no distribution must not run for a plugin that a distribution brings."""
    if wanted.publisher is None or layer.exclusive_place is None:
        return None
    for file in wanted.files:
        # An entry point says whose a module is, and not with which content.
        is_pinned = layer.locked is None or not file.is_claimed
        if file.file is not None and not (file.owners and is_pinned):
            return (
                f"importing {wanted.module} would run {file.file}, which no distribution has "
                f"installed, and {layer.exclusive_place} lets only installed files run for it"
            )
    return None


def _matches_nothing(rule: Rule) -> Finding:
    return Finding(
        code="rule-matches-nothing",
        subject=rule.text,
        message="no installed distribution has this name",
        place=rule.place,
        remedy="Correct the name, or remove the rule.",
    )


def _is_accounted_for(rule: Rule, plugins: Sequence[PluginRecord]) -> bool:
    """Whether the plugins' own records say all: that they are loaded, or why they failed."""
    if any(plugin.state == "failed" for plugin in plugins):
        return True
    return any(plugin.state in _THERE for plugin in plugins) and all(
        plugin.state in (*_THERE, "shadowed") and rule.fits(plugin.version) for plugin in plugins
    )


def _missing_record(
    rule: Rule, plugins: Sequence[PluginRecord], distribution: Distribution | None
) -> PluginRecord:
    why, remedy = _why_missing(rule, plugins, distribution)
    name = rule.name if distribution is None else distribution.name
    return PluginRecord(
        name=name,
        source="config",
        module="",
        distribution=name,
        version=None if distribution is None else distribution.version,
        origin=None if distribution is None else distribution.origin,
        state="missing",
        reason=f"required by {rule}: {why}",
        error=PluginImportError(f"{rule.text} is required ({rule.place}): {why}"),
        config_place=rule.place,
        remedy=f"{remedy} ({rule.place}).",
    )


def _why_missing(
    rule: Rule, plugins: Sequence[PluginRecord], distribution: Distribution | None
) -> tuple[str, str]:
    """Why it is not there, and what to do about the rule or what it names."""
    if distribution is None:
        return "it is not installed", "Install it, or remove the rule"
    who = f"{distribution.who} is installed"
    if not rule.fits(distribution.version):
        return who, "Install a version that fits, or change the rule"
    if not plugins:
        return (
            f"{who}, and brings no plugin that this conf loads",
            "Name its module in names, or remove the rule",
        )
    reasons = dict.fromkeys(
        f"{plugin.name} is {plugin.state}" + (f" ({plugin.reason})" if plugin.reason else "")
        for plugin in plugins
        if plugin.state not in _THERE
    )
    return f"{who}, but {'; '.join(reasons)}", "Change what keeps it out, or remove the rule"
