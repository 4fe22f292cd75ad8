"""From key to provider to call: the hot path.

A call plan is made for each action and key on first use and kept until anything changes that could
change the outcome. Where nothing wraps or monitors the action, it calls the declared function
itself; elsewhere it is a hook call, whose last implementation calls the function the same way.

No lock is taken and nothing imported on the way: a process forked in the middle can call.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from aimm_plugins._actions import ACTIONS, Action
from aimm_plugins._declarations import Declaration
from aimm_plugins._hooks import PluginManager, Result, hookimpl
from aimm_plugins._providers import Provider
from aimm_plugins._registry import Registry
from aimm_plugins._state import StateCallback, ignore_state

_LOG = logging.getLogger("aimm_plugins")

Plan = Callable[[Any, StateCallback | None, tuple[Any, ...], dict[str, Any]], Any]
"""A compiled call: (instance or bytes, state callback, arguments, keywords) to the result."""


class _ReservedKeywordError(TypeError):
    """Marks our own refusal until `_misfit` turns it into a plain TypeError."""


class Dispatcher:
    """Makes and keeps call plans; is itself the last implementation of every hook.

    Attributes:
        plans: Action to key to plan. Read by callers directly; replaced as a whole on any change,
            so that a plan made from what was before is stored where nobody looks any more.
    """

    def __init__(self, registry: Registry, manager: PluginManager) -> None:
        self._registry = registry
        self._manager = manager
        self.plans: dict[Action, dict[str, Plan]] = {}
        self.invalidate()
        registry.changed = self.invalidate
        manager.set_router(self)

    def invalidate(self) -> None:
        """Drop all plans. To be called after the change, not before."""
        self.plans = {action: {} for action in get_args(Action)}

    def plan(self, action: Action, key: str) -> Plan:
        """The plan of one action and key, made now if need be.

        Raises:
            UnknownPluginError: Nobody provides it. With executors or wrappers present the plan is
                a hook call all the same, since an executor may answer for a key of its own.
        """
        mine = self.plans[action]
        hook = ACTIONS[action].hook
        if not isinstance(key, str):
            raise self._registry.unknown(action, key)
        provider = self._registry.find(action, key)
        if provider is not None and provider.deferred and not self._manager.has_executor(hook):
            # Before the hook is called, since the plugin may bring wrappers of its own.
            self._provider(action, key)
            mine = self.plans[action]
        plan: Plan
        if self._manager.bare(hook):
            plan = compiled(self._provider(action, key))
        else:
            plan = self._through_hook(action, key)
            if self._registry.find(action, key) is None:
                # An executor may answer for keys of its own; those could be any number.
                return plan
        mine[key] = plan
        return plan

    def _provider(self, action: Action, key: str) -> Provider:
        provider = self._registry.find(action, key)
        if provider is not None and provider.load is not None:
            provider.load()
            provider = self._registry.find(action, key)
        if provider is not None and provider.declaration is not None:
            body = provider.declaration.body
            if body is None or not self._registry.book.unfinished(body):
                return provider
            # Declared by hand in an import that may have failed since.
            self._registry.sweep()
            provider = self._registry.find(action, key)
        if provider is None or provider.declaration is None:
            raise self._registry.absent(action, key)
        return provider

    def _through_hook(self, action: Action, key: str) -> Plan:
        spec = ACTIONS[action]
        hook = getattr(self._manager.hook, spec.hook)

        def call(
            instance: Any,
            state_cb: StateCallback | None,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
        ) -> Any:
            arguments: dict[str, Any] = {spec.key_argument: key}
            if spec.takes is not None:
                arguments[spec.takes] = instance
            if spec.free_arguments:
                arguments["state_cb"] = ignore_state if state_cb is None else state_cb
                arguments["args"] = args
                arguments["kwargs"] = kwargs
            result = hook(**arguments)
            if type(result) is not Result:
                wrappers = [
                    impl.plugin_name
                    for impl in hook.get_hookimpls()
                    if impl.wrapper or impl.hookwrapper
                ]
                raise TypeError(
                    f"hook {spec.hook} returned {type(result).__name__} for {action}:{key}; "
                    "a wrapper receives and returns aimm_plugins.Result "
                    f"(wrappers: {', '.join(wrappers)})"
                )
            return result.value

        return call

    def _answer(
        self,
        action: Action,
        key: str,
        instance: Any = None,
        state_cb: Any = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Result:
        plan = compiled(self._provider(action, key))
        return Result(plan(instance, state_cb, args, {} if kwargs is None else dict(kwargs)))

    # The hookimpls. pluggy passes a parameter with a default or not, by version: ours have none.

    @hookimpl(trylast=True)
    def aimm_data_access(self, name: Any, state_cb: Any, args: Any, kwargs: Any) -> Result:
        """Call the declared function."""
        return self._answer("data_access", name, None, state_cb, args, kwargs)

    @hookimpl(trylast=True)
    def aimm_instantiate(self, model_type: Any, state_cb: Any, args: Any, kwargs: Any) -> Result:
        """Call the declared function."""
        return self._answer("instantiate", model_type, None, state_cb, args, kwargs)

    @hookimpl(trylast=True)
    def aimm_fit(
        self, model_type: Any, instance: Any, state_cb: Any, args: Any, kwargs: Any
    ) -> Result:
        """Call the declared function."""
        return self._answer("fit", model_type, instance, state_cb, args, kwargs)

    @hookimpl(trylast=True)
    def aimm_predict(
        self, model_type: Any, instance: Any, state_cb: Any, args: Any, kwargs: Any
    ) -> Result:
        """Call the declared function."""
        return self._answer("predict", model_type, instance, state_cb, args, kwargs)

    @hookimpl(trylast=True)
    def aimm_serialize(self, model_type: Any, instance: Any) -> Result:
        """Call the declared function."""
        return self._answer("serialize", model_type, instance)

    @hookimpl(trylast=True)
    def aimm_deserialize(self, model_type: Any, instance_bytes: Any) -> Result:
        """Call the declared function."""
        return self._answer("deserialize", model_type, instance_bytes)


def _declaration(provider: Provider) -> Declaration:
    assert provider.declaration is not None, "a deferred provider is loaded before it is called"
    return provider.declaration


def compiled(provider: Provider) -> Plan:
    """The call of one provider, with all that its declaration says worked out beforehand."""
    declaration = _declaration(provider)
    action = declaration.action
    call = _bound(provider)
    adds_instance = action == "predict" and not declaration.returns_instance

    def checked(
        instance: Any,
        state_cb: StateCallback | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if state_cb is not None and not callable(state_cb):
            raise _not_a_callback(action, state_cb)
        try:
            result = call(instance, state_cb, args, kwargs)
        except (TypeError, AttributeError) as error:
            misfit = _misfit(error, provider, instance, state_cb, args, kwargs)
            if misfit is not None:
                raise misfit from None
            _annotate(error, provider)
            raise
        except BaseException as error:
            _annotate(error, provider)
            raise
        return (instance, result) if adds_instance else result

    def pair(
        instance: Any,
        state_cb: StateCallback | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        result = checked(instance, state_cb, args, kwargs)
        if isinstance(result, tuple) and len(result) == 2:
            return result
        raise TypeError(
            f"{provider}: declared with returns_instance=True, must return (instance, prediction) "
            f"and returned {type(result).__name__}"
        )

    return pair if declaration.returns_instance else checked


def _bound(provider: Provider) -> Plan:
    """How the declared function wants its arguments."""
    declaration = _declaration(provider)
    function, method = declaration.function, declaration.method
    state, keyword = declaration.state_cb_arg_name, declaration.instance_arg_name
    takes_instance = ACTIONS[declaration.action].takes is not None
    reserved = {
        name: role for name, role in ((state, "state callback"), (keyword, "instance")) if name
    }

    def plain(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
        return function(*args, **kwargs)

    def first(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
        return function(instance, *args, **kwargs)

    def on_instance(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
        return getattr(instance, method)(*args, **kwargs)  # type: ignore[arg-type]  # chosen only with a method

    if method is not None:
        base = on_instance
    elif takes_instance and keyword is None:
        base = first
    else:
        base = plain
    if not reserved:
        return base

    def with_reserved(instance: Any, state_cb: Any, args: Any, kwargs: Any) -> Any:
        for name, role in reserved.items():
            if name in kwargs:
                raise _ReservedKeywordError(
                    f"{name!r} is where {provider} receives its {role}; do not pass it as a keyword"
                )
        kwargs = dict(kwargs)
        if state is not None:
            kwargs[state] = ignore_state if state_cb is None else state_cb
        if keyword is not None:
            kwargs[keyword] = instance
        return base(instance, state_cb, args, kwargs)

    return with_reserved


def _not_a_callback(action: Action, given: object) -> TypeError:
    spec = ACTIONS[action]
    before = spec.key_argument if spec.takes is None else f"{spec.key_argument}, {spec.takes}"
    return TypeError(
        f"exec_{action}: state_cb is a callable or None, and was given {type(given).__name__}. "
        f"The state callback comes before the arguments of the plugin: "
        f"exec_{action}({before}, state_cb, ...)"
    )


def _annotate(error: BaseException, provider: Provider) -> None:
    """Note on the plugin's own exception whose it is; the exception stays what it is."""
    note = f"in {provider}"
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except Exception:  # a stranger's exception may forbid it, and matters more than its note
        _LOG.debug("no note could be added to %s", type(error).__name__)


