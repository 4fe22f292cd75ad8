"""What a release rests on: one version, a changelog of the known form, hooks that judge."""

from __future__ import annotations

import re
import shlex
import tomllib
from datetime import date

import pytest
import yaml
from packaging.version import Version

import aimm_plugins
from aimm_plugins import cli
from aimm_plugins._discovery.scan import scan
from tests.support.installing import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
HOOKS = {
    hook["id"].removeprefix("aimm-plugins-"): hook
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
}


def test_version_is_that_of_the_project():
    assert aimm_plugins.__version__ == VERSION


def test_changelog_tells_versions_from_the_last_to_the_first():
    titles = re.findall(r"^## (.*)$", CHANGELOG, re.M)
    assert titles[0] == "[Unreleased]"
    released = [re.fullmatch(r"\[(\S+)\] - (\d{4}-\d\d-\d\d)", title) for title in titles[1:]]
    assert all(released), titles
    told = [(Version(match[1]), date.fromisoformat(match[2])) for match in released]
    assert told == sorted(told, reverse=True)
    assert all(version <= Version(VERSION) for version, _ in told)


def test_changelog_tells_no_changes_before_the_first_release():
    """Nobody had what was changed since: it says what there is, by subject."""
    versions = re.split(r"^## ", CHANGELOG, flags=re.M)[1:]
    if len(versions) == 1:
        subjects = set(re.findall(r"^### (.*)$", versions[0], re.M))
        assert subjects
        assert subjects & set(KINDS) == set()
        assert len(CHANGELOG.splitlines()) <= 120


def test_changelog_sorts_changes_by_known_kinds_after_the_first_release():
    for version in re.split(r"^## ", CHANGELOG, flags=re.M)[1:-1]:
        kinds = re.findall(r"^### (.*)$", version, re.M)
        assert kinds == [kind for kind in KINDS if kind in kinds]
        for part in re.split(r"^### .*$", version, flags=re.M)[1:]:
            assert part.strip().startswith("- ")


CODE = '''from aimm_plugins import fit


@fit(["mean"])
def learn(model):
    """Learn."""
    return model
'''
PROJECT = """[project]
name = "hooked"
version = "1"

[project.entry-points."aimm.plugins"]
hooked = "hooked"

[project.entry-points."aimm.plugins.fit"]
mean = "hooked:learn"
"""
FILES = {
    "conf": ("names: []\n", "nmaes: []\n"),
    "policy": ("entry_points: {deny: [a]}\n", "names: [a]\n"),
    "job": ("model: {type: mean}\n", "model: mean\n"),
}


def judged(hook: str, *files: str) -> int:
    """The exit status of a hook's command."""
    program, *arguments = shlex.split(HOOKS[hook]["entry"])
    assert program == "aimm-plugins"
    return cli.run([*arguments, *files])


@pytest.mark.parametrize("hook", FILES)
def test_hook_tells_files_that_fit_from_those_that_do_not(hook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in zip(("good", "bad"), FILES[hook], strict=True):
        (tmp_path / name).write_text(text)
    assert (judged(hook, "good"), judged(hook, "good", "bad")) == (0, 1)
    names = {"conf": "plugins.yaml", "policy": "policy.yml", "job": "jobs/job.yaml"}
    assert re.search(HOOKS[hook]["files"], names[hook])


def test_hook_tells_entry_points_that_are_stale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hooked.py").write_text(CODE)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    assert judged("entry-points") == 0
    (tmp_path / "hooked.py").write_text(CODE.replace("mean", "median"))
    assert judged("entry-points") == 1


@pytest.mark.skipif(bool(scan().candidates), reason="stubs are of an environment without plugins")
def test_hook_tells_stubs_that_are_stale(tmp_path, monkeypatch, write, install):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIMM_PLUGINS_CONF", raising=False)
    write(stubbed="@fit(['mean'])\ndef learn(model): ...\n")
    install("stubbed", entry_points={"s": "stubbed"}, files=["stubbed.py"])
    assert judged("stubs") == 1
    assert cli.run(["stubs"]) == 0
    assert judged("stubs") == 0


def test_every_hook_is_tried_here():
    assert HOOKS.keys() == {*FILES, "entry-points", "stubs"}
