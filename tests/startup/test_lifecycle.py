"""From conf to registry: order, conflicts, failures, undoing, repeating."""

from __future__ import annotations

import asyncio
import importlib
import logging
import pickle
import sys
import threading
from functools import partial

import pytest

import aimm_plugins
from aimm_plugins import PluginConflictError, PluginImportError, PluginLoadError, initialize
from tests.conftest import names
from tests.support.threads import in_threads, together


def states(report):
    return {record.name: record.state for record in report.plugins}


def keys():
    return {f"{action}:{key}" for action, key in aimm_plugins.providers()}


def test_names_are_imported_in_their_order(write):
    write(za="aimm_plugins.order = ['za']\n", ab="aimm_plugins.order.append('ab')\n")
    initialize(names("za", "ab"))
    assert aimm_plugins.order == ["za", "ab"]
    del aimm_plugins.order


def test_entry_points_come_after_names_by_distribution_and_name(write, install):
    write(a="", b="", c="")
    install("zz-dist", entry_points={"one": "a"})
    install("aa-dist", entry_points={"two": "b", "one": "c"})
    report = initialize({"names": ["a"], "entry_points": {"allow": ["aa-dist", "zz_dist"]}})
    mine = [(r.source, r.name, r.distribution) for r in report.plugins if r.state == "loaded"]
    assert mine == [
        ("config", "a", "zz-dist"),
        ("entry_point", "one", "aa-dist"),
        ("entry_point", "two", "aa-dist"),
        ("entry_point", "one", "zz-dist"),
    ]


def test_same_module_by_two_ways_is_one_provider(write, install):
    write(p="@fit(['k'])\ndef f(m): return m\n")
    install("dist", entry_points={"ep": "p", "obj": "p:f"})
    report = initialize({"names": ["p"], "entry_points": {"allow": ["dist"]}})
    mine = [record for record in report.plugins if record.module == "p"]
    assert [record.provides for record in mine] == [(("fit", "k"),)] * 3
    assert report.ok


def test_object_entry_point_brings_that_object_alone(write, install):
    write(p="@fit(['k'])\ndef f(m): return m\n@fit(['other'])\ndef g(m): return m\n")
    install("dist", entry_points={"obj": "p:f"})
    initialize({"names": [], "entry_points": {"allow": ["dist"]}})
    assert keys() == {"fit:k"}


@pytest.mark.parametrize(
    ("value", "error"), [("p:nothing", "has no 'nothing'"), ("p:plain", "is not decorated")]
)
def test_wrong_object_is_the_plugins_failure(write, install, value, error):
    write(p="def plain(): ...\n")
    install("dist", entry_points={"obj": value})
    with pytest.raises(PluginLoadError, match=error) as caught:
        initialize({"names": [], "entry_points": {"allow": ["dist"]}})
    assert "dist 1.0  entry point obj" in str(caught.value)


def test_denied_distribution_is_never_imported(write, install, tmp_path):
    mark = tmp_path / "ran"
    write(
        pkg____init__=f"open({str(mark)!r}, 'w')\n",
        pkg__sub=f"open({str(mark)!r}, 'w')\n",
    )
    install("bad-dist", entry_points={"ep": "pkg.sub"}, files=["pkg/__init__.py", "pkg/sub.py"])
    report = initialize({"names": ["pkg.sub"], "entry_points": {"deny": ["Bad_Dist"]}})
    denied = [record for record in report.plugins if record.module == "pkg.sub"]
    assert [record.state for record in denied] == ["denied", "denied"]
    assert "'Bad_Dist' (conf entry_points.deny[0])" in denied[0].reason
    assert not mark.exists()


@pytest.mark.parametrize(
    ("rule", "state"),
    [("dist", "denied"), ("dist<2", "denied"), ("dist>=2", "loaded"), ("other", "loaded")],
)
def test_deny_by_version(write, install, rule, state):
    write(p="")
    install("dist", "1.5", entry_points={"ep": "p"})
    report = initialize({"names": [], "entry_points": {"allow": ["dist"], "deny": [rule]}})
    assert states(report)["ep"] == state


