"""Why `@model` refuses a class, told by the source of it and its bases."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from aimm_plugins._declarations.model_class import lacks_methods, needs_instance
from aimm_plugins._values.actions import MODEL_ACTIONS

_BINDS_UNSEEN = {"locals", "vars", "exec"}


def why_refused(classes: Sequence[ast.ClassDef]) -> str | None:
    """The reason against the first of the classes, which has the others as bases; `None` without.

    There is none either where code may give the class methods that its source does not show.
    """
    parts = [part for found in classes for part in ast.walk(found)]
    bound = [name for part in parts for name in _bound_by(part)]
    used = {part.id for part in parts if isinstance(part, ast.Name)}
    if not classes or "__init_subclass__" in bound or used & _BINDS_UNSEEN:
        return None
    missing = [action for action in MODEL_ACTIONS[1:] if action not in bound]
    if missing:
        return lacks_methods(classes[0].name, missing)
    methods = [p for p in parts if isinstance(p, ast.FunctionDef) and p.name == "deserialize"]
    if methods and bound.count("deserialize") == 1 and not methods[0].decorator_list:
        return needs_instance(classes[0].name)
    return None


def _bound_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.alias(name=name, asname=other):
            yield other or name
        case _:
            pass
