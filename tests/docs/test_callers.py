"""The page for callers is true: its examples run, and print what it shows.

`UPDATE_DOCS=1 pytest tests/docs` writes what they print into the page.
"""

from __future__ import annotations

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
    PAGE.check(folder, folder)
