"""The call of a declared function within executors, wrappers and monitors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pluggy

from aimm_plugins._dispatch.call_errors import not_a_callback
from aimm_plugins._dispatch.direct_call import Call, DirectCall
from aimm_plugins._dispatch.hookspecs import Chain, HookSpecs, Result
from aimm_plugins._values.actions import ActionSpec, StateCallback, ignore_state

DECLARED = "aimm_plugins.declared"
"""The plugin name of the last implementation of every hook: the declared function."""

_OPTIONS: Any = {
    "wrapper": False,
    "hookwrapper": False,
    "optionalhook": False,
    "tryfirst": False,
    "trylast": True,
    "specname": None,
}


class HookCall:
    """The calls of one action and key through pluggy's loop.

    The implementations are those of one moment, and the last of them is bound to one provider. So a
    call that has entered its wrappers does not look its key up again.

    Attributes:
        direct: The call of the declared function; `None` where no plugin provides the key, which an
            executor may know, or where the plugin is deferred. `find` gives it in these cases, when
            no executor has answered; `load` is awaited before that.
    """

    __slots__ = ("_chain", "_find", "_implementations", "_key", "_load", "_spec", "direct")

    function = None
    async_function = None

    def __init__(
        self,
        spec: ActionSpec,
        key: str,
        chain: Chain,
        direct: DirectCall | None,
        find: Callable[[], AnyCall],
        load: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._spec = spec
        self._key = key
        self._chain = chain
        self.direct = direct
        self._find = find
        self._load = load
        call = direct.call if direct is not None else lambda *given: find().call(*given)
        self._implementations = (declared_function(spec, call), *chain.implementations)

    def call(self, instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
        arguments = self._arguments(instance, state_cb, args, kwargs)
        result = self._chain.execute(self._spec.hook, self._implementations, arguments, True)
        return self._check(result).value

    def _arguments(self, instance: Any, state_cb: Any, args: Any, kwargs: Any) -> dict[str, Any]:
        spec = self._spec
        arguments: dict[str, Any] = {spec.key_argument: self._key}
        if spec.takes is not None:
            arguments[spec.takes] = instance
        if spec.free_arguments:
            if state_cb is not None and not callable(state_cb):
                raise not_a_callback(spec.name, state_cb)
            arguments["state_cb"] = ignore_state if state_cb is None else state_cb
            arguments["args"], arguments["kwargs"] = args, kwargs
        return arguments

    async def call_async(self, instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
        """As `call`; see `awaiting.call_hook`."""
        from aimm_plugins._dispatch.awaiting import call_hook

        arguments = self._arguments(instance, state_cb, args, kwargs)

        def answer(
            impl: pluggy.HookImpl, given: list[Any], keywords: dict[str, Any]
        ) -> Coroutine[Any, Any, Result | None]:
            if impl is self._implementations[0]:
                return call_declared()
            return _answer_in_thread(impl, given, keywords, state_cb)

        async def call_declared() -> Result:
            direct: AnyCall | None = self.direct
            if direct is None:
                if self._load is not None:
                    await self._load()
                direct = self._find()
            return Result(await direct.call_async(instance, state_cb, args, kwargs))

        result = await call_hook(
            self._spec.hook, self._implementations, arguments, self._chain.monitors, answer
        )
        return self._check(result).value

    def _check(self, result: object) -> Result:
        """What a hook has returned, if it is what `exec_*` functions can return."""
        if not isinstance(result, Result):
            returned, rule = result, "a wrapper receives and returns aimm_plugins.Result"
        elif self._spec.name == "predict" and not isinstance(result.value, tuple):
            returned, rule = result.value, "a Result of predict holds (instance, prediction)"
        else:
            return result
        names = ", ".join(impl.plugin_name for impl in self._implementations[1:])
        raise TypeError(
            f"hook {self._spec.hook} returned {type(returned).__name__} for "
            f"{self._spec.name}:{self._key}; {rule} (hookimpls: {names})"
        )


async def _answer_in_thread(
    impl: pluggy.HookImpl,
    positional: list[Any],
    keywords: dict[str, Any],
    state_cb: StateCallback | None,
) -> Any:
    """What an executor answers, asked in a thread; an awaitable in its result is awaited."""
    from aimm_plugins._dispatch.awaiting import in_thread

    def execute(report: StateCallback) -> Any:
        # The executor's own callback is told of the cancel too.
        given = [
            report if name == "state_cb" else value
            for name, value in zip(impl.argnames, positional, strict=True)
        ]
        if "state_cb" in keywords:
            keywords["state_cb"] = report
        return impl.function(*given, **keywords)

    answered = await in_thread(execute, state_cb)
    if answered is not None and inspect.isawaitable(answered.value):
        answered = Result(await answered.value)
    return answered


def declared_function(spec: ActionSpec, call: Call) -> pluggy.HookImpl:
    """The call of a declared function as the implementation of a hook that is called last."""

    @functools.wraps(getattr(HookSpecs, spec.hook))  # whose arguments pluggy passes
    def function(key: str, *given: Any) -> Result:
        instance = None if spec.takes is None else given[0]
        state_cb, args, kwargs = given[-3:] if spec.free_arguments else (None, (), {})
        return Result(call(instance, state_cb, args, kwargs))

    return pluggy.HookImpl(HookSpecs, DECLARED, function, _OPTIONS)


AnyCall = DirectCall | HookCall
"""How to make the calls of one action and key."""
