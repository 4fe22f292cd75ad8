"""Ask the rules about an import, with the files that it would run by now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._policy.judge import Import, Policy

if TYPE_CHECKING:
    from aimm_plugins._discovery.ownership import CodeOwners


class ImportJudge:
    """Judges imports by one conf's rules and the operator's.

    Args:
        policy: The rules.
        installed: What is installed.
        locate: Finds a module's file without importing anything.
    """

    def __init__(
        self, policy: Policy, installed: Scan, locate: Callable[[str], str | None]
    ) -> None:
        self.policy = policy
        self.installed = installed
        self.locate = locate
        self._code_owners: CodeOwners | None = None
        suspects = policy.suspects(installed.find, installed.distributions)
        if suspects is None or suspects:
            self._code_owners = installed.code_owners(suspects)

    @property
    def asks_files(self) -> bool:
        """Whether the rules are about files at all."""
        return self._code_owners is not None

    def keeps_out(self, module: str) -> bool:
        """Whether a module must not be imported for whoever has installed it."""
        owner = self.installed.owner(module, self.locate(module))
        return self.reason(module, owner) is not None

    def reason(self, module: str, publisher: Distribution | None) -> str | None:
        """Why a module must not be imported now, or `None` if it may be.

        Args:
            module: Dotted name; empty for none, where the publisher alone is asked about.
            publisher: The distribution that brings it; `None` for a module of the host's own.
        """
        owners = self._code_owners
        files = () if owners is None or not module else owners.files(module, self.locate)
        return self.policy.judge(Import(module, publisher, files))
