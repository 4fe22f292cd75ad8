"""`isolated` and the fixture `aimm`: an empty registry, and everything put back afterwards."""

from __future__ import annotations

import os
import threading

import pytest

import aimm_plugins
from aimm_plugins import exec_data_access, hookimpl
from aimm_plugins.testing import isolated


@pytest.fixture
def registered():
    """A data access and a wrapper that are there before the test's own state."""

    class Wrapper:
        @hookimpl(wrapper=True)
        def aimm_data_access(self, name):
            result = yield
            return aimm_plugins.Result((name, result.value))

    aimm_plugins.data_access("before")(lambda: 1)
    manager = aimm_plugins.get_plugin_manager()
    manager.register(Wrapper(), "wrapper")
    manager.set_blocked("blocked")
    return manager


def test_isolated_registry_begins_empty(registered):
    with isolated() as state:
        assert state.providers() == {}
        with pytest.raises(aimm_plugins.UnknownPluginError, match="Nothing was ever initialized"):
            exec_data_access("before")


def test_what_was_registered_is_there_again(registered):
    with isolated():
        aimm_plugins.data_access("before")(lambda: 2)
    assert exec_data_access("before") == ("before", 1)


def test_what_the_block_registered_is_gone(registered):
    with isolated():
        aimm_plugins.data_access("inside")(lambda: 2)
        assert exec_data_access("inside") == 2
    with pytest.raises(aimm_plugins.UnknownPluginError):
        exec_data_access("inside")


def test_wrappers_blocks_and_monitors_of_before_are_not_seen_and_come_back(registered):
    seen = []
    end = registered.add_hookcall_monitoring(
        lambda name, impls, kwargs: seen.append(name), lambda *rest: None
    )
    with isolated() as state:
        assert state.manager.get_plugin("wrapper") is None
        assert not state.manager.is_blocked("blocked")
        aimm_plugins.data_access("inside")(lambda: 2)
        assert exec_data_access("inside") == 2
    assert seen == []
    assert exec_data_access("before") == ("before", 1)
    assert seen == ["aimm_data_access"]
    assert registered.is_blocked("blocked")
    end()


def test_report_of_before_is_the_same_afterwards(write):
    write(kept="@data_access('kept')\ndef f(): return 1")
    aimm_plugins.initialize({"names": ["kept"], "entry_points": {"enabled": False}})
    before = aimm_plugins.current_report()
    with isolated():
        aimm_plugins.unload_all()
    assert aimm_plugins.current_report() == before
    assert exec_data_access("kept") == 1


def test_refresh_inside_knows_nothing_of_what_was_initialized_before(write):
    write(kept="@data_access('kept')\ndef f(): return 1")
    aimm_plugins.initialize({"names": ["kept"], "entry_points": {"enabled": False}})
    with isolated() as state:
        assert aimm_plugins.refresh() == aimm_plugins.Report()
        assert state.providers() == {}


def test_module_that_was_imported_before_can_be_loaded_inside(write):
    write(kept="@data_access('kept')\ndef f(): return 1")
    aimm_plugins.initialize({"names": ["kept"], "entry_points": {"enabled": False}})
    with isolated() as state:
        state.load("kept")
        assert exec_data_access("kept") == 1


def test_module_that_was_imported_inside_can_be_loaded_again(write):
    write(again="@data_access('again')\ndef f(): return 1")
    for _ in range(2):
        with isolated() as state:
            state.load("again")
            assert exec_data_access("again") == 1
        assert aimm_plugins.providers() == {}


def test_everything_is_put_back_when_the_block_raises(registered):
    with pytest.raises(ZeroDivisionError), isolated():
        raise ZeroDivisionError
    assert exec_data_access("before") == ("before", 1)


def test_blocks_nest(registered):
    with isolated():
        aimm_plugins.data_access("outer")(lambda: 1)
        with isolated():
            assert aimm_plugins.providers() == {}
        assert exec_data_access("outer") == 1
    assert exec_data_access("before") == ("before", 1)


def test_policy_of_the_machine_is_not_seen_inside(monkeypatch, write):
    write(wanted="@data_access('wanted')\ndef f(): return 1")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", "no-such-policy.yaml")
    with isolated() as state:
        state.load("wanted")
        assert exec_data_access("wanted") == 1
    assert os.environ["AIMM_PLUGINS_POLICY"] == "no-such-policy.yaml"


def test_other_threads_use_the_isolated_state_too(registered):
    found = []
    with isolated():
        thread = threading.Thread(target=lambda: found.append(aimm_plugins.providers()))
        thread.start()
        thread.join()
    assert found == [{}]


def test_aimm_loads_modules_and_no_entry_points(aimm, write):
    write(mine="@data_access('mine')\ndef f(): return 1")
    report = aimm.load("mine")
    assert [record.name for record in report.plugins] == ["mine"]
    assert list(aimm.providers()) == [("data_access", "mine")]
    assert aimm.report().plugins == report.plugins