def test_version_rule_about_an_unreadable_version_keeps_it_out(write, install):
    write(p="")
    install("dist", "what", entry_points={"ep": "p"})
    report = initialize({"names": [], "entry_points": {"allow": ["dist>1"]}})
    record = next(record for record in report.plugins if record.name == "ep")
    assert record.state == "denied"
    assert "cannot be read" in record.reason


def test_empty_allow_allows_no_distribution(write, install):
    write(p="", own="")
    install("dist", entry_points={"ep": "p"})
    report = initialize({"names": ["own"], "entry_points": {"allow": []}})
    assert states(report)["own"] == "loaded"
    assert states(report)["ep"] == "denied"


def test_rule_that_matches_nothing_is_a_finding():
    rules = {"allow": ["gone-dist"], "deny": ["no-such-dist"]}
    found = initialize({"names": [], "entry_points": rules}).findings
    assert [(finding.code, finding.subject, finding.place) for finding in found] == [
        ("rule-matches-nothing", "gone-dist", "conf entry_points.allow[0]"),
        ("rule-matches-nothing", "no-such-dist", "conf entry_points.deny[0]"),
    ]


def test_blocked_in_pluggy_is_denied(write):
    write(p="@fit(['k'])\ndef f(m): ...\n")
    aimm_plugins.get_plugin_manager().set_blocked("p")
    report = initialize(names("p"))
    assert states(report) == {"p": "denied"}
    assert keys() == set()


def conflicting(write):
    write(
        one="@fit(['k', 'one'])\ndef f(m): return 1\n",
        two="@fit(['k', 'two'])\ndef f(m): return 2\n",
    )


def test_conflict_names_both_and_a_line_for_each_that_settles_it(write):
    conflicting(write)
    with pytest.raises(PluginLoadError) as caught:
        initialize(names("one", "two"))
    (error,) = caught.value.exceptions
    assert isinstance(error, PluginConflictError)
    assert "one.py:3" in str(error)
    assert "two.py:3" in str(error)
    assert str(error).endswith('\n  prefer: {"fit:k": one}\n  prefer: {"fit:k": two}')
    assert len(error.__notes__) == 2
    assert keys() == set()


def test_strict_error_tells_a_conflict_once_and_counts_its_plugins(write):
    conflicting(write)
    write(three="@fit(['one', 'three'])\ndef f(m): return 3\n")
    with pytest.raises(PluginLoadError, match=r"\A3 plugins failed to load") as caught:
        initialize(names("one", "two", "three"))
    assert sorted(error.key for error in caught.value.exceptions) == ["k", "one"]
    text = str(caught.value)
    for key in ("k", "one"):
        assert text.count(f"two plugins provide fit:{key}\n") == 1
        assert text.count(f"two plugins provide fit:{key} (see above)\n") <= 1
    assert text.count("(see above)") == 2


def test_error_that_cannot_be_hashed_is_a_member_of_the_strict_error(write):
    write(
        bad="""
            from builtins import *
            import dataclasses
            @dataclasses.dataclass
            class OwnError(Exception):
                code: int
            raise OwnError(3)
        """
    )
    with pytest.raises(PluginLoadError) as caught:
        initialize(names("bad"))
    assert len(caught.value.exceptions) == 1


@pytest.mark.parametrize("view", ["report", "log"])
def test_conflict_is_told_once(write, view, caplog):
    conflicting(write)
    report = initialize(names("one", "two", on_error="isolate"))
    told = str(report) if view == "report" else caplog.text
    assert told.count("two plugins provide fit:k\n") == 1
    assert told.count("two plugins provide fit:k (see above)") == 1


def test_conflict_under_isolate_costs_both_the_key_alone(write):
    conflicting(write)
    report = initialize(names("one", "two", on_error="isolate"))
    assert keys() == {"fit:one", "fit:two"}
    assert states(report) == {"one": "loaded", "two": "loaded"}
    assert all(isinstance(record.error, PluginConflictError) for record in report.plugins)
    assert not report.ok


