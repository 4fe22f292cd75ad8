"""The call of a declared function, with all that its declaration says worked out beforehand.

The function is in this process, or in one of an environment.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import CoroutineType, FunctionType
from typing import Any, NamedTuple

from aimm_plugins._dispatch.call_errors import annotate, explain, not_a_callback
from aimm_plugins._dispatch.cancelling import Cancellation, CancelToken, cancellation_of
from aimm_plugins._registry.providers import Provider
from aimm_plugins._system.log import logger
from aimm_plugins._values.actions import ACTIONS, Action, StateCallback, ignore_state

Call = Callable[[Any, Any, Any, Any], Any]
"""Takes the instance (the bytes for deserialize), the callback, the arguments and keywords."""


class DirectCall:
    """The calls of one provider.

    Most functions take the instance first, if any, and then the caller's arguments. Their `call` is
    one frame, in which the cases of few arguments are written out, because unpacking costs more
    than the rest of a call. It returns what the `exec_*` function does.
    """

    __slots__ = (
        "_declaration",
        "_has_warned",
        "_is_async",
        "_raw_call",
        "async_function",
        "call",
        "function",
        "provider",
    )

    def __init__(self, provider: Provider) -> None:
        declaration = provider.declaration
        assert declaration is not None, "a deferred provider is loaded before it is called"
        self.provider = provider
        self._declaration = declaration
        self._is_async = _is_async(declaration.function)
        # Made on demand: a host with very many keys pays for what it uses.
        self._raw_call: Call | None = None
        self._has_warned = False
        # What `exec_predict`, `exec_serialize` and `exec_deserialize` call themselves, if that is
        # all to be done; `async_function` is the same for `exec_predict_async`.
        self.function: Callable[..., Any] | None = None
        is_plain = (
            declaration.method is None
            and declaration.state_cb_arg_name is None
            and declaration.instance_arg_name is None
            and not declaration.returns_instance
            # Of a compiled function the coroutine has a class of its own, for `finish` to know.
            and (not self._is_async or type(declaration.function) is FunctionType)
        )
        if not is_plain:
            self.call: Call = self._finished_call
        elif ACTIONS[declaration.action].takes is None:
            self.call = self._call_without_instance()
        else:
            self.call = self._call_with_instance()
            self.function = declaration.function
        self.async_function = self.function if self._is_async else None

    def _call_without_instance(self) -> Call:
        direct, provider, function = self, self.provider, self._declaration.function
        action = provider.action

        def call(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
            if state_cb is not None and not callable(state_cb):
                raise not_a_callback(action, state_cb)
            try:
                if kwargs:
                    result = function(*args, **kwargs)
                elif len(args) == 1:
                    result = function(args[0])
                else:
                    result = function(*args)
            except BaseException as error:
                explain(error, provider, instance, state_cb, args, kwargs)
                raise
            if type(result) is CoroutineType:
                result = direct.run_coroutine(result)
            return result

        return call

    def _call_with_instance(self) -> Call:
        direct, provider, function = self, self.provider, self._declaration.function
        action, is_fit = provider.action, provider.action == "fit"

        def call(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
            if state_cb is not None and not callable(state_cb):
                raise not_a_callback(action, state_cb)
            try:
                if kwargs:
                    result = function(instance, *args, **kwargs)
                elif len(args) == 1:
                    result = function(instance, args[0])
                else:
                    result = function(instance, *args)
            except BaseException as error:
                explain(error, provider, instance, state_cb, args, kwargs)
                raise
            return result if is_fit and result is instance else direct.finish(instance, result)

        return call

    def _make_raw_call(self) -> Call:
        """The call for any declaration; returns what the function returns."""
        provider, declaration = self.provider, self._declaration
        action = provider.action
        function, method = declaration.function, declaration.method
        state, keyword = declaration.state_cb_arg_name, declaration.instance_arg_name
        passes_first = ACTIONS[action].takes is not None and method is None and keyword is None
        reserved = {
            name: role
            for name, role in ((state, "state callback"), (keyword, "instance"))
            if name is not None
        }

        def call(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
            if state_cb is not None and not callable(state_cb):
                raise not_a_callback(action, state_cb)
            given = kwargs
            if reserved:
                given = {}
                if kwargs:
                    for name, role in reserved.items():
                        if name in kwargs:
                            raise TypeError(
                                f"{name!r} is where {provider} receives its {role}; do not pass it "
                                "as a keyword"
                            )
                    given.update(kwargs)
                if state is not None:
                    given[state] = ignore_state if state_cb is None else state_cb
                if keyword is not None:
                    given[keyword] = instance
            try:
                if method is not None:
                    return getattr(instance, method)(*args, **given)
                if passes_first:
                    return function(instance, *args, **given)
                return function(*args, **given)
            except BaseException as error:
                explain(error, provider, instance, state_cb, args, kwargs)
                raise

        self._raw_call = call
        return call

    def _finished_call(self, instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
        call = self._raw_call or self._make_raw_call()
        return self.finish(instance, call(instance, state_cb, args, kwargs))

    def finish(self, instance: Any, result: Any) -> Any:
        """What the `exec_*` function returns for what the plugin's function has returned."""
        if type(result) is CoroutineType or (self._is_async and inspect.isawaitable(result)):
            result = self.run_coroutine(result)
        return self._answer(instance, result)

    def _answer(self, instance: Any, result: Any) -> Any:
        declaration = self._declaration
        if declaration.action != "predict":
            if result is None and declaration.action == "fit" and not self._has_warned:
                self._has_warned = True
                # It may be all right where nobody uses the result.
                logger().warning(
                    "%s returned None, which its caller takes for the fitted instance; does its "
                    "function lack a `return`?",
                    self.provider,
                )
            if type(result) is str and declaration.action == "serialize":
                raise TypeError(
                    f"{self.provider}: serialize must return bytes, and returned str; encode it, "
                    "as by `.encode()`"
                )
            return result
        if not declaration.returns_instance:
            return (instance, result)
        if isinstance(result, tuple) and len(result) == 2:
            return result
        raise TypeError(
            f"{self.provider}: declared with returns_instance=True, must return (instance, "
            f"prediction) and returned {type(result).__name__}"
        )

    async def call_async(
        self, instance: Any, state_cb: StateCallback | None, args: Any, kwargs: Any
    ) -> Any:
        """As `call`; functions that are not asynchronous run in a thread."""
        call = self._raw_call or self._make_raw_call()
        if self._runs_in_loop(instance):
            result = call(instance, state_cb, args, kwargs)
        else:
            if state_cb is not None and not callable(state_cb):
                raise not_a_callback(self.provider.action, state_cb)
            from aimm_plugins._dispatch.awaiting import in_thread

            result = await in_thread(lambda report: call(instance, report, args, kwargs), state_cb)
        if type(result) is CoroutineType or inspect.isawaitable(result):
            try:
                result = await result
            except BaseException as error:
                annotate(error, self.provider)
                raise
        return self._answer(instance, result)

    def _runs_in_loop(self, instance: Any) -> bool:
        method = self._declaration.method
        if method is None:
            return self._is_async
        # A subclass may have overridden it; a name that is missing is explained later.
        return _is_async(getattr(instance, method, len))

    def run_coroutine(self, coroutine: Any) -> Any:
        """What an asynchronous function returns, for a caller that is not; see `run`."""
        from aimm_plugins._dispatch.awaiting import run

        try:
            return run(coroutine, str(self.provider), f"exec_{self.provider.action}_async")
        except BaseException as error:
            annotate(error, self.provider)
            raise


