"""The page on server start-up is true: uvicorn serves what it shows, and answers as it shows.

`UPDATE_DOCS=1 pytest tests/docs` writes the answers into the page.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from tests.docs.pages import Page
from tests.support.installing import ROOT, environment

PAGE = Page(ROOT / "docs" / "asgi.md")

pytest.importorskip("uvicorn")


@contextmanager
def served(folder, *arguments: str):
    """Runs uvicorn in a process with the page's files; gives what its addresses answer."""
    for name, text in PAGE.files().items():
        (folder / name).write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *arguments, "--fd", str(listening.fileno())],
            cwd=folder,
            env=environment(PYTHONPATH=str(folder)),
            pass_fds=[listening.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def fetch(path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()

    try:
        yield fetch
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert "Application shutdown complete" in output
    finally:
        process.kill()
        process.communicate()


def test_served_example_answers_as_the_page_shows(tmp_path):
    (_, *arguments), *fetches = map(shlex.split, PAGE.commands)
    assert [words[:2] for words in fetches] == [["curl", "-s"]] * 2
    with served(tmp_path, *arguments) as fetch:
        while json.loads(fetch("/plugins/ready"))["reason"] == "loading":
            continue
        for command, shown, block in PAGE.outputs()[1:]:
            answer = fetch(command.rpartition(":8000")[2])
            if os.environ.get("UPDATE_DOCS"):
                PAGE.shown(block, f"{answer}\n")
            else:
                assert f"{answer}\n" == shown


def test_lifespan_of_ones_own_finds_plugins_loaded(tmp_path):
    with served(tmp_path, "parts:app") as fetch:
        report = json.loads(fetch("/plugins"))
        assert "aimm-svc" in report["plugins"][-1]["error"]["message"]
        assert not json.loads(fetch("/plugins/ready"))["ready"]
