"""What a distribution requires, by its metadata, and this environment does not have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.requirements import requirements
from aimm_plugins._system.names import normalized

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_MOST = 500
_EXTRA = re.compile(r"""extra\s*==\s*["']([A-Za-z0-9._-]+)["']""")

Find = Callable[[str], Distribution | None]
"""Gives the installed distribution of a name."""


class Unmet(NamedTuple):
    """A requirement that is not met.

    Attributes:
        distribution: Who requires it.
        requirement: Without its marker: `numpy>=2`.
        name: Normalized name of what is required.
        installed: The version that is there; `None` where it is not.
        extra: The extra that it belongs to; `None` where it is always required.
    """

    distribution: Distribution
    requirement: str
    name: str
    installed: str | None
    extra: str | None

    @property
    def fault(self) -> str:
        """What is required, and what is there."""
        if self.installed is None:
            return f"requires {self.requirement}, which is not installed"
        return f"requires {self.requirement}, and {self.name} {self.installed} is installed"

    @property
    def remedy(self) -> str:
        """The command that brings it, after what it is for."""
        who = self.distribution.who
        if self.extra is not None:
            wanted = f"{self.distribution.name}[{self.extra}]"
            return f"{self.name} is of the extra {self.extra} of {who}: pip install '{wanted}'."
        return f"{who} {self.fault}: pip install '{self.requirement}'."


def unmet(distribution: Distribution, find: Find, *, extras: bool = False) -> list[Unmet]:
    """The requirements of a distribution that are not met; those of extras where that is asked."""
    from packaging.requirements import InvalidRequirement, Requirement

    found = []
    for text in islice(requirements(distribution), _MOST):
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        for extra in _extras(requirement, text):
            if extra is not None and not extras:
                continue
            version = _version(requirement, find)
            if version is None or not _fits(requirement, version):
                requirement.marker = None
                name = normalized(requirement.name)
                found.append(Unmet(distribution, str(requirement), name, version, extra))
    return found


def _extras(requirement: Requirement, text: str) -> Iterator[str | None]:
    """`None` where it is required here in any case, else the extras that require it here."""
    marker = requirement.marker
    if marker is None or marker.evaluate({"extra": ""}):
        yield None
        return
    yield from (name for name in _EXTRA.findall(text) if marker.evaluate({"extra": name}))


def _version(requirement: Requirement, find: Find) -> str | None:
    distribution = find(requirement.name)
    return None if distribution is None else distribution.version or "unknown"


def _fits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except ValueError:  # a version that cannot be read may be any
        return True


def python_required(distribution: Distribution) -> str | None:
    """What `Requires-Python` says, where this Python is another; else `None`."""
    import platform

    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    metadata = (distribution.read("METADATA") or b"").decode("utf-8", "replace")
    match = re.search(r"(?mi)^requires-python:[ \t]*(.+?)[ \t]*$", metadata.partition("\n\n")[0])
    if match is None:
        return None
    try:
        fits = SpecifierSet(match[1]).contains(platform.python_version(), prereleases=True)
    except InvalidSpecifier:
        return None
    return None if fits else match[1]
