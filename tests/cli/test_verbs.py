"""What the verbs that look have in common."""

from __future__ import annotations

import os
import pty
import re
import sys
from contextlib import suppress

import pytest

from aimm_plugins import cli
from tests.cli.conftest import CONF


@pytest.mark.parametrize("verb", ["list", "doctor", "report", "diff", "show", "explain", "profile"])
def test_wrong_conf_exits_2_whatever_the_verb(run, verb, tmp_path):
    (tmp_path / "a.json").write_text('{"plugins": []}')
    subject = {"diff": [str(tmp_path / "a.json")], "show": ["a"], "explain": ["a"]}.get(verb, [])
    assert run(verb, *subject, "--conf", "none.yaml")[0] == 2


def test_terminal_is_filled_and_no_text_is_lost(world, monkeypatch, run):
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.run(["explain", "looked-dev", *CONF]) == 1
    content = b""
    with suppress(OSError):  # the other end is closed, and all is read
        while more := os.read(ours, 100_000):
            content += more
    os.close(ours)
    text = content.decode().replace("\r", "")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 60
    assert "Remove 'looked-dev' (plugins.yaml:3) from deny" in re.sub(r"\s+", " ", text)
