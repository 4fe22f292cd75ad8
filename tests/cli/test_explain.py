"""`explain`: why something is there or not, and what to change."""

from __future__ import annotations

import importlib
import re
import sys

import pytest

from tests.cli.conftest import CONF, LEGACY


def test_name_beside_its_conf_is_found_by_following_the_remedy(run, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "beside_it.py").write_text(LEGACY)
    (folder / "c.yaml").write_text("names: [beside_it]\nentry_points: {enabled: false}\n")
    conf = ("--conf", str(folder / "c.yaml"))
    path = list(sys.path)
    answer = explained(run, "beside_it", *conf)
    assert not answer["there"]
    (option,) = re.findall(r"give the commands (--path \S+)\.", answer["reasons"][0]["remedy"])
    for verb in ("plan", "list", "doctor"):
        assert run(verb, *conf, *option.split())[0] == 0
    assert explained(run, "fit:iris.old", *conf, *option.split())["there"]
    assert sys.path == path


def test_explain_of_a_plugin_that_prefer_takes_everything_from(world, run, tmp_path):
    (tmp_path / "c.yaml").write_text("names: []\nprefer: {'fit:iris.svc': looked-legacy}\n")
    answer = explained(run, "looked-svc", "--conf", "c.yaml")
    assert answer["reasons"][0]["state"] == "shadowed"
    assert "prefer rule (c.yaml:2)" in answer["reasons"][0]["remedy"]


def explained(run, subject, *more):
    status, answer, _ = run("explain", subject, "--format", "json", *more)
    assert status == (0 if answer["there"] else 1)
    return answer


def test_explain_names_the_rule_its_line_and_what_to_change(world, run):
    answer = explained(run, "looked-dev", *CONF)
    assert answer["kinds"] == ["distribution"]
    (reason,) = answer["reasons"]
    assert (reason["there"], reason["state"]) == (False, "denied")
    assert reason["why"] == "denied by 'looked-dev' (plugins.yaml:3)"
    assert reason["remedy"] == (
        "Remove 'looked-dev' (plugins.yaml:3) from deny, or narrow it to versions other than 0.1."
    )


@pytest.mark.parametrize(
    ("rules", "why", "remedy"),
    [
        ("deny: ['looked-legacy<1']", "denied by", "narrow it to versions other than 0.9"),
        ("deny_origins: [index]", "denied by origin", "remove index from deny_origins (c.yaml:2)"),
        ("allow: [looked-svc]", "not among those allowed", "to allow (c.yaml:2)"),
        ("allow: ['looked-legacy>1']", "is not in", "in a version like 0.9 to allow"),
        ("enabled: false", "entry points are disabled (c.yaml:2)", "Remove `enabled: false`"),
    ],
)
def test_explain_has_a_remedy_for_each_kind_of_rule(world, run, tmp_path, rules, why, remedy):
    (tmp_path / "c.yaml").write_text(f"names: []\nentry_points: {{{rules}}}\n")
    answer = explained(run, "looked-legacy", "--conf", "c.yaml")
    assert why in answer["reasons"][0]["why"]
    assert remedy in answer["reasons"][0]["remedy"]
    assert explained(run, "looked_legacy", "--conf", "c.yaml")["there"] is False


def test_explain_has_a_remedy_for_locks_and_changed_files(world, run, site, tmp_path):
    (tmp_path / "plugins.lock").write_text(f"looked-legacy==1.0  # record sha256:{'0' * 64}\n")
    (tmp_path / "c.yaml").write_text("names: []\nlocked: plugins.lock\nverify: record\n")
    answer = explained(run, "looked-legacy", "--conf", "c.yaml")
    assert "is locked at 1.0" in answer["reasons"][0]["why"]
    assert "freeze anew" in answer["reasons"][0]["remedy"]
    (site / "looked_legacy.py").write_text("changed")
    (tmp_path / "c.yaml").write_text("names: []\nverify: record\n")
    answer = explained(run, "legacy", "--conf", "c.yaml")
    assert answer["kinds"] == ["plugin"]
    assert "Reinstall looked-legacy" in answer["reasons"][0]["remedy"]


def test_explain_of_what_is_there_tells_its_keys(world, run):
    answer = explained(run, "looked_svc", *CONF)
    assert answer["there"]
    assert answer["kinds"] == ["distribution", "module"]  # both have this name
    assert len(answer["reasons"]) == 1
    assert "fit:iris.svc" in answer["reasons"][0]["why"]


def test_explain_of_a_conflict_offers_the_prefer_line(world, run):
    answer = explained(run, "fit:iris.svc")
    assert [reason["there"] for reason in answer["reasons"]] == [False, False]
    assert "prefer" in answer["reasons"][0]["why"]


