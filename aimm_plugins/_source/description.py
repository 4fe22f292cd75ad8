"""Signatures and docstrings, as the source has them."""

from __future__ import annotations

import ast
import copy
from itertools import islice
from typing import NamedTuple, TypeAlias

from aimm_plugins._values.actions import MODEL_ACTIONS, Action

_MOST_NODES = 1000
"""Nodes of a signature; a longer one is shown to no one."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Description(NamedTuple):
    """A function's signature and docstring; `None` where it has none or it cannot be known."""

    signature: str | None = None
    docstring: str | None = None


def description(node: Function | ast.ClassDef | None, action: Action) -> Description:
    """How a function, or what a class has for an action, is called."""
    if node is None:
        return Description()
    if not isinstance(node, ast.ClassDef):
        return _of_function(node)
    return _of_method(node, action) if action in MODEL_ACTIONS[1:] else _of_class(node)


def unparsed(node: ast.AST, most_nodes: int = _MOST_NODES) -> str | None:
    """The source of a node; `None` where it is longer, or nested too deep to be written."""
    if next(islice(ast.walk(node), most_nodes, None), None) is not None:
        return None
    try:
        return ast.unparse(node)
    except (RecursionError, ValueError):  # ValueError: quotes in an f-string
        return None


def _of_function(node: Function, *, is_bound: bool = False) -> Description:
    """Of a function, or of a method without its first parameter."""
    arguments = copy.copy(node.args)
    if is_bound and arguments.posonlyargs:
        arguments.posonlyargs = arguments.posonlyargs[1:]
    elif is_bound:
        arguments.args = arguments.args[1:]
    signature = unparsed(arguments)
    returns = "" if node.returns is None else unparsed(node.returns)
    if signature is None or returns is None:
        return Description(None, ast.get_docstring(node))
    arrow = f" -> {returns}" if returns else ""
    return Description(f"({signature}){arrow}", ast.get_docstring(node))


def _of_class(node: ast.ClassDef) -> Description:
    init = _method(node, "__init__")
    signature = None
    if init is not None:
        signature = _of_function(init, is_bound=True).signature
    elif not node.bases:
        signature = "()"
    return Description(signature, ast.get_docstring(node))


def _of_method(node: ast.ClassDef, name: str) -> Description:
    method = _method(node, name)
    if method is None:
        return Description()
    is_static = any(
        isinstance(decorator, ast.Name) and decorator.id == "staticmethod"
        for decorator in method.decorator_list
    )
    return _of_function(method, is_bound=not is_static)


def _method(node: ast.ClassDef, name: str) -> Function | None:
    for statement in node.body:
        if isinstance(statement, Function) and statement.name == name:
            return statement
    return None
