"""What a distribution requires, by its metadata, and this environment does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._discovery.distribution import Distribution, header, requirements
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._system.masking import without_passwords
from aimm_plugins._system.names import normalized, pip_install

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_MOST_EXTRAS = 10
"""Extras of one requirement that are asked about; the condition is evaluated for each."""

_EXTRA = re.compile(r"""extra\s*==\s*["']([A-Za-z0-9._-]+)["']""")


class Unmet(NamedTuple):
    distribution: Distribution
    requirement: str  # without its marker, and without the logins of a URL: `numpy>=2`
    name: str  # normalized
    installed: str | None  # the version that is there
    extra: str | None  # `None` where it is always required

    @property
    def fault(self) -> str:
        if self.installed is None:
            return f"requires {self.requirement}, which is not installed"
        return f"requires {self.requirement}, and {self.name} {self.installed} is installed"

    @property
    def remedy(self) -> str:
        """The command that brings it, after what it is for."""
        who = self.distribution.who
        if self.extra is not None:
            wanted = f"{self.distribution.name}[{self.extra}]"
            return f"{self.name} is of the extra {self.extra} of {who}: {pip_install(wanted)}."
        return f"{who} {self.fault}: {self.command}."

    @property
    def command(self) -> str:
        login = " (with the login of its metadata for ***)" if "//***@" in self.requirement else ""
        return pip_install(self.requirement) + login


@lru_cache(maxsize=8)  # each of a distribution's plugins may ask
def unmet(distribution: Distribution, installed: Scan) -> tuple[Unmet, ...]:
    """The requirements of a distribution that are not met, also those of its extras."""
    from packaging.requirements import Requirement

    here: dict[str, str] = {}
    if not installed.modules.is_this_python:
        python = installed.modules.python
        here = {"python_version": python, "python_full_version": python}
    found = []
    for text in requirements(distribution):
        # Of what cannot be read or compared nothing is known.
        with suppress(ValueError, RecursionError):
            requirement = Requirement(text)
            there = installed.find(requirement.name)
            version = None if there is None else there.version or "unknown"
            if version and requirement.specifier.contains(version, prereleases=True):
                continue
            for extra in list(_extras(requirement, text, here)):
                requirement.marker = None
                name, wanted = normalized(requirement.name), without_passwords(str(requirement))
                found.append(Unmet(distribution, wanted, name, version, extra))
    return tuple(found)


def always_unmet(distribution: Distribution, installed: Scan) -> list[Unmet]:
    """Those of them that are of no extra."""
    return [found for found in unmet(distribution, installed) if found.extra is None]


def _extras(requirement: Requirement, text: str, here: Mapping[str, str]) -> Iterator[str | None]:
    """`None` where it is required here in any case, else the extras that require it here."""
    marker = requirement.marker
    if marker is None or marker.evaluate({**here, "extra": ""}):
        yield None
        return
    names = list(dict.fromkeys(_EXTRA.findall(text)))[:_MOST_EXTRAS]
    yield from (name for name in names if marker.evaluate({**here, "extra": name}))


@lru_cache(maxsize=8)
def python_required(distribution: Distribution) -> str | None:
    """What `Requires-Python` says, where this Python is another; else `None`."""
    import platform

    from packaging.specifiers import SpecifierSet

    for wanted in header(distribution, "requires-python"):
        with suppress(ValueError):
            if not SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
                return wanted
    return None
