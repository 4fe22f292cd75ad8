"""From key to provider to call: the hot path.

A plan is made for each action and key on first use and kept until anything changes that could
change the outcome. Where nothing wraps or monitors the action, it calls the declared function
itself; elsewhere it is a hook call, whose last implementation calls the function the same way.

No lock is taken and nothing imported on the way: a process forked in the middle can call.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import CoroutineType
from typing import Any, Generic, TypeVar, get_args

from aimm_plugins._declarations.ledger import Declaration
from aimm_plugins._dispatch.hooks import PluginManager, Result, hookimpl
from aimm_plugins._registry.providers import Provider
from aimm_plugins._registry.registry import Registry
from aimm_plugins._system.log import logger
from aimm_plugins._system.text import type_name
from aimm_plugins._values.actions import ACTIONS, Action, StateCallback, ignore_state

_Call = Callable[[Any, Any, Any, Any], Any]

P = TypeVar("P")


class Plans(Generic[P]):
    """The plans made since the last change, by action and key.

    One attribute an action, each a dict that is replaced when anything changes: whoever makes a
    plan takes the dict first, so that a plan made from what was before is stored where nobody
    looks any more.
    """

    __slots__ = get_args(Action)

    data_access: dict[str, P]
    instantiate: dict[str, P]
    fit: dict[str, P]
    predict: dict[str, P]
    serialize: dict[str, P]
    deserialize: dict[str, P]

    def __init__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Forget all."""
        for action in ACTIONS:
            setattr(self, action, {})

    def of(self, action: Action) -> dict[str, P]:
        """The dict of one action."""
        plans: dict[str, P] = getattr(self, action)
        return plans


