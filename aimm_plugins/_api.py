"""The public functions: thin, over the process's one runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast, get_args

from aimm_plugins._dispatch.dispatcher import DirectPlan, not_a_callback
from aimm_plugins._dispatch.hooks import PluginManager
from aimm_plugins._registry.providers import Provider
from aimm_plugins._startup.runtime import RUNTIME
from aimm_plugins._values.actions import Action, StateCallback

if TYPE_CHECKING:
    from aimm_plugins._values.report import Finding, Report

_DISPATCHER = RUNTIME.dispatcher
_PLANS = _DISPATCHER.plans


def initialize(conf: Mapping[str, object] | str | os.PathLike[str] | None = None) -> Report:
    """Import and register the plugins that a conf names and that are installed.

    Config names come first, in their order, then the installed entry points of the group
    `aimm.plugins`, sorted by distribution and name. May be called again: a second call adds to the
    first, and modules that are imported already are not executed again. Safe to call from several
    threads; calls go on meanwhile with what was registered before.

    Args:
        conf: A mapping or the path of a YAML file as in `schemas/plugins.yaml`. `None` is the file
            that `AIMM_PLUGINS_CONF` names, and `{"names": []}`, whatever is installed, where that
            is not set.

    Returns:
        The account of this call: a record for each plugin, and findings.

    Raises:
        ConfigError: The conf is wrong, options do not fit a plugin's schema, or a secret cannot be
            read; nothing was imported.
        PluginLoadError: Under `on_error: strict`, the default, any plugin failed. Nothing of this
            call stays registered; what earlier calls registered does.
        ParityError: The conf runs calls on a cluster, and one of its workers has other plugins;
            nothing of this call stays registered.
        OSError: That cluster cannot be reached; nothing was imported.
        KeyboardInterrupt: Raised by an import; nothing of this call stays registered.
    """
    from aimm_plugins._startup import lifecycle as _lifecycle

    return _lifecycle.initialize(RUNTIME, conf, connect=True)


def plan(conf: Mapping[str, object] | str | os.PathLike[str] | None = None) -> Report:
    """What `initialize` would do, without running any plugin code.

    Args:
        conf: As for `initialize`.

    Returns:
        A record for each plugin in the order of loading: `planned`, `deferred`, `denied` with the
        rule, or `missing`. Where plugins publish their keys, also who provides what, and the
        conflicts and shadows that this leads to.

    Raises:
        ConfigError: The conf is wrong.
    """
    from aimm_plugins._startup import lifecycle as _lifecycle

    return _lifecycle.plan(RUNTIME, conf)


def freeze(
    conf: Mapping[str, object] | str | os.PathLike[str] | None = None,
) -> tuple[str, tuple[Finding, ...]]:
    """The freeze file of what a conf would load, for its key `locked`.

    Args:
        conf: As for `initialize`; what it denies is left out.

    Returns:
        A list of pip requirements, each with the digest of its RECORD in a comment, and a finding
        for each distribution that has nothing to compare. Modules that no distribution owns are
        not in it, as no lock holds for them.

    Raises:
        ConfigError: The conf is wrong.
    """
    from aimm_plugins._startup import lifecycle as _lifecycle

    return _lifecycle.freeze(RUNTIME, conf)


def refresh() -> Report:
    """Catch up with what was installed, upgraded or removed since `initialize`.

    The plan of all `initialize` calls so far is made anew and carried out: plugins that are new
    are loaded, failed ones are tried again, and the keys of those that are gone go away; calls
    under way finish. A plugin that was upgraded stays as it is, with the reason that a restart is
    needed, since Python does not import a module twice.

    Returns:
        The account of what changed, in state `removed` what is gone; empty where nothing did, or
        nothing was initialized.

    Raises:
        ConfigError: The operator's policy or a secret cannot be read any more, or options do not
            fit a plugin's new version; nothing changed.
        PluginLoadError: Under `on_error: strict` any plugin failed; nothing changed.
    """
    from aimm_plugins._startup import lifecycle as _lifecycle

    return _lifecycle.refresh(RUNTIME)


def unload_all() -> None:
    """Empty the registry: afterwards no key can be called.

    Modules stay imported, and a later `initialize` registers what they declared without executing
    them again. What was declared by hand comes back only if a conf names its module. Plugins that
    were registered with the plugin manager directly stay there. A cluster that a conf runs calls on
    is let go of; calls under way there end with an error.
    """
    from aimm_plugins._startup import lifecycle as _lifecycle

    _lifecycle.unload_all(RUNTIME)


def options(module: str) -> Mapping[str, Any]:
    """The options of a plugin, for the plugin itself: `aimm_plugins.options(__name__)`.

    What the conf's `options` give to the plugin, secrets read, with the defaults of the schema that
    the plugin publishes. Works in the plugin's modules while they are imported and whenever they
    are called. A later `initialize` with another conf gives other options, so that what is to
    follow it is asked for when it is needed.

    Args:
        module: `__name__` of any module of the plugin.

    Returns:
        A dict of the caller's own, whose `repr` hides secrets. It is empty where nothing is given
        and no schema has a default. A plugin that is imported without `initialize` has the
        defaults, and nothing is checked.

    Raises:
        ConfigError: No conf gives the plugin any options, and its schema requires some; or its
            schema is code, and what the conf gives does not fit it.
        DeclarationError: The schema that the plugin publishes is broken.
        UnknownPluginError: The module is part of no plugin.
    """
    from aimm_plugins._startup import plugin_options as _options

    return _options.options(RUNTIME, module)


def current_report() -> Report:
    """The account of what is registered now, over all `initialize` calls so far."""
    from aimm_plugins._startup import lifecycle as _lifecycle

    return _lifecycle.current_report(RUNTIME)


def providers(
    action: Action | None = None, key: str | None = None
) -> dict[tuple[Action, str], Provider]:
    """Who answers what now.

    Args:
        action: Only this action.
        key: Only this key; the cost does not depend on how many there are then.

    Returns:
        A new dict from (action, key) to provider, sorted.

    Raises:
        ValueError: There is no such action.
    """
    if action is not None and action not in get_args(Action):
        raise ValueError(f"no action {action!r}; the actions are {', '.join(get_args(Action))}")
    if key is None:
        return RUNTIME.registry.providers(action)
    return RUNTIME.registry.providers_of(key, action)


def get_plugin_manager() -> PluginManager:
    """The `pluggy.PluginManager` behind all calls, for wrappers, executors and monitors."""
    return RUNTIME.manager


# The following are the hot path. Their bodies are written out rather than shared: one more Python
# call costs a fifth of a whole dispatch. Plans are made outside of `except`, lest what goes wrong
# there be told as having happened "during handling" of a KeyError.


def exec_data_access(
    name: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Access data by a plugin.

    An asynchronous function of the plugin is run in an event loop of its own.

    Args:
        name: Key of the data access.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        What the plugin returns.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        RuntimeError: The plugin's function is asynchronous and an event loop runs in this thread.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.
    """
    try:
        plan = _PLANS.data_access[name]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = _DISPATCHER.plan("data_access", name)
    return plan.call(None, state_cb, args, kwargs)


