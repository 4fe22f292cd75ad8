"""The public functions that call plugins: the hot path.

Each is one look-up and one call. A missing key makes its call on first use; see
`_dispatch/dispatcher.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any, cast

from aimm_plugins._dispatch.direct_call import DirectCall
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._values.actions import Action, StateCallback


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
    return PROCESS.calls.data_access[name].call(None, state_cb, args, kwargs)


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
    return PROCESS.calls.instantiate[model_type].call(None, state_cb, args, kwargs)


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
    return PROCESS.calls.fit[model_type].call(instance, state_cb, args, kwargs)


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
    call = PROCESS.calls.predict[model_type]
    function = call.function
    if function is None:
        answer: tuple[Any, Any] = call.call(instance, state_cb, args, kwargs)
        return answer
    # What DirectCall does, once more: a call less is a fifth of a dispatch, and online prediction
    # makes one for every request.
    if state_cb is not None and not callable(state_cb):
        raise cast(DirectCall, call).not_a_callback(state_cb)
    try:
        if kwargs:
            result = function(instance, *args, **kwargs)
        elif len(args) == 1:
            result = function(instance, args[0])
        else:
            result = function(instance, *args)
    except BaseException as error:
        cast(DirectCall, call).explain(error, instance, state_cb, args, kwargs)
        raise
    if type(result) is CoroutineType:
        result = cast(DirectCall, call).run_coroutine(result)
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
    call = PROCESS.calls.serialize[model_type]
    function = call.function
    answer: bytes
    if function is None:
        answer = call.call(instance, None, (), {})
        return answer
    try:
        answer = function(instance)
    except BaseException as error:
        cast(DirectCall, call).explain(error, instance, None, (), {})
        raise
    if type(answer) is not bytes:
        answer = cast(DirectCall, call).finish(instance, answer)
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
    call = PROCESS.calls.deserialize[model_type]
    function = call.function
    if function is None:
        return call.call(instance_bytes, None, (), {})
    try:
        result = function(instance_bytes)
    except BaseException as error:
        cast(DirectCall, call).explain(error, instance_bytes, None, (), {})
        raise
    if type(result) is CoroutineType:
        result = cast(DirectCall, call).run_coroutine(result)
    return result


EXEC: dict[Action, Callable[..., Any]] = {
    "data_access": exec_data_access,
    "instantiate": exec_instantiate,
    "fit": exec_fit,
    "predict": exec_predict,
    "serialize": exec_serialize,
    "deserialize": exec_deserialize,
}
"""The function of each action."""
