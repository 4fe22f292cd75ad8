"""The map of the code in CONTRIBUTING is true."""

from __future__ import annotations

import re

from tests.docs.pages import Page
from tests.support.installing import ROOT

PAGE = Page(ROOT / ".github" / "CONTRIBUTING.md")
TEXT = PAGE.path.read_text(encoding="utf-8")


def test_files_that_it_names_are_there():
    named = set(re.findall(r"`((?:aimm_plugins|docs|tests)/[\w./-]+)`", TEXT))
    assert len(named) > 20
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_names_in_the_usual_changes_are_in_files_that_they_name():
    usual = TEXT.partition("Five usual changes")[2].partition("\n## ")[0]
    files = re.findall(r"`(aimm_plugins/[\w./-]+\.py)`", usual)
    code = "".join((ROOT / file).read_text(encoding="utf-8") for file in files)
    names = re.findall(r"`([A-Za-z_]\w+)`", usual)
    assert len(names) > 3
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []


def test_map_has_every_folder_of_the_package_and_nothing_that_is_not_there():
    (tree,) = [block.code for block in PAGE.blocks("text") if "aimm_plugins/" in block.code]
    shown = {
        name
        for line in tree.splitlines()
        if line.startswith("  ")
        for name in re.findall(r"[\w.]+(?:/|[.]py)", line)
    }
    package = ROOT / "aimm_plugins"
    folders = {f"{path.name}/" for path in package.iterdir() if path.is_dir()}
    folders.discard("__pycache__/")
    assert folders - shown == set()
    assert {name for name in shown if not (package / name).exists()} == set()


def test_every_stage_says_what_it_does_in_its_docstring():
    for folder in (ROOT / "aimm_plugins").iterdir():
        if folder.is_dir() and folder.name not in ("__pycache__", "schemas"):
            assert (folder / "__init__.py").read_text(encoding="utf-8").startswith('"""'), folder
