"""What lines of an `entry_points.txt` stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._values.actions import Action

if TYPE_CHECKING:
    from aimm_plugins._discovery.module_location import Modules


class Candidate(NamedTuple):
    name: str
    value: str
    module: str
    attribute: str | None
    distribution: Distribution


class BrokenLine(NamedTuple):
    """A line of the group that cannot be read: a plugin that is not there.

    Attributes:
        name: The entry point's name; with the number of the line where that tells nothing apart.
        line: As written, shortened.
    """

    name: str
    line: str
    fault: str
    distribution: Distribution
    place: str


class Published(NamedTuple):
    """A key that metadata publishes, known before any import."""

    action: Action
    key: str
    module: str
    attribute: str
    distribution: Distribution
    place: str


class PublishedOptions(NamedTuple):
    """Where metadata says that the schema of a plugin's options is.

    Attributes:
        name: The plugin, by the name of its entry point or by its module.
        module: The module of the object, or the package that the file is in.
        attribute: The object, or the file's name.
        modules: Where the interpreter that it is for finds them, where that is another one.
    """

    name: str
    module: str
    attribute: str
    distribution: Distribution
    place: str
    modules: Modules | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a file, which can be read without running any code."""
        return self.attribute.endswith((".json", ".yaml", ".yml"))

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}"
