"""Names of distributions, as comparisons need them."""

from __future__ import annotations

ANEW = "--force-reinstall --no-deps "
"""Options of `pip_install` for what is installed already, and broken."""

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


def pip_install(wanted: str, options: str = "") -> str:
    """The command that installs something, safe to paste into a shell whoever has named it."""
    from shlex import quote  # only remedies need it

    options += "-- " if wanted.startswith("-") else ""
    return f"pip install {options}{quote(wanted)}"