def _misfit(
    error: Exception,
    provider: Provider,
    instance: Any,
    state_cb: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> TypeError | None:
    """A better error, where the call never got into the plugin's code.

    Checking arguments before each call would cost more than most calls; Python checks them
    anyhow. Only when it refused is the signature looked at.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None or traceback.tb_frame.f_code.co_filename != __file__:
        return None
    if isinstance(error, _ReservedKeywordError):
        return TypeError(str(error))
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
    elif ACTIONS[declaration.action].takes is not None and declaration.instance_arg_name is None:
        args = (instance, *args)
    keywords = dict(kwargs)
    if declaration.instance_arg_name is not None:
        keywords[declaration.instance_arg_name] = instance
    if declaration.state_cb_arg_name is not None:
        keywords[declaration.state_cb_arg_name] = state_cb
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*args, **keywords)
    except TypeError as refusal:
        unknown = [name for name in kwargs if name not in signature.parameters]
        hints = [
            f"did you mean {near[0]!r}?"
            for name in unknown
            if (near := get_close_matches(name, signature.parameters, n=1))
        ]
        hint = f" ({' '.join(hints)})" if hints else ""
        return TypeError(
            f"{declaration.action}:{declaration.key} cannot be called like this: {refusal}{hint}\n"
            f"  {declaration.qualname}{signature}\n"
            f"  {provider.provenance}"
        )
    return None
