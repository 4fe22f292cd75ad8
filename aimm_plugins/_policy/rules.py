"""The operator's rules and their word on each plugin, before anything of it is imported.

The rules come in layers: the conf, the operator's own file, the environment. A plugin has to pass
each of them, so that no layer can widen another. What needs a look at files (blocked names, RECORD
and its digest) is asked through functions that the policy is given; nothing else here touches a
file, `sys` or plugin code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._config.values import Config
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import Finding, PluginRecord
from aimm_plugins.errors import PluginImportError

if TYPE_CHECKING:
    from aimm_plugins._policy.lockfile import Lock

_NAME_END = "<>=!~;[ (@\t"


class Rule(NamedTuple):
    """One requirement of a layer, `name` or `name>=1,<2`, and where it stands.

    Attributes:
        text: As written.
        place: Where, such as `plugins.yaml:7`.
    """

    text: str
    place: str

    @property
    def name(self) -> str:
        """Normalized name of the distribution it is about."""
        text = self.text.strip()
        for index, letter in enumerate(text):
            if letter in _NAME_END:
                return normalized(text[:index])
        return normalized(text)

    @property
    def versioned(self) -> bool:
        """Whether it is about some versions only."""
        return any(letter in self.text for letter in "<>=!~")

    def about(self, distribution: Distribution) -> bool:
        """Whether the name is this distribution's."""
        return self.name == normalized(distribution.name)

    def covers(self, distribution: Distribution) -> bool | None:
        """Whether name and version match; `None` where the version cannot be judged."""
        return self.about(distribution) and self.fits(distribution.version)

    def fits(self, installed: str | None) -> bool | None:
        """Whether a version matches; `None` where it cannot be judged."""
        if not self.versioned:
            return True
        if installed is None:
            return None
        from packaging.requirements import Requirement
        from packaging.version import Version

        try:
            version = Version(installed)
        except ValueError:  # no version, or one with more digits than Python converts
            return None
        # An operator who writes `<2` means the release candidates of 1 too.
        return Requirement(self.text.strip()).specifier.contains(version, prereleases=True)

    def __str__(self) -> str:
        return f"{self.text!r} ({self.place})"


class Layer(NamedTuple):
    """The rules of one conf, policy file or environment variable.

    Attributes:
        allow: When given, only these distributions are loaded.
        allow_place: Where that stands.
        deny: These are not, whatever `allow` says.
        deny_origins: Nor those that came from one of these, with the place of each.
        required: These must be loaded.
        prefer: `"action:key"` or `"key"` to distribution or module, with the place of each.
        locked: What may be loaded, of a freeze file, and where the conf names that.
        verify_place: Where `verify: record` stands, if it does.
        disabled_place: Where entry points are switched off, if they are.
    """

    allow: tuple[Rule, ...] | None = None
    allow_place: str = ""
    deny: tuple[Rule, ...] = ()
    deny_origins: Mapping[str, str] = MappingProxyType({})
    required: tuple[Rule, ...] = ()
    prefer: Mapping[str, tuple[str, str]] = MappingProxyType({})
    locked: tuple[Lock, str] | None = None
    verify_place: str | None = None
    disabled_place: str | None = None


class Policy(NamedTuple):
    """All rules of one call.

    Attributes:
        layers: Rules that all hold; for `prefer`, in the order in which they are asked.
        blocked: Tells whether the plugin manager blocks a module's name.
        unverified: Tells why a module's files are not those of a distribution's RECORD.
        digest: Gives the digest of a distribution's RECORD.
    """

    layers: tuple[Layer, ...]
    blocked: Callable[[str], bool]
    unverified: Callable[[Distribution, str], str | None]
    digest: Callable[[Distribution], str | None]

    def suspects(
        self,
        find: Callable[[str], Distribution | None],
        distributions: Callable[[], Iterable[Distribution]],
    ) -> list[Distribution]:
        """The distributions that some rule denies, so that whoever else runs them matters.

        Args:
            find: Finds an installed distribution by name.
            distributions: Gives all; asked only where an origin is denied.
        """
        names = dict.fromkeys(rule.name for layer in self.layers for rule in layer.deny)
        found = [each for name in names if (each := find(name)) is not None]
        origins = {origin for layer in self.layers for origin in layer.deny_origins}
        if origins:
            found += [each for each in distributions() if each.origin in origins]
        return found

    @property
    def disabled_place(self) -> str | None:
        """Where entry points are switched off, if they are."""
        return next((layer.disabled_place for layer in self.layers if layer.disabled_place), None)

    def denial(
        self, module: str, distribution: Distribution | None, owners: Sequence[Distribution] = ()
    ) -> str | None:
        """Why a module must not be imported, or `None` if it may be.

        Args:
            module: The plugin's module.
            distribution: Who brings it; `None` is subject to the conf's `names` alone.
            owners: Who else would be run by importing it: owners of the module and its parents.
        """
        if self.blocked(module):
            return f"{module} is blocked in the plugin manager (set_blocked)"
        others = [
            each
            for each in owners
            if distribution is None or normalized(each.name) != normalized(distribution.name)
        ]
        for layer in self.layers:
            for each in (*([distribution] if distribution is not None else []), *others):
                reason = _denied(layer, each)
                if reason is not None:
                    if each is distribution:
                        return reason
                    return f"importing {module} would run {each.who}, which is {reason}"
        if distribution is None:
            return None
        for layer in self.layers:
            reason = _not_allowed(layer, distribution) or self._not_locked(layer, distribution)
            if reason is not None:
                return reason
        for layer in self.layers:
            if layer.verify_place is not None:
                reason = self.unverified(distribution, module)
                if reason is not None:
                    return f"refused by verify: record ({layer.verify_place}): {reason}"
        return None

    def _not_locked(self, layer: Layer, distribution: Distribution) -> str | None:
        if layer.locked is None:
            return None
        lock, place = layer.locked
        who = distribution.who
        entry = lock.entries.get(normalized(distribution.name))
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
                Finding(
                    code="rule-matches-nothing",
                    subject=rule.text,
                    message="no installed distribution has this name",
                    place=rule.place,
                    remedy="Correct the name, or remove the rule.",
                )
                for rule in (*(layer.allow or ()), *layer.deny)
                if not installed(rule.name)
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

    def missing(
        self,
        records: Iterable[PluginRecord],
        installed: Callable[[str], Distribution | None],
    ) -> list[PluginRecord]:
        """A record for each `required` rule that nothing satisfies.

        Args:
            records: The plugins' accounts; one that is only planned counts as there.
            installed: Finds a distribution by name.
        """
        there = list(records)
        absent = []
        for rule in dict.fromkeys(rule for layer in self.layers for rule in layer.required):
            mine = [r for r in there if r.distribution and normalized(r.distribution) == rule.name]
            if any(r.state == "failed" for r in mine):
                continue  # which says more than that it is missing
            if any(r.state in ("planned", "loaded", "deferred") for r in mine) and all(
                r.state in ("planned", "loaded", "deferred", "shadowed") and rule.fits(r.version)
                for r in mine
            ):
                continue
            distribution = installed(rule.name)
            why = _why_missing(rule, mine, distribution)
            absent.append(
                PluginRecord(
                    name=rule.name if distribution is None else distribution.name,
                    source="config",
                    module="",
                    distribution=rule.name if distribution is None else distribution.name,
                    version=None if distribution is None else distribution.version,
                    origin=None if distribution is None else distribution.origin,
                    state="missing",
                    reason=f"required by {rule}: {why}",
                    error=PluginImportError(f"{rule.text} is required ({rule.place}): {why}"),
                    config_place=rule.place,
                )
            )
        return absent


