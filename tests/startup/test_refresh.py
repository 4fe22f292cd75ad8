"""Refreshing: what pip did after start-up, without a restart where that can be."""

from __future__ import annotations

import shutil
import threading

import pytest

import aimm_plugins
from aimm_plugins import PluginLoadError, UnknownPluginError, initialize, refresh
from tests.conftest import record_of
from tests.support.forked.case import BAD, HEADER, Case, record


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


TWO = "@fit(['a'])\ndef f(m): return 'a'\n@fit(['b'])\ndef g(m): return 'b'\n"
KEYS = {"fit:a": "two:f", "fit:b": "two:g"}


@pytest.mark.parametrize("load", ["eager", "lazy"])
@pytest.mark.parametrize("before", [{"x": "two:f", "y": "two:g"}, {"y": "two"}])
def test_removed_entry_point_takes_away_what_the_others_of_its_module_do_not_bring(
    write, install, before, load
):
    write(two=TWO)
    folder = install("a-dist", entry_points=before, published=KEYS)
    initialize(only("a-dist", load=load))
    shutil.rmtree(folder)
    install("a-dist", entry_points={"x": "two:f"}, published={"fit:a": "two:f"})
    refresh()
    assert [key for _, key in aimm_plugins.providers()] == ["a"]
    assert aimm_plugins.exec_fit("a", None) == "a"
    with pytest.raises(UnknownPluginError):
        aimm_plugins.exec_fit("b", None)


def test_key_of_an_object_that_no_entry_point_names_tells_which_one_it_names(write, install):
    write(two=TWO)
    install("a-dist", entry_points={"x": "two:f"})
    initialize(only("a-dist"))
    with pytest.raises(UnknownPluginError, match=r"x = two:f  two\.py:\d+: brings f alone"):
        aimm_plugins.exec_fit("b", None)


def test_plugin_that_was_installed_again_in_the_same_version_needs_a_restart(put):
    """As by `pip install --force-reinstall` of a build that has no version of its own."""
    folder = put("a")
    initialize(only("a-dist"))
    shutil.rmtree(folder)
    put("a")
    for report in (refresh(), aimm_plugins.current_report(), initialize(only("a-dist"))):
        (record,) = report
        assert record.state == "stale"
        assert record.reason == (
            "a-dist 1.0 was installed again after its import: a restart is needed"
        )


def test_editable_install_that_is_made_again_is_as_it_was(put):
    """Its code lies elsewhere, and nothing tells whether that was edited."""
    url = {"url": "file:///srv/one", "dir_info": {"editable": True}}
    for _ in range(2):
        folder = put("a", direct_url=url)
        assert [record.state for record in initialize(only("a-dist"))] == ["loaded"]
        shutil.rmtree(folder)


def test_plugin_whose_distribution_was_renamed_needs_a_restart_as_an_upgraded_one(put, install):
    old = put("a")
    initialize(only("a-dist", "b-dist"))
    shutil.rmtree(old)
    install("b-dist", "2.0", entry_points={"a": "a"})
    record, removed = refresh()
    assert (record.state, removed.state) == ("stale", "removed")
    assert record.reason == (
        "b-dist 2.0 is installed by now, and a-dist 1.0 was imported: a restart is needed"
    )


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
def test_upgraded_plugin_is_stale_and_asks_for_a_restart(put, again):
    info = put("a")
    initialize(only("a-dist"))
    shutil.rmtree(info)
    put("a", "2.0")
    record = record_of(again(), "a")
    assert (record.state, record.version) == ("stale", "1.0")
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


