"""The rules of one conf, policy file or environment variable, asked about a distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._config.values import Config
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._system.names import required_name
from aimm_plugins._values.actions import ACTIONS, Action

if TYPE_CHECKING:
    from aimm_plugins._policy.lockfile import Lock


class Rule(NamedTuple):
    """A rule as it is written, and the place where it stands.

    It is about a distribution, `name` or `name>=1,<2`; a required one may be about a key instead,
    `action:key` or `key`.
    """

    text: str
    place: str

    @property
    def name(self) -> str:
        return required_name(self.text)

    @property
    def slot(self) -> tuple[Action, str] | None:
        """The action and key, where it names both."""
        action, colon, key = (part.strip() for part in self.text.partition(":"))
        return next(((known, key) for known in ACTIONS if colon and known == action), None)

    @property
    def may_be_key(self) -> bool:
        """Whether it is about a key where no distribution has its name."""
        return self.slot is not None or not self.versioned

    @property
    def versioned(self) -> bool:
        return self.slot is None and any(letter in self.text for letter in "<>=!~")

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


Rules = Mapping[str, Sequence[Rule]]
"""Rules by the normalized name that they are about: to try each rule on each plugin is slow."""


class Layer(NamedTuple):
    """The rules of one conf, policy file or environment variable, in tables."""

    config: Config = Config()  # where they stand
    allow: Rules | None = None  # `None` where all are allowed
    deny: Rules = MappingProxyType({})
    required: tuple[Rule, ...] = ()
    lock: Lock | None = None  # the freeze file that it names, if it names one

    @property
    def allow_place(self) -> str:
        return self.config.where("entry_points", "allow")

    @property
    def lock_place(self) -> str:
        return self.config.where("locked")

    @property
    def verify_place(self) -> str | None:
        return None if self.config.verify == "none" else self.config.where("verify")

    @property
    def disabled_place(self) -> str | None:
        enabled = self.config.entry_points.enabled
        return None if enabled else self.config.where("entry_points", "enabled")

    @property
    def prefer(self) -> dict[str, tuple[str, str]]:
        """`"action:key"` or `"key"` to distribution or module, with the place of each."""
        where = self.config.where
        return {rule: (who, where("prefer", rule)) for rule, who in self.config.prefer.items()}

    def origin_place(self, distribution: Distribution) -> str | None:
        denied = self.config.entry_points.deny_origins
        if not denied or distribution.origin not in denied:
            return None
        return self.config.where("entry_points", "deny_origins", denied.index(distribution.origin))

    def denying(self, distribution: Distribution) -> list[Rule]:
        """The `deny` rules about a distribution, by either of its names."""
        if not self.deny:
            return []
        return [rule for name in distribution.names for rule in self.deny.get(name, ())]

    @property
    def exclusive_place(self) -> str | None:
        """Where it is said that nothing may run but what some rule is for; `None` for nowhere."""
        if self.allow is not None:
            return f"entry_points.allow ({self.allow_place})"
        if self.lock is not None:
            return f"locked ({self.lock_place})"
        return None if self.verify_place is None else f"verify: record ({self.verify_place})"

    def denial(self, distribution: Distribution) -> str | None:
        """Why no code of a distribution may run, by its name and its origin; `None` if it may."""
        for rule in self.denying(distribution):
            fits = rule.fits(distribution.version)
            if fits:
                told = "" if rule.name == distribution.key else ", by the name in its METADATA"
                return f"denied by {rule}{told}"
            if fits is None:
                return f"denied: {_unjudged(rule, distribution)}"
        place = self.origin_place(distribution)
        return None if place is None else f"denied by origin {distribution.origin!r} ({place})"

    def exclusion(self, distribution: Distribution) -> str | None:
        if self.allow is None:
            return None
        rules = self.allow.get(distribution.key)
        if not rules:
            return f"{distribution.name} is not among those allowed ({self.allow_place})"
        verdicts = [rule.fits(distribution.version) for rule in rules]
        if any(verdicts):
            return None
        if verdicts[0] is None:
            return f"not allowed: {_unjudged(rules[0], distribution)}"
        return f"{distribution.who} is not in {rules[0]}"


def _unjudged(rule: Rule, distribution: Distribution) -> str:
    return f"{rule} is about a version, and the version of {distribution.who} cannot be read"


def read_layer(config: Config) -> Layer:
    """The rules of one conf, with the freeze file that it names."""
    rules, lock = config.entry_points, None
    if config.locked is not None:
        from aimm_plugins._policy.lockfile import read_lock

        lock = read_lock(config, config.locked)

    def placed(texts: Sequence[str], *path: str) -> tuple[Rule, ...]:
        return tuple(Rule(text, config.where(*path, i)) for i, text in enumerate(texts))

    return Layer(
        config,
        None if rules.allow is None else _by_name(placed(rules.allow, "entry_points", "allow")),
        _by_name(placed(rules.deny, "entry_points", "deny")),
        placed(config.required, "required"),
        lock,
    )


def _by_name(rules: Sequence[Rule]) -> Rules:
    by_name: dict[str, list[Rule]] = {}
    for rule in rules:
        by_name.setdefault(rule.name, []).append(rule)
    return by_name
