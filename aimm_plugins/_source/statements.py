"""Which statements of a module run when it is imported, and what they bind; imports resolved."""

from __future__ import annotations

import ast
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def names_in(*targets: ast.expr | None) -> Iterator[str]:
    """The names that are bound or changed by being assigned to."""
    for target in targets:
        for node in ast.walk(target) if target is not None else ():
            if isinstance(node, ast.Name):
                yield node.id


def is_taken(test: ast.expr) -> bool | None:
    """Whether an import takes a branch; `None` where that depends."""
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return False
        case ast.Compare(
            left=ast.Name(id="__name__"),
            ops=[ast.Eq()],
            comparators=[ast.Constant(value="__main__")],
        ):
            return False
        case ast.Constant(value=value):
            return bool(value)
        case _:
            return None


_BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")


def blocks(statement: ast.AST) -> Iterator[ast.AST]:
    """The statements within one, and its handlers and cases: few of all nodes beneath it."""
    for block in _BLOCKS:
        yield from getattr(statement, block, ())


def nodes_that_run(
    statements: Iterable[ast.AST],
    children: Callable[[ast.AST], Iterator[ast.AST]] = ast.iter_child_nodes,
    closed: tuple[type[ast.AST], ...] = (),
) -> Iterator[ast.AST]:
    """As `ast.walk`, but for blocks that only type checkers read, and what `closed` nodes hold."""
    waiting = deque(statements)
    while waiting:
        node = waiting.popleft()
        if isinstance(node, ast.If) and is_taken(node.test) is False:
            waiting.extend(node.orelse)
            continue
        yield node
        if not isinstance(node, closed):
            waiting.extend(children(node))


@dataclass(frozen=True, slots=True)
class ImportedName:
    """What an import statement binds a name to.

    Attributes:
        module: A module, by its absolute name. It begins with a dot where a relative import is in
            no package, and with two where it leaves the topmost one.
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
        parts = package.split(".") if package else []
        if node.level > len(parts):
            module = f"{'..' if parts else '.'}{module}"
        else:
            module = ".".join(filter(None, (*parts[: len(parts) - node.level + 1], module)))
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
        for node in nodes_that_run(nodes, closed=_FUNCTIONS)
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
    for node in nodes_that_run(nodes, closed=(*_FUNCTIONS, ast.ClassDef)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name
            case _:
                pass