def _why_missing(
    rule: Rule, records: Sequence[PluginRecord], distribution: Distribution | None
) -> str:
    if distribution is None:
        return "it is not installed. Install it, or remove the rule."
    if not rule.fits(distribution.version):
        return f"{distribution.who} is installed. Install a version that fits, or change the rule."
    if not records:
        return f"{distribution.who} is installed, and brings no plugin that this conf loads."
    reasons = dict.fromkeys(
        f"{r.name} is {r.state}" + (f" ({r.reason})" if r.reason else "")
        for r in records
        if r.state not in ("loaded", "deferred", "planned")
    )
    return f"{distribution.who} is installed, but {'; '.join(reasons)}."


def _unjudged(rule: Rule, distribution: Distribution) -> str:
    return f"{rule} is about a version, and the version of {distribution.who} cannot be read"


def _denied(layer: Layer, distribution: Distribution) -> str | None:
    for rule in layer.deny:
        verdict = rule.covers(distribution)
        if verdict:
            return f"denied by {rule}"
        if verdict is None:
            return f"denied: {_unjudged(rule, distribution)}"
    place = layer.deny_origins.get(distribution.origin)
    if place is not None:
        return f"denied by origin {distribution.origin!r} ({place})"
    return None


def _not_allowed(layer: Layer, distribution: Distribution) -> str | None:
    if layer.allow is None:
        return None
    verdicts = [(rule, rule.covers(distribution)) for rule in layer.allow]
    if any(verdict for _, verdict in verdicts):
        return None
    for rule, verdict in verdicts:
        if verdict is None:
            return f"not allowed: {_unjudged(rule, distribution)}"
        if rule.about(distribution):
            return f"{distribution.who} is not in {rule}"
    return f"{distribution.name} is not among those allowed ({layer.allow_place})"


def policy(
    config: Config,
    operator: Sequence[Config],
    locks: Mapping[str, Lock],
    *,
    blocked: Callable[[str], bool],
    unverified: Callable[[Distribution, str], str | None],
    digest: Callable[[Distribution], str | None],
) -> Policy:
    """The rules of a call, the operator's layers first.

    Args:
        config: The conf.
        operator: The layers of the environment.
        locks: The freeze files that the layers name, by path.
        blocked: Tells whether the plugin manager blocks a module's name.
        unverified: Tells why a module's files are not those of a distribution's RECORD.
        digest: Gives the digest of a distribution's RECORD.
    """
    return Policy(
        layers=tuple(_layer(each, locks) for each in (*operator, config)),
        blocked=blocked,
        unverified=unverified,
        digest=digest,
    )


def _layer(config: Config, locks: Mapping[str, Lock]) -> Layer:
    rules = config.entry_points

    def placed(texts: Sequence[str], *path: str) -> tuple[Rule, ...]:
        return tuple(Rule(text=text, place=config.where(*path, i)) for i, text in enumerate(texts))

    return Layer(
        allow=None if rules.allow is None else placed(rules.allow, "entry_points", "allow"),
        allow_place=config.where("entry_points", "allow"),
        deny=placed(rules.deny, "entry_points", "deny"),
        deny_origins={
            origin: config.where("entry_points", "deny_origins", i)
            for i, origin in enumerate(rules.deny_origins)
        },
        required=placed(config.required, "required"),
        prefer={
            rule: (wanted, config.where("prefer", rule)) for rule, wanted in config.prefer.items()
        },
        locked=None
        if config.locked is None
        else (locks[config.resolved(config.locked)], config.where("locked")),
        verify_place=None if config.verify == "none" else config.where("verify"),
        disabled_place=None if rules.enabled else config.where("entry_points", "enabled"),
    )
