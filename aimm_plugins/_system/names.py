"""Compare names of distributions."""

from __future__ import annotations


def normalized(name: str) -> str:
    """A distribution's name as comparisons need it (PEP 503)."""
    plain = name.replace("_", "-").replace(".", "-").lower()
    while "--" in plain:
        plain = plain.replace("--", "-")
    return plain
