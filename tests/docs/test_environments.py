"""The page about environments is true: its commands and its programs print what it shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from aimm_plugins._discovery.scan import scan
from tests.docs.pages import UPDATE, Page
from tests.support.installing import ROOT, environment

PAGE = Page(ROOT / "docs" / "environments.md")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("uv") is None, reason="gets another Python by uv"),
    pytest.mark.skipif(bool(scan().candidates), reason="the page shows no other plugins"),
]


def test_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIMM_PLUGINS_CONF", raising=False)
    for block in [*PAGE.blocks("toml"), *PAGE.blocks("yaml"), *PAGE.blocks("text")]:
        name = re.match(r"# ([\w./]+)\n", block.code)
        if name is not None:
            path = tmp_path / name[1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.code)
    names: dict[str, Any] = {}
    outputs = []
    blocks = PAGE._blocks
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language == "console":
            command = block.code.removeprefix("$ ").partition("\n")[0]
            outputs.append((block, f"$ {command}\n{run(command)}"))
        elif block.language == "python" and block.file is not None:
            Path(block.file).write_text(block.code)
            write_the_same_for_new()
        elif block.language == "python":
            with redirect_stdout(StringIO()) as printed:
                exec(compile("\n" * (block.line - 1) + block.code, str(PAGE.path), "exec"), names)
            if following is not None and following.language == "text":
                outputs.append((following, printed.getvalue()))
    if UPDATE:
        PAGE._write(outputs)
    for block, output in outputs:
        assert UPDATE or output == block.code, f"line {block.line}"


def write_the_same_for_new() -> None:
    """The second project, as the page describes it."""
    for path in Path("old").iterdir():
        text = path.read_text().replace('"scikit-learn==1.3.2", "numpy<2"', '"scikit-learn==1.6.1"')
        new = Path("new", path.name.replace("old", "new"))
        new.parent.mkdir(exist_ok=True)
        new.write_text(text.replace("old", "new"))


def run(command: str) -> str:
    """What a command prints; what `env sync` tells of its progress is left out."""
    arguments = command.split()[1:]
    is_sync = "sync" in arguments
    done = subprocess.run(
        [sys.executable, "-m", "aimm_plugins", *arguments],
        env=environment(PATH=os.environ["PATH"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if is_sync else subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or not is_sync, done.stderr
    return done.stdout
