"""`diff`: what changed between two reports or freezes."""

from __future__ import annotations

import json
import os

import pytest

from tests.cli.conftest import CONF


def test_diff_of_a_report_and_this_environment(world, run, tmp_path, install):
    (tmp_path / "a.json").write_text(json.dumps(run("list", "--format", "json", *CONF)[1]))
    status, answer, _ = run("diff", "a.json", "--format", "json", *CONF)
    assert (status, answer["differences"]) == (0, [])
    install("looked-new", "3.0", entry_points={"new": "looked_legacy"})
    (tmp_path / "plugins.yaml").write_text("names: []\non_error: isolate\n")
    status, answer, _ = run("diff", "a.json", "--format", "json", *CONF)
    assert status == 1
    changes = {(d["kind"], d["subject"], d["field"]): d for d in answer["differences"]}
    assert changes["distribution", "looked-new", "presence"]["after"] == "3.0"
    assert changes["plugin", "looked-dev (dev)", "state"]["before"] == "denied"
    assert changes["key", "fit:dev.old", "provider"]["after"] == "looked-dev"
    assert "looked-new" in run("diff", "a.json", *CONF)[1]


def test_diff_of_a_freeze_and_this_environment(world, run, tmp_path, site, install):
    text = run("freeze", *CONF)[1]
    (tmp_path / "plugins.lock").write_text(text)
    (tmp_path / "frozen.json").write_text(json.dumps(run("freeze", "--format", "json", *CONF)[1]))
    assert run("diff", "plugins.lock", *CONF)[:2] == (0, "")
    assert run("diff", "plugins.lock", "frozen.json")[:2] == (0, "")
    record = site / "looked_svc-1.2.dist-info" / "RECORD"
    record.write_text(record.read_text() + "more.py,sha256=x,1\n")
    status, answer, _ = run("diff", "plugins.lock", "--format", "json", *CONF)
    assert status == 1
    assert [(d["subject"], d["field"]) for d in answer["differences"]] == [("looked-svc", "record")]


def test_diff_tells_where_plugins_run_and_each_environment_by_itself(run, tmp_path):
    """One distribution may be in two environments, in two versions."""

    def report(file, **versions):
        keys = [{"action": "fit", "key": "k"}]
        record = {"name": "ep", "module": "m", "distribution": "d", "origin": "index"}
        record |= {"state": "loaded", "reason": None, "error": None, "provides_known": True}
        plugins = [
            {**record, "version": version, "environment": where if where != "here" else None}
            | {"provides": keys if number == 0 else []}
            for number, (where, version) in enumerate(versions.items())
        ]
        (tmp_path / file).write_text(json.dumps({"plugins": plugins}))

    def changes(*files):
        paths = [str(tmp_path / file) for file in files]
        found = run("diff", *paths, "--format", "json")[1]["differences"]
        return {(d["kind"], d["subject"]): (d["before"], d["after"]) for d in found}

    report("a.json", old="1.0", new="2.0")
    report("b.json", old="1.1", new="2.0")
    report("c.json", here="1.0")
    assert changes("a.json", "b.json") == {("distribution", "d"): ("1.0", "1.1")}
    moved = changes("c.json", "a.json")
    assert moved["plugin", "d (ep)"] == ("active", None)
    assert moved["plugin", "d (ep)@old"] == (None, "active")
    assert moved["key", "fit:k"] == ("d", "d@old")
    assert moved["distribution", "d@new"] == (None, "2.0")


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="has no files for open pipes")
def test_diff_of_a_freeze_that_another_command_writes(world, run, tmp_path):
    """`diff plugins.lock <(ssh host aimm-plugins freeze)`."""
    text = run("freeze", *CONF)[1]
    (tmp_path / "plugins.lock").write_text(text)
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    assert run("diff", "plugins.lock", f"/dev/fd/{reading}")[:2] == (0, "")
    os.close(reading)


def test_diff_of_a_report_and_a_freeze_compares_distributions(world, run, tmp_path):
    (tmp_path / "plugins.lock").write_text(run("freeze", *CONF)[1])
    (tmp_path / "a.json").write_text(json.dumps(run("report", "--format", "json", *CONF)[1]))
    _, answer, _ = run("diff", "a.json", "plugins.lock", "--format", "json")
    assert {d["kind"] for d in answer["differences"]} == {"distribution"}
    assert [d["subject"] for d in answer["differences"]] == ["looked-dev"]


def test_diff_sees_findings_and_makes_nothing_of_keys_that_one_side_cannot_tell(
    world, run, tmp_path
):
    plan = run("plan", "--format", "json", *CONF)[1]
    plan["findings"] = [{"code": "c", "subject": "s", "message": "", "place": None, "remedy": None}]
    (tmp_path / "a.json").write_text(json.dumps(plan))
    _, answer, _ = run("diff", "a.json", "--format", "json", *CONF)
    assert [(d["kind"], d["subject"]) for d in answer["differences"]] == [("finding", "s")]


def test_diff_tells_each_finding_by_itself(world, run, tmp_path):
    plan = run("plan", "--format", "json", *CONF)[1]
    finding = {"subject": "s", "message": "", "place": None, "remedy": None}
    for name, codes in (("a.json", "bc"), ("b.json", "cd")):
        plan["findings"] = [{"code": code, **finding} for code in codes]
        (tmp_path / name).write_text(json.dumps(plan))
    _, answer, _ = run("diff", "a.json", "b.json", "--format", "json")
    found = [(d["subject"], d["before"], d["after"]) for d in answer["differences"]]
    assert found == [("s", "b", None), ("s", None, "d")]


@pytest.mark.parametrize(
    "content", ["{}", "[1]", "{", "nonsense", '{"plugins": [{}]}', '{"frozen": 5}']
)
def test_diff_of_something_else_exits_2(world, run, tmp_path, content):
    (tmp_path / "odd").write_text(content)
    status, out, err = run("diff", "odd")
    assert (status, out) == (2, "")
    assert "odd" in err
    assert run("diff", "none.json")[0] == 2
