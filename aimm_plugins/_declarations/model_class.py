"""Models as classes: one class that declares five actions at once."""

from __future__ import annotations

import abc
import inspect
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TypeVar, overload

from aimm_plugins._declarations.declaration import Declaration, call_site
from aimm_plugins._declarations.decorators import (
    check_argument_name,
    checked_key,
    refuse,
    takes_keyword,
    unable_to_take,
)
from aimm_plugins._declarations.ledger import current_ledger
from aimm_plugins._system.text import shown
from aimm_plugins._values.actions import MODEL_ACTIONS, Action
from aimm_plugins.errors import DeclarationError

C = TypeVar("C", bound=type)

_METHODS = MODEL_ACTIONS[1:]


class Model(abc.ABC):
    """The methods that a class with `@model` needs; inheriting from it is optional.

    `__init__` is the instantiate action. Any of the methods may take further arguments.
    """

    @abc.abstractmethod
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Fit this instance and return the fitted one, usually `self`."""

    @abc.abstractmethod
    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Return a prediction; the instance may change by it."""

    @abc.abstractmethod
    def serialize(self) -> bytes | bytearray | memoryview:
        """Return the bytes that `deserialize` makes an equal instance of."""

    @classmethod
    @abc.abstractmethod
    def deserialize(cls, instance_bytes: bytes) -> Any:
        """Return the instance that `serialize` made the bytes of."""


@overload
def model(cls: C) -> C: ...
@overload
def model(
    cls: None = None, *, model_type: str | None = None, state_cb_arg_name: str | None = None
) -> Callable[[C], C]: ...
def model(
    cls: Any = None, *, model_type: str | None = None, state_cb_arg_name: str | None = None
) -> Any:
    """Declare a class as a model: all five actions of a model under one model type.

    Works bare, as `@model`, and with arguments. Instances are made by calling the class; the other
    actions call the method of that name on the instance, so that a subclass may override it.

    Args:
        cls: The class, where the decorator is used bare.
        model_type: The key; by default module and name of the class, as in `my_models.Svc`.
        state_cb_arg_name: Keyword under which methods want the state callback: those of
            `__init__`, `fit` and `predict` that name it as a parameter, or, where none does,
            those with `**kwargs`.

    Returns:
        The class itself, or a decorator that returns it.

    Raises:
        DeclarationError: Methods of `Model` are missing (all are named), `deserialize` needs an
            instance, or no method can take `state_cb_arg_name`; nothing is declared then.

    Example:
        >>> from aimm_plugins import exec_fit, exec_instantiate, exec_predict, model
        >>> @model(model_type="mean")
        ... class Mean:
        ...     def fit(self, values):
        ...         self.value = sum(values) / len(values)
        ...         return self
        ...     def predict(self, count):
        ...         return [self.value] * count
        ...     def serialize(self):
        ...         return str(self.value).encode()
        ...     @classmethod
        ...     def deserialize(cls, data):
        ...         return cls().fit([float(data)])
        >>> fitted = exec_fit("mean", exec_instantiate("mean"), None, [1.0, 2.0])
        >>> exec_predict("mean", fitted, None, 2)[1]
        [1.5, 1.5]
    """
    if cls is not None:
        caller = sys._getframe(1)
        if isinstance(cls, str):
            refuse(caller, f"@model decorates a class: write @model(model_type={cls!r})")
        return _declare_model(cls, model_type, state_cb_arg_name, caller)

    def decorate(decorated: C) -> C:
        return _declare_model(decorated, model_type, state_cb_arg_name, sys._getframe(1))

    return decorate


def _declare_model(
    cls: C, model_type: str | None, state_cb_arg_name: str | None, caller: FrameType
) -> C:
    if not isinstance(cls, type):
        refuse(caller, f"@model decorates a class, and was given {shown(cls)}")
    # Not `__qualname__`: a class made in a function has `<locals>` in it, and saved models carry
    # the model type for years.
    key = f"{cls.__module__}.{cls.__name__}" if model_type is None else model_type
    try:
        key = checked_key("model", key)
    except DeclarationError as error:
        refuse(caller, str(error))
    _check_interface(cls, caller)
    takers = _takers(cls, state_cb_arg_name, caller)
    site, spec = call_site(caller)
    ledger = current_ledger()
    importer = ledger.current_importer(site[1])
    declarations = [
        Declaration(
            action,
            (key,),
            cls,
            cls if action == "instantiate" else getattr(cls, action),
            *site,
            importer,
            method=action if action in ("fit", "predict", "serialize") else None,
            state_cb_arg_name=state_cb_arg_name if action in takers else None,
        )
        for action in MODEL_ACTIONS
    ]
    ledger.add(declarations, spec)
    return cls


def _check_interface(cls: type, caller: FrameType) -> None:
    missing = [
        name
        for name in _METHODS
        if not callable(getattr(cls, name, None))
        or getattr(getattr(cls, name), "__isabstractmethod__", False)
    ]
    if missing:
        refuse(caller, lacks_methods(cls.__name__, missing))
    if not isinstance(
        inspect.getattr_static(cls, "deserialize"), classmethod | staticmethod
    ) and inspect.isfunction(cls.deserialize):  # type: ignore[attr-defined]  # checked above
        refuse(caller, needs_instance(cls.__name__))


def lacks_methods(name: str, missing: Sequence[str]) -> str:
    return f"@model class {name} lacks {', '.join(missing)}; see Model"


def needs_instance(name: str) -> str:
    return f"@model class {name}: deserialize has no instance yet; make it a classmethod"


def _takers(cls: type, name: str | None, caller: FrameType) -> set[Action]:
    """The actions whose method can be given the state callback."""
    if name is None:
        return set()
    check_argument_name("state_cb_arg_name", name, caller)
    methods: dict[Action, Callable[..., Any]] = {
        "instantiate": cls,
        "fit": cls.fit,  # type: ignore[attr-defined]  # checked by _check_interface
        "predict": cls.predict,  # type: ignore[attr-defined]  # likewise
    }
    named: set[Action] = {a for a, f in methods.items() if takes_keyword(f, name, named=True)}
    takers = named or {a for a, f in methods.items() if takes_keyword(f, name)}
    if not takers:
        reasons = [unable_to_take(f, "state_cb_arg_name", name) for f in methods.values()]
        refuse(caller, f"@model class {cls.__name__}: " + "; ".join(reasons))
    return takers