class Dispatcher:
    """Makes and keeps plans; is itself the last implementation of every hook.

    Attributes:
        plans: What `exec_*` functions call; they read it directly.
        direct: The calls of declared functions, past all hooks.
    """

    def __init__(self, registry: Registry, manager: PluginManager) -> None:
        self._registry = registry
        self._manager = manager
        self.plans: Plans[Plan] = Plans()
        self.direct: Plans[DirectPlan] = Plans()
        registry.changed = self.invalidate
        manager.set_router(self)

    def invalidate(self) -> None:
        """Drop all plans. To be called after the change, not before."""
        self.direct.drop()
        self.plans.drop()

    def plan(self, action: Action, key: str) -> Plan:
        """The plan of one action and key, made now if need be.

        Raises:
            UnknownPluginError: Nobody provides it. With executors or wrappers present the plan is
                a hook call all the same, since an executor may answer for a key of its own.
        """
        if not isinstance(key, str):
            raise self._registry.unknown(action, key)
        hook = ACTIONS[action].hook
        provider = self._registry.find(action, key)
        if provider is not None and provider.deferred and not self._manager.has_executor(hook):
            # Before the hook is called, since the plugin may bring wrappers of its own.
            self._provider(action, key)
        mine = self.plans.of(action)
        if self._manager.bare(hook):
            direct, kept = self._made(action, key)
            # A module comes with its wrappers before its functions and goes in the other order: if
            # nothing wraps the action after the function was found either, nothing ever did.
            if self._manager.bare(hook) and self.plans.of(action) is mine:
                if kept:
                    mine[key] = direct
                return direct
        plan = HookPlan(self, self._manager, action, key)
        # An executor may answer for keys of its own; those could be any number.
        if self._registry.find(action, key) is not None:
            mine[key] = plan
        return plan

    async def plan_async(self, action: Action, key: str) -> Plan:
        """As `plan`; a deferred plugin is imported in a thread."""
        if self._defers(action, key):
            from aimm_plugins._dispatch.awaiting import in_thread

            return await in_thread(lambda _: self.plan(action, key), None)
        return self.plan(action, key)

    def direct_plan(self, action: Action, key: str) -> DirectPlan:
        """The call of the declared function, past all hooks, made now if need be.

        Raises:
            UnknownPluginError: Nobody provides it.
        """
        mine = self.direct.of(action)
        plan = mine.get(key) if isinstance(key, str) else None
        if plan is None:
            plan, kept = self._made(action, key)
            if kept:
                mine[key] = plan
        return plan

    async def direct_plan_async(self, action: Action, key: str) -> DirectPlan:
        """As `direct_plan`; a deferred plugin is imported in a thread."""
        if self._defers(action, key):
            from aimm_plugins._dispatch.awaiting import in_thread

            return await in_thread(lambda _: self.direct_plan(action, key), None)
        return self.direct_plan(action, key)

    def _defers(self, action: Action, key: object) -> bool:
        provider = self._registry.find(action, key) if isinstance(key, str) else None
        return provider is not None and provider.deferred

    def _made(self, action: Action, key: str) -> tuple[DirectPlan, bool]:
        """A new plan, and whether it may be kept."""
        provider = self._provider(action, key)
        return DirectPlan(provider), not self._unfinished(provider)

    def _provider(self, action: Action, key: str) -> Provider:
        """Who answers a call that no executor answered; every such call passes here once."""
        provider = self._registry.find(action, key) if isinstance(key, str) else None
        if provider is not None and provider.load is not None:
            provider.load()
            provider = self._registry.find(action, key)
        if provider is not None and self._unfinished(provider):
            # Declared by hand in an import that may have failed since.
            self._registry.sweep()
            provider = self._registry.find(action, key)
        if provider is None or provider.deferred:
            raise self._registry.absent(action, key)
        return provider

    def _unfinished(self, provider: Provider) -> bool:
        """Whether it was declared in an import whose end nobody has seen: it may yet fail."""
        body = None if provider.declaration is None else provider.declaration.body
        return body is not None and self._registry.book.unfinished(body)

    # The hookimpls, written out for the same reason as `exec_*`. pluggy passes a parameter with a
    # default or not, by version: ours have none.

    @hookimpl(trylast=True)
    def aimm_data_access(self, name: Any, state_cb: Any, args: Any, kwargs: Any) -> Result:
        """Call the declared function."""
        try:
            plan = self.direct.data_access[name]
        except (KeyError, TypeError):
            plan = None
        if plan is None:
            plan = self.direct_plan("data_access", name)
        return Result(plan.call(None, state_cb, args, kwargs))

    @hookimpl(trylast=True)
    def aimm_instantiate(self, model_type: Any, state_cb: Any, args: Any, kwargs: Any) -> Result:
        """Call the declared function."""
        try:
            plan = self.direct.instantiate[model_type]
        except (KeyError, TypeError):
            plan = None
        if plan is None:
            plan = self.direct_plan("instantiate", model_type)
        return Result(plan.call(None, state_cb, args, kwargs))

    @hookimpl(trylast=True)
    def aimm_fit(
        self, model_type: Any, instance: Any, state_cb: Any, args: Any, kwargs: Any
    ) -> Result:
        """Call the declared function."""
        try:
            plan = self.direct.fit[model_type]
        except (KeyError, TypeError):
            plan = None
        if plan is None:
            plan = self.direct_plan("fit", model_type)
        return Result(plan.call(instance, state_cb, args, kwargs))

    @hookimpl(trylast=True)
    def aimm_predict(
        self, model_type: Any, instance: Any, state_cb: Any, args: Any, kwargs: Any
    ) -> Result:
        """Call the declared function."""
        try:
            plan = self.direct.predict[model_type]
        except (KeyError, TypeError):
            plan = None
        if plan is None:
            plan = self.direct_plan("predict", model_type)
        return Result(plan.call(instance, state_cb, args, kwargs))

    @hookimpl(trylast=True)
    def aimm_serialize(self, model_type: Any, instance: Any) -> Result:
        """Call the declared function."""
        try:
            plan = self.direct.serialize[model_type]
        except (KeyError, TypeError):
            plan = None
        if plan is None:
            plan = self.direct_plan("serialize", model_type)
        return Result(plan.call(instance, None, (), {}))

    @hookimpl(trylast=True)
    def aimm_deserialize(self, model_type: Any, instance_bytes: Any) -> Result:
        """Call the declared function."""
        try:
            plan = self.direct.deserialize[model_type]
        except (KeyError, TypeError):
            plan = None
        if plan is None:
            plan = self.direct_plan("deserialize", model_type)
        return Result(plan.call(instance_bytes, None, (), {}))


def _declaration(provider: Provider) -> Declaration:
    assert provider.declaration is not None, "a deferred provider is loaded before it is called"
    return provider.declaration


