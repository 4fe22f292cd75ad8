"""The page on jobs is true: its jobs run in their order, and print what it shows.

`UPDATE_DOCS=1 pytest tests/docs` writes what they print into the page.
"""

from __future__ import annotations

import re

from tests.docs.pages import Page, run
from tests.support.installing import ROOT

PAGE = Page(ROOT / "docs" / "jobs.md")


def test_jobs_print_what_the_page_shows_and_write_their_files(tmp_path):
    for name, text in PAGE.files().items():
        (tmp_path / name).write_text(text)
    for command, _, block in PAGE.outputs():
        printed = run(command, tmp_path, tmp_path)
        progress = re.compile(r"^\w+: \d+/\d+\n", re.M)  # as often as time allows
        output = re.sub(r"\b\d+\.\d{3}\b", "0.001", progress.sub("", printed))
        PAGE.hold(block, output)
    assert (tmp_path / "predictions.csv").read_text().split() == [
        "prediction",
        "200.0",
        "202.0",
        "204.0",
    ]
    assert (tmp_path / "answers.jsonl").read_text() == "14.0\n16.0\n"