def test_explain_of_a_plugin_that_lost_one_of_its_keys_says_that_it_is_there(world, run):
    answer = explained(run, "looked-legacy")
    (reason,) = answer["reasons"]
    assert reason["there"]
    assert "declares fit:iris.old, fit:iris.svc; PluginConflictError" in reason["why"]
    assert "prefer line" in reason["remedy"]


def test_distribution_is_there_as_long_as_one_of_its_plugins_answers(run, site, install):
    (site / "looked_half.py").write_text(LEGACY)
    points = {"good": "looked_half", "bad": "looked_gone"}
    install("looked-half", entry_points=points, files=["looked_half.py"])
    answer = explained(run, "looked-half")
    assert answer["there"]
    assert [(r["subject"], r["there"]) for r in answer["reasons"]] == [
        ("bad", False),
        ("good", True),
    ]
    assert run("explain", "looked-half")[0] == 0


def test_explain_of_a_plugin_that_lost_its_only_key_says_that_it_is_not_there(world, run):
    assert not explained(run, "looked-svc")["there"]


def test_explain_of_a_lost_key_names_the_prefer_rule(world, run):
    lost, won = explained(run, "iris.svc", *CONF)["reasons"]
    assert (lost["there"], won["there"]) == (False, True)
    assert lost["why"] == "prefer gives fit:iris.svc to looked-svc (plugins.yaml:4)"
    assert lost["remedy"] == "Change or remove the prefer rule (plugins.yaml:4)."


def test_explain_of_what_is_required_and_missing(world, run, tmp_path):
    (tmp_path / "c.yaml").write_text("names: []\nrequired: [nobody]\n")
    answer = explained(run, "nobody", "--conf", "c.yaml")
    assert answer["reasons"][0]["state"] == "missing"
    assert "c.yaml:2" in answer["reasons"][0]["remedy"]


@pytest.mark.parametrize(
    ("subject", "why", "remedy"),
    [
        ("pluggy", "no entry point in the group aimm.plugins", "names: [pluggy]"),
        ("json", "no name in the conf", "names: [json]"),
        ("fti:iris.svc", "there is no action 'fti'", "Did you mean fit:iris.svc?"),
        ("looked-scv", "no plugin declares such a key", "Did you mean looked-svc"),
        ("zzzzz", "no plugin declares such a key", "Install what provides it."),
        ("..", "no plugin declares such a key", ""),
    ],
)
def test_explain_of_what_is_no_plugin(world, run, subject, why, remedy):
    answer = explained(run, subject, *CONF)
    assert not answer["there"]
    assert any(why in reason["why"] for reason in answer["reasons"])
    assert any(remedy in reason["remedy"] for reason in answer["reasons"])


def test_explain_with_load_tells_why_an_import_failed(world, run):
    answer = explained(run, "looked-svc", "--load", *CONF)
    assert "ZeroDivisionError" in answer["reasons"][0]["why"]


def test_explain_foresees_an_import_that_must_fail(world, run, site):
    (site / "looked_legacy.py").write_text("import surely_not_there\n" + LEGACY)
    for subject in ("looked-legacy", "fit:iris.old"):
        answer = explained(run, subject, *CONF)
        assert "No module named 'surely_not_there'" in answer["reasons"][0]["why"]


def test_key_may_be_in_a_plugin_that_fails_and_is_not_read(run, site, install):
    (site / "looked_at.py").write_text("def broken(:\n")
    install("looked-at", entry_points={"ep": "looked_at"}, files=["looked_at.py"])
    (reason,) = explained(run, "fit:k")["reasons"]
    assert "denied or failed: ep (SyntaxError" in reason["remedy"]
    assert "--load" not in reason["remedy"]


def test_what_a_finding_is_about_is_explained_by_it(run, site, install):
    (site / "looked_at.py").write_text(LEGACY)
    install("looked-pub", published={"fit:iris.old": "looked_at:learn"}, files=["looked_at.py"])
    _, doctor, _ = run("doctor", "--format", "json")
    (finding,) = doctor["findings"]
    for subject in ("looked-pub", "fit:iris.old"):
        (reason,) = explained(run, subject)["reasons"]
        assert reason["why"].startswith("published-keys-without-plugin: ")
        assert reason["remedy"] == finding["remedy"]


def test_name_that_metadata_alone_has_is_explained_by_the_finding(run, site, install):
    """It is the name that pip tells."""
    info = install("looked-folder", entry_points={"looked": "looked"})
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: looked-stated\nVersion: 1.0\n")
    status, out, _ = run("explain", "looked-stated")
    assert status == 1
    assert "its METADATA calls it looked-stated, and its folder looked-folder" in out
    assert "Call it looked-folder in confs" in out


