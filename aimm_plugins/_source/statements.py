"""Which statements of a module run when it is imported, and which names they bind."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, Iterable, Iterator


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
) -> Iterator[ast.AST]:
    """As `ast.walk`, but for blocks that only type checkers read."""
    waiting = deque(statements)
    while waiting:
        node = waiting.popleft()
        if isinstance(node, ast.If) and is_taken(node.test) is False:
            waiting.extend(node.orelse)
            continue
        yield node
        waiting.extend(children(node))
