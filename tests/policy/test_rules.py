"""Rules in layers: the conf, the operator's file, the environment; each decided before an import."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import py_compile
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import aimm_plugins
from aimm_plugins import ConfigError, PluginImportError, PluginLoadError, initialize, plan
from tests.conftest import record_of
from tests.support.forked.case import BAD, Case, assert_healthy, record
from tests.support.metadata import record_row


@pytest.fixture
def marked(write, install, tmp_path):
    """Installs plugin `p` of mark-dist, which leaves a file when it is imported."""
    mark = tmp_path / "imported"

    def marked(version="1.0", name="mark-dist", **options):
        write(p=f"open({str(mark)!r}, 'w').close()\n@fit(['k'])\ndef f(m): return m\n")
        options.setdefault("files", ["p.py"])
        install(name, version, entry_points={"ep": "p"}, **options)
        return mark

    return marked


def refused(conf, mark: Path) -> str:
    """The reason of a plugin that was denied, and not imported."""
    record = record_of(initialize(conf), "ep")
    assert record.state == "denied"
    assert not mark.exists()
    return record.reason


@pytest.mark.parametrize(
    ("direct_url", "origin"),
    [
        ({"url": "file:///x", "dir_info": {"editable": True}}, "editable"),
        ({"url": "https://x/y", "vcs_info": {"vcs": "git"}}, "vcs"),
        ({"url": "file:///x", "dir_info": {}}, "local"),
        ({"url": "https://x/y.whl", "archive_info": {}}, "url"),
        (None, "index"),
    ],
)
def test_denied_origin_is_never_imported(marked, direct_url, origin):
    mark = marked(direct_url=direct_url)
    reason = refused({"names": [], "entry_points": {"deny_origins": [origin]}}, mark)
    assert reason == f"denied by origin {origin!r} (conf entry_points.deny_origins[0])"


def test_other_origins_are_loaded(marked):
    marked()
    report = initialize({"names": [], "entry_points": {"deny_origins": ["editable", "vcs"]}})
    assert record_of(report, "ep").state == "loaded"


@pytest.mark.parametrize(
    "rules",
    [
        "entry_points: {deny: [mark-dist]}",
        "entry_points: {allow: [other]}",
        "entry_points: {allow: []}",
        "entry_points: {deny_origins: [index]}",
        "names: []\nentry_points: {deny: ['Mark.Dist<2']}",
    ],
)
def test_policy_file_holds_whatever_the_conf_allows(marked, tmp_path, monkeypatch, rules):
    mark = marked()
    path = tmp_path / "policy.yaml"
    path.write_text(rules)
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    assert str(path) in refused({"names": [], "entry_points": {"allow": ["mark-dist"]}}, mark)


def test_policy_that_switches_entry_points_off_cannot_be_undone(marked, tmp_path, monkeypatch):
    mark = marked()
    path = tmp_path / "policy.yaml"
    path.write_text("entry_points: {enabled: false}")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    initialize({"names": [], "entry_points": {"enabled": True}})
    assert not mark.exists()


def test_prefer_of_the_policy_beats_that_of_the_conf(write, install, tmp_path, monkeypatch):
    write(one="@fit(['k'])\ndef f(m): return 1\n", two="@fit(['k'])\ndef f(m): return 2\n")
    path = tmp_path / "policy.yaml"
    path.write_text("prefer: {k: two}")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    report = initialize(
        {"names": ["one", "two"], "entry_points": {"enabled": False}, "prefer": {"fit:k": "one"}}
    )
    assert aimm_plugins.exec_fit("k", None) == 2
    assert f"({path}:1)" in record_of(report, "one").reason


@pytest.mark.parametrize("text", ["deny: [x]", "entry_points: {deny: [a b]}", "[", "names: [a]"])
def test_policy_that_cannot_be_read_is_an_error(marked, tmp_path, monkeypatch, text):
    mark = marked()
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    with pytest.raises(ConfigError, match=r"policy\.yaml"):
        initialize()
    assert not mark.exists()


def test_policy_that_is_not_there_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match="cannot be read"):
        plan()


@pytest.mark.parametrize("text", ["mark-dist", "other, Mark_Dist>=1,<2", " mark-dist ,"])
def test_denied_by_the_environment_is_never_imported(marked, monkeypatch, text):
    mark = marked()
    monkeypatch.setenv("AIMM_PLUGINS_DENY", text)
    assert "AIMM_PLUGINS_DENY" in refused(None, mark)


@pytest.mark.parametrize("text", ["mark dist", "mark-dist>=1.x.y", "a,<"])
def test_environment_rule_that_cannot_be_read_is_an_error(marked, monkeypatch, text):
    mark = marked()
    monkeypatch.setenv("AIMM_PLUGINS_DENY", text)
    with pytest.raises(ConfigError):
        initialize()
    assert not mark.exists()


def test_environment_rule_that_matches_nothing_is_a_finding(monkeypatch):
    monkeypatch.setenv("AIMM_PLUGINS_DENY", "no-such-dist")
    assert ("rule-matches-nothing", "no-such-dist", "AIMM_PLUGINS_DENY") in {
        (finding.code, finding.subject, finding.place) for finding in plan().findings
    }


def test_required_and_loaded_is_ok(marked):
    marked()
    report = initialize({"names": [], "required": ["mark-dist>=1"]})
    assert report.ok
    assert "missing" not in {record.state for record in report.plugins}


@pytest.mark.parametrize(
    ("rule", "more", "why"),
    [
        ("absent-dist", {}, "it is not installed"),
        ("mark-dist>=2", {}, "mark-dist 1.0 is installed. Install a version that fits"),
        ("mark-dist", {"deny": ["mark-dist"]}, "ep is denied (denied by 'mark-dist'"),
        ("mark-dist", {"enabled": False}, "brings no plugin that this conf loads"),
    ],
)
def test_required_and_not_loaded_is_missing(marked, rule, more, why):
    marked()
    conf = {"names": [], "required": [rule], "on_error": "isolate", "entry_points": more}
    for report in (plan(conf), initialize(conf)):
        (missing,) = (record for record in report.plugins if record.state == "missing")
        assert not report.ok
        assert f"required by {rule!r} (conf required[0])" in missing.reason
        assert why in missing.reason


def test_missing_required_fails_a_strict_call(marked):
    marked()
    with pytest.raises(
        PluginLoadError, match=r"absent-dist is required \(conf required\[0\]\)"
    ) as e:
        initialize({"names": [], "required": ["absent-dist"]})
    assert isinstance(e.value.exceptions[0], PluginImportError)
    assert [r.state for r in e.value.report.plugins if r.name in ("ep", "absent-dist")] == [
        "undone",
        "missing",
    ]


def test_missing_required_is_named_by_its_distribution_and_rule(marked):
    with pytest.raises(PluginLoadError, match=r"(?m)^  absent-dist  conf required\[0\]$"):
        initialize({"names": [], "required": ["absent-dist"]})
    assert ("fit", "k") not in aimm_plugins.providers()


def test_missing_is_over_when_it_is_installed(marked):
    conf = {"names": [], "required": ["mark-dist"], "on_error": "isolate"}
    initialize(conf)
    assert not aimm_plugins.current_report().ok
    marked()
    initialize(conf)
    assert aimm_plugins.current_report().ok


def test_denied_owner_of_the_module_of_another_distribution_is_not_run(marked, install):
    mark = marked()
    install("sly-dist", entry_points={"sly": "p"})
    report = initialize({"names": [], "entry_points": {"deny": ["mark-dist"]}})
    reason = record_of(report, "sly").reason
    assert "importing p would run mark-dist 1.0, which is denied by 'mark-dist'" in reason
    assert not mark.exists()


def test_denied_owner_of_a_parent_package_is_not_run(write, install, tmp_path):
    mark = tmp_path / "ran"
    write(base____init__=f"open({str(mark)!r}, 'w')\n", base__extra="")
    install("base-dist", files=["base/__init__.py"])
    install("extra-dist", entry_points={"ep": "base.extra"}, files=["base/extra.py"])
    report = initialize({"names": ["base.extra"], "entry_points": {"deny": ["base-dist"]}})
    assert [r.state for r in report.plugins if r.module == "base.extra"] == ["denied", "denied"]
    assert not mark.exists()


def test_verified_plugin_is_loaded(marked):
    marked()
    assert record_of(initialize({"names": [], "verify": "record"}), "ep").state == "loaded"


def test_changed_file_is_refused_by_verify(marked, site):
    mark = marked()
    (site / "p.py").write_text((site / "p.py").read_text() + "# changed\n")
    reason = refused({"names": [], "verify": "record"}, mark)
    assert reason.startswith("refused by verify: record (conf verify): ")
    assert "p.py" in reason


def test_editable_install_is_refused_by_verify_with_that_reason(marked, site):
    mark = marked(direct_url={"url": site.as_uri(), "dir_info": {"editable": True}}, files=[])
    assert "editable" in refused({"names": [], "verify": "record"}, mark)


def test_verify_of_the_policy_holds(marked, site, tmp_path, monkeypatch):
    mark = marked()
    (site / "p.py").write_text("changed = 1\n")
    path = tmp_path / "policy.yaml"
    path.write_text("verify: record")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    assert f"({path}:1)" in refused({"names": [], "verify": "none"}, mark)


@pytest.fixture
def frozen(marked, tmp_path):
    """A freeze file of mark-dist 1.0, and a conf beside it that is locked to it."""
    from aimm_plugins import freeze

    mark = marked()
    text, _ = freeze({"names": [], "entry_points": {"allow": ["mark-dist"]}})
    assert text.startswith("mark-dist==1.0  # record sha256:")
    (tmp_path / "locked.txt").write_text(text)
    (tmp_path / "plugins.yaml").write_text("names: []\nlocked: locked.txt\n")
    return mark


def test_locked_distribution_is_loaded_and_no_other(frozen, tmp_path, write, install):
    write(q="1/0\n")
    install("other-dist", entry_points={"other": "q"}, files=["q.py"])
    report = initialize(tmp_path / "plugins.yaml")
    assert record_of(report, "ep").state == "loaded"
    other = record_of(report, "other")
    assert other.state == "denied"
    assert "other-dist is not in" in other.reason
    assert "plugins.yaml:2" in other.reason


def test_locked_at_another_version_is_refused(frozen, tmp_path, site):
    (info,) = site.glob("mark_dist-*.dist-info")
    metadata = (info / "METADATA").read_text()
    (info / "METADATA").write_text(metadata.replace("Version: 1.0", "Version: 1.1"))
    assert "mark-dist 1.1 is locked at 1.0" in refused(tmp_path / "plugins.yaml", frozen)


def test_locked_with_other_files_is_refused(frozen, tmp_path, site):
    (info,) = site.glob("mark_dist-*.dist-info")
    (site / "p.py").write_text("1/0\n")
    rows = [",".join(record_row(site, "p.py"))]
    rows += [
        row for row in (info / "RECORD").read_text().splitlines() if not row.startswith("p.py")
    ]
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    assert "is not the one that was locked" in refused(tmp_path / "plugins.yaml", frozen)


def test_editable_install_cannot_be_frozen(marked, site):
    marked(direct_url={"url": site.as_uri(), "dir_info": {"editable": True}})
    text, findings = aimm_plugins.freeze({"names": [], "entry_points": {"allow": ["mark-dist"]}})
    assert text == ""
    assert [(finding.code, finding.subject) for finding in findings] == [
        ("not-frozen", "mark-dist")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mark-dist==1.0\n", r"locked\.txt:1: 'mark-dist==1\.0' locks nothing"),
        ("# c\n\nmark-dist>=1  # record sha256:00\n", r"locked\.txt:3: "),
        ("\xff", "locks nothing"),
    ],
)
def test_freeze_file_that_cannot_be_read_is_an_error(frozen, tmp_path, text, message):
    (tmp_path / "locked.txt").write_text(text)
    with pytest.raises(ConfigError, match=message):
        initialize(tmp_path / "plugins.yaml")


def test_distribution_that_is_locked_twice_is_an_error(frozen, tmp_path):
    path = tmp_path / "locked.txt"
    path.write_text(path.read_text() * 2)
    with pytest.raises(ConfigError, match="locked twice, first in line 1"):
        initialize(tmp_path / "plugins.yaml")


def test_freeze_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        initialize({"names": [], "locked": str(tmp_path / "none.txt")})


def test_locked_and_not_installed_is_a_finding(frozen, tmp_path):
    path = tmp_path / "locked.txt"
    path.write_text(path.read_text() + f"gone-dist==3  # record sha256:{'0' * 64}\n")
    findings = {(f.code, f.subject) for f in initialize(tmp_path / "plugins.yaml").findings}
    assert ("locked-not-installed", "gone-dist 3") in findings


def test_module_of_the_hosts_own_is_subject_to_names_alone(write, tmp_path):
    write(own="@fit(['own'])\ndef f(m): return 1\n")
    (tmp_path / "locked.txt").write_text("")
    initialize(
        {
            "names": ["own"],
            "verify": "record",
            "locked": str(tmp_path / "locked.txt"),
            "entry_points": {"allow": [], "deny_origins": ["unknown", "index"]},
        }
    )
    assert aimm_plugins.exec_fit("own", None) == 1
    assert "own" in sys.modules


def trapped(case: Case, value: str = "bad") -> None:
    """A plugin that writes the marker when it is run."""
    case.bad(case.trap() + BAD, value)


def assert_denied(case: Case, got: dict[str, Any], told: str, name: str = "bad") -> dict[str, Any]:
    """Nothing of the plugin ran, in plan, isolate, strict and repetition; the report says why."""
    assert_healthy(got)
    assert not case.marker.exists()
    for stage in ("plan", "isolate", "current", "repeat", "again"):
        assert got[stage]["states"][name] == "denied"
        assert told in record(got[stage], name)["reason"]
    assert got["strict"]["error"] is None
    assert got["isolate"]["ok"]
    assert got["bad"]["error"] == "UnknownPluginError"
    return record(got["isolate"], name)


DENIALS: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"deny": ["bad-dist"]}, "entry_points.deny[0]"),
    "name_spelled_otherwise": ({"deny": ["BAD__.Dist"]}, "BAD__.Dist"),
    "blanks_around": ({"deny": ["  bad-dist  "]}, "bad-dist"),
    "version": ({"deny": ["bad-dist<7"]}, "bad-dist<7"),
    "exact_version": ({"deny": ["bad-dist==6.6.6"]}, "bad-dist==6.6.6"),
    "version_in_brackets": ({"deny": ["bad-dist (>=6,<7)"]}, "bad-dist (>=6,<7)"),
    "wildcard_version": ({"deny": ["bad-dist==6.*"]}, "bad-dist==6.*"),
    "second_rule": ({"deny": ["bad-dist>7", "bad-dist"]}, "deny[1]"),
    "deny_beats_allow": ({"allow": ["bad-dist", "good-dist"], "deny": ["bad-dist"]}, "deny[0]"),
    "not_allowed": ({"allow": ["good-dist"]}, "entry_points.allow"),
    "not_allowed_in_this_version": ({"allow": ["good-dist", "bad-dist<6"]}, "bad-dist<6"),
}


@pytest.mark.parametrize("kind", DENIALS)
@pytest.mark.parametrize("load", ["eager", "lazy"])
def test_denied_plugin_never_runs(case: Case, kind: str, load: str) -> None:
    rules, told = DENIALS[kind]
    trapped(case)
    assert_denied(case, case.gauntlet({"entry_points": rules, "load": load}), told)


def test_denied_plugins_parent_packages_never_run(case: Case) -> None:
    case.package("top", case.trap())
    case.package("top.middle", case.trap())
    case.module("top.middle.bad", case.trap() + BAD)
    case.bad(None, "top.middle.bad:bad")
    assert_denied(case, case.gauntlet({"entry_points": {"deny": ["bad-dist"]}}), "deny[0]")


def test_plan_runs_no_parent_package(case: Case) -> None:
    case.package("top", case.trap())
    case.module("top.bad", case.trap() + BAD)
    case.bad(None, "top.bad")
    got = case.run("out.update(account(plan({'names': ['top.bad', 'top.no.such']})))")
    assert got["states"]["bad"] == got["states"]["top.bad"] == "planned"
    assert not case.marker.exists()


def test_denied_distributions_keys_published_for_laziness_are_not_known(case: Case) -> None:
    case.module("bad", case.trap() + BAD)
    case.dist(
        "bad-dist", "6.6.6", entry_points="[aimm.plugins.fit]\nbad = bad:bad\n", files=["bad.py"]
    )
    for load in ("lazy", "eager"):
        got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}, "load": load})
        assert_healthy(got)
        assert got["bad"]["error"] == "UnknownPluginError"
    assert not case.marker.exists()


def test_denied_distributions_module_is_not_run_by_a_config_name(case: Case) -> None:
    trapped(case)
    got = case.gauntlet({"names": ["bad"], "entry_points": {"deny": ["bad-dist"]}})
    assert_healthy(got)
    assert [each["state"] for each in got["isolate"]["plugins"] if each["name"] == "bad"] == [
        "denied"
    ] * 2
    assert not case.marker.exists()


def test_denied_distributions_submodule_is_not_run_by_a_config_name(case: Case) -> None:
    case.package("bad", case.trap())
    case.module("bad.sub", case.trap())
    case.dist("bad-dist", "6.6.6", files=["bad/__init__.py", "bad/sub.py"])
    got = case.gauntlet({"names": ["bad.sub"], "entry_points": {"deny": ["bad-dist"]}})
    assert_denied(case, got, "bad-dist", "bad.sub")


def test_denied_distributions_package_is_not_run_for_a_strangers_submodule(case: Case) -> None:
    case.package("bad", case.trap())
    case.module("bad.extension", BAD)
    case.dist("bad-dist", "6.6.6", files=["bad/__init__.py"])
    case.dist(
        "extension-dist", entry_points={"extension": "bad.extension"}, files=["bad/extension.py"]
    )
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}})
    assert_denied(case, got, "bad-dist", "extension")


@pytest.mark.parametrize("value", ["bad", "bad:bad"])
def test_denied_distributions_module_is_not_run_by_anothers_entry_point(
    case: Case, value: str
) -> None:
    case.module("bad", case.trap() + BAD)
    case.dist("bad-dist", "6.6.6", files=["bad.py"])
    case.dist("front-dist", entry_points={"front": value})
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}})
    assert_denied(case, got, "bad-dist", "front")


def test_denied_distributions_module_is_not_run_by_anothers_published_key(case: Case) -> None:
    case.module("bad", case.trap() + BAD)
    case.dist("bad-dist", "6.6.6", files=["bad.py"])
    case.dist("front-dist", entry_points="[aimm.plugins.fit]\nbad = bad:bad\n")
    for load in ("lazy", "eager"):
        got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}, "load": load})
        assert_healthy(got)
        assert got["bad"]["error"] == "UnknownPluginError"
    assert not case.marker.exists()


def test_denied_editable_install_is_found_by_its_folder(case: Case) -> None:
    project = case.folder / "project" / "src"
    case.module("bad", case.trap() + BAD, site=project)
    case.path.append(str(project))
    case.dist(
        "bad-dist",
        "6.6.6",
        direct_url={"url": (case.folder / "project").as_uri(), "dir_info": {"editable": True}},
    )
    got = case.gauntlet({"names": ["bad"], "entry_points": {"deny": ["bad-dist"]}})
    found = assert_denied(case, got, "bad-dist")
    assert (found["distribution"], found["origin"]) == ("bad-dist", "editable")


def test_denied_editable_install_in_a_folder_with_odd_letters_is_found(case: Case) -> None:
    project = case.folder / "my project ü%20#"
    case.module("bad", case.trap() + BAD, site=project)
    case.path.append(str(project))
    case.dist(
        "bad-dist", "6.6.6", direct_url={"url": project.as_uri(), "dir_info": {"editable": True}}
    )
    got = case.gauntlet({"names": ["bad"], "entry_points": {"deny": ["bad-dist"]}})
    assert_denied(case, got, "bad-dist")


HOOK = """
import sys
from importlib.util import spec_from_file_location
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "badpkg":
            return spec_from_file_location(name, {file!r}, submodule_search_locations=[{folder!r}])
