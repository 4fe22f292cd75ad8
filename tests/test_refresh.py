"""Refreshing: what pip did after start-up, without a restart where that can be."""

from __future__ import annotations

import shutil
import threading

import pytest

import aimm_plugins
from aimm_plugins import PluginLoadError, UnknownPluginError, initialize, refresh
from tests.conftest import record_of


def only(*distributions, **more):
    return {"names": [], "entry_points": {"allow": list(distributions)}, **more}


@pytest.fixture
def put(write, install):
    """Installs a distribution `NAME-dist` with a plugin module NAME that fits NAME."""

    def put(name, version="1.0", source=None, **options):
        write(**{name: source or f"@fit(['{name}'])\ndef f(m): return '{name} {version}'\n"})
        return install(f"{name}-dist", version, entry_points={name: name}, **options)

    return put


def test_without_initialize_nothing_is_refreshed(put):
    put("a")
    assert refresh() == aimm_plugins.Report()


def test_nothing_changed_is_an_empty_report(put):
    put("a")
    initialize(only("a-dist"))
    assert refresh().plugins == ()


def test_newly_installed_plugin_is_loaded(put):
    initialize(only("a-dist"))
    put("a")
    (record,) = refresh().plugins
    assert (record.name, record.state, record.provides) == ("a", "loaded", (("fit", "a"),))
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


def test_removed_plugin_loses_its_keys(put):
    info = put("a")
    put("b")
    initialize(only("a-dist", "b-dist"))
    shutil.rmtree(info)
    (record,) = refresh().plugins
    assert (record.name, record.state) == ("a", "removed")
    assert record.reason == "a-dist is not installed any more"
    with pytest.raises(UnknownPluginError):
        aimm_plugins.exec_fit("a", None)
    assert aimm_plugins.exec_fit("b", None) == "b 1.0"
    assert not aimm_plugins.get_plugin_manager().has_plugin("a")
    assert [r.name for r in aimm_plugins.current_report().plugins if r.state == "loaded"] == ["b"]


def test_removed_and_installed_again_is_back_without_being_executed(put):
    info = put("a", source="aimm_plugins.runs.append(1)\n@fit(['a'])\ndef f(m): return 1\n")
    aimm_plugins.runs = []
    initialize(only("a-dist"))
    kept = info.with_suffix(".kept")
    info.rename(kept)
    refresh()
    kept.rename(info)
    refresh()
    assert aimm_plugins.exec_fit("a", None) == 1
    assert aimm_plugins.runs == [1]
    del aimm_plugins.runs


def test_call_under_way_ends_although_its_plugin_is_removed(put):
    info = put(
        "a",
        source="@fit(['a'])\ndef f(m):\n    m[0].set()\n    m[1].wait(10)\n    return 'done'\n",
    )
    initialize(only("a-dist"))
    begun, go_on, answers = threading.Event(), threading.Event(), []
    thread = threading.Thread(
        target=lambda: answers.append(aimm_plugins.exec_fit("a", (begun, go_on)))
    )
    thread.start()
    begun.wait(10)
    shutil.rmtree(info)
    refresh()
    go_on.set()
    thread.join(10)
    assert answers == ["done"]


@pytest.mark.parametrize("again", [refresh, lambda: initialize(only("a-dist"))])
def test_upgraded_plugin_stays_loaded_and_asks_for_a_restart(put, again):
    info = put("a")
    initialize(only("a-dist"))
    shutil.rmtree(info)
    put("a", "2.0")
    record = record_of(again(), "a")
    assert (record.state, record.version) == ("loaded", "1.0")
    assert "a-dist 2.0 is installed by now, and 1.0 was imported: a restart" in record.reason
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


def test_upgrade_is_remembered_over_unload_all(put):
    info = put("a")
    initialize(only("a-dist"))
    shutil.rmtree(info)
    put("a", "2.0")
    aimm_plugins.unload_all()
    assert record_of(initialize(only("a-dist")), "a").version == "1.0"


def test_failed_plugin_is_tried_again(put, site):
    put("a", source="1/0\n")
    initialize(only("a-dist", on_error="isolate"))
    (site / "a.py").write_text("from aimm_plugins import *\n@fit(['a'])\ndef f(m): return 1\n")
    (record,) = refresh().plugins
    assert record.state == "loaded"
    assert aimm_plugins.exec_fit("a", None) == 1


def test_strict_refresh_that_fails_changes_nothing(put):
    info = put("a")
    initialize(only("a-dist", "b-dist"))
    shutil.rmtree(info)
    put("b", source="1/0\n")
    with pytest.raises(PluginLoadError):
        refresh()
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


def test_key_of_a_removed_plugin_goes_to_the_one_that_lost_it(put):
    info = put("a", source="@fit(['k'])\ndef f(m): return 'a'\n")
    put("b", source="@fit(['k'])\ndef f(m): return 'b'\n")
    initialize(only("a-dist", "b-dist", prefer={"k": "a-dist"}))
    assert aimm_plugins.exec_fit("k", None) == "a"
    shutil.rmtree(info)
    states = {record.name: record.state for record in refresh().plugins}
    assert states == {"a": "removed", "b": "loaded"}
    assert aimm_plugins.exec_fit("k", None) == "b"


def test_confs_of_all_initialize_calls_count(put):
    initialize(only("a-dist"))
    initialize(only("b-dist"))
    put("a")
    put("b")
    assert {record.name for record in refresh().plugins if record.state == "loaded"} == {"a", "b"}


def test_plugin_of_a_second_conf_is_not_removed_by_the_first(put):
    put("a")
    initialize(only("a-dist"))
    initialize(only())
    assert "removed" not in {record.state for record in refresh().plugins}
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


def test_plugin_that_publishes_no_keys_is_no_change_under_lazy(put):
    put("a")
    initialize(only("a-dist", load="lazy"))
    assert refresh().plugins == ()


def test_removed_deferred_plugin_is_gone(put):
    info = put("a", published={"fit:a": "a:f"})
    initialize(only("a-dist", load="lazy"))
    shutil.rmtree(info)
    (record,) = refresh().plugins
    assert record.state == "removed"
    with pytest.raises(UnknownPluginError):
        aimm_plugins.exec_fit("a", None)


def test_after_unload_all_nothing_is_refreshed(put):
    put("a")
    initialize(only("a-dist"))
    aimm_plugins.unload_all()
    assert refresh().plugins == ()
