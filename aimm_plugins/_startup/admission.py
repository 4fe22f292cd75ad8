"""Judge each import at the moment when it happens.

A plan is made when a start begins. Until a module of it is imported, a plugin before it may have
changed `sys.path`, or pip the files; of a deferred plugin that may be days later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._policy.judge import ImportJudge, Policy
from aimm_plugins._values.report import PluginRecord

if TYPE_CHECKING:
    from aimm_plugins._discovery.ownership import ModuleFile
    from aimm_plugins._discovery.verification import Verified


class Proofs:
    """What `verify: record` has found out about distributions; each is read once."""

    def __init__(self) -> None:
        self._found: dict[str, Verified | str] = {}

    def fault(self, distribution: Distribution, file: ModuleFile | None) -> str | None:
        """Why a file, or with `None` any, is not what its distribution's RECORD has a hash of."""
        from aimm_plugins._discovery.verification import fault_of_place, verify

        found = self._found.get(distribution.place)
        if found is None:
            found = self._found[distribution.place] = verify(distribution)
        if isinstance(found, str):
            return found
        if file is None or file.file is None:
            return None
        return fault_of_place(found, file.module, file.file)

    @property
    def verified(self) -> tuple[Verified, ...]:
        return tuple(found for found in self._found.values() if not isinstance(found, str))


class Admission(NamedTuple):
    """The rules of a start: each conf's with the operator's, and what these have verified.

    What one conf denies another may load, as if each `initialize` stood alone. Before an import is
    let through, `protect` has only what is verified run of distributions.
    """

    judges: Sequence[ImportJudge]
    policy: Policy  # of the operator and all confs
    proofs: Proofs
    protect: Callable[[Sequence[Verified]], None]

    @property
    def is_needed(self) -> bool:
        return any(judge.asks_files for judge in self.judges)

    def denies_by_name(self, record: PluginRecord) -> bool:
        """Whether a plugin is denied whatever its files are."""
        return all(
            judge.policy.denies_by_name(record.module, _publisher(record, judge))
            for judge in self._judges_of(record)
        )

    def denial(self, record: PluginRecord) -> str | None:
        """Why the module of a plugin must not be imported now, or `None` if it may be."""
        judges = self._judges_of(record)
        if not judges:
            return "no conf asks for it any more"
        publisher = _publisher(record, judges[0])
        if publisher is None and record.source == "entry_point":
            return f"{record.distribution} is not installed any more"
        return self._reason(judges, record.module, publisher)

    def denial_of(self, module: str, publisher: Distribution | None) -> str | None:
        """The same for a module that is no plugin's own, such as that of a schema."""
        return self._reason(self.judges, module, publisher)

    def keeps_out(self, module: str) -> bool:
        """Whether the rules of all confs keep a module out, as one of who has installed it."""
        return self.is_needed and all(judge.keeps_out(module) for judge in self.judges)

    def _judges_of(self, record: PluginRecord) -> list[ImportJudge]:
        """Those by whose confs a plugin is asked for."""
        return [
            judge
            for judge in self.judges
            if (
                judge.policy.disabled_place is None
                if record.source == "entry_point"
                else record.name in judge.config.names
            )
        ]

    def _reason(
        self, judges: Sequence[ImportJudge], module: str, publisher: Distribution | None
    ) -> str | None:
        reasons = [judge.reason(module, publisher) for judge in judges]
        if reasons and None not in reasons:
            return reasons[0]
        self.protect(self.proofs.verified)
        return None


def _publisher(record: PluginRecord, judge: ImportJudge) -> Distribution | None:
    return None if record.distribution is None else judge.installed.find(record.distribution)