class Request(NamedTuple):
    """A call of a function in another process."""

    action: Action
    key: str
    instance: Any  # what the action takes: an instance, bytes, or nothing
    state_cb: StateCallback | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    cancellations: Sequence[Cancellation]  # end the call once one is set

    def __str__(self) -> str:
        return f"{self.action}:{self.key}"


class RemoteFunction:
    """A function in another process; what its declaration here holds in its place.

    `call` returns what the `exec_*` function does.
    """

    def __init__(self, qualname: str, call: Callable[[Request], Any]) -> None:
        self.__qualname__ = qualname
        self.__doc__ = None  # that of this class says nothing of the function
        self.call = call


class RemoteCall(DirectCall):
    """The calls of a provider whose function is in another process.

    That process holds the arguments against the function's signature, so that nothing is left to be
    explained here but whose plugin it was.
    """

    __slots__ = ("_remote",)

    def __init__(self, provider: Provider) -> None:
        assert isinstance(provider.function, RemoteFunction)
        self.provider = provider
        self._remote: Any = provider.function
        self.function = self.async_function = None
        self.call = self._call

    def _call(self, instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
        return self._ask(instance, state_cb, args, kwargs, self._cancellations(state_cb))

    async def call_async(
        self, instance: Any, state_cb: StateCallback | None, args: Any, kwargs: Any
    ) -> Any:
        """As `call`, awaited; the plugin of a cancelled task is asked to end."""
        from aimm_plugins._dispatch.awaiting import in_thread

        token = CancelToken()
        ends = [token, *self._cancellations(state_cb)]

        def work(report: StateCallback) -> Any:
            return self._ask(instance, state_cb and report, args, kwargs, ends)

        return await in_thread(work, state_cb, token)

    def _cancellations(self, state_cb: Any) -> list[Cancellation]:
        if state_cb is not None and not callable(state_cb):
            raise not_a_callback(self.provider.action, state_cb)
        found = cancellation_of(state_cb)
        return [] if found is None else [found]

    def _ask(self, instance: Any, state_cb: Any, args: Any, kwargs: Any, ends: Any) -> Any:
        provider = self.provider
        try:
            return self._remote.call(
                Request(provider.action, provider.key, instance, state_cb, args, kwargs, ends)
            )
        except BaseException as error:
            annotate(error, provider)
            raise


def call_of(provider: Provider) -> DirectCall:
    is_remote = isinstance(provider.function, RemoteFunction)
    return RemoteCall(provider) if is_remote else DirectCall(provider)


def _is_async(function: Callable[..., object]) -> bool:
    """Whether calling a function certainly gives a coroutine.

    `False` says nothing: a decorated function, for one, shows only by what it returns.
    """
    while isinstance(function, functools.partial):
        function = function.func
    try:
        if inspect.iscoroutinefunction(function):
            return True
        # A callable object; of a class, `__call__` is what its instances do.
        return not isinstance(function, type) and inspect.iscoroutinefunction(
            getattr(type(function), "__call__", None)  # noqa: B004  # looked at, not only asked for
        )
    except Exception:  # an object whose attributes raise
        return False
