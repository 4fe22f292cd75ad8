"""Pages of documentation, run as a reader would: files are written, Python is executed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
        self._blocks = list(_blocks(path.read_text(encoding="utf-8")))

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

    def shown(self, block: Block, output: str) -> None:
        """Write a block's output into the page; see `UPDATE_DOCS` in the tests."""
        text = self.path.read_text(encoding="utf-8")
        command = block.code.partition("\n")[0]
        new = f"{command}\n{output}"
        self.path.write_text(text.replace(block.code, new, 1), encoding="utf-8")

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