@pytest.mark.parametrize("rule", ["k", "fit:k"])
@pytest.mark.parametrize("winner", ["one", "two"])
def test_prefer_settles_a_conflict(write, rule, winner):
    conflicting(write)
    report = initialize(names("one", "two", prefer={rule: winner}))
    assert report.ok
    assert aimm_plugins.providers()["fit", "k"].plugin == winner


def test_prefer_with_an_action_wins_over_one_without(write):
    conflicting(write)
    initialize(names("one", "two", prefer={"k": "one", "fit:k": "two"}))
    assert aimm_plugins.exec_fit("k", None) == 2


def test_plugin_that_loses_all_is_shadowed(write):
    write(one="@fit(['k'])\ndef f(m): ...\n", two="@fit(['k'])\ndef f(m): ...\n")
    report = initialize(names("one", "two", prefer={"k": "two"}))
    assert states(report) == {"one": "shadowed", "two": "loaded"}
    assert "gives k to two" in report.plugins[0].reason


def test_rule_that_takes_several_keys_of_a_plugin_is_told_once(write):
    declared = "@fit(['k'])\ndef f(m): ...\n@predict(['k'])\ndef p(m): ...\n"
    write(one=declared, two=declared)
    report = initialize(names("one", "two", prefer={"k": "two"}))
    assert report.plugins[0].reason.count("gives") == 1


def test_earlier_provider_keeps_its_key_against_a_newcomer(write):
    conflicting(write)
    initialize(names("one"))
    with pytest.raises(PluginLoadError):
        initialize(names("two"))
    assert keys() == {"fit:k", "fit:one"}
    initialize(names("two", on_error="isolate"))
    assert aimm_plugins.exec_fit("k", None) == 1
    assert keys() == {"fit:k", "fit:one", "fit:two"}


def test_repeated_call_with_less_prefer_changes_nothing(write):
    conflicting(write)
    initialize(names("one", "two", prefer={"k": "two"}))
    assert initialize(names("one", "two")).ok
    assert aimm_plugins.exec_fit("k", None) == 2


BAD = "@fit(['bad'])\ndef f(m): ...\nraise SystemExit(3)\n"


def test_strict_failure_registers_nothing_and_tries_all(write):
    write(bad=BAD, good="@fit(['k'])\ndef f(m): ...\n")
    with pytest.raises(PluginLoadError) as caught:
        initialize(names("bad", "good"))
    assert states(caught.value.report) == {"bad": "failed", "good": "undone"}
    assert keys() == set()
    assert "config name bad" in str(caught.value)


def test_isolate_keeps_the_healthy(write, caplog):
    write(bad=BAD, good="@fit(['k'])\ndef f(m): ...\n")
    report = initialize(names("bad", "good", on_error="isolate"))
    assert states(report) == {"bad": "failed", "good": "loaded"}
    assert keys() == {"fit:k"}
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    assert report.to_dict()["plugins"][0]["error"]["type"] == "PluginImportError"


@pytest.fixture
def mixed(write, install):
    """A conf whose plugins come to every state that one call can give."""
    write(
        good="@fit(['k'])\ndef f(m): ...\n",
        other="@fit(['k'])\ndef f(m): ...\n",
        partly="@fit(['k', 'p'])\ndef f(m): ...\n",
        bad="1/0",
        denied="",
        waiting="@fit(['z'])\ndef f(m): ...\n",
    )
    install("denied-dist", entry_points={"d": "denied"}, files=["denied.py"])
    install(
        "waiting-dist",
        "2.0",
        entry_points={"w": "waiting"},
        published={"fit:z": "waiting:f"},
        files=["waiting.py"],
    )
    return {
        "names": ["good", "other", "partly", "bad"],
        "entry_points": {"allow": ["denied-dist", "waiting-dist"], "deny": ["denied-dist"]},
        "required": ["nobody"],
        "prefer": {"fit:k": "good"},
        "load": "lazy",
        "on_error": "isolate",
    }


