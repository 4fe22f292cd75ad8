"""Why a decorator refuses a function or class, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from aimm_plugins._declarations.decorators import why_not_taken
from aimm_plugins._declarations.model_class import lacks_methods, needs_instance
from aimm_plugins._source.description import Function, description
from aimm_plugins._values.actions import MODEL_ACTIONS

_BINDS_UNSEEN = {"locals", "vars", "exec"}


def why_class_refused(classes: Sequence[ast.ClassDef], call: ast.Call | None) -> str | None:
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
    takers = [p for p in parts if isinstance(p, Function) and p.name in _TAKE_CALLBACK]
    is_plain = all(bound.count(t.name) == 1 and not t.decorator_list for t in takers)
    if not {"fit", "predict"} <= {taker.name for taker in takers} or not is_plain:
        return None
    reasons = [why_function_refused(taker, call) for taker in takers]
    return None if None in reasons else f"@model class {classes[0].name}: {reasons[0]}"


_TAKE_CALLBACK = ("__init__", "fit", "predict")


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


def why_function_refused(node: Function, call: ast.Call | None) -> str | None:
    """The reason against a function that cannot take an argument which its decorator names."""
    arguments = node.args
    by_keyword = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    for keyword in call.keywords if call is not None and arguments.kwarg is None else ():
        name = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        if keyword.arg not in _OF_ARGUMENTS or not isinstance(name, str) or name in by_keyword:
            continue
        signature = description(node, "fit").signature or "(...)"
        what = f"{keyword.arg}={name!r}: {node.name}{signature}"
        by_position = name in [argument.arg for argument in arguments.posonlyargs]
        return f"{what} {why_not_taken(name, by_keyword, by_position=by_position)}"
    return None


_OF_ARGUMENTS = ("state_cb_arg_name", "instance_arg_name")