sys.meta_path.insert({at}, Finder)
"""


def _by_path(case: Case, source: Path) -> str:
    case.path.append(str(source))
    return ""


def _by_hook(case: Case, source: Path, at: int = 99) -> str:
    package = source / "badpkg"
    return HOOK.format(file=str(package / "__init__.py"), folder=str(package), at=at)


def _by_first_hook(case: Case, source: Path) -> str:
    return _by_hook(case, source, 0)


def _by_egg_link(case: Case, source: Path) -> str:
    shutil.rmtree(next(case.site.glob("bad_dist*")))
    info = source / "bad_dist.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: bad-dist\nVersion: 6.6.6\n")
    (info / "top_level.txt").write_text("badpkg\n")
    (info / "entry_points.txt").write_text("[aimm.plugins]\nbad = badpkg.sub\n")
    case.file("bad-dist.egg-link", f"{source}\n.")
    return _by_path(case, source)


@pytest.mark.parametrize("name", ["badpkg", "badpkg.sub"])
@pytest.mark.parametrize(
    "install", [_by_path, _by_hook, _by_first_hook, _by_egg_link], ids=lambda each: each.__name__
)
def test_denied_editable_install_of_every_kind_never_runs(case: Case, install, name: str) -> None:
    source = case.folder / "source"
    for file in ("__init__.py", "sub.py"):
        (source / "badpkg").mkdir(parents=True, exist_ok=True)
        (source / "badpkg" / file).write_text(case.trap())
    case.dist(
        "bad-dist",
        "6.6.6",
        entry_points={"bad": "badpkg.sub"},
        direct_url={"url": source.as_uri(), "dir_info": {"editable": True}},
    )
    got = case.run(
        f"""
        {install(case, source).strip().replace(chr(10), chr(10) + " " * 8)}
        conf = {{"names": [{name!r}], "on_error": "isolate", "entry_points": {{"deny": ["bad-dist"]}}}}
        out["plan"] = account(plan(conf))
        out["done"] = account(initialize(conf))
        """
    )
    assert got["done"]["states"] == {name: "denied", "bad": "denied", "good": "loaded"}
    assert got["plan"]["states"] == {name: "denied", "bad": "denied", "good": "planned"}
    assert not case.marker.exists()


@pytest.mark.parametrize("apart", [False, True], ids=["one_folder", "two_folders"])
def test_denied_part_of_a_shared_namespace_never_runs_and_the_other_loads(
    case: Case, apart: bool
) -> None:
    site = case.folder / "other" if apart else case.site
    case.path += [str(site)] * apart
    for name, place, source in (("fine", case.site, BAD), ("bad", site, case.trap())):
        case.module(f"ns.{name}", source, site=place)
        case.dist(
            f"{name}-dist", entry_points={name: f"ns.{name}"}, files=[f"ns/{name}.py"], site=place
        )
    got = case.gauntlet({"names": ["ns.bad", "ns.fine"], "entry_points": {"deny": ["bad-dist"]}})
    states = got["isolate"]["states"]
    assert states == {n: "loaded" if n in ("ns.fine", "fine", "good") else "denied" for n in states}
    assert got["bad"] == {"value": "bad"}
    assert not case.marker.exists()


def test_denied_owner_of_a_file_that_two_distributions_list_never_runs(case: Case) -> None:
    trapped(case)
    case.dist("cover-dist", entry_points={"cover": "bad"}, files=["bad.py"])
    got = case.gauntlet({"names": ["good"], "entry_points": {"deny": ["bad-dist"]}})
    assert got["isolate"]["states"] == {"good": "loaded", "bad": "denied", "cover": "denied"}
    assert not case.marker.exists()


@pytest.mark.parametrize("path", ["./bad.py", "x/../bad.py", ".//bad.py", "../site/bad.py", "{}"])
def test_denied_owner_of_a_file_that_it_lists_in_other_words_never_runs(
    case: Case, path: str
) -> None:
    source = case.module("bad", BAD + case.trap())
    case.dist("bad-dist", "6.6.6")
    case.file("bad_dist-6.6.6.dist-info/RECORD", f"{path.format(source)},,\n")
    case.dist("cover-dist", entry_points={"cover": "bad"})
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}})
    assert got["isolate"]["states"] == {"good": "loaded", "cover": "denied"}
    assert not case.marker.exists()


@pytest.mark.parametrize("way", ["config_name", "entry_point"])
@pytest.mark.parametrize("rule", ["bad-dist", "bad-dist<2"])
def test_denied_distribution_that_another_of_its_name_hides_never_runs(
    case: Case, way: str, rule: str
) -> None:
    newer = case.folder / "newer"
    case.module("bad", case.trap())
    case.module("shown", BAD, site=newer)
    case.dist("bad-dist", "1.0", entry_points={"bad": "bad"}, files=["bad.py"])
    case.dist("bad-dist", "2.0", entry_points={"shown": "shown"}, files=["shown.py"], site=newer)
    case.path.insert(0, str(newer))
    if way == "entry_point":
        case.dist("cover-dist", entry_points={"cover": "bad"})
    names = ["bad"] if way == "config_name" else []
    got = case.gauntlet({"names": names, "entry_points": {"deny": [rule]}})
    assert got["good"] == {"value": 42}
    if (way, rule) == ("entry_point", "bad-dist<2"):
        return  # what an entry point of another distribution runs is judged by what is shown
    assert got["isolate"]["states"]["bad" if names else "cover"] == "denied"
    assert not case.marker.exists()


@pytest.mark.parametrize("content", [None, "", "bad.pyc,,\n"], ids=["none", "empty", "sound"])
def test_denied_bytecode_without_source_never_runs(case: Case, content: str | None) -> None:
    source = case.folder / "source.py"
    source.write_text(case.trap())
    py_compile.compile(str(source), cfile=str(case.site / "bad.pyc"))
    folder = case.dist("bad-dist", "6.6.6", entry_points={"bad": "bad"})
    (folder / "RECORD").unlink()
    if content is not None:
        (folder / "RECORD").write_text(content)
    got = case.gauntlet({"names": ["bad", "good"], "entry_points": {"deny": ["bad-dist"]}})
    assert got["isolate"]["states"] == {"bad": "denied", "good": "loaded"}
    assert not case.marker.exists()


@pytest.mark.parametrize("kind", ["wheel", "egg"])
def test_denied_distribution_in_a_zip_never_runs(case: Case, kind: str) -> None:
    info, about = (
        ("bad_dist-6.6.6.dist-info", "METADATA") if kind == "wheel" else ("EGG-INFO", "PKG-INFO")
    )
    path = case.folder / "bad_dist-6.6.6-py3.egg"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad.py", case.trap())
        archive.writestr(f"{info}/{about}", "Name: bad-dist\nVersion: 6.6.6\n")
        archive.writestr(f"{info}/entry_points.txt", "[aimm.plugins]\nbad = bad\n")
    case.path.append(str(path))
    got = case.gauntlet({"names": ["bad", "good"], "entry_points": {"deny": ["bad-dist"]}})
    assert got["isolate"]["states"] == {"bad": "denied", "good": "loaded"}
    assert not case.marker.exists()


def test_denied_file_behind_a_link_is_found(case: Case) -> None:
    real = case.folder / "real"
    case.module("bad", case.trap() + BAD, site=real)
    (case.folder / "linked").symlink_to(real)
    case.path.append(str(case.folder / "linked"))
    case.dist(
        "bad-dist", "6.6.6", direct_url={"url": real.as_uri(), "dir_info": {"editable": True}}
    )
    got = case.gauntlet({"names": ["bad"], "entry_points": {"deny": ["bad-dist"]}})
    assert_denied(case, got, "bad-dist")


def test_module_that_a_healthy_plugin_imports_registers_nothing_if_denied(case: Case) -> None:
    case.bad(BAD)
    case.module("user", "import bad\n@fit(['user'])\ndef f(m): return 'user'\n")
    case.dist("user-dist", entry_points={"user": "user"})
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}})
    assert_healthy(got, alone=False)
    assert got["isolate"]["keys"] == ["data_access:good", "fit:user"]
    assert "bad" not in got["isolate"]["plugged"]
    assert record(got["isolate"])["state"] == "denied"


ORIGINS = {
    "editable": {"url": "file:///nowhere", "dir_info": {"editable": True}},
    "local": {"url": "file:///nowhere", "dir_info": {}},
    "vcs": {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "0"}},
    "url": {"url": "https://example.org/x.whl", "archive_info": {}},
    "index": None,
    "unknown": {},
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_denied_origin_never_runs(case: Case, origin: str) -> None:
    case.module("bad", case.trap() + BAD)
    case.dist(
        "bad-dist",
        "6.6.6",
        entry_points={"bad": "bad"},
        files=["bad.py"],
        direct_url=ORIGINS[origin],
    )
    if origin == "index":
        (next(case.site.glob("good_dist*")) / "direct_url.json").write_text(
            json.dumps(ORIGINS["url"])
        )
    got = case.gauntlet({"entry_points": {"deny_origins": [origin]}})
    found = assert_denied(case, got, "deny_origins[0]")
    assert found["origin"] == origin


def test_origin_that_cannot_be_read_counts_as_unknown(case: Case) -> None:
    trapped(case)
    (next(case.site.glob("bad_dist*")) / "direct_url.json").write_text("{")
    got = case.gauntlet({"entry_points": {"deny_origins": ["unknown"]}})
    assert_denied(case, got, "unknown")


def test_blocked_in_pluggy_never_runs(case: Case) -> None:
    trapped(case)
    got = case.run(
        """
        get_plugin_manager().set_blocked("bad")
        out.update(gauntlet({}))
        """
    )
    assert_denied(case, got, "set_blocked")


@pytest.mark.parametrize("field", ["allow", "deny"])
def test_rule_that_matches_nothing_is_a_finding(case: Case, field: str) -> None:
    got = case.gauntlet(
        {
            "entry_points": {
                "allow": ["good-dist"],
                field: ["gud-dist", *(["good-dist"] if field == "allow" else [])],
            }
        }
    )
    assert_healthy(got)
    (finding,) = got["isolate"]["findings"]
    assert "gud-dist" in finding["subject"]
    assert f"entry_points.{field}" in finding["place"]


def test_disabled_entry_points_never_run(case: Case) -> None:
    trapped(case)
    got = case.gauntlet({"names": ["good"], "entry_points": {"enabled": False}})
    assert_healthy(got)
    assert not case.marker.exists()


# required

ABSENT = {
    "not_installed": (["no-such-dist"], {}),
    "too_old": (["good-dist>=2"], {}),
    "denied": (["bad-dist"], {"deny": ["bad-dist"]}),
    "not_allowed": (["bad-dist"], {"allow": ["good-dist"]}),
    "disabled": (["good-dist"], {"enabled": False}),
}


@pytest.mark.parametrize("kind", ABSENT)
def test_required_that_is_not_loaded_is_missing_and_fails(case: Case, kind: str) -> None:
    required, rules = ABSENT[kind]
    trapped(case)
    got = case.run(
        f"""
        conf = {{"names": [], "required": {required!r}, "entry_points": {rules!r}}}
        out["plan"] = account(plan(conf))
        out["isolate"] = account(initialize({{**conf, "on_error": "isolate"}}))
        unload_all()
        out["strict"] = strictly(conf)
        """
    )
    for stage in ("plan", "isolate"):
        assert not got[stage]["ok"]
        assert "missing" in got[stage]["states"].values()
    assert got["strict"]["error"] == "PluginLoadError"
    assert required[0].partition(">")[0] in got["strict"]["text"]
    assert got["strict"]["keys"] == []


def test_required_plugin_that_fails_is_a_failure(case: Case) -> None:
    case.bad("1 / 0\n")
    got = case.gauntlet({"required": ["bad-dist"]})
    assert_healthy(got)
    assert not got["isolate"]["ok"]
    assert got["strict"]["error"] == "PluginLoadError"


def test_required_plugin_that_is_loaded_is_well(case: Case) -> None:
    got = case.gauntlet({"required": ["Good_Dist>=1"]})
    assert_healthy(got)
    assert got["isolate"]["ok"]
    assert got["strict"]["error"] is None


# The environment's layers

DENY = {
    "one": "bad-dist",
    "spelled_otherwise": "Bad_Dist",
    "among_others": "x-dist, bad-dist ,y-dist",
    "trailing_comma": "bad-dist,",
    "version": "bad-dist<7",
    "range": "bad-dist>=1,<7",
    "line_break": "\nbad-dist\r\n",
    "empty_pieces": ",,bad-dist,,good-dist<0",
}


@pytest.mark.parametrize("kind", DENY)
def test_denied_by_the_environment_never_runs(case: Case, kind: str) -> None:
    trapped(case)
    case.env["AIMM_PLUGINS_DENY"] = DENY[kind]
    got = case.gauntlet({"entry_points": {"allow": ["bad-dist", "good-dist"]}})
    assert_denied(case, got, "AIMM_PLUGINS_DENY")


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_empty_denial_in_the_environment_denies_nothing(case: Case, text: str) -> None:
    case.env["AIMM_PLUGINS_DENY"] = text
    assert_healthy(case.gauntlet())


@pytest.mark.parametrize(
    "text",
    [
        "bad dist",
        "bad-dist<",
        "*",
        "bad-dist;x",
        "bad-dist<>1",
        "ba\tdist",
        "bad-dist[x]",
        "bad-dist @ https://x",
        "bad-dist==*",
        "bad-dist-",
        "-bad-dist",
        "\uff22ad-dist",
        "bad\u200b-dist",
        "'bad-dist'",
        "bad-dist # not",
        "\x1b[2J",
    ],
)
def test_unreadable_denial_in_the_environment_is_an_error(case: Case, text: str) -> None:
    trapped(case)
    case.env["AIMM_PLUGINS_DENY"] = text
    got = case.run("out.update(attempt(initialize))\nout['keys'] = keys()\n")
    assert got["error"] == "ConfigError"
    assert "AIMM_PLUGINS_DENY" in got["text"]
    assert got["keys"] == []
    assert not case.marker.exists()


def policy(case: Case, text: str | bytes) -> None:
    """Write the operator's file."""
    file = case.folder / "policy.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    case.env["AIMM_PLUGINS_POLICY"] = str(file)