def test_log_has_a_line_for_each_plugin_in_the_words_of_the_report(mixed, caplog):
    caplog.set_level(logging.INFO, "aimm_plugins")
    report = initialize(mixed)
    told = [each for each in caplog.records if each.levelno != logging.WARNING]
    assert len(told) == len(report.plugins) == 7
    assert {record.state for record in report.plugins} == {
        "loaded",
        "shadowed",
        "failed",
        "denied",
        "deferred",
        "missing",
    }
    for record, line in zip(report.plugins, told, strict=True):
        text = line.getMessage()
        assert text.startswith(f"plugin {record.state}: {record.provenance}")
        if record.error is None:
            assert line.levelno == logging.INFO
            assert len(text.splitlines()) == 1
            assert text.endswith(record.reason or str(record.provenance))
            assert (record.reason or "") in str(report)
        else:
            assert line.levelno == logging.ERROR
            assert f"{type(record.error).__name__}: {record.error}" in text
            raised = record.error if record.state == "failed" else None
            assert line.exc_info == (raised and (type(raised), raised, raised.__traceback__))


def test_log_has_the_fields_that_are_listed_and_no_others(mixed, caplog):
    caplog.set_level(logging.DEBUG, "aimm_plugins")
    initialize(mixed)
    usual = {*vars(logging.makeLogRecord({})), "message", "asctime"}
    told = {field for record in caplog.records for field in vars(record).keys() - usual}
    listed = {"plugin", "distribution", "version", "state", "seconds", "reason"}
    assert told == listed


def test_log_has_the_traceback_of_what_failed(mixed, caplog):
    initialize(mixed)
    assert 'bad.py", line 3, in <module>' in caplog.text
    assert "ZeroDivisionError: division by zero" in caplog.text


def test_log_has_the_first_call_of_a_deferred_plugin(mixed, caplog):
    initialize(mixed)
    caplog.clear()
    caplog.set_level(logging.INFO, "aimm_plugins")
    aimm_plugins.exec_fit("z", None)
    assert "plugin loaded: waiting-dist 2.0" in caplog.text


def test_what_cannot_be_a_member_is_carried(write):
    write(bad="raise SystemExit(3)")
    with pytest.raises(PluginLoadError) as caught:
        initialize(names("bad"))
    (carrier,) = caught.value.exceptions
    assert isinstance(carrier, PluginImportError)
    assert isinstance(carrier.__cause__, SystemExit)


def test_load_error_survives_pickling_and_splitting(write):
    write(bad="raise ValueError('why')")
    with pytest.raises(PluginLoadError) as caught:
        initialize(names("bad"))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.report.plugins[0].state == "failed"
    matched, _ = caught.value.split(ValueError)
    assert type(matched) is PluginLoadError
    assert matched.report is caught.value.report


def test_plugin_that_fails_in_a_later_call_answers_as_before_and_its_account_says_why(write):
    site = write(p="@fit(['k'])\ndef f(m): return 'before'\n")
    initialize(names("p"))
    del sys.modules["p"]
    (site / "p.py").write_text("1 / 0\n")
    report = initialize(names("p", on_error="isolate"))
    for (record,) in (report, aimm_plugins.current_report()):
        assert (record.state, record.provides) == ("loaded", (("fit", "k"),))
        assert isinstance(record.error, ZeroDivisionError)
    assert not report.ok
    assert aimm_plugins.exec_fit("k", None) == "before"


