"""The reference is complete: all that is public is on its pages, and can be read in a checkout too.

`UPDATE_DOCS=1 pytest tests/docs` writes the tables of names.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import aimm_plugins
from aimm_plugins import executors, reporters, testing, workers
from tests.docs.pages import UPDATE
from tests.support.installing import ROOT

PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))
DIRECTIVE = r"^\.\. (?:auto(?:class|data|exception|function)|py:class):: ([\w.]+)$"
BLOCK = re.compile(
    r"(?:^\| name \| what it is \|\n(?:\|[^\n]*\n)+\n)?"
    r"^```\{eval-rst\}\n\.\. currentmodule:: ([\w.]+)\n(.*?)^```$",
    re.M | re.S,
)


def summary(module: str, name: str) -> str | None:
    """The first sentence of a docstring, if there is one."""
    if name.startswith("aimm_plugins."):
        module, _, name = name.rpartition(".")
    value = getattr(importlib.import_module(module), name)
    if not (inspect.isclass(value) or inspect.isroutine(value) or hasattr(value, "__wrapped__")):
        return None
    text = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return text.replace("|", r"\|")


def with_table(match: re.Match[str]) -> str:
    """A block of directives, with a table of its names above it."""
    module, directives = match.groups()
    try:
        importlib.import_module(module)
    except ImportError:  # for want of an extra
        return match[0]
    block = f"```{{eval-rst}}\n.. currentmodule:: {module}\n{directives}```"
    rows = [(name, summary(module, name)) for name in re.findall(DIRECTIVE, directives, re.M)]
    if not any(text for _, text in rows):
        return match[0]
    lines = ["| name | what it is |", "| --- | --- |"]
    lines += [f"| `{name.rpartition('.')[2]}` | {text} |" for name, text in rows if text]
    return "\n".join([*lines, "", block])


def test_every_public_name_is_in_the_reference():
    modules = (aimm_plugins, executors, reporters, testing, workers)
    public = {name for module in modules for name in module.__all__}
    named = {
        name
        for page in PAGES
        for name in re.findall(DIRECTIVE, page.read_text(encoding="utf-8"), re.M)
    }
    assert public - named == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_are_told_in_a_table_by_their_docstrings(page: Path):
    text = page.read_text(encoding="utf-8")
    made = BLOCK.sub(with_table, text)
    if UPDATE:
        page.write_text(made, encoding="utf-8")
    else:
        assert text == made
