"""What other distributions a distribution requires, by its metadata."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from aimm_plugins._discovery.distribution import Distribution, headers
from aimm_plugins._system.ceilings import REQUIREMENT_LETTERS, REQUIREMENTS
from aimm_plugins._system.names import normalized, required_name


def requirements(distribution: Distribution) -> list[str]:
    """The requirements as written, such as `numpy>=1; extra == "fast"`."""
    return header(distribution, "requires-dist") or _of_egg_info(distribution)


def header(distribution: Distribution, name: str) -> list[str]:
    """The values of a header of its metadata, by its name in lower case; no overlong ones."""
    metadata = distribution.read("METADATA") or distribution.read("PKG-INFO") or b""
    return _bounded(value for header, value in headers(metadata) if header == name)


def _bounded(values: Iterable[str]) -> list[str]:
    return [value for value in islice(values, REQUIREMENTS) if len(value) <= REQUIREMENT_LETTERS]


def requires(distribution: Distribution, name: str) -> bool:
    return normalized(name) in map(required_name, requirements(distribution))


def _of_egg_info(distribution: Distribution) -> list[str]:
    """The lines of `requires.txt`, whose sections are extras and markers."""
    content = (distribution.read("requires.txt") or b"").decode("utf-8", "replace")
    found, marker = [], ""
    for line in map(str.strip, content.splitlines()):
        if line.startswith("["):
            extra, _, condition = line.strip("[]").partition(":")
            parts = [f'extra == "{extra}"'] if extra else []
            marker = " and ".join([*parts, *([f"({condition})"] if condition else [])])
        elif line and not line.startswith("#"):
            found.append(f"{line}; {marker}" if marker else line)
    return _bounded(found)