class DirectPlan:
    """The calls of one provider, with all that its declaration says worked out beforehand.

    Attributes:
        provider: Who answers.
        function: Where a call of `exec_predict` is `function(instance, *args, **kwargs)` and
            nothing else but what it does itself: that function. Else `None`: use `call`.
        async_function: The same for `exec_predict_async` and an asynchronous function.
        call: Takes the instance (the bytes for deserialize), the callback, the arguments and
            keywords; returns what the `exec_*` function does.
    """

    __slots__ = (
        "_adds_instance",
        "_call",
        "_is_async",
        "_method",
        "_returns_instance",
        "async_function",
        "call",
        "function",
        "provider",
    )

    def __init__(self, provider: Provider) -> None:
        declaration = _declaration(provider)
        self.provider = provider
        self._method = declaration.method
        self._adds_instance = declaration.action == "predict" and not declaration.returns_instance
        self._returns_instance = declaration.returns_instance
        self._is_async = _is_async(declaration.function)
        simple = (
            self._passes_first()
            and declaration.state_cb_arg_name is None
            and not declaration.returns_instance
        )
        self.call: _Call = self._simple() if simple else self._finished
        # Made on demand: a host with very many keys pays for what it uses.
        self._call: _Call | None = None
        inlined = declaration.function if simple and self._adds_instance else None
        self.function: Callable[..., Any] | None = inlined
        self.async_function: Callable[..., Any] | None = inlined if self._is_async else None

    def _passes_first(self) -> bool:
        """Whether the instance is the first positional argument."""
        declaration = _declaration(self.provider)
        return (
            ACTIONS[declaration.action].takes is not None
            and declaration.method is None
            and declaration.instance_arg_name is None
        )

    def _simple(self) -> _Call:
        # All in one frame. Beside the one case here, unpacking costs more than the rest of a call.
        plan = self
        function = _declaration(self.provider).function
        adds_instance = self._adds_instance

        def call(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
            if state_cb is not None and not callable(state_cb):
                raise not_a_callback(plan.provider.action, state_cb)
            try:
                if kwargs:
                    result = function(instance, *args, **kwargs)
                elif len(args) == 1:
                    result = function(instance, args[0])
                else:
                    result = function(instance, *args)
            except BaseException as error:
                plan.explain(error, instance, state_cb, args, kwargs)
                raise
            if type(result) is CoroutineType:
                result = plan.settle(result)
            return (instance, result) if adds_instance else result

        return call

    def _general(self) -> _Call:
        """What calls the function, for any declaration, and returns what that returns."""
        plan, provider, first = self, self.provider, self._passes_first()
        declaration = _declaration(provider)
        function, method = declaration.function, declaration.method
        state, keyword = declaration.state_cb_arg_name, declaration.instance_arg_name
        reserved = {
            name: role
            for name, role in ((state, "state callback"), (keyword, "instance"))
            if name is not None
        }

        def call(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
            if state_cb is not None and not callable(state_cb):
                raise not_a_callback(provider.action, state_cb)
            given = kwargs
            if reserved:
                given = {}
                if kwargs:
                    for name, role in reserved.items():
                        if name in kwargs:
                            raise TypeError(
                                f"{name!r} is where {provider} receives its {role}; do not pass "
                                "it as a keyword"
                            )
                    given.update(kwargs)
                if state is not None:
                    given[state] = ignore_state if state_cb is None else state_cb
                if keyword is not None:
                    given[keyword] = instance
            try:
                if method is not None:
                    return getattr(instance, method)(*args, **given)
                if first:
                    return function(instance, *args, **given)
                return function(*args, **given)
            except BaseException as error:
                plan.explain(error, instance, state_cb, args, kwargs)
                raise

        self._call = call
        return call

    def _finished(self, instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
        result = (self._call or self._general())(instance, state_cb, args, kwargs)
        if type(result) is CoroutineType:
            result = self.settle(result)
        if self._adds_instance:
            return (instance, result)
        if self._returns_instance:
            return self._pair(result)
        return result

    async def call_async(
        self, instance: Any, state_cb: StateCallback | None, args: Any, kwargs: Any
    ) -> Any:
        """As `call`; functions that are not asynchronous run in a thread."""
        call = self._call or self._general()
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
        if self._adds_instance:
            return (instance, result)
        if self._returns_instance:
            return self._pair(result)
        return result

    def _runs_in_loop(self, instance: Any) -> bool:
        if self._method is None:
            return self._is_async
        # A subclass may have made of it what it likes; a name that is missing is explained later.
        return _is_async(getattr(instance, self._method, len))

    def settle(self, coroutine: CoroutineType[Any, Any, Any]) -> Any:
        """What an asynchronous function returns, for a caller that is not.

        Raises:
            RuntimeError: An event loop runs in this thread.
        """
        from aimm_plugins._dispatch.awaiting import run

        try:
            return run(coroutine, str(self.provider), f"exec_{self.provider.action}_async")
        except BaseException as error:
            annotate(error, self.provider)
            raise

    def _pair(self, result: Any) -> Any:
        if isinstance(result, tuple) and len(result) == 2:
            return result
        raise TypeError(
            f"{self.provider}: declared with returns_instance=True, must return (instance, "
            f"prediction) and returned {type(result).__name__}"
        )

    def explain(
        self,
        error: BaseException,
        instance: Any,
        state_cb: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        """Say more about an exception; to be called where it is caught by the calling frame.

        Checking arguments before each call would cost more than most calls; Python checks them
        anyhow. Only when it refused is the signature looked at.

        Raises:
            TypeError: The function was never entered, since it does not take these arguments.
        """
        # `isinstance` would go on to ask the exception for its `__class__`, a stranger's code.
        if issubclass(type(error), TypeError | AttributeError):
            traceback = error.__traceback__
            # With a second frame, it was raised by code that we called.
            if traceback is None or traceback.tb_next is None:
                misfit = _misfit(self.provider, instance, state_cb, args, kwargs)
                if misfit is not None:
                    raise misfit from None
        annotate(error, self.provider)


class HookPlan:
    """The calls of one action and key through the plugin manager's hook.

    Attributes:
        call: As that of `DirectPlan`.
    """

    __slots__ = ("_action", "_dispatcher", "_free", "_hook", "_key", "_manager", "_names", "call")

    function = None
    async_function = None

    def __init__(
        self, dispatcher: Dispatcher, manager: PluginManager, action: Action, key: str
    ) -> None:
        spec = ACTIONS[action]
        self._dispatcher = dispatcher
        self._manager = manager
        self._action: Action = action
        self._key = key
        self._hook = getattr(manager.hook, spec.hook)
        self._names = (spec.key_argument, spec.takes)
        self._free = spec.free_arguments
        self.call: _Call = (
            self._with_instance() if action in ("fit", "predict") else self._general()
        )

    def _with_instance(self) -> _Call:
        # Spelled out, since it is the wrapped request's way: collecting the arguments first
        # costs a tenth of a hook call.
        hook, key, action, check = self._hook, self._key, self._action, self._check

        def call(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
            if state_cb is None:
                state_cb = ignore_state
            elif not callable(state_cb):
                raise not_a_callback(action, state_cb)
            result = hook(
                model_type=key, instance=instance, state_cb=state_cb, args=args, kwargs=kwargs
            )
            if type(result) is not Result:
                check(result)
            return result.value

        return call

    def _general(self) -> _Call:
        def call(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
            result = self._hook(**self._arguments(instance, state_cb, args, kwargs))
            self._check(result)
            return result.value

        return call

    def _arguments(self, instance: Any, state_cb: Any, args: Any, kwargs: Any) -> dict[str, Any]:
        key, takes = self._names
        arguments: dict[str, Any] = {key: self._key}
        if takes is not None:
            arguments[takes] = instance
        if self._free:
            if state_cb is None:
                state_cb = ignore_state
            elif not callable(state_cb):
                raise not_a_callback(self._action, state_cb)
            arguments["state_cb"] = state_cb
            arguments["args"] = args
            arguments["kwargs"] = kwargs
        return arguments

    async def call_async(self, instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
        """As `call`; see `_awaiting.call_hook`."""
        from aimm_plugins._dispatch.awaiting import call_hook, in_thread

        arguments = self._arguments(instance, state_cb, args, kwargs)

        async def answer(impl: Any, positional: list[Any], keywords: dict[str, Any]) -> Any:
            if impl.plugin is self._manager.router:
                direct = await self._dispatcher.direct_plan_async(self._action, self._key)
                return Result(await direct.call_async(instance, state_cb, args, kwargs))

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

        result = await call_hook(
            self._hook.name, self._hook.get_hookimpls(), arguments, self._manager.monitors, answer
        )
        self._check(result)
        return result.value

    def _check(self, result: object) -> None:
        if isinstance(result, Result):
            return
        wrappers = [
            impl.plugin_name
            for impl in self._hook.get_hookimpls()
            if impl.wrapper or impl.hookwrapper
        ]
        raise TypeError(
            f"hook {self._hook.name} returned {type(result).__name__} for "
            f"{self._action}:{self._key}; a wrapper receives and returns aimm_plugins.Result "
            f"(wrappers: {', '.join(wrappers)})"
        )


Plan = DirectPlan | HookPlan
"""How to make the calls of one action and key."""


def not_a_callback(action: Action, given: object) -> TypeError:
    """The error for whatever stands where the state callback belongs, mostly the data."""
    spec = ACTIONS[action]
    before = spec.key_argument if spec.takes is None else f"{spec.key_argument}, {spec.takes}"
    return TypeError(
        f"exec_{action}: state_cb is a callable or None, and was given {type(given).__name__}. "
        f"The state callback comes before the arguments of the plugin: "
        f"exec_{action}({before}, state_cb, ...)"
    )


def annotate(error: BaseException, provider: Provider) -> None:
    """Note on the plugin's own exception whose it is; the exception stays what it is."""
    note = f"in {provider}"
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a stranger's exception may forbid it, and matters more than its note
        logger().debug("no note could be added to %s", type_name(error))


def _misfit(
    provider: Provider,
    instance: Any,
    state_cb: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> TypeError | None:
    """A better error, if the declared function does not take these arguments."""
    declaration = _declaration(provider)
    function = declaration.function
    if declaration.method is not None:
        found = getattr(instance, declaration.method, None)
        if found is None:
            return TypeError(
                f"the instance is a {type(instance).__qualname__}, which has no method "
                f"{declaration.method}; {provider} expects a {declaration.target.__name__}"
            )
        function = found
        first = False
    else:
        takes = ACTIONS[declaration.action].takes
        first = takes is not None and declaration.instance_arg_name is None
    if first:
        args = (instance, *args)
    keywords = dict(kwargs)
    if declaration.instance_arg_name is not None:
        keywords[declaration.instance_arg_name] = instance
    if declaration.state_cb_arg_name is not None:
        keywords[declaration.state_cb_arg_name] = state_cb
    signature = _signature(function)
    if signature is None:
        return None
    try:
        signature.bind(*args, **keywords)
    except TypeError as refusal:
        said = _refusal(str(refusal), signature, args, kwargs, keywords, first)
        takes_callback = ACTIONS[declaration.action].free_arguments and declaration.method is None
        if takes_callback and declaration.state_cb_arg_name is None:
            said += _undeclared_callback(said, signature)
        return TypeError(
            f"{provider.action}:{provider.key} cannot be called like this: {said}\n"
            f"  {declaration.qualname}{signature}\n"
            f"  {provider.provenance}"
        )
    return None


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    # What a decorated function says it takes may not be what its decorator takes, and it is the
    # decorator's function that refused. Only what is not written in Python has no signature but
    # that of what it wraps.
    for follow_wrapped in (False, True):
        try:
            return inspect.signature(function, follow_wrapped=follow_wrapped)
        except (TypeError, ValueError):
            continue
    return None


def _refusal(
    said: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    keywords: Mapping[str, Any],
    first: bool,
) -> str:
    if said == "too many positional arguments":
        takes = sum(
            each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) and name not in keywords
            for name, each in signature.parameters.items()
        )
        given = f"{len(args)} given{', with the instance,' if first else ''}"
        return f"{said}: {given} and it takes {takes}"
    if any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values()):
        return said
    from difflib import get_close_matches

    free = [name for name in signature.parameters if name not in keywords]
    for name in kwargs:
        if name in signature.parameters:
            continue
        # Of a missing and an unknown argument, Python names one.
        if repr(name) not in said:
            said += f"; there is no argument {name!r}"
        near = get_close_matches(name, free, n=1)
        if near:
            said += f" (did you mean {near[0]!r}?)"
    return said


def _undeclared_callback(said: str, signature: inspect.Signature) -> str:
    """A hint, if what is missing looks like the state callback, which has to be asked for."""
    for name in signature.parameters:
        if said.startswith("missing") and repr(name) in said and name.endswith(("cb", "callback")):
            return f" (if that is the state callback, decorate with state_cb_arg_name={name!r})"
    return ""


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
    except Exception:  # a stranger's object, whose attributes raise
        return False