POLICIES = {
    "deny": ("entry_points:\n  deny: [bad-dist]\n", "policy.yaml:2"),
    "allow": ("entry_points:\n  allow: [good-dist]\n", "policy.yaml:2"),
    "deny_by_version": ("entry_points:\n  deny:\n  - bad-dist>1\n", "policy.yaml:3"),
    "deny_origins": ("entry_points: {deny_origins: [vcs]}\n", "policy.yaml:1"),
}


@pytest.mark.parametrize("kind", POLICIES)
def test_conf_cannot_widen_the_operators_policy(case: Case, kind: str) -> None:
    text, place = POLICIES[kind]
    trapped(case)
    (next(case.site.glob("bad_dist*")) / "direct_url.json").write_text(json.dumps(ORIGINS["vcs"]))
    policy(case, text)
    got = case.gauntlet(
        {"entry_points": {"allow": ["bad-dist", "good-dist"], "deny": [], "deny_origins": []}}
    )
    assert_denied(case, got, place)


def test_conf_can_narrow_the_operators_policy(case: Case) -> None:
    trapped(case)
    policy(case, "entry_points: {allow: [bad-dist, good-dist]}\n")
    assert_denied(case, case.gauntlet({"entry_points": {"deny": ["bad-dist"]}}), "deny[0]")


