"""The awaited half of calls: plugin code in threads, and wrappers around what is awaited.

asyncio is imported where it is first needed, since it costs more than the rest of this package.
Of what pluggy does not document, `run_old_style_hookwrapper` is used; a test fails if it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextvars import copy_context
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from aimm_plugins._dispatch.cancelling import CancelToken
from aimm_plugins._dispatch.hookspecs import Monitor
from aimm_plugins._system.log import loggable, logger
from aimm_plugins._values.actions import StateCallback
from aimm_plugins.errors import Cancelled

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T], who: str, instead: str) -> T:
    """What a coroutine returns that is run in an event loop of its own.

    Raises:
        RuntimeError: A loop runs in this thread already. It says that `who` is asynchronous, and
            what to await `instead`.
    """
    import asyncio

    if asyncio._get_running_loop() is None:
        # Not by `asyncio.run`, which takes away the event loop that a host has set for the thread.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(coroutine)
    coroutine.close()
    raise RuntimeError(
        f"{who} is asynchronous, and an event loop is running in this thread: "
        f"await aimm_plugins.{instead}(...) instead"
    )


async def in_thread(
    call: Callable[[StateCallback], T],
    state_cb: StateCallback | None,
    token: CancelToken | None = None,
) -> T:
    """What `call` returns, called in a thread of asyncio's pool with this task's context variables.

    It is given a callback, which passes events on to the caller's in that thread. When the awaiting
    task is cancelled, `CancelledError` passes on at once: nobody can say when, or whether, the
    thread gets to its end. The token is set then. The thread goes on until its next state event,
    which raises `Cancelled` there; what else it raises by then is logged.

    Raises:
        RuntimeError: No event loop of asyncio runs in this thread.
    """
    import asyncio
    from concurrent.futures import Future

    if asyncio._get_running_loop() is None:  # awaited by another event loop
        raise RuntimeError(
            "awaiting a plugin function that is not asynchronous needs asyncio, and this thread "
            "runs another event loop: call aimm_plugins.exec_* in a thread instead, with trio by "
            "trio.to_thread.run_sync"
        )
    token = token or CancelToken()
    # Taken out in the end: the traceback of an error would keep it, and so itself, alive.
    outcome: list[Future[T]] = [Future()]

    def work() -> None:
        # Kept rather than raised: a future of asyncio cannot carry StopIteration, and would never
        # be done.
        try:
            outcome[0].set_result(call(_passing_on_until(token, state_cb)))
        except BaseException as error:
            outcome[0].set_exception(error)

    try:
        await asyncio.to_thread(work)
    except BaseException:  # cancelled, or closed by whoever drives the coroutine
        token.cancel("the task that awaited it was cancelled")
        outcome[0].add_done_callback(_log_failure)
        raise
    return outcome.pop().result()


def _passing_on_until(token: CancelToken, state_cb: StateCallback | None) -> StateCallback:
    """A callback that passes events on, until the token is set."""

    def report(state: dict[str, Any]) -> None:
        token.check()
        returned: Any = None if state_cb is None else state_cb(state)
        if type(returned) is CoroutineType:
            returned.close()
            raise TypeError(
                "state_cb is asynchronous, and a plugin's thread awaits nothing: give a function "
                "that hands the event over, by loop.call_soon_threadsafe(queue.put_nowait, state)"
            )

    return report


def _log_failure(outcome: Future[Any]) -> None:
    error = outcome.exception()
    if error is not None and not isinstance(error, Cancelled):
        logger().error(
            "plugin code failed after the task that awaited it was cancelled",
            exc_info=loggable(error),
        )


async def in_own_thread(work: Callable[[], None], running: dict[Callable[[], None], Any]) -> None:
    """Await what is done in a thread of its own; a second task awaits what the first has begun.

    It goes on when the tasks that await it are cancelled. Another event loop than asyncio's stands
    still meanwhile.
    """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    if asyncio._get_running_loop() is None:
        work()
        return
    future = running.get(work)
    if future is None:
        pool = ThreadPoolExecutor(1, "aimm_plugins-load")
        future = running[work] = pool.submit(copy_context().run, work)
        future.add_done_callback(lambda _: running.pop(work, None))
        pool.shutdown(wait=False)
    await asyncio.shield(asyncio.wrap_future(future))


Impl = pluggy.HookImpl
Answer = Callable[[Impl, list[Any], dict[str, Any]], Coroutine[Any, Any, Any]]


async def call_hook(
    name: str,
    impls: Sequence[Impl],
    kwargs: Mapping[str, Any],
    monitors: Sequence[Monitor],
    answer: Answer,
) -> Any:
    """Call a `firstresult` hook as pluggy does, but await what its plain implementations do.

    Wrappers are entered before the first is awaited and left with its outcome, all in this task,
    so that what they set up (a span, a timer, context variables) covers the work.

    The last of `impls` is called first, and the last of `monitors` is outermost. `answer` is
    awaited for each plain implementation in turn, with its arguments.
    """
    if not monitors:
        return await _call_unmonitored(name, impls, kwargs, answer)
    *inner, (before, after) = monitors
    before(name, impls, kwargs)
    outcome: pluggy.Result[Any]
    try:
        outcome = pluggy.Result(await call_hook(name, impls, kwargs, inner, answer), None)
    except BaseException as raised:
        outcome = pluggy.Result(None, raised)
    after(outcome, name, impls, kwargs)
    return outcome.get_result()


async def _call_unmonitored(
    name: str, impls: Sequence[Impl], kwargs: Mapping[str, Any], answer: Answer
) -> Any:
    entered: list[Generator[None, Any, Any]] = []
    result: Any = None
    error: BaseException | None = None
    try:
        for impl in reversed(impls):
            given = [kwargs[argument] for argument in impl.argnames]
            keywords = {name: kwargs[name] for name in impl.kwargnames if name in kwargs}
            if impl.hookwrapper:  # imported where it is needed, since pluggy does not document it
                from pluggy._callers import run_old_style_hookwrapper

                entered.append(_entered(run_old_style_hookwrapper(impl, name, given, keywords)))
            elif impl.wrapper:
                entered.append(_entered(impl.function(*given, **keywords)))
            else:
                result = await answer(impl, given, keywords)
                if result is not None:
                    break
    except BaseException as raised:
        error = raised
    for wrapper in reversed(entered):
        try:
            if error is None:
                wrapper.send(result)
            else:
                wrapper.throw(error)
            error = _misbehaved(wrapper, "has second yield")
            wrapper.close()
        except StopIteration as stop:
            result, error = stop.value, None
        except BaseException as raised:
            error = raised
    if error is None:
        return result
    try:
        raise error
    finally:
        del error  # the local name would keep the error's own traceback alive in a cycle


def _entered(wrapper: Any) -> Generator[None, Any, Any]:
    """A generator of a wrapper that has come to its `yield`."""
    try:
        next(wrapper)
    except StopIteration:
        raise _misbehaved(wrapper, "did not yield") from None
    return wrapper  # type: ignore[no-any-return]  # pluggy leaves it open


def _misbehaved(wrapper: Any, what: str) -> RuntimeError:
    code = wrapper.gi_code
    return RuntimeError(
        f"wrap_controller at {code.co_name!r} {code.co_filename}:{code.co_firstlineno} {what}"
    )
