"""The tutorial is true: a project is made, changed, tested, built, installed and called."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from aimm_plugins._discovery.scan import scan
from tests.docs.pages import Page, run
from tests.support.installing import AS_AUTHORS_HAVE_IT, ROOT, environment, install_as_editable, pip

PAGE = Page(ROOT / "docs" / "tutorial.md")


class Reader:
    """Types what the page shows.

    Args:
        folder: Where the reader begins.
        site: Stands for the environment into which pip installs.
    """

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder = folder
        self.site = site

    def type(self, command: str) -> str:
        """What a command prints."""
        program, *arguments = shlex.split(command)
        if program == "cd":
            self.folder /= arguments[0]
            return ""
        if program == "ls":
            return "".join(f"{path.name}\n" for path in sorted((self.folder / "dist").iterdir()))
        if program == "pip":
            self.pip(*arguments)
            return ""
        if program == "pytest":
            return self.pytest(*arguments)
        return run(command, self.site, self.folder)

    def pip(self, verb: str, *arguments: str) -> None:
        """Run pip as far as no index is needed for it."""
        if ".[new]" in arguments:
            return  # it is here
        if verb == "wheel":
            folder = self.folder / "dist"
            pip(
                sys.executable,
                "wheel",
                "--no-build-isolation",
                "--no-deps",
                "-w",
                folder,
                self.folder,
            )
            return
        if "-e" in arguments:
            install_as_editable(self.folder, self.site)
            return
        options = ["--no-build-isolation", "--no-deps", "--upgrade", "--target", self.site]
        pip(sys.executable, "install", *options, self.folder / arguments[0])

    def pytest(self, *arguments: str) -> str:
        """What pytest prints, but for its progress and time."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments, "-p", "no:cacheprovider"],
            cwd=self.folder,
            env=environment(**AS_AUTHORS_HAVE_IT, PYTHONPATH=str(self.site)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return re.sub(r" in [\d.]+s", "", done.stdout.splitlines()[-1]) + "\n"

    def edit(self, code: str) -> None:
        """Put a block's functions in the place of those of the same name, or its import on top."""
        name, _, code = code.partition("\n")
        path = self.folder / name.removeprefix("# in ")
        text = path.read_text(encoding="utf-8")
        for new in ast.parse(code).body:
            source = ast.get_source_segment(code, new)
            assert source is not None
            if isinstance(new, ast.ImportFrom):
                text = text.replace("from collections.abc", f"{source}\nfrom collections.abc", 1)
                continue
            assert isinstance(new, ast.FunctionDef)
            (old,) = (
                each
                for each in ast.parse(text).body
                if isinstance(each, ast.FunctionDef) and each.name == new.name
            )
            known = ast.get_source_segment(text, old)
            assert known is not None
            text = text.replace(known, source)
        path.write_text(text, encoding="utf-8")


@pytest.mark.skipif(
    bool(scan().candidates), reason="the page shows an environment without other plugins"
)
def test_reader_comes_to_what_the_page_shows(tmp_path):
    for package in ("copier", "hatchling"):
        pytest.importorskip(package)
    reader = Reader(tmp_path, tmp_path / "site")
    edits = [b.code for b in PAGE.blocks("python") if b.code.startswith("# in ")]
    outputs = []
    for command, _, block in PAGE.outputs():
        if command.startswith("pip install -e"):
            for code in edits:
                reader.edit(code)
            (reader.folder / "host.py").write_text(PAGE.files()["host.py"], encoding="utf-8")
        outputs.append((block, reader.type(command)))
    for block, printed in outputs:
        PAGE.hold(block, printed)
