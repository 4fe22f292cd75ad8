"""The operator's rules and their word on each plugin, before anything of it is imported.

Pure functions over values: no file, no `sys`, no plugin code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aimm_plugins._config import Config
from aimm_plugins._discovery import Distribution, normalized
from aimm_plugins._report import Finding

_NAME_END = "<>=!~;[ (@"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One requirement of a conf, `name` or `name>=1,<2`, and where it stands.

    Attributes:
        text: As written.
        place: Where, such as `plugins.yaml:7`.
    """

    text: str
    place: str

    @property
    def name(self) -> str:
        """Normalized name of the distribution it is about."""
        for index, letter in enumerate(self.text):
            if letter in _NAME_END:
                return normalized(self.text[:index].strip())
        return normalized(self.text.strip())

    @property
    def versioned(self) -> bool:
        """Whether it is about some versions only."""
        return any(letter in self.text for letter in "<>=!~")

    def about(self, distribution: Distribution) -> bool:
        """Whether the name is this distribution's."""
        return self.name == normalized(distribution.name)

    def covers(self, distribution: Distribution) -> bool | None:
        """Whether name and version match; `None` where the version cannot be judged."""
        if not self.about(distribution):
            return False
        if not self.versioned:
            return True
        if distribution.version is None:
            return None
        from packaging.requirements import Requirement
        from packaging.version import InvalidVersion, Version

        try:
            version = Version(distribution.version)
        except InvalidVersion:
            return None
        # An operator who writes `<2` means the release candidates of 1 too.
        return Requirement(self.text).specifier.contains(version, prereleases=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All rules of one call.

    Attributes:
        allow: When given, only these distributions are loaded.
        deny: These are not, whatever `allow` says.
        blocked: Tells whether the plugin manager blocks a module's name.
    """

    allow: tuple[Rule, ...] | None
    deny: tuple[Rule, ...]
    allow_place: str
    blocked: Callable[[str], bool]

    def denial(self, module: str, distribution: Distribution | None) -> str | None:
        """Why a module must not be imported, or `None` if it may be.

        Args:
            module: The plugin's module.
            distribution: Who owns it; `None` is subject to the conf's `names` alone.
        """
        if self.blocked(module):
            return f"{module} is blocked in the plugin manager (set_blocked)"
        if distribution is None:
            return None
        who = f"{distribution.name} {distribution.version or '(unknown version)'}"
        for rule in self.deny:
            verdict = rule.covers(distribution)
            if verdict:
                return f"denied by {rule.text!r} ({rule.place})"
            if verdict is None:
                return (
                    f"denied: {rule.text!r} ({rule.place}) is about a version, "
                    f"and the version of {who} cannot be read"
                )
        if self.allow is None:
            return None
        verdicts = [(rule, rule.covers(distribution)) for rule in self.allow]
        if any(verdict for _, verdict in verdicts):
            return None
        for rule, verdict in verdicts:
            if verdict is None:
                return (
                    f"not allowed: {rule.text!r} ({rule.place}) is about a version, "
                    f"and the version of {who} cannot be read"
                )
            if rule.about(distribution):
                return f"{who} is not in {rule.text!r} ({rule.place})"
        return f"{distribution.name} is not among those allowed ({self.allow_place})"

    def unmatched(self, installed: Callable[[str], bool]) -> list[Finding]:
        """Rules about distributions that are not installed: mostly typos."""
        rules: Iterable[Rule] = (*(self.allow or ()), *self.deny)
        return [
            Finding(
                code="rule-matches-nothing",
                subject=rule.text,
                message="no installed distribution has this name",
                place=rule.place,
                remedy="Correct the name, or remove the rule.",
            )
            for rule in rules
            if not installed(rule.name)
        ]


def policy(config: Config, blocked: Callable[[str], bool]) -> Policy:
    """The rules of a conf.

    Args:
        config: A conf that was read.
        blocked: Tells whether the plugin manager blocks a module's name.
    """
    rules = config.entry_points
    return Policy(
        allow=None
        if rules.allow is None
        else tuple(
            Rule(text=text, place=config.where("entry_points", "allow", i))
            for i, text in enumerate(rules.allow)
        ),
        deny=tuple(
            Rule(text=text, place=config.where("entry_points", "deny", i))
            for i, text in enumerate(rules.deny)
        ),
        allow_place=config.where("entry_points", "allow"),
        blocked=blocked,
    )
