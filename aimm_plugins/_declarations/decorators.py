"""The decorators of plugin authors; each returns the very object that it was given."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import Parameter
from types import FrameType, FunctionType
from typing import Any, NoReturn, TypeVar

from aimm_plugins._declarations.declaration import Declaration, call_site, qualname_of
from aimm_plugins._declarations.ledger import current_ledger
from aimm_plugins._system.signatures import shown_signature, signature_of
from aimm_plugins._system.text import did_you_mean, shown
from aimm_plugins._values.actions import ACTIONS, Action
from aimm_plugins.errors import DeclarationError

# A bound type variable, not ParamSpec: it is the decorated object itself that comes back, and a
# type checker then keeps `type[M]` of a class and the overloads of a function.
F = TypeVar("F", bound=Callable[..., object])
Bytes = bytes | bytearray | memoryview
S = TypeVar("S", bound=Callable[[Any], Bytes | Awaitable[Bytes]])
D = TypeVar("D", bound=Callable[[Any], object])

_BY_KEYWORD = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def data_access(name: str, state_cb_arg_name: str | None = None) -> Callable[[F], F]:
    """Declare that the decorated function provides data.

    The function takes any arguments and returns the data, of any type, `None` included.

    Args:
        name: Key that callers pass to `exec_data_access`; not empty.
        state_cb_arg_name: Keyword under which the function wants the state callback.

    Returns:
        A decorator, which returns the very object that it is given.

    Raises:
        DeclarationError: An argument is wrong or does not fit the function; nothing is declared.

    Example:
        >>> from aimm_plugins import data_access, exec_data_access
        >>> @data_access("squares")
        ... def squares(count):
        ...     return [i * i for i in range(count)]
        >>> exec_data_access("squares", None, 3)
        [0, 1, 4]
    """
    return _decorator("data_access", name, state_cb_arg_name)


def instantiate(model_type: str, state_cb_arg_name: str | None = None) -> Callable[[F], F]:
    """Declare that the decorated function, or class, makes model instances.

    Args:
        model_type: Key that callers pass to `exec_instantiate`; not empty.
        state_cb_arg_name: Keyword under which the function wants the state callback.

    Returns:
        A decorator, which returns the very object that it is given.

    Raises:
        DeclarationError: An argument is wrong or does not fit the function; nothing is declared.

    Example:
        >>> from aimm_plugins import exec_instantiate, instantiate
        >>> @instantiate("mean")
        ... def make(digits=1):
        ...     return {"digits": digits}
        >>> exec_instantiate("mean", None, digits=2)
        {'digits': 2}
    """
    return _decorator("instantiate", model_type, state_cb_arg_name)


def fit(
    model_types: Iterable[str],
    state_cb_arg_name: str | None = None,
    instance_arg_name: str | None = None,
) -> Callable[[F], F]:
    """Declare that the decorated function fits models and returns the fitted instance.

    Args:
        model_types: The model types that it fits, at least one; all are declared or none.
        state_cb_arg_name: Keyword under which the function wants the state callback.
        instance_arg_name: Keyword under which it wants the instance, instead of as its first
            positional argument.

    Returns:
        A decorator, which returns the very object that it is given.

    Raises:
        DeclarationError: An argument is wrong or does not fit the function; nothing is declared.

    Example:
        >>> from aimm_plugins import exec_fit, fit, progress
        >>> @fit(["sum"], state_cb_arg_name="state_cb")
        ... def add(model, values, *, state_cb):
        ...     return model + sum(progress(state_cb, values, unit="value"))
        >>> exec_fit("sum", 1.5, None, [2.0, 3.0])
        6.5
    """
    return _decorator("fit", model_types, state_cb_arg_name, instance_arg_name)


def predict(
    model_types: Iterable[str],
    state_cb_arg_name: str | None = None,
    instance_arg_name: str | None = None,
    *,
    returns_instance: bool = False,
) -> Callable[[F], F]:
    """Declare that the decorated function predicts with a model instance.

    Args:
        model_types: The model types that it predicts with, as for `fit`.
        state_cb_arg_name: As for `fit`.
        instance_arg_name: As for `fit`.
        returns_instance: The function returns `(instance, prediction)`, for models that are
            replaced rather than changed in place. Otherwise it returns the prediction alone and
            `exec_predict` adds the instance that it was given.

    Returns:
        A decorator, which returns the very object that it is given.

    Raises:
        DeclarationError: An argument is wrong or does not fit the function; nothing is declared.

    Example:
        >>> from aimm_plugins import exec_predict, predict
        >>> @predict(["counter"], returns_instance=True)
        ... def count(model):
        ...     return model + 1, f"call {model}"
        >>> exec_predict("counter", 7)
        (8, 'call 7')
    """
    return _decorator(
        "predict", model_types, state_cb_arg_name, instance_arg_name, returns_instance
    )


def serialize(model_types: Iterable[str]) -> Callable[[S], S]:
    """Declare that the decorated function takes an instance and returns bytes.

    Args:
        model_types: The model types that it serializes, as for `fit`.

    Returns:
        A decorator, which returns the very object that it is given.

    Raises:
        DeclarationError: An argument is wrong; nothing is declared.

    Example:
        >>> import json
        >>> from aimm_plugins import exec_serialize, serialize
        >>> @serialize(["mean"])
        ... def save(model):
        ...     return json.dumps(model).encode()
        >>> exec_serialize("mean", {"mean": 1.5})
        b'{"mean": 1.5}'
    """
    return _decorator("serialize", model_types)


def deserialize(model_types: Iterable[str]) -> Callable[[D], D]:
    """Declare that the decorated function makes an instance of the bytes of `serialize`.

    Args:
        model_types: The model types that it deserializes, as for `fit`.

    Returns:
        A decorator, which returns the very object that it is given.

    Raises:
        DeclarationError: An argument is wrong; nothing is declared.

    Example:
        >>> import json
        >>> from aimm_plugins import deserialize, exec_deserialize
        >>> @deserialize(["mean"])
        ... def load(data):
        ...     return json.loads(data)
        >>> exec_deserialize("mean", b'{"mean": 1.5}')
        {'mean': 1.5}
    """
    return _decorator("deserialize", model_types)


# What is decorated is seen only by the inner function, so the bounds of the public signatures
# cannot be expressed once more here.
def _decorator(
    action: Action,
    keys: object,
    state_cb_arg_name: str | None = None,
    instance_arg_name: str | None = None,
    returns_instance: bool = False,
) -> Callable[[Any], Any]:
    try:
        checked = checked_keys(action, keys)
    except DeclarationError as error:
        refuse(sys._getframe(2), str(error))

    def decorate(target: Callable[..., object]) -> Callable[..., object]:
        caller = sys._getframe(1)
        if not callable(target):
            refuse(caller, f"@{action} decorates a function, and {shown(target)} cannot be called")
        if state_cb_arg_name is not None or instance_arg_name is not None:
            _check_argument_names(action, target, state_cb_arg_name, instance_arg_name, caller)
        # Python counts a decorated function from its first decorator; so does the place here.
        site, spec = call_site(caller, target)
        ledger = current_ledger()
        declaration = Declaration(
            action,
            checked,
            target,
            target,
            *site,
            ledger.current_importer(site[1]),
            None,
            state_cb_arg_name,
            instance_arg_name,
            returns_instance,
        )
        ledger.add([declaration], spec)
        return target

    return decorate


def refuse(caller: FrameType, message: str) -> NoReturn:
    """Raise a `DeclarationError` that names the decorator's place."""
    (_, _, file, line), _ = call_site(caller)
    raise DeclarationError(message, file=file, line=line) from None


