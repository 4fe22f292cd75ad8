"""The README is true: its examples run, its commands are those that CI runs."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys

import pytest

import aimm_plugins
from aimm_plugins import cli
from tests.docs.pages import Page
from tests.support.installing import ROOT, build_wheels, pip

README = Page(ROOT / "README.md")


@pytest.fixture
def folder(site, monkeypatch):
    """An empty folder, the current one and first on `sys.path`."""
    monkeypatch.chdir(site)
    return site


def test_examples_run_in_their_order_and_print_what_is_shown(folder):
    shown = [
        (printed, following and following.code)
        for _, printed, following in README.printing(folder)
        if printed
    ]
    assert shown == [("[3.0, 3.0]\n", "[3.0, 3.0]\n")]


def test_conf_that_is_shown_is_right(folder, capsys):
    README.run(folder)
    assert cli.run(["schema", "plugins", "plugins.yaml"]) == 0
    report = aimm_plugins.initialize("plugins.yaml")
    assert report.ok


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


@pytest.fixture(scope="module")
def commands():
    """The marked commands, as CI reads them."""
    done = subprocess.run(
        [ROOT / ".ci" / "run", "--show"], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_ci_runs_the_commands_that_are_shown(commands):
    assert commands == README.commands
    assert len(commands) == 2
    assert "aimm-plugins run" in commands[0]
    assert "tox" in commands[1]


def test_ci_refuses_a_readme_without_a_mark(tmp_path):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    text = README.path.read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(text.replace("<!-- ci: tests -->", ""), encoding="utf-8")
    done = subprocess.run(
        [tmp_path / ".ci" / "run", "--show"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "README.md marks 0 commands by <!-- ci: tests -->, not one" in done.stderr


def test_plugin_host_and_install_stand_on_the_first_screen():
    text = README.path.read_text(encoding="utf-8")
    first = text.partition("\n## ")[0]
    assert all(word in first for word in ("@predict", "initialize(", "pip install"))
    assert len(first.splitlines()) <= 45
    assert len(text.splitlines()) <= 120


def test_files_that_it_names_are_there(commands):
    words = [word for command in commands for word in command.replace('"', "").split()]
    words += re.findall(r"`([\w./-]+/[\w./-]*)`", README.path.read_text(encoding="utf-8"))
    missing = [
        word
        for word in words
        if word.startswith(("./", "sample_plugins/", "docs/", ".github/"))
        and not (ROOT / word).exists()
    ]
    assert missing == []


def test_links_lead_to_files_that_are_there():
    text = README.path.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https://)([^)#]*)", text)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_links_of_the_description_on_pypi_lead_to_the_site():
    metadata = importlib.metadata.metadata("aimm-plugins")
    (site,) = [url for url in metadata.get_all("Project-URL", []) if "Documentation" in url]
    links = re.findall(r"\]\(([^)]*)\)", metadata.json["description"])
    assert len(links) >= 5
    assert [link for link in links if not link.startswith(site.split()[-1])] == []


def test_every_page_of_the_documentation_is_linked():
    """From the README or from the first page, for readers who have no sidebar."""
    readme = README.path.read_text(encoding="utf-8")
    links = set(re.findall(r"\]\((docs/[\w./-]+\.md)\)", readme))
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    links |= {f"docs/{link}" for link in re.findall(r"\]\(([\w./-]+\.md)\)", index)}
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")}
    assert links == pages
