"""A plan and a plain hook call cannot be told apart, whatever happened before."""

from __future__ import annotations

import asyncio
import sys
import textwrap
import threading
import types
import warnings
from contextvars import copy_context

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import aimm_plugins
from aimm_plugins import Result, hookimpl
from tests.support.threads import in_threads

LOG: list[object] = []

KEYS = st.sampled_from(["a", "b"])
ACTIONS = st.sampled_from(["data_access", "fit", "predict"])
ORDERS = st.sampled_from([{}, {"tryfirst": True}, {"trylast": True}])


def outcome(call):
    """What came of a call, with all that was seen on the way."""
    LOG.clear()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = call()
        end = ("returned", value)
    except Exception as error:
        end = ("raised", type(error), str(error), getattr(error, "__notes__", []))
    return end, list(LOG), [str(each.category) for each in caught]


def declared(number, behaviour):
    def function(*args, **kwargs):
        LOG.append(("function", number, args, kwargs))
        if behaviour == "raise":
            raise KeyError(number)
        if behaviour == "stop":
            raise StopIteration(number)
        return None if behaviour == "none" else number

    return function


def wrapper(number, behaviour, order, old):
    class Wrapper:
        if old:

            @hookimpl(hookwrapper=True, **order)
            def aimm_data_access(self, name, args):
                LOG.append(("enter", number, name, args))
                if behaviour == "raise before":
                    raise ZeroDivisionError(number)
                outcome = yield
                LOG.append(("leave", number))
                if behaviour == "raise after":
                    raise ArithmeticError(number)
                if behaviour == "change":
                    outcome.force_result(Result(("changed", number)))

        else:

            @hookimpl(wrapper=True, **order)
            def aimm_data_access(self, name, args):
                LOG.append(("enter", number, name, args))
                if behaviour == "raise before":
                    raise ZeroDivisionError(number)
                try:
                    result = yield
                except Exception as error:
                    LOG.append(("seen", number, type(error)))
                    if behaviour == "swallow":
                        return Result(("instead", number))
                    raise
                LOG.append(("leave", number, result))
                if behaviour == "raise after":
                    raise ArithmeticError(number)
                return Result(("changed", number)) if behaviour == "change" else result

        @hookimpl(specname="aimm_predict", wrapper=True, **order)
        def around_predict(self, instance, kwargs):
            LOG.append(("around predict", number, kwargs))
            return (yield)

    return Wrapper()


def executor(number, answers, order):
    class Executor:
        @hookimpl(**order)
        def aimm_data_access(self, name):
            LOG.append(("executor", number, name))
            return Result(number) if name == answers else None

        @hookimpl(specname="aimm_fit", **order)
        def fit_elsewhere(self, model_type, state_cb):
            LOG.append(("fit executor", number))
            return Result(None) if model_type == answers else None

    return Executor()


