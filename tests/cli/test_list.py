"""`list`: what is installed, without importing it."""

from __future__ import annotations

import io
import logging

import pytest

from tests.cli.conftest import CONF, LEGACY


def test_list_tells_keys_from_metadata_and_from_source(world, run):
    _, answer, _ = run("list", "--format", "json", *CONF)
    rows = {record["name"]: record for record in answer["plugins"]}
    assert {name: row["state"] for name, row in rows.items()} == {
        "dev": "denied",
        "legacy": "planned",
        "svc": "planned",
    }
    assert rows["svc"]["keys_from"] == "metadata"
    assert rows["legacy"]["keys_from"] == "source"
    assert rows["legacy"]["keys"] == [
        {"action": "fit", "key": "iris.old"},
        {"action": "fit", "key": "iris.svc"},
    ]
    assert rows["legacy"]["provides"] == [{"action": "fit", "key": "iris.old"}]
    assert rows["dev"]["keys"][0]["key"] == "dev.old"


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("fit", ["dev", "legacy", "svc"]),
        ("iris.svc", ["legacy", "svc"]),
        ("fit:iris.old", ["legacy"]),
        ("predict", []),
    ],
)
def test_list_is_narrowed_to_who_provides_something(world, run, wanted, names):
    _, answer, _ = run("list", "--provides", wanted, "--format", "json", *CONF)
    assert [record["name"] for record in answer["plugins"]] == names


def test_list_tells_what_failed_before_what_is_lazy(world, run, tmp_path, site):
    (site / "looked_legacy.py").write_text("import surely_not_there\n" + LEGACY)
    (tmp_path / "c.yaml").write_text("names: []\nload: lazy\n")
    _, out, _ = run("list", "--conf", "c.yaml")
    (row,) = [line for line in out.splitlines() if line.startswith("legacy")]
    assert row.split("  ")[-1].startswith("ModuleNotFoundError: No module named 'surely_not_there'")


def test_list_of_what_nobody_declares_tells_the_nearest(world, run):
    status, _, err = run("list", "--provides", "fit:iris.svx", *CONF)
    assert status == 0
    assert "no plugin declares fit:iris.svx; did you mean 'fit:iris.svc'?" in err


def test_list_obeys_nothing_that_a_plugin_is_called(world, run, site):
    (site / "looked_legacy.py").write_text(LEGACY.replace("iris.old", "\\x1b[31mred\\n"))
    _, out, _ = run("list", *CONF)
    (row,) = [line for line in out.splitlines() if line.startswith("legacy")]
    assert r"fit:\x1b[31mred\n" in row


def test_list_with_load_shows_what_the_imports_came_to(world, run, site):
    (site / "looked_legacy.py").write_text(LEGACY.replace("iris.old", "iris." + "new"))
    status, answer, err = run("list", "--load", "--format", "json", *CONF)
    rows = {record["name"]: record for record in answer["plugins"]}
    assert status == 0
    assert rows["svc"]["state"] == "failed"
    assert "ZeroDivisionError" in rows["svc"]["error"]["type"]
    assert rows["legacy"]["state"] == "loaded"
    assert rows["legacy"]["keys_from"] == "import"
    assert rows["dev"]["state"] == "denied"
    assert "Traceback" not in err


def test_list_with_load_logs_no_failure_that_the_answer_tells(world, run, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(stream))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    run("list", "--load", *CONF)
    assert stream.getvalue() == ""


def test_list_with_load_keeps_stdout_for_the_answer(world, run, site):
    (site / "looked_legacy.py").write_text("print('noise')\n" + LEGACY)
    _, out, err = run("list", "--load", *CONF)
    assert "noise" not in out
    assert "noise" in err
