"""The public functions that call plugins and are awaited."""

from __future__ import annotations

from typing import Any, cast

from aimm_plugins._dispatch.direct_call import DirectCall
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._values.actions import StateCallback


async def exec_data_access_async(
    name: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Access data by a plugin, awaited; arguments and errors: `exec_data_access`.

    See `exec_fit_async` for what is awaited and what a cancelled task leaves behind.
    """
    calls = PROCESS.calls.data_access
    call = calls.get(name) or await calls.make_async(name)
    return await call.call_async(None, state_cb, args, kwargs)


async def exec_instantiate_async(
    model_type: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Make a model instance by a plugin, awaited; arguments and errors: `exec_instantiate`.

    See `exec_fit_async` for what is awaited and what a cancelled task leaves behind.
    """
    calls = PROCESS.calls.instantiate
    call = calls.get(model_type) or await calls.make_async(model_type)
    return await call.call_async(None, state_cb, args, kwargs)


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
    calls = PROCESS.calls.fit
    call = calls.get(model_type) or await calls.make_async(model_type)
    return await call.call_async(instance, state_cb, args, kwargs)


async def exec_predict_async(
    model_type: str, instance: Any, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> tuple[Any, Any]:
    """Predict with a model instance by a plugin, awaited; arguments and errors: `exec_predict`.

    See `exec_fit_async` for what is awaited and what a cancelled task leaves behind.
    """
    calls = PROCESS.calls.predict
    call = calls.get(model_type) or await calls.make_async(model_type)
    function = call.async_function
    if function is None:
        answer: tuple[Any, Any] = await call.call_async(instance, state_cb, args, kwargs)
        return answer
    # As in exec_predict, and for the same reason: a coroutine less.
    if state_cb is not None and not callable(state_cb):
        raise cast(DirectCall, call).not_a_callback(state_cb)
    try:
        return instance, await function(instance, *args, **kwargs)
    except BaseException as error:
        cast(DirectCall, call).explain(error, instance, state_cb, args, kwargs)
        raise


async def exec_serialize_async(model_type: str, instance: Any) -> bytes | bytearray | memoryview:
    """Turn a model instance into bytes by a plugin, awaited; errors as for `exec_serialize`.

    See `exec_fit_async` for what is awaited; a thread that works for a cancelled task ends on its
    own.
    """
    calls = PROCESS.calls.serialize
    call = calls.get(model_type) or await calls.make_async(model_type)
    answer: bytes = await call.call_async(instance, None, (), {})
    return answer


async def exec_deserialize_async(
    model_type: str, instance_bytes: bytes | bytearray | memoryview
) -> Any:
    """Make a model instance of bytes by a plugin, awaited; errors as for `exec_deserialize`.

    See `exec_fit_async` for what is awaited; a thread that works for a cancelled task ends on its
    own.
    """
    calls = PROCESS.calls.deserialize
    call = calls.get(model_type) or await calls.make_async(model_type)
    return await call.call_async(instance_bytes, None, (), {})
