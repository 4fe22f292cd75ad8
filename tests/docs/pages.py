"""Pages of documentation, run as a reader would: files are written, Python and commands executed.

`UPDATE_DOCS=1 pytest tests/docs` writes what is printed into the pages.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.installing import environment
from tests.support.metadata import write_dist_info

UPDATE = bool(os.environ.get("UPDATE_DOCS"))


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: What stands after the fence.
        code: Its text.
        line: Line of its first line in the page, from 1.
    """

    language: str
    code: str
    line: int

    @property
    def file(self) -> str | None:
        """The name in a first line such as `# my_models.py`: the block is that file's content."""
        match = re.match(r"# ([\w./-]+\.(?:py|yaml|toml|json|csv))\s", self.code)
        return match and match[1]


class Page:
    """A Markdown page.

    Args:
        path: The page.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self._blocks = list(_blocks(self.text))

    def blocks(self, language: str) -> list[Block]:
        """The fenced blocks of a language, in order."""
        return [block for block in self._blocks if block.language == language]

    @property
    def commands(self) -> list[str]:
        """What the page tells to type into a shell."""
        return [
            line.removeprefix("$ ")
            for block in self.blocks("console")
            for line in block.code.splitlines()
            if line.startswith("$ ")
        ]

    def files(self) -> dict[str, str]:
        """Names and contents of the files that the page shows; the last of a name counts."""
        return {block.file: block.code for block in self._blocks if block.file is not None}

    def outputs(self) -> list[tuple[str, str, Block]]:
        """Each command that stands alone in its block, with the output shown after it."""
        found = []
        for block in self.blocks("console"):
            command, _, output = block.code.removeprefix("$ ").partition("\n")
            found.append((command, output, block))
        return found

    def hold(self, block: Block, output: str) -> None:
        """Hold what a block's command prints against what it shows, or write it there."""
        command = block.code.partition("\n")[0]
        new = f"{command}\n{output}"
        if UPDATE:
            text = self.path.read_text(encoding="utf-8")
            self.path.write_text(text.replace(block.code, new, 1), encoding="utf-8")
        else:
            assert new == block.code, f"line {block.line}"

    def run(self, folder: Path) -> dict[str, Any]:
        """Write the page's files and execute its other Python, block by block, in order.

        Args:
            folder: Where files go; the caller has made it the current one, first on `sys.path`.

        Returns:
            The names that the blocks made. A traceback names the line in the page.
        """
        names: dict[str, Any] = {"__name__": "__page__"}
        for block in self._blocks:
            self._run(block, folder, names)
        return names

    def printing(self, folder: Path) -> Iterator[tuple[Block, str, Block | None]]:
        """As `run`, with what each block of Python prints.

        Args:
            folder: As for `run`.

        Yields:
            A block that was executed, what it printed, and the block of text that follows it in
            the page, where its output is shown.
        """
        names: dict[str, Any] = {"__name__": "__page__"}
        for block, following in zip(self._blocks, [*self._blocks[1:], None], strict=True):
            with redirect_stdout(io.StringIO()) as printed:
                executed = self._run(block, folder, names)
            if executed:
                shown = following if following and following.language == "text" else None
                yield block, printed.getvalue(), shown

    def check(self, folder: Path, site: Path) -> None:
        """Run the page, and hold what is printed against what it shows, or write it there.

        A command stands at the head of its block; what Python prints is the block of text that
        follows.

        Args:
            folder: The current folder, where the page's files go.
            site: The folder whose distributions are installed, first on `sys.path`.
        """
        names: dict[str, Any] = {"__name__": "__page__"}
        outputs: list[tuple[Block, str]] = []
        for block, following in zip(self._blocks, [*self._blocks[1:], None], strict=True):
            if block.language == "console":
                command = block.code.removeprefix("$ ").partition("\n")[0]
                printed = f"$ {command}\n{run(command, site, folder)}"
                outputs.append((block, printed))
                continue
            with redirect_stdout(io.StringIO()) as stream:
                executed = self._run(block, folder, names)
            printed = shortened(stream.getvalue(), site, folder)
            if executed and following is not None and following.language == "text":
                outputs.append((following, printed))
            else:
                assert printed == "", f"line {block.line} prints what the page does not show"
        if UPDATE:
            self._write(outputs)
        else:
            for block, printed in outputs:
                assert printed == block.code, f"line {block.line}"

    def _write(self, outputs: list[tuple[Block, str]]) -> None:
        lines = self.path.read_text(encoding="utf-8").splitlines()
        for block, printed in reversed(outputs):
            begin = block.line - 1
            end = begin + lines[begin:].index("```")
            lines[begin:end] = printed.splitlines()
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _run(self, block: Block, folder: Path, names: dict[str, Any]) -> bool:
        """Write a block's file or execute its Python; returns whether it did the latter."""
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
            return False
        if block.language != "python":
            return False
        code = "\n" * (block.line - 1) + block.code
        # The page speaks of its own files, and is run where they are.
        exec(compile(code, str(self.path), "exec"), names)
        return True


