"""The call of a function that lives in a process of an environment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aimm_plugins._dispatch.call_errors import annotate, not_a_callback
from aimm_plugins._dispatch.cancelling import Cancellation, cancellation_of
from aimm_plugins._dispatch.direct_call import DirectCall
from aimm_plugins._registry.providers import Provider
from aimm_plugins._values.actions import Action, StateCallback


class Request(NamedTuple):
    """A call of a function in another process."""

    action: Action
    key: str
    instance: Any  # what the action takes: an instance, bytes, or nothing
    state_cb: StateCallback | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    cancellation: Cancellation | None  # ends the call once it is set

    def __str__(self) -> str:
        return f"{self.action}:{self.key}"


class RemoteFunction:
    """A function in another process; what its declaration here holds in its place.

    `call` returns what the `exec_*` function does.
    """

    def __init__(
        self,
        qualname: str,
        call: Callable[[Request], Any],
        call_async: Callable[[Request], Awaitable[Any]],
    ) -> None:
        self.__qualname__ = qualname
        self.__doc__ = None  # that of this class says nothing of the function
        self.call = call
        self.call_async = call_async


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
        try:
            return self._remote.call(self._request(instance, state_cb, args, kwargs))
        except BaseException as error:
            annotate(error, self.provider)
            raise

    async def call_async(
        self, instance: Any, state_cb: StateCallback | None, args: Any, kwargs: Any
    ) -> Any:
        """As `call`, awaited; the plugin of a cancelled task is asked to end."""
        try:
            return await self._remote.call_async(self._request(instance, state_cb, args, kwargs))
        except BaseException as error:
            annotate(error, self.provider)
            raise

    def _request(
        self, instance: Any, state_cb: StateCallback | None, args: Any, kwargs: Any
    ) -> Request:
        if state_cb is not None and not callable(state_cb):
            raise not_a_callback(self.provider.action, state_cb)
        provider, ends = self.provider, cancellation_of(state_cb)
        return Request(provider.action, provider.key, instance, state_cb, args, kwargs, ends)


def call_of(provider: Provider) -> DirectCall:
    is_remote = isinstance(provider.function, RemoteFunction)
    return RemoteCall(provider) if is_remote else DirectCall(provider)
