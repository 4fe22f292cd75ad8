"""The public functions that call plugins: the hot path.

Each is one look-up and one call. A missing key makes its call on first use; see
`_dispatch/dispatcher.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any, cast

from aimm_plugins._dispatch.call_errors import explain, not_a_callback
from aimm_plugins._dispatch.direct_call import DirectCall
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._values.actions import Action, StateCallback


def exec_data_access(
    name: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Access data by a plugin.

    Args:
        name: Key of the data access.
        state_cb: As for `exec_fit`.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        What the plugin returns.

    Raises:
        Exception: As `exec_fit` does.

    Example:
        >>> from aimm_plugins import data_access, exec_data_access
        >>> @data_access("squares")
        ... def squares(count, *, start=0):
        ...     return [i * i for i in range(start, start + count)]
        >>> exec_data_access("squares", None, 3, start=2)
        [4, 9, 16]
    """
    return PROCESS.calls.data_access[name].call(None, state_cb, args, kwargs)


def exec_instantiate(
    model_type: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Make a model instance by a plugin.

    Args:
        model_type: Key of the model.
        state_cb: As for `exec_fit`.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The new instance.

    Raises:
        Exception: As `exec_fit` does.

    Example:
        >>> from aimm_plugins import exec_instantiate, instantiate
        >>> instantiate("bag")(set)
        <class 'set'>
        >>> exec_instantiate("bag", None, [3])
        {3}
    """
    return PROCESS.calls.instantiate[model_type].call(None, state_cb, args, kwargs)


def exec_fit(
    model_type: str, instance: Any, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Fit a model instance by a plugin.

    As all `exec_*` functions, it runs an asynchronous function of the plugin in an event loop of
    its own. A plugin's argument that is named as one of these here is passed by position.

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

    Example:
        >>> from aimm_plugins import exec_fit, fit, progress
        >>> @fit(["sum"], state_cb_arg_name="state_cb")
        ... def add(model, values, *, state_cb):
        ...     return model + sum(progress(state_cb, values))
        >>> exec_fit("sum", 4, lambda state: print("done:", state["step"]), [5])
        done: 0
        done: 1
        9
    """
    return PROCESS.calls.fit[model_type].call(instance, state_cb, args, kwargs)


def exec_predict(
    model_type: str, instance: Any, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> tuple[Any, Any]:
    """Predict with a model instance by a plugin.

    Args:
        model_type: Key of the model.
        instance: A fitted instance; predicting may change it.
        state_cb: As for `exec_fit`.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The instance to go on with, and the prediction.

    Raises:
        Exception: As `exec_fit` does.

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
        raise not_a_callback("predict", state_cb)
    try:
        if kwargs:
            result = function(instance, *args, **kwargs)
        elif len(args) == 1:
            result = function(instance, args[0])
        else:
            result = function(instance, *args)
    except BaseException as error:
        explain(error, cast(DirectCall, call).provider, instance, state_cb, args, kwargs)
        raise
    if type(result) is CoroutineType:
        result = cast(DirectCall, call).run_coroutine(result)
    return instance, result


def exec_serialize(model_type: str, instance: Any) -> bytes | bytearray | memoryview:
    """Turn a model instance into bytes by a plugin.

    Args:
        model_type: Key of the model.
        instance: The instance.

    Returns:
        The plugin's bytes.

    Raises:
        Exception: As `exec_fit` does.

    Example:
        >>> from aimm_plugins import exec_serialize, serialize
        >>> @serialize(["mean"])
        ... def save(model):
        ...     return str(model).encode()
        >>> exec_serialize("mean", 1.5)
        b'1.5'
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
        explain(error, cast(DirectCall, call).provider, instance, None, (), {})
        raise
    if type(answer) is not bytes:
        answer = cast(DirectCall, call).finish(instance, answer)
    return answer


def exec_deserialize(model_type: str, instance_bytes: bytes | bytearray | memoryview) -> Any:
    """Make a model instance of the bytes of `exec_serialize` by a plugin.

    Args:
        model_type: Key of the model.
        instance_bytes: The bytes.

    Returns:
        The instance.

    Raises:
        Exception: As `exec_fit` does.

    Example:
        >>> from aimm_plugins import deserialize, exec_deserialize
        >>> @deserialize(["mean"])
        ... def load(data):
        ...     return float(data)
        >>> exec_deserialize("mean", b"1.5")
        1.5
    """
    call = PROCESS.calls.deserialize[model_type]
    function = call.function
    if function is None:
        return call.call(instance_bytes, None, (), {})
    try:
        result = function(instance_bytes)
    except BaseException as error:
        explain(error, cast(DirectCall, call).provider, instance_bytes, None, (), {})
        raise
    if type(result) is CoroutineType:
        result = cast(DirectCall, call).run_coroutine(result)
    return result


async def exec_data_access_async(
    name: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Access data by a plugin, awaited.

    Args:
        name: Key of the data access.
        state_cb: As for `exec_fit_async`.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        What the plugin returns.

    Raises:
        Exception: As `exec_fit_async` does.
    """
    return await PROCESS.calls.data_access.call_async(name, None, state_cb, args, kwargs)


async def exec_instantiate_async(
    model_type: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Make a model instance by a plugin, awaited.

    Args:
        model_type: Key of the model.
        state_cb: As for `exec_fit_async`.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The new instance.

    Raises:
        Exception: As `exec_fit_async` does.
    """
    return await PROCESS.calls.instantiate.call_async(model_type, None, state_cb, args, kwargs)


async def exec_fit_async(
    model_type: str, instance: Any, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Fit a model instance by a plugin, awaited.

    Awaits an asynchronous function, and any awaitable that the plugin returns. Any other function
    runs in a thread of asyncio's pool, with this task's context variables; the callback is called
    in that thread. When this task is cancelled meanwhile, `CancelledError` passes on at once, and
    the next state event raises `Cancelled` in the plugin; until then it works with the instance.

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
    return await PROCESS.calls.fit.call_async(model_type, instance, state_cb, args, kwargs)


async def exec_predict_async(
    model_type: str, instance: Any, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> tuple[Any, Any]:
    """Predict with a model instance by a plugin, awaited.

    Args:
        model_type: Key of the model.
        instance: A fitted instance; predicting may change it.
        state_cb: As for `exec_fit_async`.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The instance to go on with, and the prediction.

    Raises:
        Exception: As `exec_fit_async` does.
    """
    calls = PROCESS.calls.predict
    call = calls.get(model_type) or await calls.make_async(model_type)
    function = call.async_function
    if function is None:
        answer: tuple[Any, Any] = await call.call_async(instance, state_cb, args, kwargs)
        return answer
    # As in `exec_predict`, and for the same reason: a coroutine less.
    if state_cb is not None and not callable(state_cb):
        raise not_a_callback("predict", state_cb)
    try:
        return instance, await function(instance, *args, **kwargs)
    except BaseException as error:
        explain(error, cast(DirectCall, call).provider, instance, state_cb, args, kwargs)
        raise


async def exec_serialize_async(model_type: str, instance: Any) -> bytes | bytearray | memoryview:
    """Turn a model instance into bytes by a plugin, awaited.

    Args:
        model_type: Key of the model.
        instance: The instance. A thread that works for a cancelled task ends on its own.

    Returns:
        The plugin's bytes.

    Raises:
        Exception: As `exec_fit_async` does.
    """
    answer: bytes = await PROCESS.calls.serialize.call_async(model_type, instance, None, (), {})
    return answer


async def exec_deserialize_async(
    model_type: str, instance_bytes: bytes | bytearray | memoryview
) -> Any:
    """Make a model instance of the bytes of `exec_serialize` by a plugin, awaited.

    Args:
        model_type: Key of the model.
        instance_bytes: The bytes. A thread that works for a cancelled task ends on its own.

    Returns:
        The instance.

    Raises:
        Exception: As `exec_fit_async` does.
    """
    return await PROCESS.calls.deserialize.call_async(model_type, instance_bytes, None, (), {})


EXEC: dict[Action, Callable[..., Any]] = {
    "data_access": exec_data_access,
    "instantiate": exec_instantiate,
    "fit": exec_fit,
    "predict": exec_predict,
    "serialize": exec_serialize,
    "deserialize": exec_deserialize,
}
"""The function of each action."""
