"""The page on integrations is true: a process that runs it prints what it shows.

In a process of its own, since the global meter provider can be set once.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.docs.pages import UPDATE, Page
from tests.support.installing import ROOT, environment

PAGE = Page(ROOT / "docs" / "integrations.md")

pytest.importorskip("opentelemetry.exporter.prometheus")


def test_page_prints_what_it_shows(tmp_path):
    for name, text in PAGE.files().items():
        (tmp_path / name).write_text(text)
    code = "".join(block.code for block in PAGE.blocks("python") if block.file is None)
    shown = "".join(block.code for block in PAGE.blocks("text"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    if UPDATE:
        spans, metrics = re.split(r"(?=^aimm_call)", done.stdout, maxsplit=1, flags=re.M)
        text = PAGE.path.read_text(encoding="utf-8")
        for block, output in zip(PAGE.blocks("text"), (spans, metrics), strict=True):
            text = text.replace(f"```text\n{block.code.lstrip()}```", f"```text\n{output}```", 1)
        PAGE.path.write_text(text, encoding="utf-8")
    else:
        assert done.stdout == shown
