"""What all layers of rules say of an import, before anything of it is imported.

The rules come in layers: the conf, the operator's own file, the environment. An import has to pass
each of them, so that no layer can widen another. What needs a further look (the file of a module,
blocked names, RECORD) is asked through functions that are passed in, and only a lock has RECORD
read; nothing here touches `sys` or plugin code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._policy.rules import Layer, Rule
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import nearest
from aimm_plugins._values.report import Finding, PluginRecord
from aimm_plugins.errors import PluginImportError

if TYPE_CHECKING:
    from aimm_plugins._discovery.ownership import ModuleFile
    from aimm_plugins._discovery.scan import Scan

_THERE = ("planned", "loaded", "stale", "deferred")
"""States of a plugin that is there, or will be."""


class Policy(NamedTuple):
    """All rules of one call."""

    layers: tuple[Layer, ...]  # that all hold; for `prefer`, in the order in which they are asked
    blocked: Callable[[str], bool]  # whether the plugin manager blocks a module's name
    # Why a file, or with `None` any, is not that of a distribution's RECORD.
    unverified: Callable[[Distribution, ModuleFile | None], str | None]

    @property
    def disabled_place(self) -> str | None:
        return next((layer.disabled_place for layer in self.layers if layer.disabled_place), None)

    @property
    def probe_seconds(self) -> float | None:
        """Time for importing each module in a child process first, if it is asked for."""
        probes = (layer.config.probe for layer in self.layers)
        return next((seconds for seconds in probes if seconds is not None), None)

    @property
    def prefer(self) -> list[dict[str, tuple[str, str]]]:
        """The `prefer` rules, a mapping for each layer that has any."""
        return [layer.prefer for layer in self.layers if layer.config.prefer]

    def suspects(self, installed: Scan) -> list[Distribution] | None:
        """The distributions that may be denied, so that it matters which files are theirs.

        It is `None` for all, where only some are allowed.
        """
        if any(layer.exclusive_place for layer in self.layers):
            return None
        names = dict.fromkeys(name for layer in self.layers for name in layer.deny)
        found = [known for name in names if (known := installed.find(name)) is not None]
        found += installed.stating(names).values()
        if any(layer.config.entry_points.deny_origins for layer in self.layers):
            found += [
                known
                for known in installed.distributions()
                if any(layer.origin_place(known) for layer in self.layers)
            ]
        return found

    def judge(
        self, module: str, publisher: Distribution | None, files: Sequence[ModuleFile] = ()
    ) -> str | None:
        """Why a module must not be imported, or `None` if it may be.

        Without a name its publisher is judged alone; a module of the host's own has none. Files are
        what the import would run, with those owners that a rule could concern.
        """
        if self.blocked(module):
            return f"{module} is blocked in the plugin manager (set_blocked)"
        wanted = _Import(module, publisher, files)
        for layer in self.layers:
            reason = wanted.objection(layer.denial, "which is", files)
            if reason is not None:
                return reason
        # What no distribution installed is the host's own only where the conf names it.
        doubtful = files if publisher is None else ()
        for layer in self.layers:
            reason = wanted.objection(partial(self._exclusion, layer), "and", doubtful)
            reason = reason or wanted.stranger(layer)
            if reason is not None:
                return reason
        place = next((layer.verify_place for layer in self.layers if layer.verify_place), None)
        reason = None if place is None else wanted.unproven(self.unverified)
        return reason and f"refused by verify: record ({place}): {reason}"

    def denies_by_name(self, module: str, publisher: Distribution | None) -> bool:
        """Whether an import is denied whatever files it would run."""
        return self.blocked(module) or any(
            publisher is not None and (layer.denial(publisher) or layer.exclusion(publisher))
            for layer in self.layers
        )

    def _exclusion(self, layer: Layer, distribution: Distribution) -> str | None:
        return layer.exclusion(distribution) or self._lock_fault(layer, distribution)

    def _lock_fault(self, layer: Layer, distribution: Distribution) -> str | None:
        lock = layer.lock
        if lock is None:
            return None
        who = distribution.who
        entry = lock.entries.get(distribution.key)
        if entry is None:
            return f"{distribution.name} is not in {lock.file}, and locked ({layer.lock_place})"
        where = f"{lock.file}:{entry.line}"
        if entry.version != distribution.version:
            return f"{who} is locked at {entry.version} ({where})"
        from aimm_plugins._discovery.record_file import record_digest

        digest = record_digest(distribution)
        if digest is None:
            return f"{who} has no RECORD with hashes to compare with its lock ({where})"
        if digest != entry.digest:
            return f"{who}: its RECORD is not the one that was locked ({where})"
        return None

    def unmatched(self, scans: Collection[Scan]) -> list[Finding]:
        """Rules about distributions that no scan has, mostly typos; and what has two names.

        A `required` one is no finding but a missing plugin; see `missing`.
        """
        publishers = dict.fromkeys(c.distribution for scan in scans for c in scan.candidates)
        findings = [_has_two_names(one) for one in publishers if len(one.names) > 1]
        names = [name for layer in self.layers for name in layer.deny]
        denied = {name for scan in scans for name in scan.stating(names)}
        idle = [
            rule
            for layer in self.layers
            for rules, told in ((layer.allow or {}, ()), (layer.deny, denied))
            for name, about_it in rules.items()
            if name not in told and not any(scan.has(name) for scan in scans)
            for rule in about_it
        ]
        findings += matches_nothing(idle, scans)
        findings += [
            Finding(
                code="locked-not-installed",
                subject=f"{entry.name} {entry.version}",
                message="is locked, and not installed",
                place=f"{lock.file}:{entry.line}",
                remedy="Install it, or freeze anew.",
            )
            for lock in (layer.lock for layer in self.layers if layer.lock is not None)
            for name, entry in lock.entries.items()
            if not any(scan.has(name) for scan in scans)
        ]
        return findings

    @property
    def required(self) -> tuple[Rule, ...]:
        return tuple(rule for layer in self.layers for rule in layer.required)

    def required_keys(self, installed: Callable[[str], bool]) -> list[Rule]:
        """The `required` rules about keys: `action:key`, or a name that no distribution has."""
        return [
            rule
            for rule in self.required
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
        for rule in dict.fromkeys(self.required):
            if rule not in of_keys:
                distribution = find(rule.name)
                why = _why_missing(rule, of_distribution.get(rule.name, []), distribution)
                name = rule.name if distribution is None else distribution.name
                missing += [] if why is None else [missing_record(rule, name, *why, distribution)]
        return missing


class ImportJudge:
    """Judges imports by one conf's rules, the last layer of a policy, and the operator's."""

    def __init__(self, policy: Policy, installed: Scan) -> None:
        self.policy = policy
        self.config = policy.layers[-1].config
        self.installed = installed
        suspects = policy.suspects(installed)
        self._code_owners = None if suspects == [] else installed.code_owners(suspects)

    @property
    def asks_files(self) -> bool:
        """Whether the rules are about files at all."""
        return self._code_owners is not None

    def keeps_out(self, module: str) -> bool:
        """Whether a module must not be imported for whoever has installed it."""
        owner = self.installed.owner(module, self.installed.modules.locate(module))
        return self.reason(module, owner) is not None

    def reason(self, module: str, publisher: Distribution | None) -> str | None:
        """Why a module must not be imported now; with an empty name, its publisher alone."""
        owners = self._code_owners
        files = () if owners is None else owners.files(module, self.installed.modules)
        return self.policy.judge(module, publisher, files)


class _Import(NamedTuple):
    """An import that is judged; see `Policy.judge`."""

    module: str
    publisher: Distribution | None
    files: Sequence[ModuleFile]

    def objection(
        self,
        rule: Callable[[Distribution], str | None],
        link: str,
        doubtful: Sequence[ModuleFile],
    ) -> str | None:
        """What a rule has against the publisher, or against those whose files would be run.

        The `link` leads from a distribution to the reason. Of `doubtful` files it counts who may
        have installed them.
        """
        if self.publisher is not None and (reason := rule(self.publisher)) is not None:
            return reason
        for file in self.files:
            if any(rule(owner) is None for owner in file.intact):
                continue
            for owner in file.owners:
                if owner is not self.publisher and (reason := rule(owner)) is not None:
                    return f"importing {self.module} would run {owner.who}, {link} {reason}"
        for file in doubtful:
            for suspect, doubt in file.suspects:
                if (reason := rule(suspect)) is not None:
                    return (
                        f"importing {self.module} may run {suspect.who}, {link} {reason}; {doubt}"
                    )
        return None

    def stranger(self, layer: Layer) -> str | None:
        """Why a file of no distribution must not run for a plugin that a distribution brings."""
        if self.publisher is None or layer.exclusive_place is None:
            return None
        for file in self.files:
            # An entry point says whose a module is, and not with which content.
            is_pinned = layer.lock is None or not file.is_claimed
            if file.file is not None and not (file.owners and is_pinned):
                return (
                    f"importing {self.module} would run {file.file}, which no distribution has "
                    f"installed, and {layer.exclusive_place} lets only installed files run for it"
                )
        return None

    def unproven(
        self, unverified: Callable[[Distribution, ModuleFile | None], str | None]
    ) -> str | None:
        """Why what would be run is not proven to be what was installed."""
        if self.publisher is not None and (reason := unverified(self.publisher, None)):
            return reason
        for file in self.files:
            # Cached bytecode is not read by the imports that verify.
            if not file.is_bytecode:
                faults = [unverified(owner, file) for owner in file.intact or file.owners]
                if faults and (all(faults) if file.intact else any(faults)):
                    return next(filter(None, faults))
            if self.publisher is None and file.suspects:
                suspect, doubt = file.suspects[0]
                return f"importing {self.module} may run {suspect.who}: {doubt}"
        return None


_MOST_HINTS = 10
"""Rules for nobody whose names are compared with those of distributions; a list may be long."""


def matches_nothing(idle: Sequence[Rule], scans: Collection[Scan]) -> list[Finding]:
    """Findings about rules for nobody, with the name that each may mean."""
    candidates = [candidate for scan in scans if idle for candidate in scan.candidates]
    plugins = {
        normalized(name): candidate.distribution.name
        for candidate in candidates
        for name in (candidate.name, candidate.module)
    }
    known = {candidate.distribution.key: None for candidate in candidates}
    found = []
    for rule in idle:
        meant = plugins.get(rule.name)
        wrong = "Correct the name" if meant is None else f"It is a plugin of {meant}: write that"
        if meant is None and len(idle) <= _MOST_HINTS and (near := nearest(rule.name, [*known])):
            wrong = f"Did you mean {near[0]}? {wrong}"
        found.append(
            Finding(
                code="rule-matches-nothing",
                subject=rule.text,
                message="no installed distribution has this name",
                place=rule.place,
                remedy=f"{wrong}, or remove the rule.",
            )
        )
    return found


def _has_two_names(distribution: Distribution) -> Finding:
    name = distribution.name
    return Finding(
        code="two-names",
        subject=distribution.subject,
        message=f"its METADATA calls it {distribution.stated_name}, and its folder {name}",
        place=distribution.place,
        remedy=f"Call it {name} in confs; only deny rules hold by either name. Its author should "
        "build it anew.",
    )


def missing_record(
    rule: Rule, name: str, why: str, remedy: str, distribution: Distribution | None = None
) -> PluginRecord:
    """The account of what is required and not there: a distribution, or a key."""
    installed = rule.name if distribution is None else distribution.name
    return PluginRecord(
        name=name,
        source="config",
        module="",
        distribution=None if rule.slot else installed,
        version=None if distribution is None else distribution.version,
        origin=None if distribution is None else distribution.origin,
        state="missing",
        reason=f"required by {rule}: {why}",
        error=PluginImportError(f"{rule.text.strip()} is required ({rule.place}): {why}"),
        config_place=rule.place,
        remedy=remedy,
    )


def _why_missing(
    rule: Rule, plugins: Sequence[PluginRecord], distribution: Distribution | None
) -> tuple[str, str] | None:
    """Why it is not there, and what to do about the rule or what it names.

    `None` where the plugins' own records say all: that they are there, or why they failed.
    """
    out = [plugin for plugin in plugins if plugin.state not in _THERE]
    is_there = len(out) < len(plugins) and all(plugin.state == "shadowed" for plugin in out)
    is_there = is_there and all(rule.fits(plugin.version) for plugin in plugins)
    if is_there or any(plugin.state == "failed" for plugin in out):
        return None
    if distribution is None:
        return "it is not installed", f"Install it, or remove the rule ({rule.place})."
    who = f"{distribution.who} is installed"
    if not rule.fits(distribution.version):
        return who, f"Install a version that fits, or change the rule ({rule.place})."
    if not plugins:
        return (
            f"{who}, and brings no plugin that this conf loads",
            f"Name its module in names, or remove the rule ({rule.place}).",
        )
    reasons = dict.fromkeys(
        f"{plugin.name} is {plugin.state}" + (f" ({plugin.reason})" if plugin.reason else "")
        for plugin in out
    )
    remedy = f"Change what keeps it out, or remove the rule ({rule.place})."
    return f"{who}, but {'; '.join(reasons)}", remedy
