"""Awaited calls: coroutines, threads, wrappers around both, cancelling."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import contextvars
import functools
import gc
import inspect
import logging
import sys
import threading
import warnings
import weakref

import pytest

import aimm_plugins
from aimm_plugins import Cancelled, Result, UnknownPluginError, hookimpl

ACTIONS = {
    "data_access": (),
    "instantiate": (),
    "fit": ("instance",),
    "predict": ("instance",),
    "serialize": ("instance",),
    "deserialize": (b"bytes",),
}
FREE = ("data_access", "instantiate", "fit", "predict")


@pytest.fixture
def manager():
    return aimm_plugins.get_plugin_manager()


def declare(action, function, **options):
    key = "k" if action in ("data_access", "instantiate") else ["k"]
    getattr(aimm_plugins, action)(key, **options)(function)
    return functools.partial(getattr(aimm_plugins, f"exec_{action}_async"), "k", *ACTIONS[action])


async def coroutine(*args):
    await asyncio.sleep(0)
    return ("did", args)


class AsyncCallable:
    async def __call__(self, *args):
        return await coroutine(*args)


@functools.wraps(coroutine)
def decorated(*args):
    return coroutine(*args)


class CompiledCoroutine(collections.abc.Coroutine):
    """As Cython's: of a class of its own."""

    def __init__(self, coroutine):
        self.send, self.throw, self.close = coroutine.send, coroutine.throw, coroutine.close
        self.iterate = coroutine.__await__

    def __await__(self):
        return self.iterate()

    send = throw = close = None


class CompiledFunction:
    """As Cython's: like a function, and none."""

    def __init__(self, function):
        for name in ("__code__", "__defaults__", "__kwdefaults__", "__annotations__", "__name__"):
            setattr(self, name, getattr(function, name))
        self.function = function

    def __call__(self, *args, **kwargs):
        return CompiledCoroutine(self.function(*args, **kwargs))


def expected(action, args):
    result = ("did", ACTIONS[action] + args)
    return ("instance", result) if action == "predict" else result


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "function",
    [
        coroutine,
        functools.partial(coroutine),
        AsyncCallable(),
        functools.partial(AsyncCallable()),
        decorated,
        lambda *args: ("did", args),
    ],
    ids=["async def", "partial", "callable", "partial callable", "decorated", "sync"],
)
def test_every_kind_of_function_of_every_action_is_awaited(action, function):
    call = declare(action, function)
    given = (None, 1, 2) if action in FREE else ()
    assert asyncio.run(call(*given)) == expected(action, given[1:])


@pytest.mark.parametrize("action", ACTIONS)
def test_sync_call_runs_an_async_function(action):
    declare(action, coroutine)
    call = getattr(aimm_plugins, f"exec_{action}")
    assert call("k", *ACTIONS[action]) == expected(action, ())


