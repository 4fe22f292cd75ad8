"""What other distributions a distribution requires, by its metadata."""

from __future__ import annotations

from itertools import islice

from aimm_plugins._discovery.distribution import Distribution, headers
from aimm_plugins._system.ceilings import REQUIREMENT_LETTERS, REQUIREMENTS
from aimm_plugins._system.names import normalized, required_name


def requirements(distribution: Distribution) -> list[str]:
    """The requirements as written, such as `numpy>=1; extra == "fast"`."""
    return header(distribution, "requires-dist")


def header(distribution: Distribution, name: str) -> list[str]:
    """The values of a header of its metadata, by its name in lower case; no overlong ones."""
    metadata = distribution.read("METADATA") or distribution.read("PKG-INFO") or b""
    values = (value for header, value in headers(metadata) if header == name)
    return [value for value in islice(values, REQUIREMENTS) if len(value) <= REQUIREMENT_LETTERS]


def requires(distribution: Distribution, name: str) -> bool:
    return normalized(name) in map(required_name, requirements(distribution))