class Dispatch(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        aimm_plugins.unload_all()
        self.manager = aimm_plugins.get_plugin_manager()
        self.runner = asyncio.Runner()
        self.count = 0
        self.plugins = {}
        self.blocked = set()
        self.undos = []

    def number(self):
        self.count += 1
        return self.count

    @rule(action=ACTIONS, key=KEYS, behaviour=st.sampled_from(["value", "none", "raise", "stop"]))
    def declare_or_replace(self, action, key, behaviour):
        decorate = getattr(aimm_plugins, action)
        decorate(key if action == "data_access" else [key])(declared(self.number(), behaviour))

    def add(self, plugin):
        name = f"plugin-{self.number()}"
        if self.manager.register(plugin, name) is not None:
            self.plugins[name] = plugin

    @rule(
        behaviour=st.sampled_from(["pass", "change", "swallow", "raise before", "raise after"]),
        order=ORDERS,
        old=st.booleans(),
    )
    def add_wrapper(self, behaviour, order, old):
        self.add(wrapper(self.count, behaviour, order, old))

    @rule(answers=st.sampled_from(["a", "b", "elsewhere", "nothing"]), order=ORDERS)
    def add_executor(self, answers, order):
        self.add(executor(self.count, answers, order))

    @precondition(lambda self: self.plugins)
    @rule(data=st.data())
    def unregister(self, data):
        name = data.draw(st.sampled_from(sorted(self.plugins)))
        self.manager.unregister(self.plugins.pop(name))

    @precondition(lambda self: self.plugins)
    @rule(data=st.data())
    def block(self, data):
        name = data.draw(st.sampled_from(sorted(self.plugins)))
        self.manager.set_blocked(name)
        assert self.manager.register(self.plugins.pop(name), name) is None
        self.blocked.add(name)

    @rule()
    def block_what_is_declared_here(self):
        """The plugin of what was declared by hand is the module that did."""
        self.manager.set_blocked(__name__)
        self.blocked.add(__name__)

    @precondition(lambda self: self.blocked)
    @rule()
    def unblock(self):
        assert self.manager.unblock(self.blocked.pop())

    @rule()
    def monitor(self):
        number = self.number()
        self.undos.append(
            self.manager.add_hookcall_monitoring(
                lambda hook, impls, kwargs: LOG.append(("before", number, hook, kwargs)),
                lambda outcome, hook, impls, kwargs: LOG.append(
                    ("after", number, type(outcome.exception), hook)
                ),
            )
        )

    @rule()
    def trace(self):
        self.manager.trace.root.setwriter(LOG.append)
        self.undos.append(self.manager.enable_tracing())

    @precondition(lambda self: self.undos)
    @rule(data=st.data())
    def undo(self, data):
        self.undos.pop(data.draw(st.integers(0, len(self.undos) - 1)))()

    @rule()
    def unload(self):
        aimm_plugins.unload_all()

    @rule(action=ACTIONS, key=st.sampled_from(["a", "b", "elsewhere"]), x=st.integers(0, 1))
    def call(self, action, key, x):
        given = () if action == "data_access" else ("instance",)

        def planned():
            call = getattr(aimm_plugins, f"exec_{action}")
            return call(key, *given, None, x, more=x)

        def plain():
            arguments = {"name" if action == "data_access" else "model_type": key}
            if given:
                arguments["instance"] = "instance"
            hook = getattr(self.manager.hook, f"aimm_{action}")
            # The callback that the dispatcher puts in place of none is a function of its own.
            state_cb = aimm_plugins._values.actions.ignore_state
            return hook(**arguments, state_cb=state_cb, args=(x,), kwargs={"more": x}).value

        async def awaited():
            call = getattr(aimm_plugins, f"exec_{action}_async")
            return await call(key, *given, None, x, more=x)

        first, again, hook = outcome(planned), outcome(planned), outcome(plain)
        assert first == again == hook
        # In the context of this call: without the GIL it has the warnings that are caught.
        waited = outcome(lambda: self.runner.run(awaited(), context=copy_context()))
        if "StopIteration" not in repr(hook):
            # A coroutine cannot raise that one; Python makes a RuntimeError of it.
            assert waited == hook
        else:
            assert waited[0][0] == hook[0][0]

    def teardown(self):
        self.runner.close()
        aimm_plugins.unload_all()
        for plugin in self.plugins.values():
            self.manager.unregister(plugin)
        for name in self.blocked:
            self.manager.unblock(name)
        for undo in self.undos:
            undo()
        self.manager.trace.root.setwriter(None)
        assert aimm_plugins.get_plugin_manager().chain("data_access").is_empty


Dispatch.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestDispatch = Dispatch.TestCase


@pytest.fixture
def many_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_calls_meanwhile_see_the_state_before_or_after_a_change(many_switches):
    """Not a half of it: no executor unguarded or unordered, no call without its wrapper."""
    manager = aimm_plugins.get_plugin_manager()
    aimm_plugins.data_access("a")(lambda: "declared")
    aimm_plugins.fit(["a"])(lambda model: model)
    stop = threading.Event()
    seen: set[object] = set()
    broken: list[BaseException] = []

    class Wrapper:
        @hookimpl(wrapper=True)
        def aimm_data_access(self):
            return Result(("wrapped", (yield).value))

    class Executor:
        @hookimpl(trylast=True)
        def aimm_data_access(self):
            return Result("executed")

    class Careless:
        @hookimpl(trylast=True)
        def aimm_fit(self):
            return "no result"

    def ask():
        while not stop.is_set():
            try:
                seen.add(aimm_plugins.exec_data_access("a"))
            except BaseException as error:
                broken.append(error)
            try:
                assert aimm_plugins.exec_fit("a", 1) == 1
            except TypeError as error:
                if "of plugin careless returned str" not in str(error):
                    broken.append(error)
            except BaseException as error:
                broken.append(error)

    with in_threads(ask, ask, ask):
        last = []
        for turn in range(60):
            wrapper, executor, careless = Wrapper(), Executor(), Careless()
            manager.register(careless, "careless")
            manager.register(executor)
            last.append(aimm_plugins.exec_data_access("a") == "executed")
            manager.unregister(executor)
            undo = manager.add_hookcall_monitoring(lambda *a: None, lambda *a: None)
            manager.register(wrapper)
            name = f"declared {turn}"
            aimm_plugins.data_access("a")(lambda name=name: name)
            last.append(aimm_plugins.exec_data_access("a") == ("wrapped", name))
            undo()
            manager.unregister(wrapper)
            last.append(aimm_plugins.exec_data_access("a") == name)
            manager.unregister(careless)
        stop.set()
    assert broken == []
    assert all(last), "the thread that made a change sees it at once"
    turns = {"declared", *(f"declared {turn}" for turn in range(60))}
    assert seen <= {"executed"} | turns | {("wrapped", each) for each in turns}


def test_function_of_a_module_is_never_called_without_the_modules_wrapper(many_switches):
    manager = aimm_plugins.get_plugin_manager()
    module = types.ModuleType("wrapping_module")
    code = """
        from aimm_plugins import Result, data_access, hookimpl

        data_access("wrapped")(lambda: "bare")

        @hookimpl(wrapper=True)
        def aimm_data_access():
            return Result(("wrapped", (yield).value))
    """
    exec(textwrap.dedent(code), vars(module))
    manager.register(module)
    stop = threading.Event()
    seen: set[object] = set()

    def ask():
        while not stop.is_set():
            try:
                seen.add(aimm_plugins.exec_data_access("wrapped"))
            except aimm_plugins.UnknownPluginError:
                seen.add("unknown")

    with in_threads(ask, ask, ask):
        for turn in range(60):
            if turn % 2:
                manager.unregister(module)
            else:
                manager.set_blocked("wrapping_module")
                manager.unblock("wrapping_module")
            manager.register(module)
        stop.set()
    assert seen <= {"unknown", ("wrapped", "bare")}
