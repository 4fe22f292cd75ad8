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


SCRAPE = """
import re
import urllib.request

import serve_metrics

server, _ = serve_metrics.serve(port=0)
aimm_plugins.initialize(
    {"names": ["aimm_plugins.contrib.otel"], "entry_points": {"enabled": False}}
)
aimm_plugins.exec_fit("mean", {})
with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
    for line in answer.read().decode().splitlines():
        if re.match(r'aimm_call_duration_seconds_count|aimm_plugins{.*"(loaded|failed)"', line):
            print(re.sub(',?otel_scope_[a-z_]+="[^"]*"', "", line))
"""


def test_page_prints_what_it_shows(tmp_path):
    for name, text in PAGE.files().items():
        (tmp_path / name).write_text(text)
    code = "".join(block.code for block in PAGE.blocks("python") if block.file is None)
    done = subprocess.run(
        [sys.executable, "-c", code + SCRAPE],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    spans, metrics = re.split(r"(?=^aimm_call)", done.stdout, maxsplit=1, flags=re.M)
    (shown,) = PAGE.blocks("text")
    (scrape,) = [block for block in PAGE.blocks("console") if "/metrics" in block.code]
    PAGE.hold(scrape, metrics)
    if UPDATE:
        text = PAGE.path.read_text(encoding="utf-8")
        PAGE.path.write_text(
            text.replace(f"```text\n{shown.code}```", f"```text\n{spans}```", 1), encoding="utf-8"
        )
    else:
        assert spans == shown.code
