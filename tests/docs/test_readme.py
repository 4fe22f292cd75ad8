"""The README is true: its examples run, its commands are those that CI runs."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib

import pytest

import aimm_plugins
from tests.docs.pages import Page
from tests.support.installing import ROOT, build_wheels, pip

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = Page(ROOT / "README.md")


@pytest.fixture
def folder(site, monkeypatch):
    """An empty folder, the current one and first on `sys.path`."""
    monkeypatch.chdir(site)
    return site


def test_examples_run_in_their_order(folder, capsys):
    names = README.run(folder)
    assert "loaded" in capsys.readouterr().out
    assert names["report"].ok
    assert names["prediction"] == [3.0, 3.0]


def test_packaged_example_is_found_once_it_is_installed(tmp_path, site):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("my_models.py", "pyproject.toml"):
        (source / name).write_text(README.files()[name], encoding="utf-8")
    (wheel,) = build_wheels([source], tmp_path)
    pip(sys.executable, "install", "--no-deps", "--target", site, wheel)
    importlib.invalidate_caches()
    report = aimm_plugins.initialize({"names": [], "entry_points": {"allow": ["my-models"]}})
    (record,) = [record for record in report.plugins if record.state == "loaded"]
    assert (record.distribution, record.version, record.module) == ("my-models", "1.0", "my_models")
    assert set(record.provides) == {("instantiate", "mean"), ("fit", "mean"), ("predict", "mean")}


def test_there_are_two_commands_and_ci_runs_them():
    done = subprocess.run(
        [ROOT / ".ci" / "run", "--show"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == README.commands
    assert len(README.commands) == 2


def test_what_it_is_and_both_commands_stand_on_the_first_screen():
    text = README.path.read_text(encoding="utf-8")
    first = text.partition("\n## ")[0]
    assert all(command in first for command in README.commands)
    assert len(first.splitlines()) <= 45


def test_files_that_it_names_are_there():
    missing = [
        word
        for command in README.commands
        for word in command.replace('"', "").split()
        if word.startswith(("./", "sample_plugins/")) and not (ROOT / word).exists()
    ]
    assert missing == []


def test_links_work_on_pypi_too():
    text = README.path.read_text(encoding="utf-8")
    assert not re.findall(r"\]\((?!https://)[^)]*\)", text)
    assert not re.findall(r"(?m)^\[.*\]: (?!https://).*", text)


def test_every_page_of_the_documentation_is_linked():
    """From the README or from the first page, for readers who have no sidebar."""
    readme = README.path.read_text(encoding="utf-8")
    site = re.escape(PROJECT["urls"]["Documentation"])
    links = {f"docs/{page}.md" for page in re.findall(rf"\]: {site}([\w./-]+)\.html", readme)}
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    links |= {f"docs/{link}" for link in re.findall(r"\]\(([\w./-]+\.md)\)", index)}
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")}
    assert links == pages
