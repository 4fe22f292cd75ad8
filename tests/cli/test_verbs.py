"""What the verbs that look have in common."""

from __future__ import annotations

import json
import os
import pty
import re
import sys
from contextlib import suppress

import pytest

from aimm_plugins import cli
from tests.cli.conftest import CONF


@pytest.mark.parametrize("verb", ["list", "doctor", "report", "diff", "show", "explain", "profile"])
def test_wrong_conf_exits_2_whatever_the_verb(run, verb, tmp_path):
    (tmp_path / "a.json").write_text('{"plugins": []}')
    subject = {"diff": [str(tmp_path / "a.json")], "show": ["a"], "explain": ["a"]}.get(verb, [])
    assert run(verb, *subject, "--conf", "none.yaml")[0] == 2


SUBJECTS = {"show": ["fit:iris.svc"], "explain": ["looked-dev"]}


@pytest.mark.parametrize("verb", ["plan", "freeze", "list", "doctor", "report", "show", "explain"])
def test_conf_may_be_named_by_option_argument_or_variable(world, run, verb, monkeypatch):
    def asked(*conf: str):
        return run(verb, *SUBJECTS.get(verb, []), *conf, "--format", "json")[:2]

    by_option = asked(*CONF)
    assert by_option != asked()
    assert asked("plugins.yaml") == by_option
    monkeypatch.setenv("AIMM_PLUGINS_CONF", "plugins.yaml")
    assert asked() == by_option
    monkeypatch.setenv("AIMM_PLUGINS_CONF", "none.yaml")
    assert asked("plugins.yaml") == asked(*CONF) == by_option


def test_conf_follows_what_is_compared_and_where_stubs_go(world, run, tmp_path):
    (tmp_path / "a.json").write_text('{"plugins": []}')
    for conf in (["plugins.yaml"], CONF):
        assert "looked-dev" in run("diff", "a.json", *conf)[1]
    (tmp_path / "own.yaml").write_text("names: []\nentry_points: {enabled: false}\n")
    for arguments in (["own.yaml"], ["--conf", "own.yaml"], ["typings", "own.yaml"]):
        assert run("stubs", *arguments)[0] == 0
    assert (tmp_path / "typings").is_dir()


def test_stubs_of_one_plugin_are_wrong_use(world, run, tmp_path):
    (tmp_path / "own.yaml").write_text("names: []\nentry_points: {allow: [looked-legacy]}\n")
    status, _, err = run("stubs", "looked-legacy", "own.yaml")
    assert status == 2
    assert "looked-legacy is a plugin" in err
    assert not (tmp_path / "looked-legacy").exists()


def test_two_confs_are_wrong_use(world, run):
    status, _, err = run("list", "other.yaml", *CONF)
    assert status == 2
    assert "two confs are given: other.yaml, and --conf plugins.yaml" in err


def test_conf_without_a_name_is_wrong_use(world, run):
    for conf in ([""], ["--conf", ""]):
        status, _, err = run("list", *conf)
        assert (status, "the name of the conf is empty" in err) == (2, True)


@pytest.mark.parametrize("verb", ["plan", "report"])
def test_missing_secret_is_exit_status_1_with_its_place(world, run, tmp_path, verb):
    (tmp_path / "c.yaml").write_text("names: []\noptions: {looked-legacy: {t: 'env:NO_SUCH'}}\n")
    for form in ("table", "json"):
        assert run(verb, "--conf", "c.yaml", "--format", form)[0] == 1
    assert "env:NO_SUCH" in "".join(run(verb, "--conf", "c.yaml")[1:])


def test_profile_leaves_plugins_of_environments_to_their_interpreter(world, run, tmp_path):
    own = {"path": sys.prefix, "plugins": ["looked-legacy", "looked-svc"]}
    conf = {"names": [], "entry_points": {"deny": ["looked-dev"]}, "environments": {"own": own}}
    (tmp_path / "own.yaml").write_text(json.dumps(conf))
    status, out, err = run("profile", "--runs", "1", "--conf", "own.yaml")
    assert (status, "legacy" in out) == (0, False)
    assert "aimm-plugins env run own --conf own.yaml -- aimm-plugins profile" in err


def test_plan_and_list_know_that_a_plugin_declares_nothing(world, run, site):
    (site / "looked_legacy.py").write_text("x = 1\n")
    for verb in ("plan", "list"):
        (row,) = [line for line in run(verb, *CONF)[1].splitlines() if "looked-legacy" in line]
        assert "?" not in row


@pytest.mark.parametrize("verb", ["plan", "list"])
def test_empty_answer_says_why(world, run, tmp_path, verb):
    (tmp_path / "c.yaml").write_text("names: []\nentry_points: {enabled: false}\n")
    status, _, err = run(verb, "--conf", "c.yaml")
    assert status == 0
    assert "no plugins: entry points are disabled (c.yaml:2), and no conf names one" in err


@pytest.mark.parametrize(
    "source",
    [
        "for key in 'ab':\n    fit([key])(print)\n",
        "for key in 'ab':\n    fit([key])(print)\n@fit(['c'])\ndef learn(m): ...\n",
        "import sys\nif sys.platform == 'other':\n    @fit(['c'])\n    def learn(m): ...\n",
    ],
)
def test_plan_as_json_tells_unknown_keys_from_none(world, run, site, source):
    (site / "looked_legacy.py").write_text(f"from aimm_plugins import fit\n{source}")
    known = {
        p["name"]: p["provides_known"] for p in run("plan", *CONF, "--format", "json")[1]["plugins"]
    }
    assert known == {"dev": True, "legacy": False, "svc": True}


def test_terminal_is_filled_and_no_text_is_lost(world, monkeypatch, run):
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.run(["explain", "looked-dev", *CONF]) == 1
    content = b""
    with suppress(OSError):  # the other end is closed, and all is read
        while more := os.read(ours, 100_000):
            content += more
    os.close(ours)
    text = content.decode().replace("\r", "")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 60
    assert "Remove 'looked-dev' (plugins.yaml:3) from deny" in re.sub(r"\s+", " ", text)
