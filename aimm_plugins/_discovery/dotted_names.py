"""Dotted names: those above one, and the values of entry points that are made of them."""

from __future__ import annotations

from collections.abc import Iterator


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