@pytest.mark.parametrize("load", ["lazy", "eager"])
def test_deferred_plugin_that_was_upgraded_has_the_keys_that_it_publishes_now(put, conf, load):
    names = "@fit(['a', 'b'])\ndef f(m): ...\n"
    old = put("p", "1.0", names, published={"fit:a": "p:f", "fit:b": "p:f"})
    text = "names: []\nentry_points: {allow: [p-dist, q-dist]}\nload: "
    initialize(conf(f"{text}lazy"))
    shutil.rmtree(old)
    conf(f"{text}{load}")
    put("p", "2.0", names.replace("a", "c"), published={"fit:c": "p:f", "fit:b": "p:f"})
    put("q", "1.0", "@fit(['a'])\ndef f(m): return 'q'\n")
    refresh()
    assert {key: p.distribution for (_, key), p in aimm_plugins.providers().items()} == {
        "a": "q-dist",
        "b": "p-dist",
        "c": "p-dist",
    }
    assert aimm_plugins.exec_fit("a", None) == "q"


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


def test_plugin_that_pip_is_upgrading_keeps_its_keys(put, site):
    info = put("a")
    put("b")
    initialize(only("a-dist", "b-dist"))
    info.rename(site / f"~{info.name[1:]}")  # what pip does before it installs the new version
    (site / "a.py").rename(site / "a.py.stashed")
    report = refresh()
    assert report.plugins == ()
    assert "stale-metadata" in {finding.code for finding in report.findings}
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


def test_plugin_whose_metadata_cannot_be_read_keeps_its_keys(put):
    info = put("a")
    initialize(only("a-dist"))
    points = info / "entry_points.txt"
    points.unlink()
    points.mkdir()
    report = refresh()
    assert report.plugins == ()
    assert "broken-metadata" in {finding.code for finding in report.findings}
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


@pytest.fixture
def conf(tmp_path):
    """Writes a conf file, and gives its path."""
    path = tmp_path / "plugins.yaml"

    def conf(text):
        path.write_text(text)
        return path

    return conf


ONLY_A = "names: []\nentry_points: {allow: [a-dist]}\n"


def test_conf_is_read_again(put, conf):
    put("a")
    put("b")
    initialize(conf(ONLY_A))
    conf(ONLY_A.replace("a-dist", "b-dist"))
    report = refresh()
    assert {(r.name, r.state) for r in report} == {("a", "denied"), ("b", "loaded")}
    assert aimm_plugins.exec_fit("b", None) == "b 1.0"
    with pytest.raises(UnknownPluginError, match="a-dist is not among those allowed"):
        aimm_plugins.exec_fit("a", None)
    assert not aimm_plugins.get_plugin_manager().has_plugin("a")


def test_name_that_the_conf_lost_is_removed(write, conf):
    write(mine="@fit(['mine'])\ndef f(m): return 1\n")
    initialize(conf("names: [mine]\nentry_points: {enabled: false}\n"))
    conf("names: []\nentry_points: {enabled: false}\n")
    (record,) = refresh()
    assert (record.state, record.reason) == ("removed", "no conf names it any more")


def test_switching_entry_points_off_removes_them(put, conf):
    put("a")
    path = conf(ONLY_A)
    initialize(path)
    conf("names: []\nentry_points: {enabled: false}\n")
    (record,) = refresh()
    assert record.state == "removed"
    assert record.reason == f"entry points are switched off ({path}:2)"


def test_plugin_that_is_allowed_again_is_back(put, conf):
    put("a")
    initialize(conf(ONLY_A))
    conf("names: []\nentry_points: {deny: [a-dist], allow: [a-dist]}\n")
    refresh()
    conf(ONLY_A)
    (record,) = refresh()
    assert record.state == "loaded"
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


@pytest.mark.parametrize("text", ["][", "names: 1\n", "names: []\nentry_points: {alow: []}\n"])
def test_conf_that_cannot_be_read_changes_nothing(put, conf, text):
    put("a")
    initialize(conf(ONLY_A))
    conf(text)
    with pytest.raises(aimm_plugins.ConfigError, match=r"plugins\.yaml"):
        refresh()
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"
    conf(ONLY_A)
    assert refresh().plugins == ()


def test_conf_that_is_gone_changes_nothing(put, conf):
    put("a")
    path = conf(ONLY_A)
    initialize(path)
    path.unlink()
    with pytest.raises(aimm_plugins.ConfigError, match=r"plugins\.yaml"):
        refresh()
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


