"""What import statements bind, relative ones resolved."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImportedName:
    """What an import statement binds a name to.

    Attributes:
        module: A module, by its absolute name.
        attribute: The object in it; `*` for all, `None` for the module itself.
        certain: Whether the statement runs whatever conditions hold.
    """

    module: str
    attribute: str | None = None
    certain: bool = True


def imported_names(
    node: ast.Import | ast.ImportFrom, package: str, *, certain: bool = True
) -> Iterator[tuple[str, ImportedName]]:
    """The names that an import statement binds, and what to.

    Args:
        node: The statement.
        package: The package that relative imports of the module start from.
        certain: Whether the statement runs whatever conditions hold.
    """
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            module = alias.name if alias.asname else top
            yield alias.asname or top, ImportedName(module, certain=certain)
        return
    module = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join(parts[: max(0, len(parts) - node.level + 1)])
        module = ".".join(part for part in (base, module) if part)
    for alias in node.names:
        yield alias.asname or alias.name, ImportedName(module, alias.name, certain)


def package_of(module: str, file: str) -> str:
    """The package that relative imports of a module start from."""
    is_package = os.path.basename(file).startswith("__init__.")
    return module if is_package else module.rpartition(".")[0]
