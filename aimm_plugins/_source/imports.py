"""What import statements bind, relative ones resolved."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
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
    """The names that an import statement in a module of a package binds, and what to."""
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
    is_package = os.path.basename(file).startswith("__init__.")
    return module if is_package else module.rpartition(".")[0]


_IMPORTERS = frozenset({"import_module", "__import__", "exec", "run_path", "run_module"})
"""Functions whose calls may run code that the source does not name."""


def imports_unseen(nodes: Iterable[ast.AST], top: str, content: bytes) -> bool:
    """Whether nodes, beside what waits in functions, import what no import statement names."""
    return any(name.encode() in content for name in _IMPORTERS) and any(
        isinstance(node, ast.Call) and _imports_unseen(node, top)
        for node in _beside(nodes, _FUNCTIONS)
    )


def _imports_unseen(node: ast.Call, top: str) -> bool:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    if name not in _IMPORTERS:
        return False
    wanted = node.args[0] if node.args else None
    if isinstance(wanted, ast.Constant) and isinstance(wanted.value, str) and name != "exec":
        return wanted.value.partition(".")[0] in ("", top)
    return True


def bound_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The names that the statements of a module bind, by whatever means, and a few more."""
    for node in _beside(nodes, (*_FUNCTIONS, ast.ClassDef)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name
            case _:
                pass


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def _beside(nodes: Iterable[ast.AST], kinds: tuple[type[ast.AST], ...]) -> Iterator[ast.AST]:
    """All nodes beneath some, but for what is within nodes of some kinds."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, kinds):
            waiting.extend(ast.iter_child_nodes(node))
