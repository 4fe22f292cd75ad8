"""Registering with the plugin manager is whole or not at all, whatever interrupts it."""

from __future__ import annotations

import importlib
import types
from types import ModuleType, SimpleNamespace

import pluggy
import pytest

import aimm_plugins
from aimm_plugins import Result, UnknownPluginError, hookimpl
from tests.support.interrupting import interrupted_at

hookspec = pluggy.HookspecMarker("aimm_plugins")
manager = aimm_plugins.get_plugin_manager()


class Wrapper:
    @hookimpl(wrapper=True)
    def aimm_predict(self):
        result = yield
        return Result((result.value[0], ("wrapped", result.value[1])))


WRAPPER = Wrapper()
MODULE = """
@predict(['declared'])
def f(m): return 1

@hookimpl(wrapper=True)
def aimm_predict():
    result = yield
    return Result((result.value[0], ('guarded', result.value[1])))
"""


@pytest.fixture
def module(write) -> ModuleType:
    """A plugin that was imported before, so that its keys are there or not by what is registered."""
    write(guarding=MODULE)
    found = importlib.import_module("guarding")
    aimm_plugins.unload_all()
    aimm_plugins.predict(["plain"])(lambda m: 2)
    return found


def answer(key: str) -> object:
    try:
        return aimm_plugins.exec_predict(key, None)[1]
    except UnknownPluginError:
        return None


def seen() -> tuple[object, ...]:
    """What is registered, as callers and hosts see it."""
    plugins = sorted((name, plugin is None) for name, plugin in manager.list_name_plugin())
    return answer("plain"), answer("declared"), plugins, list(aimm_plugins.providers())


CHANGES = {
    "register a wrapper": (lambda m: None, lambda m: manager.register(WRAPPER, "w")),
    "register a module": (lambda m: None, lambda m: manager.register(m)),
    "unregister a wrapper": (
        lambda m: manager.register(WRAPPER, "w"),
        lambda m: manager.unregister(WRAPPER),
    ),
    "unregister a module": (lambda m: manager.register(m), lambda m: manager.unregister(m)),
    "unregister a module by another name": (
        lambda m: manager.register(m, "other"),
        lambda m: manager.unregister(name="other"),
    ),
    "block a wrapper": (
        lambda m: manager.register(WRAPPER, "w"),
        lambda m: manager.set_blocked("w"),
    ),
    "block a module": (lambda m: manager.register(m), lambda m: manager.set_blocked("guarding")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_interrupt_at_any_line_leaves_all_of_a_change_or_nothing(module, change):
    prepare, do = CHANGES[change]

    def clean() -> None:
        for name, plugin in manager.list_name_plugin():
            if plugin is None:
                manager.unblock(name)
            else:
                manager.unregister(name=name)
        prepare(module)

    clean()
    before = seen()
    do(module)
    after = seen()
    assert before != after
    line, interrupted = 0, True
    while interrupted:
        clean()
        line += 2  # most of them judge the plugin, and change nothing
        interrupted = interrupted_at(line, lambda: do(module))
        assert seen() in (before, after)
        assert not manager._owner.lock._is_owned()
    assert line > 50


def test_unregistering_an_object_leaves_what_a_module_of_its_name_declares(write):
    write(mod="@predict(['k'])\ndef f(m): return 1\n")
    importlib.import_module("mod")
    manager.register(WRAPPER, "mod")
    manager.unregister(WRAPPER)
    assert answer("k") == 1


class HostSpecs:
    @hookspec(historic=True)
    def host_started(self, time): ...


@pytest.fixture
def host_hook():
    """A historic hook of a host."""
    if not hasattr(manager.hook, "host_started"):
        manager.add_hookspecs(HostSpecs)


def plain(): ...


def generator():
    yield


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (plain, {"wrapper": True}, "does not yield"),
        (generator, {"wrapper": True, "hookwrapper": True}, "a wrapper of both styles"),
        (generator, {"wrapper": True, "specname": "host_started"}, "is a historic hook"),
    ],
)
def test_wrapper_that_pluggy_would_refuse_is_refused_with_its_place(
    host_hook, function, options, message
):
    # As what a notebook executes, it has no module.
    plugin = SimpleNamespace(aimm_predict=types.FunctionType(function.__code__, {}))
    hookimpl(**options)(plugin.aimm_predict)
    with pytest.raises(pluggy.PluginValidationError) as caught:
        manager.register(plugin)
    assert message in str(caught.value)
    assert "test_changes_of_the_manager.py:" in str(caught.value)
    assert not manager.is_registered(plugin)


class Unregistering(dict):
    """The names of plugins, one of which another thread takes away between two looks."""

    def __contains__(self, name: object) -> bool:
        return bool(self.pop(name, None)) or super().__contains__(name)


def test_name_is_looked_up_once_to_see_whether_it_is_blocked(monkeypatch):
    monkeypatch.setattr(manager, "_name2plugin", Unregistering({"w": WRAPPER}))
    assert not manager.is_blocked("w")