def exec_instantiate(
    model_type: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Make a model instance by a plugin.

    An asynchronous function of the plugin is run in an event loop of its own.

    Args:
        model_type: Key of the model.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The new instance.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        RuntimeError: The plugin's function is asynchronous and an event loop runs in this thread.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.
    """
    try:
        plan = _PLANS.instantiate[model_type]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = _DISPATCHER.plan("instantiate", model_type)
    return plan.call(None, state_cb, args, kwargs)


def exec_fit(
    model_type: str, instance: Any, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Fit a model instance by a plugin.

    An asynchronous function of the plugin is run in an event loop of its own.

    Args:
        model_type: Key of the model.
        instance: As made by `exec_instantiate` or `exec_deserialize`; mostly changed in place.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody. What it
            raises ends the fit and comes out here.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The fitted instance.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        RuntimeError: The plugin's function is asynchronous and an event loop runs in this thread.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.
    """
    try:
        plan = _PLANS.fit[model_type]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = _DISPATCHER.plan("fit", model_type)
    return plan.call(instance, state_cb, args, kwargs)


def exec_predict(
    model_type: str, instance: Any, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> tuple[Any, Any]:
    """Predict with a model instance by a plugin.

    An asynchronous function of the plugin is run in an event loop of its own.

    Args:
        model_type: Key of the model.
        instance: A fitted instance; predicting may change it.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The instance to go on with, and the prediction.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        RuntimeError: The plugin's function is asynchronous and an event loop runs in this thread.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.

    Example:
        >>> from aimm_plugins import exec_predict, predict
        >>> @predict(["doubler"])
        ... def double(model, x):
        ...     return 2 * x
        >>> exec_predict("doubler", "the model", None, 21)
        ('the model', 42)
    """
    try:
        plan = _PLANS.predict[model_type]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = _DISPATCHER.plan("predict", model_type)
    function = plan.function
    if function is None:
        answer: tuple[Any, Any] = plan.call(instance, state_cb, args, kwargs)
        return answer
    # What DirectPlan does, once more: a call less is a fifth of a dispatch, and online prediction
    # makes one for every request.
    if state_cb is not None and not callable(state_cb):
        raise not_a_callback("predict", state_cb)
    try:
        if kwargs:
            result = function(instance, *args, **kwargs)
        elif len(args) == 1:
            result = function(instance, args[0])
        else:
            result = function(instance, *args)
    except BaseException as error:
        cast(DirectPlan, plan).explain(error, instance, state_cb, args, kwargs)
        raise
    if type(result) is CoroutineType:
        result = cast(DirectPlan, plan).settle(result)
    return instance, result


def exec_serialize(model_type: str, instance: Any) -> bytes | bytearray | memoryview:
    """Turn a model instance into bytes by a plugin.

    An asynchronous function of the plugin is run in an event loop of its own.

    Args:
        model_type: Key of the model.
        instance: The instance.

    Returns:
        The plugin's bytes.

    Raises:
        UnknownPluginError: No plugin provides it.
        RuntimeError: The plugin's function is asynchronous and an event loop runs in this thread.
        Exception: Whatever the plugin raises, as it is, with a note.
    """
    try:
        plan = _PLANS.serialize[model_type]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = _DISPATCHER.plan("serialize", model_type)
    answer: bytes = plan.call(instance, None, (), {})
    return answer


def exec_deserialize(model_type: str, instance_bytes: bytes | bytearray | memoryview) -> Any:
    """Make a model instance of the bytes of `exec_serialize` by a plugin.

    An asynchronous function of the plugin is run in an event loop of its own.

    Args:
        model_type: Key of the model.
        instance_bytes: The bytes.

    Returns:
        The instance.

    Raises:
        UnknownPluginError: No plugin provides it.
        RuntimeError: The plugin's function is asynchronous and an event loop runs in this thread.
        Exception: Whatever the plugin raises, as it is, with a note.
    """
    try:
        plan = _PLANS.deserialize[model_type]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = _DISPATCHER.plan("deserialize", model_type)
    return plan.call(instance_bytes, None, (), {})


# Awaited; the same bodies once more.


async def exec_data_access_async(
    name: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Access data by a plugin, awaited.

    Awaits an asynchronous function, and any awaitable that the plugin returns. Any other function
    runs in a thread of asyncio's pool, with this task's context variables; the callback is called
    in that thread. When this task is cancelled meanwhile, `CancelledError` passes on at once, and
    the next state event raises `Cancelled` in the plugin; until then it is at work.

    Args:
        name: Key of the data access.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        What the plugin returns.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        asyncio.CancelledError: This task was cancelled.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.
    """
    try:
        plan = _PLANS.data_access[name]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = await _DISPATCHER.plan_async("data_access", name)
    return await plan.call_async(None, state_cb, args, kwargs)


async def exec_instantiate_async(
    model_type: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Make a model instance by a plugin, awaited.

    Awaits an asynchronous function, and any awaitable that the plugin returns. Any other function
    runs in a thread of asyncio's pool, with this task's context variables; the callback is called
    in that thread. When this task is cancelled meanwhile, `CancelledError` passes on at once, and
    the next state event raises `Cancelled` in the plugin; until then it is at work.

    Args:
        model_type: Key of the model.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The new instance.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        asyncio.CancelledError: This task was cancelled.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.
    """
    try:
        plan = _PLANS.instantiate[model_type]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = await _DISPATCHER.plan_async("instantiate", model_type)
    return await plan.call_async(None, state_cb, args, kwargs)


async def exec_fit_async(
    model_type: str, instance: Any, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Fit a model instance by a plugin, awaited.

    Awaits an asynchronous function, and any awaitable that the plugin returns. Any other function
    runs in a thread of asyncio's pool, with this task's context variables; the callback is called
    in that thread. When this task is cancelled meanwhile, `CancelledError` passes on at once, and
    the next state event raises `Cancelled` in the plugin; till then it works with the instance.

    Args:
        model_type: Key of the model.
        instance: As made by `exec_instantiate` or `exec_deserialize`; mostly changed in place.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody. What it
            raises ends the fit and comes out here.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The fitted instance.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        asyncio.CancelledError: This task was cancelled.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.

    Example:
        >>> import asyncio
        >>> from aimm_plugins import exec_fit_async, fit, progress
        >>> @fit(["counter"], state_cb_arg_name="state_cb")
        ... async def count(model, limit, *, state_cb):
        ...     for number in progress(state_cb, range(limit), phase="count"):
        ...         await asyncio.sleep(0)
        ...         model.append(number)
        ...     return model
        >>> asyncio.run(exec_fit_async("counter", [], print, 1))
        {'phase': 'count', 'total': 1, 'step': 0}
        {'phase': 'count', 'total': 1, 'step': 1}
        [0]
    """
    try:
        plan = _PLANS.fit[model_type]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = await _DISPATCHER.plan_async("fit", model_type)
    return await plan.call_async(instance, state_cb, args, kwargs)


async def exec_predict_async(
    model_type: str, instance: Any, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> tuple[Any, Any]:
    """Predict with a model instance by a plugin, awaited.

    Awaits an asynchronous function, and any awaitable that the plugin returns. Any other function
    runs in a thread of asyncio's pool, with this task's context variables; the callback is called
    in that thread. When this task is cancelled meanwhile, `CancelledError` passes on at once, and
    the next state event raises `Cancelled` in the plugin; till then it works with the instance.

    Args:
        model_type: Key of the model.
        instance: A fitted instance; predicting may change it.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The instance to go on with, and the prediction.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        asyncio.CancelledError: This task was cancelled.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.
    """
    try:
        plan = _PLANS.predict[model_type]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = await _DISPATCHER.plan_async("predict", model_type)
    function = plan.async_function
    if function is None:
        answer: tuple[Any, Any] = await plan.call_async(instance, state_cb, args, kwargs)
        return answer
    # As in exec_predict, and for the same reason: a coroutine less.
    if state_cb is not None and not callable(state_cb):
        raise not_a_callback("predict", state_cb)
    try:
        return instance, await function(instance, *args, **kwargs)
    except BaseException as error:
        cast(DirectPlan, plan).explain(error, instance, state_cb, args, kwargs)
        raise


async def exec_serialize_async(model_type: str, instance: Any) -> bytes | bytearray | memoryview:
    """Turn a model instance into bytes by a plugin, awaited.

    Awaits an asynchronous function, and any awaitable that the plugin returns. Any other function
    runs in a thread of asyncio's pool, with this task's context variables; when this task is
    cancelled meanwhile, `CancelledError` passes on at once, and the thread ends on its own.

    Args:
        model_type: Key of the model.
        instance: The instance.

    Returns:
        The plugin's bytes.

    Raises:
        UnknownPluginError: No plugin provides it.
        asyncio.CancelledError: This task was cancelled.
        Exception: Whatever the plugin raises, as it is, with a note.
    """
    try:
        plan = _PLANS.serialize[model_type]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = await _DISPATCHER.plan_async("serialize", model_type)
    answer: bytes = await plan.call_async(instance, None, (), {})
    return answer


async def exec_deserialize_async(
    model_type: str, instance_bytes: bytes | bytearray | memoryview
) -> Any:
    """Make a model instance of the bytes of `exec_serialize` by a plugin, awaited.

    Awaits an asynchronous function, and any awaitable that the plugin returns. Any other function
    runs in a thread of asyncio's pool, with this task's context variables; when this task is
    cancelled meanwhile, `CancelledError` passes on at once, and the thread ends on its own.

    Args:
        model_type: Key of the model.
        instance_bytes: The bytes.

    Returns:
        The instance.

    Raises:
        UnknownPluginError: No plugin provides it.
        asyncio.CancelledError: This task was cancelled.
        Exception: Whatever the plugin raises, as it is, with a note.
    """
    try:
        plan = _PLANS.deserialize[model_type]
    except (KeyError, TypeError):
        plan = None
    if plan is None:
        plan = await _DISPATCHER.plan_async("deserialize", model_type)
    return await plan.call_async(instance_bytes, None, (), {})
