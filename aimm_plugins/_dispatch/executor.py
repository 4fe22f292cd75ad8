"""What answers calls elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aimm_plugins._config.values import Conf, DaskRules
    from aimm_plugins._registry.snapshot import Snapshot


class Executor(Protocol):
    """Runs calls elsewhere.

    Attributes:
        rules: What the conf says of it.
    """

    rules: DaskRules

    def is_ready(self, snapshot: Snapshot) -> bool:
        """Whether its workers have what a snapshot has."""
        ...

    def prepare(self, confs: list[Conf], snapshot: Snapshot) -> None:
        """Have its workers load what a snapshot has, which nobody can call here yet.

        Raises:
            ParityError: One has something else; all are left as they were.
        """
        ...

    def switch_on(self) -> None:
        """Answer calls from now on."""
        ...

    def close(self) -> None:
        """Answer no calls any more, and let go of the workers; does nothing the second time."""
        ...