def checked_keys(action: Action, keys: object) -> tuple[str, ...]:
    """The keys that a decorator is given.

    Raises:
        DeclarationError: It would refuse them; without a place.
    """
    if action in ("data_access", "instantiate"):
        return (checked_key(action, keys),)
    if isinstance(keys, str):
        raise DeclarationError(
            f'@{action} takes a list of model types: write @{action}(["{keys}"])'
        )
    # A list goes first: to ask the abstract class takes a tenth of a declaration.
    if not isinstance(keys, list) and (
        isinstance(keys, bytes | bytearray) or not isinstance(keys, Iterable)
    ):
        bare = f"; write @{action}([...]) above the function" if callable(keys) else ""
        raise DeclarationError(
            f"@{action} takes a list of model types, and was given {shown(keys)}{bare}"
        )
    checked = tuple(  # of a list: a generator for one key takes a twentieth of a declaration
        [key if type(key) is str and key.strip() else checked_key(action, key) for key in keys]
    )
    if not checked:
        raise DeclarationError(
            f"@{action} was given an empty list of model types; name at least one"
        )
    if len(checked) > 1 and len(set(checked)) < len(checked):
        repeated = sorted(key for key, count in Counter(checked).items() if count > 1)
        told = ", ".join(map(repr, repeated[:_MOST_REPEATED]))
        raise DeclarationError(f"@{action} was given {told} more than once")
    return checked