def test_strict_failure_of_a_changed_conf_changes_nothing(put, conf):
    put("a")
    put("bad", source="raise ValueError")
    initialize(conf(ONLY_A))
    conf("names: []\nentry_points: {allow: [bad-dist]}\n")
    with pytest.raises(PluginLoadError):
        refresh()
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


def test_mapping_is_as_it_was_given(put):
    put("a")
    given = only("a-dist")
    initialize(given)
    given["entry_points"]["allow"] = []
    assert refresh().plugins == ()


def test_plugin_that_one_conf_denies_and_another_loads_keeps_its_keys(put, conf):
    put("a")
    initialize(only("a-dist"))
    initialize(conf(ONLY_A))
    conf("names: []\nentry_points: {deny: [a-dist], allow: []}\n")
    assert refresh().plugins == ()
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


def test_call_under_way_ends_although_its_plugin_is_denied(put, conf):
    put(
        "a",
        source="@fit(['a'])\ndef f(m):\n    m[0].set()\n    m[1].wait(10)\n    return 'done'\n",
    )
    initialize(conf(ONLY_A))
    begun, go_on, answers = threading.Event(), threading.Event(), []
    thread = threading.Thread(
        target=lambda: answers.append(aimm_plugins.exec_fit("a", (begun, go_on)))
    )
    thread.start()
    begun.wait(10)
    conf("names: []\nentry_points: {allow: []}\n")
    refresh()
    go_on.set()
    thread.join(10)
    assert answers == ["done"]


PUBLISHED = {"published": {"fit:a": "a:f"}}


def test_deferred_plugin_that_is_denied_loses_its_keys(put, conf):
    put("a", **PUBLISHED)
    initialize(conf(ONLY_A + "load: lazy\n"))
    conf("names: []\nentry_points: {allow: []}\nload: lazy\n")
    (record,) = refresh()
    assert record.state == "denied"
    assert ("fit", "a") not in aimm_plugins.providers()


def spoil(info):
    """Let a RECORD be there and not be readable, as where too many files are open."""
    (info / "RECORD").unlink()
    (info / "RECORD").mkdir()


@pytest.mark.parametrize("load", ["eager", "lazy"])
def test_record_that_cannot_be_read_takes_no_keys_away(put, load):
    info = put("a", files=["a.py"], **PUBLISHED)
    initialize(only("a-dist", verify="record", load=load))
    kept = info / "RECORD.kept"
    (info / "RECORD").rename(kept)
    (info / "RECORD").mkdir()
    report = refresh()
    assert {r.state for r in report} <= {"loaded"}
    assert "broken-metadata" in {finding.code for finding in report.findings}
    assert ("fit", "a") in aimm_plugins.providers()
    (info / "RECORD").rmdir()
    kept.rename(info / "RECORD")
    assert {r.reason for r in refresh()} <= {None}
    assert aimm_plugins.exec_fit("a", None) == "a 1.0"


def test_record_that_cannot_be_read_keeps_no_keys_of_a_plugin_that_is_denied_by_name(put, conf):
    info = put("a", files=["a.py"])
    initialize(conf(ONLY_A + "verify: record\n"))
    spoil(info)
    conf("names: []\nentry_points: {deny: [a-dist]}\nverify: record\n")
    assert record_of(refresh(), "a").state == "denied"
    assert ("fit", "a") not in aimm_plugins.providers()


def test_file_that_is_not_that_of_record_any_more_takes_keys_away(put, site):
    put("a", files=["a.py"])
    initialize(only("a-dist", verify="record"))
    (site / "a.py").write_text("changed = 1\n")
    (record,) = refresh()
    assert record.state == "denied"
    assert "is not what was installed" in record.reason


