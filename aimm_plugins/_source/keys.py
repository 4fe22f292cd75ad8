"""The keys of a decorator, as its call gives them."""

from __future__ import annotations

import ast
import reprlib
from collections.abc import Callable

from aimm_plugins._source.values import UnknownValueError
from aimm_plugins._values.actions import ACTIONS, MODEL_ACTIONS, Action


class MistakeError(UnknownValueError):
    pass


def slots_of(
    decorator: str,
    call: ast.Call | None,
    default: str | None,
    evaluate: Callable[[ast.expr], object],
) -> list[tuple[Action, str]]:
    """The actions and keys of a decorator.

    Args:
        decorator: Its name in this package.
        call: What gives it its arguments; `None` for a bare one.
        default: The key of a class that `@model` is given no key for; `None` if it has no name.
        evaluate: Gives the value of an expression.
    """
    if decorator == "model":
        if call is not None and call.args:
            raise MistakeError("it decorates a class; write @model(model_type=...)")
        key = None if call is None else _argument(call, "model_type", evaluate)
        key = default if key is None else key
        if key is None:
            raise UnknownValueError("its class has no name in the module")
        return [(action, _checked(key)) for action in MODEL_ACTIONS]
    if call is None:
        raise MistakeError("it needs its keys in parentheses")
    (spec,) = (spec for spec in ACTIONS.values() if spec.name == decorator)
    if spec.takes is None:
        return [(spec.name, _checked(_argument(call, spec.key_argument, evaluate)))]
    keys = _argument(call, f"{spec.key_argument}s", evaluate)
    if not isinstance(keys, tuple) or not keys:
        raise MistakeError('it takes a list of model types, at least one, such as ["iris.svc"]')
    return [(spec.name, _checked(key)) for key in keys]


def _argument(call: ast.Call, name: str, evaluate: Callable[[ast.expr], object]) -> object:
    """The value of a keyword, or of the first argument; `None` where neither is given."""
    is_unpacked = any(isinstance(argument, ast.Starred) for argument in call.args[:1])
    if is_unpacked or any(keyword.arg is None for keyword in call.keywords):
        raise UnknownValueError("its arguments are unpacked")
    for keyword in call.keywords:
        if keyword.arg == name:
            return evaluate(keyword.value)
    return evaluate(call.args[0]) if call.args else None


def _checked(key: object) -> str:
    if not isinstance(key, str):
        raise MistakeError(f"a key is a str, not {reprlib.repr(key)}")
    if not key.strip():
        raise MistakeError("a key is empty")
    return key
