"""The page for callers is true: its examples run, and print what it shows.

`UPDATE_DOCS=1 pytest tests/docs` writes what they print into the page.
"""

from __future__ import annotations

import os

import pytest

from tests.docs.pages import Page
from tests.support.installing import ROOT

PAGE = Page(ROOT / "docs" / "callers.md")


@pytest.fixture
def folder(site, monkeypatch):
    """The current folder, first on the path; a terminal of 80 columns without colours."""
    monkeypatch.chdir(site)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return site


def test_examples_run_and_print_what_the_page_shows(folder):
    pytest.importorskip("rich")
    outputs = []
    for block, printed, shown in PAGE.printing(folder):
        outputs.append((block, printed.replace(str(folder) + os.sep, "").strip("\n"), shown))
    if os.environ.get("UPDATE_DOCS"):
        lines = PAGE.path.read_text(encoding="utf-8").splitlines()
        for _, printed, shown in reversed(outputs):
            if shown is not None:
                begin = shown.line - 1
                end = begin + lines[begin:].index("```")
                lines[begin:end] = [line.rstrip() for line in printed.splitlines()]
        PAGE.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    assert sum(shown is not None for _, _, shown in outputs) == len(PAGE.blocks("text"))
    for block, printed, shown in outputs:
        text = "\n".join(line.rstrip() for line in printed.splitlines())
        assert text == ("" if shown is None else shown.code.strip("\n")), f"line {block.line}"