def test_plugin_that_surely_declares_nothing_is_said_so(run, site, install):
    (site / "looked_at.py").write_text("x = 1\n")
    install("looked-at", entry_points={"ep": "looked_at"}, files=["looked_at.py"])
    answer = explained(run, "looked-at")
    (reason,) = answer["reasons"]
    assert not answer["there"]
    assert reason["why"].startswith("declares-nothing: looked_at declares nothing")
    assert reason["why"].endswith("declares no key")
    assert reason["remedy"].startswith("Decorate what it should provide")


def test_name_of_a_plugin_is_told_from_a_key(run, site, install):
    (site / "looked_at.py").write_text(LEGACY)
    install("looked-at", entry_points={"ep": "looked_at"}, files=["looked_at.py"])
    assert "ep is a plugin; no key of this name is known" in run("explain", "ep")[2]
    assert "no key" not in run("explain", "iris.old")[2]


@pytest.mark.parametrize("is_imported", [False, True])
def test_plugin_whose_module_is_hidden_by_a_module_of_python_is_not_there(
    run, site, install, monkeypatch, is_imported
):
    monkeypatch.delitem(sys.modules, "statistics", raising=False)
    (site / "statistics.py").write_text(LEGACY)
    install("looked-at", entry_points={"iris": "statistics"}, files=["statistics.py"])
    path = list(sys.path)
    sys.path.append(sys.path.pop(0))
    if is_imported:
        importlib.import_module("statistics")
    try:
        answer = explained(run, "iris")
    finally:
        sys.path[:] = path
    assert not answer["there"]
    assert "foreign-module: statistics is " in answer["reasons"][0]["why"]
    assert answer["reasons"][0]["remedy"].startswith("Tell its author: Python has a module stat")


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("fit", "it is an action; a key is written fit:KEY"),
        ("FITT:iris.old", "there is no action 'FITT'"),
        ("", "no plugin declares such a key"),
    ],
)
def test_subject_that_is_no_name_is_told_what_it_is(world, run, tmp_path, subject, told):
    (tmp_path / "c.yaml").write_text("names: []\nrequired: [nobody]\n")
    answer = explained(run, subject, "--conf", "c.yaml")
    assert answer["kinds"] == []
    assert told in answer["reasons"][0]["why"]


def test_target_is_a_subject_as_the_list_has_it(run, site, install):
    (site / "looked_at.py").write_text(LEGACY)
    install("looked-at", entry_points={"ep": "looked_at:lern"}, files=["looked_at.py"])
    (reason,) = explained(run, "looked_at:lern")["reasons"]
    assert (reason["subject"], reason["state"]) == ("ep", "failed")


def test_distribution_whose_metadata_cannot_be_read_is_said_so(run, site, install):
    made = install("looked-at", entry_points={"ep": "looked_at"})
    (made / "entry_points.txt").unlink()
    (made / "entry_points.txt").mkdir()
    (reason,) = explained(run, "looked-at")["reasons"]
    assert reason["why"].startswith("broken-metadata: cannot be read")


@pytest.mark.parametrize("subject", ["fit:iris.svc", "looked-svc"])
def test_nothing_is_there_where_a_secret_is_missing_that_ends_the_start(
    world, run, tmp_path, monkeypatch, subject
):
    conf = "names: []\nentry_points: {deny: [looked-legacy]}\noptions: {looked-svc: {token: 'env:LOOKED_TOKEN'}}\n"
    (tmp_path / "c.yaml").write_text(conf)
    answer = explained(run, subject, "--conf", "c.yaml")
    assert not answer["there"]
    (reason,) = (found for found in answer["reasons"] if "looked-svc" in found["who"])
    assert reason["why"].startswith("the start ends, since env:LOOKED_TOKEN cannot be read")
    assert reason["remedy"] == "Provide it where initialize is called."
    monkeypatch.setenv("LOOKED_TOKEN", "is set by now")
    assert explained(run, subject, "--conf", "c.yaml")["there"]


@pytest.mark.parametrize(
    ("statement", "remedy"),
    [
        ("os.environ['NOT_SET_HERE']", "Set the environment variable 'NOT_SET_HERE'"),
        ("sys.exit('no licence')", "Tell its author: sys.exit() belongs beneath"),
    ],
)
def test_failure_that_python_itself_raised_has_the_line_of_the_plugin(
    run, site, install, statement, remedy
):
    (site / "needing.py").write_text(
        "import os, sys\nfrom aimm_plugins import data_access\n@data_access('needing')\n"
        f"def rows(): ...\nif rows:\n    {statement}\n"
    )
    install("needing-dist", entry_points={"n": "needing"}, files=["needing.py"])
    (reason,) = explained(run, "needing-dist")["reasons"]
    assert reason["there"]
    assert "--load tells whether that succeeds" in run("explain", "needing")[2]
    for subject in ("data_access:needing", "needing-dist"):
        (reason,) = explained(run, subject, "--load")["reasons"]
        assert reason["why"].endswith("(needing.py:6)")
        assert reason["remedy"].startswith(remedy)
