"""Rules in layers: the conf, the operator's file, the environment; each decided before an import."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import aimm_plugins
from aimm_plugins import ConfigError, PluginImportError, PluginLoadError, initialize, plan
from tests.conftest import record_of
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
    from aimm_plugins._api import freeze

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
