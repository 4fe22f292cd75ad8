"""What runs calls elsewhere, as start-up knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from aimm_plugins._config.values import DaskRules
    from aimm_plugins._registry.snapshot import Snapshot


@runtime_checkable
class Executor(Protocol):
    """Runs calls elsewhere, in workers that have the same plugins.

    Attributes:
        rules: What the conf says of it.
    """

    rules: DaskRules

    def is_ready(self, snapshot: Snapshot) -> bool:
        """Whether its workers have what a snapshot has; asked with a lock held, so be quick."""
        ...

    def prepare(self, confs: list[Mapping[str, object] | str], snapshot: Snapshot) -> None:
        """Have its workers load what a snapshot has, which cannot be called here yet.

        The confs are what this process was initialized by, in order, as workers can read it:
        mappings and absolute paths.

        Raises:
            ParityError: A worker has something else; all are left as they were.
        """

    def switch_on(self) -> None:
        """Answer calls from now on; does nothing the second time."""

    def close(self) -> None:
        """Answer no calls any more, and let go of the workers; does nothing the second time."""
