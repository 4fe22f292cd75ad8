"""Names of distributions, and dotted names of modules and their objects."""

from __future__ import annotations

from collections.abc import Iterator

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


def with_parents(name: str) -> Iterator[str]:
    """A dotted name, and what stands before each of its dots: `a.b.c`, `a.b`, `a`."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def parse_target(value: str) -> tuple[str, str | None] | None:
    """Module and object of `module`, `module:object` or `module:object [extras]`."""
    # Compiling a pattern would take as long as looking at 100 distributions.
    if value.endswith("]"):
        value = value.partition("[")[0]
    module, colon, attribute = value.partition(":")
    module, attribute = module.strip(), attribute.strip()
    if _is_dotted(module):
        if not colon:
            return module, None
        if _is_dotted(attribute):
            return module, attribute
    return None


def _is_dotted(name: str) -> bool:
    return name.isidentifier() or all(part.isidentifier() for part in name.split("."))
