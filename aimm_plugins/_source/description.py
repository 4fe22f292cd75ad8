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
    is_method = action in MODEL_ACTIONS[1:]
    name = action if is_method else "__init__"
    methods = (part for part in node.body if isinstance(part, Function) and part.name == name)
    method = next(methods, None)
    found = Description() if method is None else _of_function(method, is_bound=True)
    if is_method:
        return found
    no_init = "()" if method is None and not node.bases else None
    return Description(found.signature or no_init, ast.get_docstring(node))


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
    is_static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
    is_bound = is_bound and not is_static
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