_MOST_REPEATED = 10
"""Keys that are named which a decorator is given more than once."""


def checked_key(decorator: str, key: object) -> str:
    """One key, which must be a `str` with something in it; see `checked_keys`."""
    if not isinstance(key, str):
        hint = f'; write @{decorator}("...") above the function' if inspect.isroutine(key) else ""
        raise DeclarationError(f"a key of @{decorator} is a str, and was given {shown(key)}{hint}")
    if not key.strip():
        raise DeclarationError(f"a key of @{decorator} is empty; give it a name")
    # Plain text also for a member of an enum that is a str, whose own `str()` may be another.
    return str.__str__(key)


def _check_argument_names(
    action: Action,
    function: Callable[..., object],
    state: str | None,
    instance: str | None,
    caller: FrameType,
) -> None:
    for option, name in (("state_cb_arg_name", state), ("instance_arg_name", instance)):
        if name is None:
            continue
        check_argument_name(option, name, caller)
        if not takes_keyword(function, name):
            refuse(caller, unable_to_take(function, option, name))
    if state == instance:
        refuse(caller, f"state_cb_arg_name and instance_arg_name are both {state!r}")
    if instance is None and ACTIONS[action].takes is not None and type(function) is FunctionType:
        code = function.__code__
        if code.co_argcount and code.co_varnames[0] == state:
            refuse(
                caller,
                f"state_cb_arg_name={state!r} is the first positional argument of "
                f"{_described(function)}, which gets the instance; name the argument that is to "
                "get that as instance_arg_name",
            )


def check_argument_name(option: str, name: object, caller: FrameType) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        refuse(caller, f"{option} is the name of an argument, and was given {shown(name)}")


def takes_keyword(function: Callable[..., object], name: str, *, named: bool = False) -> bool:
    """Whether `function` can be given `name` as a keyword; `named` does not count `**kwargs`.

    Where Python knows no signature, anything goes.
    """
    if type(function) is FunctionType and not vars(function):  # twenty times faster
        code = function.__code__
        count = code.co_argcount + code.co_kwonlyargcount
        if name in code.co_varnames[code.co_posonlyargcount : count]:
            return True
    try:
        parameters = signature_of(function).parameters
    except (TypeError, ValueError):
        return not named
    parameter = parameters.get(name)
    if parameter is not None and parameter.kind in _BY_KEYWORD:
        return True
    return not named and any(
        parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def unable_to_take(function: Callable[..., object], option: str, name: str) -> str:
    parameters = signature_of(function).parameters
    by_position = name in parameters and parameters[name].kind is Parameter.POSITIONAL_ONLY
    by_keyword = [p.name for p in parameters.values() if p.kind in _BY_KEYWORD]
    what = f"{option}={name!r}: {_described(function)}"
    return f"{what} {why_not_taken(name, by_keyword, by_position=by_position)}"


def why_not_taken(name: str, by_keyword: Sequence[str], *, by_position: bool) -> str:
    """What is said of a function that takes arguments `by_keyword`, and `name` not so."""
    if by_position:
        return f"takes {name!r} by position only"
    near = did_you_mean(name, by_keyword)
    return f"has no parameter {name!r} and no **kwargs{near and f' ({near})'}"


def _described(function: Callable[..., object]) -> str:
    return qualname_of(function) + shown_signature(function)