def test_policy_holds_for_a_host_without_a_conf(case: Case) -> None:
    trapped(case)
    policy(case, "entry_points: {deny: [bad-dist]}\n")
    got = case.run("out.update(account(initialize()))")
    assert got["states"] == {"bad": "denied", "good": "loaded"}, got["text"]
    assert not case.marker.exists()


BROKEN_POLICIES = {
    "missing_file": None,
    "not_yaml": "entry_points: {deny: [\n",
    "list": "- deny\n",
    "unknown_key": "entry_points: {denny: [bad-dist]}\n",
    "unknown_top_key": "deny: [bad-dist]\n",
    "unreadable_rule": "entry_points: {deny: ['bad dist']}\n",
    "bare_text": "entry_points: {deny: bad-dist}\n",
    "unknown_origin": "entry_points: {deny_origins: [internet]}\n",
    "key_twice": "entry_points: {deny: [bad-dist]}\nentry_points: {}\n",
    "tab": "entry_points:\n\tdeny: [bad-dist]\n",
    "tag": "entry_points: {deny: !!python/object:os.system [x]}\n",
    "not_utf8": b"entry_points: {deny: [\xff]}\n",
    "null_bytes": b"\x00\x00",
    "null_rules": "entry_points:\n",
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("kind", BROKEN_POLICIES)
def test_unreadable_policy_is_an_error_and_nothing_runs(case: Case, kind: str) -> None:
    trapped(case)
    text = BROKEN_POLICIES[kind]
    policy(case, text or "")
    if text is None:
        (case.folder / "policy.yaml").unlink()
    got = case.run(
        """
        out.update(attempt(initialize, {"names": [], "on_error": "isolate"}))
        out["plan"] = attempt(plan)
        out["keys"] = keys()
        """
    )
    assert got["error"] == got["plan"]["error"] == "ConfigError"
    assert "policy.yaml" in got["text"]
    assert got["keys"] == []
    assert not case.marker.exists()


# verify: record


def recorded(case: Case, *files: str, lines: str = "", algorithm: str = "sha256") -> Path:
    """Write a RECORD with the true hashes of files."""
    folder = next(case.site.glob("bad_dist*"))
    rows = []
    for name in files:
        content = (case.site / name).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=")
        rows.append(f"{name},{algorithm}={digest.decode()},{len(content)}\n")
    (folder / "RECORD").write_text("".join(rows) + lines + f"{folder.name}/RECORD,,\n")
    return folder


def sound_package(case: Case) -> Path:
    """A package whose files all have their hash."""
    case.package("bad", BAD)
    case.file("bad/data.bin", b"\x00\x01")
    case.bad(None)
    return recorded(case, "bad/__init__.py", "bad/data.bin")


VERIFY = {
    "names": [],
    "entry_points": {"allow": ["bad-dist"]},
    "verify": "record",
    "on_error": "isolate",
}


def verified(case: Case) -> dict[str, Any]:
    """What the host makes of the plugin under `verify: record`."""
    got = case.run(
        f"""
        out["plan"] = account(plan({VERIFY!r}))
        out["done"] = account(initialize({VERIFY!r}))
        out["bad"] = attempt(exec_fit, "bad", None)
        """
    )
    assert got["plan"]["states"]["bad"] in ("planned", "denied", "failed")
    return got


def test_untouched_files_verify_and_load(case: Case) -> None:
    sound_package(case)
    got = verified(case)
    assert got["done"]["states"]["bad"] == "loaded"
    assert got["bad"] == {"value": "bad"}


def test_sha512_verifies_too(case: Case) -> None:
    sound_package(case)
    recorded(case, "bad/__init__.py", "bad/data.bin", algorithm="sha512")
    done = verified(case)["done"]
    assert done["states"]["bad"] == "loaded", done["text"]


def _changed(case: Case) -> None:
    case.package("bad", case.trap() + BAD)


def _same_size(case: Case) -> None:
    file = case.site / "bad" / "__init__.py"
    file.write_text(file.read_text().replace("return 'bad'", "return 'BAD'"))


def _data_changed(case: Case) -> None:
    case.file("bad/data.bin", b"\x00\x02")


def _removed(case: Case) -> None:
    (case.site / "bad" / "data.bin").unlink()


def _added(case: Case) -> None:
    case.file("bad/extra.py", case.trap())


def _added_in_a_new_folder(case: Case) -> None:
    case.file("bad/sub/__init__.py", case.trap())


def _added_extension(case: Case) -> None:
    case.file("bad/fast.so", b"\x7fELF")


def _no_record(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "RECORD").unlink()


def _empty_record(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "RECORD").write_text("")


def _binary_record(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "RECORD").write_bytes(bytes(range(256)))


def _no_hashes(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "RECORD").write_text("bad/__init__.py,,\nbad/data.bin,,\n")


def _unknown_algorithm(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "RECORD").write_text(
        "bad/__init__.py,sha0=AAAA,1\nbad/data.bin,shake_128=AAAA,1\n"
    )


def _weak_algorithm(case: Case) -> None:
    recorded(case, "bad/__init__.py", "bad/data.bin", algorithm="md5")


def _file_is_a_folder(case: Case) -> None:
    (case.site / "bad" / "data.bin").unlink()
    (case.site / "bad" / "data.bin").mkdir()


def _file_is_a_fifo(case: Case) -> None:
    (case.site / "bad" / "data.bin").unlink()
    os.mkfifo(case.site / "bad" / "data.bin")


def _file_is_a_loop(case: Case) -> None:
    (case.site / "bad" / "data.bin").unlink()
    (case.site / "bad" / "data.bin").symlink_to("data.bin")


def _file_is_endless(case: Case) -> None:
    (case.site / "bad" / "data.bin").unlink()
    (case.site / "bad" / "data.bin").symlink_to("/dev/zero")


def _package_is_shadowed(case: Case) -> None:
    other = case.folder / "first"
    case.module("bad", case.trap() + BAD, site=other)
    case.path.insert(0, str(other))


def _editable(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "direct_url.json").write_text(
        json.dumps(ORIGINS["editable"])
    )
    _no_hashes(case)


TAMPERED = [
    _changed,
    _same_size,
    _data_changed,
    _removed,
    _added,
    _added_in_a_new_folder,
    _added_extension,
    _no_record,
    _empty_record,
    _binary_record,
    _no_hashes,
    _unknown_algorithm,
    _weak_algorithm,
    _file_is_a_folder,
    _file_is_a_fifo,
    _file_is_a_loop,
    _file_is_endless,
    _package_is_shadowed,
    _editable,
]


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda make: make.__name__.strip("_"))
def test_files_that_are_not_those_of_record_never_run(case: Case, tamper) -> None:
    sound_package(case)
    tamper(case)
    got = verified(case)
    found = record(got["done"])
    assert found["state"] in ("denied", "failed")
    assert got["bad"]["error"] == "UnknownPluginError"
    assert not case.marker.exists()
    told = found["reason"] or found["error"]["message"]
    assert "verify" in told or "RECORD" in told
    if tamper is _editable:
        assert "editable" in told