def test_plugin_whose_keys_a_failed_import_by_hand_took_is_not_told_to_have_them(write):
    site = write(p="@fit(['k'])\ndef f(m): ...\n")
    initialize(names("p"))
    del sys.modules["p"]
    (site / "p.py").write_text("from aimm_plugins import fit\nfit(['k'])(print)\n1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("p")
    (record,) = aimm_plugins.current_report()
    assert record.provides == ()
    assert record.reason == "p was run again, or unregistered, by hand: it has no keys since"
    report = initialize(names("p", on_error="isolate"))
    for (record,) in (report, aimm_plugins.current_report()):
        assert (record.state, record.provides) == ("failed", ())


def test_repaired_plugin_loads_in_the_same_process(write):
    site = write(p="@fit(['k'])\ndef f(m): ...\nraise ValueError\n")
    with pytest.raises(PluginLoadError):
        initialize(names("p"))
    (site / "p.py").write_text(
        "from aimm_plugins import fit\n@fit(['k'])\ndef f(m): return 'fixed'\n"
    )
    initialize(names("p"))
    assert aimm_plugins.exec_fit("k", None) == "fixed"


def test_finished_submodule_of_a_failed_package_counts_on_the_next_try(write):
    site = write(
        pkg____init__="import pkg.sub\nraise ValueError\n", pkg__sub="@fit(['k'])\ndef f(m): ...\n"
    )
    with pytest.raises(PluginLoadError):
        initialize(names("pkg"))
    (site / "pkg" / "__init__.py").write_text("import pkg.sub\n")
    initialize(names("pkg"))
    assert keys() == {"fit:k"}


def test_unload_and_initialize_brings_back_without_executing(write):
    write(
        p="aimm_plugins.count = getattr(aimm_plugins, 'count', 0) + 1\n"
        "@fit(['k'])\ndef f(m): return m\n"
    )
    before = initialize(names("p"))
    aimm_plugins.unload_all()
    assert keys() == set()
    (record,) = before.plugins
    assert initialize(names("p")).plugins == (record._replace(import_seconds=None, imports=()),)
    assert aimm_plugins.exec_fit("k", 1) == 1
    assert aimm_plugins.count == 1
    del aimm_plugins.count


def test_second_initialize_adds_and_its_failure_takes_nothing(write):
    write(a="@fit(['a'])\ndef f(m): ...\n", b="@fit(['b'])\ndef f(m): ...\n", bad="1/0")
    initialize(names("a"))
    with pytest.raises(PluginLoadError):
        initialize(names("b", "bad"))
    assert keys() == {"fit:a"}
    initialize(names("b"))
    assert keys() == {"fit:a", "fit:b"}
    assert states(aimm_plugins.current_report()) == {"a": "loaded", "b": "loaded"}


def test_declaration_belongs_to_the_plugin_whose_module_made_it(write):
    write(a="import b\n@fit(['a'])\ndef f(m): ...\n", b="@fit(['b'])\ndef f(m): ...\n")
    report = initialize(names("a", "b"))
    assert [record.provides for record in report.plugins] == [(("fit", "a"),), (("fit", "b"),)]


def test_module_of_a_denied_plugin_is_not_registered_by_another(write, install):
    write(a="import b\n@fit(['a'])\ndef f(m): ...\n", b="@fit(['b'])\ndef f(m): ...\n")
    install("dist-b", entry_points={"ep": "b"})
    initialize({"names": ["a"], "entry_points": {"deny": ["dist-b"], "allow": []}})
    assert keys() == {"fit:a"}


def test_function_that_a_second_plugin_declares_again_is_one_provider(write):
    write(
        first="@fit(['k'])\ndef f(m): return 1\n",
        second="import first\nfit(['k'])(first.f)\n",
    )
    assert initialize(names("first", "second")).ok
    assert aimm_plugins.providers()["fit", "k"].plugin == "first"


def test_library_that_declares_belongs_to_the_plugin_that_ran_it(write):
    write(
        lib="def make(key):\n    @fit([key])\n    def f(m): return key\n",
        a="import lib\nlib.make('a')\n",
        b="import lib\nlib.make('b')\n",
    )
    report = initialize(names("a", "b"))
    assert [record.provides for record in report.plugins] == [(("fit", "a"),), (("fit", "b"),)]


def test_submodule_belongs_to_its_package(write):
    write(pkg____init__="import pkg.sub\n", pkg__sub="@fit(['k'])\ndef f(m): ...\n")
    (record,) = initialize(names("pkg")).plugins
    assert record.provides == (("fit", "k"),)


def test_two_modules_of_one_plugin_that_declare_the_same_fail(write):
    write(
        pkg____init__="import pkg.sub\n@fit(['k'])\ndef f(m): ...\n",
        pkg__sub="@fit(['k'])\ndef f(m): ...\n",
    )
    with pytest.raises(PluginLoadError, match="a second time"):
        initialize(names("pkg"))


def test_plugin_that_is_registered_stays_when_it_is_registered_again_by_another_name(write):
    write(p="@fit(['k'])\ndef f(m): return m\n")
    initialize(names("p"))
    manager = aimm_plugins.get_plugin_manager()
    module = manager.get_plugin("p")
    with pytest.raises(ValueError, match="already registered"):
        manager.register(module, "other")
    assert manager.get_plugin("p") is module
    assert keys() == {"fit:k"}


def test_module_that_was_unregistered_may_be_registered_by_another_name(write):
    write(p="@fit(['k'])\ndef f(m): return m\n")
    initialize(names("p"))
    manager = aimm_plugins.get_plugin_manager()
    module = manager.unregister(name="p")
    assert manager.register(module, "other") == "other"
    assert manager.get_plugin("other") is module


def test_module_with_hookimpls_that_has_another_name_in_pluggy_is_loaded(write):
    write(
        p="@hookimpl(wrapper=True)\ndef aimm_fit(instance):\n    return (yield)\n"
        "@fit(['k'])\ndef f(m): return m\n"
    )
    manager = aimm_plugins.get_plugin_manager()
    manager.register(importlib.import_module("p"), "other")
    assert initialize(names("p")).ok
    assert keys() == {"fit:k"}
    assert len(manager.hook.aimm_fit.get_hookimpls()) == 1


def test_plugins_are_registered_beside_one_that_cannot_be_compared(write):
    class Incomparable:
        comparable = True

        def __eq__(self, other: object) -> bool:
            if self.comparable:
                return self is other
            raise RuntimeError("no equality")

        __hash__ = object.__hash__

    write(p="@fit(['k'])\ndef f(m): return m\n")
    manager = aimm_plugins.get_plugin_manager()
    manager.register(Incomparable(), "incomparable")

    class Host:
        @aimm_plugins.hookimpl(optionalhook=True)
        def hook_of_the_host(self): ...

    manager.register(Host(), "host")
    Incomparable.comparable = False
    try:
        initialize(names("p"))
        assert keys() == {"fit:k"}
    finally:
        Incomparable.comparable = True
        manager.unregister(name="host")
        manager.unregister(name="incomparable")


def test_plugin_module_is_a_pluggy_plugin_and_unregistering_takes_its_keys(write):
    write(p="@fit(['k'])\ndef f(m): return m\n")
    initialize(names("p"))
    manager = aimm_plugins.get_plugin_manager()
    module = manager.get_plugin("p")
    assert manager.unregister(name="p") is module
    assert keys() == set()
    manager.register(module)
    assert keys() == {"fit:k"}


def test_hookimpls_of_a_plugin_come_and_go_with_it(write):
    write(
        p="""
        @data_access("d")
        def d(): return 1
        @hookimpl(wrapper=True)
        def aimm_data_access(name):
            result = yield
            return Result(result.value + 1)
        """
    )
    initialize(names("p"))
    assert aimm_plugins.exec_data_access("d") == 2
    aimm_plugins.unload_all()
    aimm_plugins.data_access("d")(lambda: 1)
    assert aimm_plugins.exec_data_access("d") == 1


def test_module_imported_by_hand_is_reported_as_a_finding(write):
    import importlib

    write(p="@fit(['k'])\ndef f(m): ...\n")
    importlib.import_module("p")
    (finding,) = aimm_plugins.current_report().findings
    assert (finding.code, finding.subject) == ("declared-by-hand", "p")


def test_unknown_key_of_a_failed_and_a_shadowed_plugin_is_explained(write):
    write(one="@fit(['k'])\ndef f(m): ...\n", two="@fit(['k'])\ndef f(m): ...\n", bad="1/0")
    initialize(names("one", "two", "bad", on_error="isolate"))
    with pytest.raises(
        aimm_plugins.UnknownPluginError, match=r"failed: config name one.*one\.py:3"
    ):
        aimm_plugins.exec_fit("k", None)
    with pytest.raises(
        aimm_plugins.UnknownPluginError,
        match="may have provided it: config name bad .*bad.py: ZeroDivisionError: division by zero "
        r"\(in full: aimm_plugins.current_report\(\)\)",
    ):
        aimm_plugins.exec_fit("other", None)


def test_many_threads_initialize_and_lose_nothing(write):
    modules = [f"many_{i}" for i in range(20)]
    write(**{name: f"@fit(['{name}'])\ndef f(m): return '{name}'\n" for name in modules})

    def work(count):
        initialize(names(*modules[count:], *modules[:count]))
        assert aimm_plugins.exec_fit(modules[count], None) == modules[count]

    assert together(*(partial(work, i) for i in range(8))) == []
    assert keys() == {f"fit:{name}" for name in modules}


def test_calls_go_on_while_a_plugin_is_imported(write):
    write(
        ready="@fit(['ready'])\ndef f(m): return 1\n",
        slow="aimm_plugins.begun.set()\naimm_plugins.go_on.wait(10)\n@fit(['slow'])\ndef f(m): ...\n",
    )
    aimm_plugins.begun, aimm_plugins.go_on = threading.Event(), threading.Event()
    initialize(names("ready"))
    with in_threads(lambda: initialize(names("slow"))):
        aimm_plugins.begun.wait(10)
        assert aimm_plugins.exec_fit("ready", None) == 1
        assert keys() == {"fit:ready"}
        aimm_plugins.go_on.set()
    assert keys() == {"fit:ready", "fit:slow"}
    del aimm_plugins.begun, aimm_plugins.go_on


def test_report_is_readable_by_people(write):
    write(p="@fit(['k'])\ndef f(m): ...\n")
    text = str(initialize(names("p", on_error="isolate")))
    assert text.splitlines()[1] == "    provides fit:k"
    assert str(aimm_plugins.Report()) == "no plugins"


def test_report_fits_its_schema(write):
    from aimm_plugins._config.json_schema import validate

    write(p="@fit(['k'])\ndef f(m): ...\n", bad="1/0")
    conf = {"names": ["p", "bad"], "entry_points": {"deny": ["nobody"]}, "on_error": "isolate"}
    validate(initialize(conf).to_dict(), "report")


def test_plan_imports_nothing(write):
    write(p="raise SystemExit\n")
    (record,) = aimm_plugins.plan(names("p")).plugins
    assert record.state == "planned"


def test_cancelled_import_is_the_plugins_failure_inside_a_loop(write):
    write(bad="import asyncio\nraise asyncio.CancelledError\n")

    async def host():
        return initialize(names("bad", on_error="isolate"))

    assert states(asyncio.run(host())) == {"bad": "failed"}


def test_providers_of_an_unknown_action_are_an_error():
    with pytest.raises(ValueError, match="no action 'fitt'"):
        aimm_plugins.providers("fitt")


def test_module_that_python_has_forgotten_owns_nothing_of_its_earlier_run(write):
    """What a base class had declared for it, in another module, is over as well."""
    write(
        acme____init__="from acme.base import Base\nclass Mine(Base): pass",
        acme__base="class Base:\n    def __init_subclass__(cls): fit(['k'])(lambda m: m)",
    )
    initialize({"names": ["acme"]})
    aimm_plugins.unload_all()
    for name in ("acme", "acme.base"):
        del sys.modules[name]
    write(acme____init__="import acme.models", acme__models="@fit(['k'])\ndef learn(m): return m")
    assert initialize({"names": ["acme"]}).ok
