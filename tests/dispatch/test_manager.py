"""What the plugin manager relies on of pluggy without pluggy's promise.

Each test fails when pluggy changes one of these; `PluginManager` says what they are needed for.
"""

from __future__ import annotations

import types

import pluggy
import pytest

hookspec = pluggy.HookspecMarker("host")
hookimpl = pluggy.HookimplMarker("host")


class Specs:
    @hookspec(firstresult=True)
    def ask(self, question): ...


class Answering:
    @hookimpl
    def ask(self, question):
        return f"answer to {question}"


@pytest.fixture
def manager():
    manager = pluggy.PluginManager("host")
    manager.add_hookspecs(Specs)
    return manager


def test_every_hook_call_of_pluggy_goes_through_hookexec():
    class Manager(pluggy.PluginManager):
        def _hookexec(self, hook_name, methods, kwargs, firstresult):
            assert [impl.function for impl in methods] == list(expected)
            return (hook_name, dict(kwargs), firstresult)

    manager = Manager("host")
    manager.add_hookspecs(Specs)
    plugin = Answering()
    manager.register(plugin)
    expected = [plugin.ask]
    call = ("ask", {"question": 1}, True)
    assert manager.hook.ask(question=1) == call
    extra = lambda question: None  # pluggy takes a function
    expected = [plugin.ask, extra]
    assert manager.hook.ask.call_extra([extra], {"question": 1}) == call
    expected = []
    assert manager.subset_hook_caller("ask", [plugin])(question=1) == call


def test_inner_hookexec_runs_implementations_and_is_what_monitors_replace(manager):
    plain = manager._inner_hookexec
    manager.register(Answering())
    impls = manager.hook.ask.get_hookimpls()
    assert plain("ask", tuple(impls), {"question": 1}, True) == "answer to 1"
    seen = []
    undo = manager.add_hookcall_monitoring(
        lambda name, impls, kwargs: seen.append("before"), lambda *rest: seen.append("after")
    )
    assert manager._inner_hookexec is not plain
    assert manager._inner_hookexec("ask", tuple(impls), {"question": 1}, True) == "answer to 1"
    assert seen == ["before", "after"]
    undo()
    assert manager._inner_hookexec is plain


def test_name2plugin_is_all_that_pluggy_keeps_of_a_plugin_without_hookimpls(manager):
    by_pluggy, by_hand = types.ModuleType("by_pluggy"), types.ModuleType("by_hand")
    before = {**vars(manager), "_name2plugin": None}
    manager.register(by_pluggy)
    assert {**vars(manager), "_name2plugin": None} == before
    manager._name2plugin["by_hand"] = by_hand
    assert manager._name2plugin == {"by_pluggy": by_pluggy, "by_hand": by_hand}
    assert manager.get_plugin("by_hand") is by_hand
    assert manager.get_name(by_hand) == "by_hand"
    manager.unregister(by_pluggy)
    del manager._name2plugin["by_hand"]
    assert manager.list_name_plugin() == []


def test_hookimpl_is_made_of_a_function_that_wraps_its_spec():
    def answer(*given):
        return given

    answer.__wrapped__ = Specs.ask
    options = {
        "wrapper": False,
        "hookwrapper": False,
        "optionalhook": False,
        "tryfirst": False,
        "trylast": True,
        "specname": None,
    }
    impl = pluggy.HookImpl(Specs, "declared", answer, options)
    assert impl.argnames == ("question",)
    manager = pluggy.PluginManager("host")
    assert manager._inner_hookexec("ask", (impl,), {"question": 1}, True) == (1,)