def run(command: str, site: Path, folder: Path | None = None) -> str:
    """What a command of a page prints, on stdout and stderr, as a terminal shows it.

    Args:
        command: Of `aimm-plugins` or `python`, with variables of the environment before it.
        site: Folder on the path of the process.
        folder: Its current folder; `None` for that of this process.
    """
    words = shlex.split(command)
    variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    program, *arguments = words[len(variables) :]
    program = {"python": [], "aimm-plugins": ["-m", "aimm_plugins"]}[program]
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(site), **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return shortened(done.stdout, site, *([folder] if folder else []))


def shortened(text: str, *folders: Path) -> str:
    """A text with paths as seen from folders that a reader does not have, and one process."""
    for folder in folders:
        text = text.replace(f"{folder}{os.sep}", "")
    text = re.sub(r" +$", "", text, flags=re.M)  # of what is as wide as the terminal
    # A page's Python is a reader's main program.
    return re.sub(r"\(process \d+\)", "(process 4711)", text.replace("__page__", "__main__"))


def install_projects(page: Page, site: Path) -> None:
    """Install what a page shows as projects: `NAME/pyproject.toml` with modules beside it."""
    files = {path.partition("/")[::2]: text for path, text in page.files().items() if "/" in path}
    for (_, file), text in files.items():
        if file.endswith(".py"):
            (site / file).write_text(text, encoding="utf-8")
    for (name, file), text in files.items():
        if file == "pyproject.toml":
            project = tomllib.loads(text)["project"]
            lines = "".join(
                f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in each.items())
                for group, each in project["entry-points"].items()
            )
            modules = [other for (owner, other) in files if owner == name and other.endswith(".py")]
            write_dist_info(
                site, name, project.get("version", "1.0"), entry_points=lines, files=modules
            )


def serve(page: Page, site: Path, sources: Mapping[str, str], published: Mapping[str, str]) -> Path:
    """Install the four distributions that pages for operators suppose, and write a page's files.

    Args:
        page: The page.
        site: Where they are installed.
        sources: The modules `aimm_svc`, `aimm_legacy`, `aimm_trees` and `aimm_dev`.
        published: Those that publish `fit:iris.svc`, with the function.

    Returns:
        The folder that holds the files; it is beside `site`.
    """
    versions = {"aimm_svc": "1.2", "aimm_legacy": "0.9", "aimm_trees": "2.0", "aimm_dev": "0.1"}
    for module, version in versions.items():
        (site / f"{module}.py").write_text(sources[module], encoding="utf-8")
        vcs = {"url": "https://git.example/dev", "vcs_info": {"vcs": "git"}}
        function = published.get(module)
        write_dist_info(
            site,
            module.replace("_", "-"),
            version,
            entry_points={module.removeprefix("aimm_"): module},
            published={"fit:iris.svc": f"{module}:{function}"} if function else None,
            files=[f"{module}.py"],
            direct_url=vcs if module == "aimm_dev" else None,
        )
    folder = site.parent / "server"
    folder.mkdir()
    for name, text in page.files().items():
        if name.endswith(".json"):
            text = text.partition("\n")[2]  # the name is no JSON
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _blocks(text: str) -> list[Block]:
    found: list[Block] = []
    language, begin, lines = None, 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
        elif language is None:
            language, begin, lines = line.strip().strip("`").split(" ")[0], number + 1, []
        else:
            found.append(Block(language, "\n".join(lines) + "\n", begin))
            language = None
    assert language is None, f"the fence of line {begin - 1} is not closed"
    return found