@pytest.mark.parametrize("function", [coroutine, decorated])
@pytest.mark.parametrize("action", ["predict", "fit"])
def test_sync_call_in_a_running_loop_says_what_to_await(action, function):
    declare(action, function)

    async def host():
        getattr(aimm_plugins, f"exec_{action}")("k", 1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a coroutine that nobody awaits is a warning
        with pytest.raises(RuntimeError, match=rf"await aimm_plugins\.exec_{action}_async\("):
            asyncio.run(host())


def test_sync_call_of_an_async_function_keeps_its_exception_clean():
    async def fail(model):
        raise KeyError("own")

    declare("predict", fail)
    with pytest.raises(KeyError) as caught:
        aimm_plugins.exec_predict("k", 1)
    assert caught.value.__context__ is None
    assert "in predict:k" in caught.value.__notes__[0]


def test_async_generator_is_a_result():
    async def batches():
        yield 1
        yield 2

    async def host():
        result = await call()
        assert inspect.isasyncgen(result)
        return [each async for each in result]

    call = declare("data_access", batches)
    assert asyncio.run(host()) == [1, 2]
    assert inspect.isasyncgen(aimm_plugins.exec_data_access("k"))


def test_awaitable_result_of_a_sync_function_is_awaited():
    class Later:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return "now"

    call = declare("data_access", Later)
    assert asyncio.run(call()) == "now"
    assert isinstance(aimm_plugins.exec_data_access("k"), Later)


async def test_async_methods_of_a_model_class_are_awaited():
    @aimm_plugins.model(model_type="k", state_cb_arg_name="cb")
    class M:
        def __init__(self):
            self.thread = threading.get_ident()

        async def fit(self, x, *, cb):
            cb({"step": 1})
            await asyncio.sleep(0)
            return (x, threading.get_ident())

        async def predict(self, x):
            return x

        def serialize(self):
            return b"x"

        @classmethod
        async def deserialize(cls, data):
            return data

    class Sub(M):
        def fit(self, x, *, cb):
            return (x, threading.get_ident())

    here = threading.get_ident()
    model = await aimm_plugins.exec_instantiate_async("k")
    assert model.thread != here
    events = []
    assert await aimm_plugins.exec_fit_async("k", model, events.append, 1) == (1, here)
    assert events == [{"step": 1}]
    assert (await aimm_plugins.exec_fit_async("k", Sub(), None, 1))[1] != here
    assert await aimm_plugins.exec_predict_async("k", model, None, 2) == (model, 2)
    assert await aimm_plugins.exec_serialize_async("k", model) == b"x"
    assert await aimm_plugins.exec_deserialize_async("k", b"y") == b"y"


def test_async_predict_may_return_the_instance_itself():
    async def pair(model):
        return ("new", 1)

    async def no_pair(model):
        return 5

    assert asyncio.run(declare("predict", pair, returns_instance=True)()) == ("new", 1)
    with pytest.raises(TypeError, match="returned int"):
        asyncio.run(declare("predict", no_pair, returns_instance=True)())


@pytest.mark.parametrize("function", [coroutine, lambda *args: args])
@pytest.mark.parametrize("action", FREE)
def test_wrong_callback_is_explained_before_anything_runs(action, function):
    call = declare(action, function)
    with pytest.raises(TypeError, match=f"exec_{action}: state_cb is a callable or None"):
        asyncio.run(call([1, 2]))


@pytest.mark.parametrize("action", ["fit", "predict"])
def test_misfit_of_an_async_function_is_explained(action):
    async def work(model, x, *, epochs=1):
        len(x)

    call = declare(action, work)
    with pytest.raises(TypeError, match=r"(?s)'epoch'.*did you mean 'epochs'.*\(model, x"):
        asyncio.run(call(None, [1], epoch=2))
    with pytest.raises(TypeError, match="has no len") as caught:
        asyncio.run(call(None, 5))
    assert "cannot be called" not in str(caught.value)
    assert f"in {action}:k" in caught.value.__notes__[0]


def test_unknown_key_is_unknown():
    with pytest.raises(UnknownPluginError):
        asyncio.run(aimm_plugins.exec_fit_async("nobody", 1))
    with pytest.raises(UnknownPluginError):
        asyncio.run(aimm_plugins.exec_fit_async(5, 1))


# Threads


def test_sync_function_runs_in_a_thread_with_the_tasks_context_variables():
    variable = contextvars.ContextVar("variable", default="unset")
    call = declare("data_access", lambda: (variable.get(), threading.get_ident()))

    async def host():
        variable.set("set")
        return await call()

    value, thread = asyncio.run(host())
    assert value == "set"
    assert thread != threading.get_ident()


@pytest.mark.parametrize("kind", [SystemExit, StopIteration, asyncio.CancelledError, GeneratorExit])
def test_odd_exceptions_of_a_thread_neither_hang_nor_get_lost(kind):
    def fail():
        raise kind("own")

    call = declare("data_access", fail)

    async def host():
        try:
            await call()
        except BaseException as error:
            return error

    error = asyncio.run(host())
    if kind is StopIteration:  # a coroutine cannot raise it
        assert isinstance(error, RuntimeError)
        error = error.__cause__
    assert type(error) is kind
    assert error.args == ("own",)


async def cancel(work, working):
    """Cancel what a thread does once it is `working`."""
    task = asyncio.create_task(work)
    await asyncio.to_thread(working.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancel_of_the_task_reaches_the_plugin_through_its_next_event():
    working, go_on, ended = (threading.Event() for _ in range(3))
    seen = []

    def work(*, cb):
        cb({"step": 1})
        working.set()
        go_on.wait(10)
        try:
            cb({"step": 2})
        except BaseException as error:
            seen.append(error)
            raise
        finally:
            ended.set()

    call = declare("data_access", work, state_cb_arg_name="cb")
    events = []
    await cancel(call(events.append), working)  # returns although the thread still waits
    assert not ended.is_set()
    go_on.set()
    await asyncio.to_thread(ended.wait, 10)
    assert events == [{"step": 1}]
    assert isinstance(seen[0], Cancelled)
    assert seen[0].reason == "the task that awaited it was cancelled"


def test_cancelled_plugin_without_a_callback_of_the_caller_ends_too():
    working, ended = threading.Event(), threading.Event()

    def work(*, cb):
        try:
            while True:
                working.set()
                cb({})
        finally:
            ended.set()

    call = declare("data_access", work, state_cb_arg_name="cb")

    async def host():
        await cancel(call(), working)

    asyncio.run(host())  # waits for its threads
    assert ended.is_set()


@pytest.mark.parametrize("error", [KeyError("own"), None])
def test_what_a_thread_raises_after_the_cancel_is_logged(error, caplog):
    working, go_on = threading.Event(), threading.Event()

    def work():
        working.set()
        go_on.wait(10)
        if error is not None:
            raise error

    call = declare("data_access", work)

    async def host():
        await cancel(call(), working)
        go_on.set()

    with caplog.at_level(logging.ERROR, "aimm_plugins"):
        asyncio.run(host())
    assert [record.exc_info[1] for record in caplog.records] == ([error] if error else [])


async def test_cancel_of_an_async_function_is_its_own():
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    call = declare("data_access", work)
    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


# Wrappers, executors, monitors


class Wrapper:
    def __init__(self, name, log):
        self.name, self.log = name, log

    @hookimpl(wrapper=True)
    def aimm_predict(self, model_type, instance, args):
        self.log.append(f"enter {self.name}")
        try:
            result = yield
        except BaseException as error:
            self.log.append(f"{self.name} sees {type(error).__name__}")
            raise
        self.log.append(f"leave {self.name}")
        return Result((*result.value, self.name))


class OldWrapper:
    def __init__(self, log):
        self.log = log

    @hookimpl(hookwrapper=True)
    def aimm_predict(self):
        self.log.append("enter old")
        outcome = yield
        self.log.append(f"old sees {outcome.exception or outcome.get_result()}")


@pytest.mark.parametrize("asynchronous", [True, False])
def test_wrappers_work_around_the_await_in_pluggys_order(manager, asynchronous):
    log = []

    async def work(model, x):
        await asyncio.sleep(0)
        log.append("work")
        return x

    def sync_work(model, x):
        log.append("work")
        return x

    call = declare("predict", work if asynchronous else sync_work)
    for plugin in (Wrapper("inner", log), OldWrapper(log), Wrapper("outer", log)):
        manager.register(plugin)
    assert asyncio.run(call(None, 1)) == ("instance", 1, "inner", "outer")
    assert log == [
        "enter outer",
        "enter old",
        "enter inner",
        "work",
        "leave inner",
        "old sees Result(value=('instance', 1, 'inner'))",
        "leave outer",
    ]


def test_wrappers_are_thrown_what_the_await_raises(manager):
    log = []

    async def fail(model):
        raise KeyError("own")

    call = declare("predict", fail)
    for plugin in (Wrapper("inner", log), OldWrapper(log)):
        manager.register(plugin)
    with pytest.raises(KeyError, match="own"):
        asyncio.run(call())
    assert log == ["enter old", "enter inner", "inner sees KeyError", "old sees 'own'"]


async def test_wrappers_are_left_when_the_task_is_cancelled(manager):
    log = []
    working = asyncio.Event()

    async def work(model):
        working.set()
        await asyncio.Event().wait()

    call = declare("predict", work)
    manager.register(Wrapper("only", log))
    task = asyncio.create_task(call())
    await working.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["enter only", "only sees CancelledError"]


def test_what_a_wrapper_sets_up_covers_the_work_in_its_thread(manager):
    span = contextvars.ContextVar("span", default=None)

    class Span:
        @hookimpl(wrapper=True)
        def aimm_data_access(self):
            token = span.set("open")
            try:
                return (yield)
            finally:
                span.reset(token)

    manager.register(Span())
    call = declare("data_access", span.get)

    async def host():
        return await call(), span.get()

    assert asyncio.run(host()) == ("open", None)


@pytest.mark.parametrize("problem", ["does not yield", "yields twice"])
@pytest.mark.parametrize("old", [True, False])
def test_wrapper_that_misbehaves_is_told_as_pluggy_does(manager, problem, old):
    options = {"hookwrapper": True} if old else {"wrapper": True}

    class Odd:
        @hookimpl(**options)
        def aimm_data_access(self):
            if problem == "yields twice":
                yield
                yield

    manager.register(Odd())
    call = declare("data_access", lambda: 1)
    with pytest.raises(RuntimeError) as sync:
        aimm_plugins.exec_data_access("k")
    with pytest.raises(RuntimeError) as awaited:
        asyncio.run(call())
    assert str(awaited.value) == str(sync.value)


def test_wrapper_that_returns_no_result_is_named(manager):
    class Bad:
        @hookimpl(wrapper=True)
        def aimm_data_access(self):
            yield
            return 5

    manager.register(Bad(), "bad-wrapper")
    with pytest.raises(TypeError, match="bad-wrapper"):
        asyncio.run(declare("data_access", lambda: 1)())


def test_executor_answers_first_in_a_thread_and_may_answer_later(manager):
    threads = []

    class Executor:
        @hookimpl
        def aimm_fit(self, model_type, state_cb):
            threads.append(threading.get_ident())
            state_cb({"step": 1})
            return Result(coroutine("remote")) if model_type == "remote" else None

    manager.register(Executor())
    call = declare("fit", lambda model: "declared")
    events = []
    assert asyncio.run(call(events.append)) == "declared"
    assert asyncio.run(aimm_plugins.exec_fit_async("remote", 1, events.append)) == (
        "did",
        ("remote",),
    )
    assert events == [{"step": 1}] * 2
    assert threading.get_ident() not in threads


def test_executor_that_returns_a_bare_value_is_named(manager):
    class Executor:
        @hookimpl
        def aimm_data_access(self):
            return 5

    manager.register(Executor(), "careless")
    with pytest.raises(TypeError, match="of plugin careless"):
        asyncio.run(declare("data_access", lambda: 1)())


def test_hookimpl_parameter_with_a_default_is_passed_as_by_the_sync_path(manager):
    class Plugin:
        @hookimpl
        def aimm_data_access(self, name, args="default"):
            return Result((name, args))

    manager.register(Plugin())
    call = declare("data_access", lambda x: x)
    assert asyncio.run(call(None, 1)) == aimm_plugins.exec_data_access("k", None, 1)


def test_monitor_may_change_the_outcome_as_in_pluggy(manager):
    call = declare("data_access", coroutine)

    def after(outcome, hook, impls, kwargs):
        outcome.force_result(Result(("monitored", outcome.get_result().value)))

    undo = manager.add_hookcall_monitoring(lambda *args: None, after)
    assert asyncio.run(call()) == ("monitored", ("did", ()))
    assert aimm_plugins.exec_data_access("k") == ("monitored", ("did", ()))
    undo()
    assert asyncio.run(call()) == ("did", ())


@pytest.mark.parametrize("executor", [True, False])
def test_deferred_plugin_is_imported_in_a_thread(write, install, manager, executor):
    class Passing:
        @hookimpl
        def aimm_fit(self):
            return None

    write(late="import threading\nthread = threading.get_ident()\n@fit(['k'])\ndef f(m): return m")
    install("late-dist", entry_points={"late": "late"}, published={"fit:k": "late:f"})
    aimm_plugins.initialize({"names": [], "load": "lazy", "entry_points": {"allow": ["late-dist"]}})
    if executor:
        manager.register(Passing())
    assert "late" not in sys.modules
    assert asyncio.run(aimm_plugins.exec_fit_async("k", 1)) == 1
    assert sys.modules["late"].thread != threading.get_ident()


def test_function_awaited_by_another_event_loop_names_what_to_call():
    @aimm_plugins.data_access("plain")
    def plain(): ...

    awaited = aimm_plugins.exec_data_access_async("plain")
    with pytest.raises(RuntimeError, match=r"needs asyncio.*trio\.to_thread\.run_sync"):
        awaited.send(None)


@pytest.mark.parametrize("action", ACTIONS)
def test_async_function_of_a_compiled_module_is_awaited_and_run(action):
    call = declare(action, CompiledFunction(coroutine))
    assert asyncio.run(call()) == expected(action, ())
    run = getattr(aimm_plugins, f"exec_{action}")
    assert run("k", *ACTIONS[action]) == expected(action, ())


def test_deferred_async_plugin_can_be_awaited_by_another_event_loop(write, install):
    write(late="@fit(['k'])\nasync def f(m): return m")
    install("late-dist", entry_points={"late": "late"}, published={"fit:k": "late:f"})
    aimm_plugins.initialize({"names": [], "load": "lazy", "entry_points": {"allow": ["late-dist"]}})
    with pytest.raises(StopIteration) as done:
        aimm_plugins.exec_fit_async("k", 1).send(None)
    assert done.value.value == 1


def test_asynchronous_callback_of_a_function_in_a_thread_is_refused():
    async def tell(state): ...

    call = declare("data_access", lambda cb: cb({"step": 1}), state_cb_arg_name="cb")
    with pytest.raises(TypeError, match=r"state_cb is asynchronous.*call_soon_threadsafe"):
        asyncio.run(call(tell))


def test_sync_call_of_an_async_function_leaves_the_hosts_event_loop():
    async def respond(model):
        return 1

    declare("fit", respond)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        assert aimm_plugins.exec_fit("k", 0) == 1
        assert asyncio.get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class Large:
    """What a plugin holds when it fails."""


def test_error_of_a_thread_keeps_nothing_alive_once_it_was_caught():
    def fail(model):
        large = Large()
        held.append(weakref.ref(large))
        raise KeyError("own")

    async def host():
        with contextlib.suppress(KeyError):
            await aimm_plugins.exec_fit_async("k", 0)

    held: list[weakref.ref[Large]] = []
    declare("fit", fail)
    gc.disable()
    try:
        asyncio.run(host())
        assert held[0]() is None
    finally:
        gc.enable()


def test_plugin_is_cancelled_where_its_coroutine_is_closed_by_hand():
    def report(model, cb):
        begun.set()
        assert closed.wait(30)
        try:
            cb({"step": 1})
        except BaseException as error:
            raised.append(error)
        done.set()

    async def host():
        call = aimm_plugins.exec_fit_async("k", 0)
        call.send(None)
        await asyncio.to_thread(begun.wait, 30)
        call.close()
        closed.set()
        await asyncio.to_thread(done.wait, 30)

    begun, closed, done = threading.Event(), threading.Event(), threading.Event()
    raised: list[BaseException] = []
    aimm_plugins.fit(["k"], state_cb_arg_name="cb")(report)
    asyncio.run(host())
    assert [type(error) for error in raised] == [Cancelled]
