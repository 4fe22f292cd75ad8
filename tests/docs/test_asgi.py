"""The page on server start-up is true: uvicorn serves what it shows, and answers as it shows.

`UPDATE_DOCS=1 pytest tests/docs` writes the answers into the page.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.docs.pages import Page
from tests.support.installing import ROOT
from tests.support.serving import served

PAGE = Page(ROOT / "docs" / "asgi.md")

pytest.importorskip("uvicorn")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's files."""
    for name, text in PAGE.files().items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_served_example_answers_as_the_page_shows(folder):
    (_, *arguments), *fetches = map(shlex.split, PAGE.commands)
    assert [words[:2] for words in fetches] == [["curl", "-s"]] * 2
    with served(folder, *arguments) as server:
        while server.ask("/plugins/ready")[1]["reason"] == "loading":
            continue
        for command, _, block in PAGE.outputs()[1:]:
            _, answer = server.fetch(command.rpartition(":8000")[2])
            PAGE.hold(block, f"{answer}\n")
        server.stop()


def test_lifespan_of_ones_own_finds_plugins_loaded(folder):
    with served(folder, "parts:app") as server:
        _, report = server.ask("/plugins")
        assert "aimm-svc" in report["plugins"][-1]["error"]["message"]
        assert not server.ask("/plugins/ready")[1]["ready"]
        server.stop()
