"""Who a plugin is and where it stands, and the one way to print that."""

import os
from typing import NamedTuple

from aimm_plugins._system.text import one_line


class Provenance(NamedTuple):
    """Who made something, and where.

    Attributes:
        module: The importable module.
        distribution: What pip installed, or `None` where no distribution owns the module.
        version: Version of `distribution`, or `None` where it cannot be read.
        entry_point: The metadata line that brought it, as `name = value`.
        config_place: Where a conf names it, such as `plugins.yaml:3`.
        file: Source file, absolute.
        line: Line in `file`, from 1.
        file_module: The module that `file` holds, where it is not `module`.
        environment: The environment in whose processes it runs; `None` for this process.
    """

    module: str
    distribution: str | None = None
    version: str | None = None
    entry_point: str | None = None
    config_place: str | None = None
    file: str | None = None
    line: int | None = None
    file_module: str | None = None
    environment: str | None = None

    @property
    def owner(self) -> str:
        """What a `prefer` rule would name: the distribution, else the module."""
        return self.distribution or self.module

    @property
    def place(self) -> str | None:
        """The file as far as the import path needs it, with the line: `pkg/svc.py:14`."""
        if self.file is None:
            return None
        short = short_file(self.file, self.file_module or self.module)
        return short if self.line is None else f"{short}:{self.line}"

    def columns(self) -> tuple[str, str, str]:
        """Distribution with version, way in, and place: the cells of a table."""
        who = f"{self.distribution} {self.version or '(unknown version)'}"
        place = "" if self.environment is None else f" in environment {self.environment}"
        who += place
        if self.entry_point is not None:
            way = f"entry point {self.entry_point}"
        elif not self.module and self.environment is not None:
            way = f"environment {self.environment} ({self.config_place})"
        elif not self.module:  # required, and not there: no plugin's module is known
            who, way = f"{self.distribution} {self.version or ''}".strip(), self.config_place or ""
        elif self.config_place is not None:
            way = f"config name {self.module} ({self.config_place})"
        else:
            way = f"module {self.module}{'' if self.distribution else place}"
        cells = (who if self.distribution else "", way, self.place or "")
        return one_line(cells[0]), one_line(cells[1]), one_line(cells[2])

    def __str__(self) -> str:
        return "  ".join(cell for cell in self.columns() if cell)


def short_file(file: str, module: str) -> str:
    """The end of a file's path that its module's name accounts for.

    The folder before it is the same for a whole site-packages and only makes messages long.
    """
    parts = file.replace(os.sep, "/").split("/")
    depth = module.count(".") + 1
    if parts[-1].startswith("__init__."):
        depth += 1
    return "/".join(parts[-depth:])