def test_bytecode_of_verified_files_is_no_tampering(case: Case) -> None:
    sound_package(case)
    case.file("bad/__pycache__/__init__.cpython-311.pyc", b"junk that Python makes anew")
    done = verified(case)["done"]
    assert done["states"]["bad"] == "loaded", done["text"]


# locked


def locked(case: Case, text: str | bytes) -> dict[str, Any]:
    """What the host makes of a freeze file, relative to the conf's own folder."""
    conf = case.folder / "conf"
    conf.mkdir()
    (conf / "freeze.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    (conf / "plugins.yaml").write_text("names: []\non_error: isolate\nlocked: freeze.txt\n")
    return case.run(
        """
        try:
            out.update(account(initialize("conf/plugins.yaml")))
        except ConfigError as error:
            out["refused"] = str(error)
        out["good"] = attempt(exec_data_access, "good")
        """
    )


def lock_lines(case: Case) -> dict[str, str]:
    """The lines of a freeze file of both distributions, as the package writes them."""
    for folder in case.site.glob("*.dist-info"):
        name = folder.name.partition("_")[0] + ".py"
        digest = base64.urlsafe_b64encode(hashlib.sha256((case.site / name).read_bytes()).digest())
        (folder / "RECORD").write_text(f"{name},sha256={digest.rstrip(b'=').decode()},\n")
    got = case.run(
        """
        out["text"] = aimm_plugins._startup.lifecycle.freeze(aimm_plugins._startup.runtime.PROCESS.runtime, None)[0]
        """
    )
    return {line.partition("==")[0]: line for line in got["text"].splitlines(keepends=True)}


def test_locked_distribution_loads_and_another_never_runs(case: Case) -> None:
    trapped(case)
    got = locked(case, lock_lines(case)["good-dist"])
    assert got["states"] == {"bad": "denied", "good": "loaded"}, got["text"]
    assert "freeze.txt" in record(got)["reason"]
    assert not case.marker.exists()


LAYOUTS = {
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "byte_order_mark": lambda text: "\ufeff" + text,
    "no_newline": lambda text: text.rstrip("\n"),
    "blank_lines_and_comments": lambda text: f"\n\n# c\n{text}\n  # c\n",
    "name_spelled_otherwise": lambda text: text.replace("good-dist", "Good_Dist"),
    "tabs": lambda text: text.replace("  #", "\t#\t"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lock_of_another_layout_locks_the_same(case: Case, layout: str) -> None:
    trapped(case)
    got = locked(case, LAYOUTS[layout](lock_lines(case)["good-dist"]))
    assert got["states"] == {"bad": "denied", "good": "loaded"}
    assert not case.marker.exists()


def test_distribution_whose_record_changed_since_its_lock_never_runs(case: Case) -> None:
    trapped(case)
    lines = lock_lines(case)
    (next(case.site.glob("bad_dist*")) / "RECORD").write_text("bad.py,sha256=AAAA,\n")
    got = locked(case, "".join(lines.values()))
    assert got["states"] == {"bad": "denied", "good": "loaded"}, got["text"]
    assert not case.marker.exists()


def test_distribution_without_hashes_is_not_frozen(case: Case) -> None:
    (info,) = case.site.glob("good_dist-*.dist-info")
    rows = (info / "RECORD").read_text().splitlines()
    (info / "RECORD").write_text("".join(f"{row.partition(',')[0]},,\n" for row in rows))
    got = case.run(
        """
        text, findings = aimm_plugins.freeze()
        out.update(text=text, findings=[str(finding) for finding in findings])
        """
    )
    assert "good-dist" not in got["text"]
    assert "good-dist" in got["findings"][0]


UNLOCKED = {
    "other_version": lambda line: line.replace("6.6.6", "6.6.5"),
    "other_digest": lambda line: line[:-65] + "0" * 64 + "\n",
    "absent": lambda line: "",
}


@pytest.mark.parametrize("kind", UNLOCKED)
def test_distribution_that_differs_from_its_lock_never_runs(case: Case, kind: str) -> None:
    trapped(case)
    lines = lock_lines(case)
    got = locked(case, lines["good-dist"] + UNLOCKED[kind](lines["bad-dist"]))
    assert got["states"] == {"bad": "denied", "good": "loaded"}, got["text"]
    assert not case.marker.exists()


LOCKS = {
    "binary": bytes(range(256)),
    "no_version": "good-dist\n",
    "range": "good-dist>=1\n",
    "no_digest": "good-dist==1.0\n",
    "short_digest": "good-dist==1.0  # record sha256:00\n",
    "other_hash": "good-dist==1.0  # record md5:" + "0" * 32 + "\n",
    "longer_hash": "good-dist==1.0  # record sha512:" + "0" * 128 + "\n",
    "hash_of_pip": "good-dist==1.0 --hash=sha256:" + "0" * 64 + "\n",
    "include": "-r other.txt\n",
    "editable": "-e .\n",
    "url": "good-dist @ https://x/good.whl\n",
    "marker": "good-dist==1.0 ; python_version>'3'  # record sha256:" + "0" * 64 + "\n",
    "extra": "good-dist[x]==1.0  # record sha256:" + "0" * 64 + "\n",
    "continued": "good-dist==1.0 \\\n  # record sha256:" + "0" * 64 + "\n",
    "null": "good\0dist==1.0  # record sha256:" + "0" * 64 + "\n",
    "endless_line": "x" * 100_000,
    "huge": "# comment\n" * 900_000,
    "twice": "good-dist==1.0  # record sha256:"
    + "0" * 64
    + "\nGood_Dist==1.0  # record sha256:"
    + "1" * 64
    + "\n",
}


@pytest.mark.parametrize("kind", LOCKS)
def test_unreadable_lock_is_an_error_and_nothing_runs(case: Case, kind: str) -> None:
    trapped(case)
    got = locked(case, LOCKS[kind])
    assert "freeze.txt" in got["refused"]
    assert len(got["refused"]) < 2000
    assert got["good"]["error"] == "UnknownPluginError"
    assert not case.marker.exists()


def test_missing_lock_is_an_error(case: Case) -> None:
    got = case.run("out.update(attempt(initialize, {'names': [], 'locked': 'no/such/file'}))")
    assert got["error"] == "ConfigError"
