"""The hooks, one an action; what implementations return, and what a call passes through."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pluggy

from aimm_plugins._system.text import nearest
from aimm_plugins._values.provenance import short_file

PROJECT = "aimm_plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks an implementation of one of the hooks in a plugin module."""


class Result(NamedTuple):
    """The result of a call, boxed: every value is legal, `None` too.

    Attributes:
        value: The returned value; for predict `(instance, prediction)`.
    """

    value: Any


Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class HookSpecs:
    """The hooks, one an action, which take keywords and stop at the first `Result`.

    The key is `name` or `model_type`; `state_cb` is the caller's callback, or one that does
    nothing; `args` and `kwargs` are what the caller gave for the plugin. An implementation returns
    its answer in a `Result`, or `None` to pass.
    """

    @hookspec(firstresult=True)
    def aimm_data_access(
        self, name: str, state_cb: Any, args: Args, kwargs: Kwargs
    ) -> Result | None:
        """Access data."""

    @hookspec(firstresult=True)
    def aimm_instantiate(
        self, model_type: str, state_cb: Any, args: Args, kwargs: Kwargs
    ) -> Result | None:
        """Make a model instance."""

    @hookspec(firstresult=True)
    def aimm_fit(
        self, model_type: str, instance: Any, state_cb: Any, args: Args, kwargs: Kwargs
    ) -> Result | None:
        """Fit an instance; the answer is the fitted one."""

    @hookspec(firstresult=True)
    def aimm_predict(
        self, model_type: str, instance: Any, state_cb: Any, args: Args, kwargs: Kwargs
    ) -> Result | None:
        """Predict with an instance; the answer is `(instance, prediction)`."""

    @hookspec(firstresult=True)
    def aimm_serialize(self, model_type: str, instance: Any) -> Result | None:
        """Turn an instance into bytes."""

    @hookspec(firstresult=True)
    def aimm_deserialize(self, model_type: str, instance_bytes: Any) -> Result | None:
        """Make an instance of bytes."""


Execute = Callable[[str, Sequence[pluggy.HookImpl], Mapping[str, object], bool], Any]
"""Runs a hook: its name, its implementations, the arguments, whether the first result ends."""

Monitor = tuple[Callable[..., None], Callable[..., None]]
"""What pluggy calls before and after each hook call."""


class Chain(NamedTuple):
    """What a call of one action passes through besides the declared function."""

    implementations: tuple[pluggy.HookImpl, ...]  # as pluggy orders them: the last is called first
    execute: Execute  # pluggy's own loop over implementations, within the monitors
    monitors: tuple[Monitor, ...]  # what sees calls before and after, the last one outermost
    execute_unmonitored: Execute

    @property
    def is_empty(self) -> bool:
        """Whether calls reach the declared function alone, and nothing sees them."""
        return not self.implementations and not self.monitors

    def within(self, implementations: Sequence[pluggy.HookImpl]) -> Chain:
        """Other implementations, for a call within one that the monitors see already."""
        return self._replace(
            implementations=tuple(implementations), execute=self.execute_unmonitored, monitors=()
        )

    @property
    def has_executor(self) -> bool:
        """Whether something may answer calls before the declared function."""
        return any(not is_wrapper(impl) for impl in self.implementations)


def is_wrapper(impl: pluggy.HookImpl) -> bool:
    return impl.wrapper or impl.hookwrapper


def answering(impl: pluggy.HookImpl) -> pluggy.HookImpl:
    """A hookimpl whose plain function is held to its word: a `Result`, or `None` to pass."""
    if is_wrapper(impl):
        return impl
    function = impl.function

    @functools.wraps(function)
    def answer(*args: object, **kwargs: object) -> object:
        answered = function(*args, **kwargs)
        if answered is None or isinstance(answered, Result):
            return answered
        raise TypeError(
            f"hookimpl {getattr(function, '__qualname__', function)} of plugin {impl.plugin_name} "
            f"returned {type(answered).__name__}; return aimm_plugins.Result(value) to answer the "
            "call, or None to pass"
        )

    return pluggy.HookImpl(impl.plugin, impl.plugin_name, answer, impl.opts)


def place_of(function: Callable[..., Any]) -> str:
    inner: Any = inspect.unwrap(getattr(function, "__func__", function))
    code = getattr(inner, "__code__", None)
    if code is None:  # of an extension
        return str(getattr(inner, "__module__", "?"))
    # What is made by `exec` may have no module.
    return f"{short_file(code.co_filename, inner.__module__ or '')}:{code.co_firstlineno}"


def refusal(name: str, function: Callable[..., Any], options: Any, hooks: object) -> str | None:
    """Why an implementation, with the options of its marker, cannot be registered, if so."""
    hook = options.get("specname") or name
    caller = getattr(hooks, hook, None)
    spec = getattr(caller, "spec", None)
    if spec is None and options.get("optionalhook"):
        return None
    if spec is None:
        known = [other for other, caller in vars(hooks).items() if getattr(caller, "spec", None)]
        near = nearest(hook, known)
        if near:
            return f"matches no hook; did you mean {near[0]}?"
        return (
            f"matches no hook; there are {', '.join(sorted(known))}. One that only some hosts have "
            "is marked by hookimpl(optionalhook=True)"
        )
    offered = (*spec.argnames, *spec.kwargnames)
    needed = pluggy.HookImpl(None, name, function, options).argnames
    unknown = [argument for argument in needed if argument not in offered]
    if unknown:
        return (
            f"takes {', '.join(unknown)}, which {hook} does not pass; it passes "
            f"{', '.join(offered)}. Name those of them that are needed"
        )
    styles = [style for style in ("wrapper", "hookwrapper") if options.get(style)]
    if styles and not inspect.isgeneratorfunction(function):
        return "is marked as a wrapper and does not yield; write `result = yield` where the call is"
    if styles and caller is not None and caller.is_historic():
        return f"is a wrapper, and {hook} is a historic hook, which takes none"
    if len(styles) > 1:
        return "is marked as a wrapper of both styles; write hookimpl(wrapper=True)"
    return None