INSTALL = f"""
def install(name="late", version="1.0", source={HEADER!r} + "@fit(['late'])\\ndef f(m): return 'late'\\n"):
    Path(f"site/{{name}}.py").write_text(source)
    folder = Path(f"site/{{name}}_dist-{{version}}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(f"Name: {{name}}-dist\\nVersion: {{version}}\\n")
    (folder / "entry_points.txt").write_text(f"[aimm.plugins]\\n{{name}} = {{name}}\\n")
refresh = aimm_plugins.refresh
"""


def hosted(case: Case, script: str) -> dict:
    """Run a script that can install."""
    return case.run(INSTALL + script)


def test_broken_newcomer_costs_nobody_else(case: Case) -> None:
    got = hosted(
        case,
        """
initialize({"names": [], "on_error": "isolate"})
install("broken", source="raise SystemExit(0)")
install("fine", source="from aimm_plugins import *\\n@fit(['fine'])\\ndef f(m): return 1\\n")
out["change"] = account(refresh())
out["good"] = attempt(exec_data_access, "good")
""",
    )
    assert got["change"]["states"] == {"broken": "failed", "fine": "loaded"}
    assert got["change"]["keys"] == ["data_access:good", "fit:fine"]
    assert got["good"] == {"value": 42}


def test_newcomer_that_is_denied_never_runs(case: Case) -> None:
    got = hosted(
        case,
        f"""
initialize({{"names": [], "entry_points": {{"deny": ["late-dist"]}}}})
install(source={case.trap()!r})
out["change"] = account(refresh())
""",
    )
    assert got["change"]["states"] == {"late": "denied"}
    assert not case.marker.exists()


def test_newcomer_does_not_take_a_key(case: Case) -> None:
    got = hosted(
        case,
        """
initialize({"names": [], "on_error": "isolate"})
install(source="from aimm_plugins import *\\n@data_access('good')\\ndef f(): return 'stolen'\\n")
out["change"] = account(refresh())
out["good"] = attempt(exec_data_access, "good")
""",
    )
    assert got["good"] == {"value": 42}
    assert record(got["change"], "late")["error"]["type"] == "PluginConflictError"


DAMAGES = {
    "metadata_becomes_garbage": "Path('site/good_dist-1.0.dist-info/entry_points.txt').write_bytes(b'\\xff' * 100)",
    "metadata_becomes_a_folder": "Path('site/good_dist-1.0.dist-info/entry_points.txt').unlink(); Path('site/good_dist-1.0.dist-info/entry_points.txt').mkdir()",
    "site_becomes_a_file": "__import__('shutil').rmtree('site'); Path('site').write_text('')",
    "site_vanishes": "__import__('shutil').rmtree('site')",
    "module_file_vanishes": "Path('site/good.py').unlink()",
    "module_leaves_sys_modules": "del sys.modules['good']",
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_under_a_running_host_is_told_and_ends_nothing(case: Case, kind: str) -> None:
    case.bad(BAD)
    got = hosted(
        case,
        f"""
initialize({{"names": [], "on_error": "isolate"}})
call = sys.modules["good"].good
{DAMAGES[kind]}
out["change"] = account(refresh())
out["call"] = call()
out["again"] = account(initialize({{"names": [], "on_error": "isolate"}}))
""",
    )
    assert got["call"] == 42
    if kind in ("module_file_vanishes", "module_leaves_sys_modules"):
        assert "data_access:good" in got["again"]["keys"]


def test_refresh_without_file_descriptors_takes_no_keys_away(case: Case) -> None:
    got = case.run(
        """
        import resource
        initialize()
        held, limits = [], resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        report = aimm_plugins.refresh()
        [os.close(handle) for handle in held]
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        out["states"] = {r.name: r.state for r in report.plugins}
        out["codes"] = sorted({f.code for f in report.findings})
        out["good"] = attempt(exec_data_access, "good")
        out["later"] = account(aimm_plugins.refresh())["findings"]
        """
    )
    assert got["states"] == {}
    assert "unreadable-folder" in got["codes"]
    assert got["good"] == {"value": 42}
    assert got["later"] == []
