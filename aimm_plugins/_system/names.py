"""Names of distributions, as comparisons need them."""

from __future__ import annotations

_NAME_END = "<>=!~;[ (@\t,"


def normalized(name: str) -> str:
    """A distribution's name as comparisons need it (PEP 503)."""
    plain = name.replace("_", "-").replace(".", "-").lower()
    while "--" in plain:
        plain = plain.replace("--", "-")
    return plain


def required_name(requirement: str) -> str:
    """The normalized name that a requirement, such as `aimm-sklearn>=1`, begins with."""
    text = requirement.strip()
    end = next((index for index, letter in enumerate(text) if letter in _NAME_END), None)
    return normalized(text[:end])
