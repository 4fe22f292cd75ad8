"""The inventory: what is known about distributions, plugins and keys, as values.

A plan foresees it, and a start has seen it. Verbs, reports and checks only render it, so that two
of them never tell different things about one plugin.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aimm_plugins._discovery.scan import Scan
from aimm_plugins._inventory.remedies import remedy_for
from aimm_plugins._policy.judge import Policy
from aimm_plugins._registry.providers import Slot
from aimm_plugins._source.declarations import PluginSource, SourceDeclaration
from aimm_plugins._startup.admission import Admission
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import described, single_errors
from aimm_plugins._values.provenance import Provenance
from aimm_plugins._values.report import Finding, PluginRecord, Report
from aimm_plugins.errors import PluginConflictError

KeysFrom = Literal["metadata", "source", "import", "unknown"]

ACTIVE_STATES = ("loaded", "stale", "deferred", "planned")
"""States of a plugin that calls reach, or would reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryItem:
    """The facts about one plugin."""

    record: PluginRecord
    # All keys that it declares, also those that it loses or is denied; and how they are known.
    declarations: tuple[SourceDeclaration, ...] = ()
    keys_from: KeysFrom = "unknown"
    source: PluginSource | None = None
    place: str | None = None  # where its source shows why its import will fail, if it does

    @property
    def keys(self) -> tuple[Slot, ...]:
        """Its action and key pairs, sorted, each once."""
        return tuple(sorted({(found.action, found.key) for found in self.declarations}))

    @property
    def complete(self) -> bool:
        """Whether there are surely no other keys."""
        if self.keys_from == "source":
            return self.source is not None and self.source.is_complete
        return self.keys_from != "unknown"

    @property
    def is_certain(self) -> bool:
        """Whether its import will surely declare these keys, and no others."""
        is_published = self.keys_from == "metadata"
        return self.complete and (is_published or all(one.certain for one in self.declarations))

    @property
    def active(self) -> bool:
        """Whether calls reach it, or would: a deferred one may be sure to fail."""
        error = self.record.error
        is_sound = error is None or isinstance(error, PluginConflictError)
        return self.record.state in ACTIVE_STATES and is_sound

    @property
    def identity_cells(self) -> tuple[str, str, str, str, str]:
        """Name, distribution, version, origin and target; what is unknown is empty.

        The target is what the import names, `module` or `module:object`, and where: `@environment`.
        """
        record = self.record
        target = f"{record.module}:{record.attribute}" if record.attribute else record.module
        if record.environment is not None:
            target += f"@{record.environment}"
        who = (record.distribution or "", record.version or "", record.origin or "")
        return record.name, *who, target

    @property
    def account(self) -> str:
        """Why it is in its state, on one line: what has failed comes before a rule."""
        record = self.record
        if record.error is None or record.state == "missing":  # whose reason says the same
            return record.reason or ""
        error = described(record.error).partition("\n")[0]
        return f"{error}; {record.reason}" if record.reason else error

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable, as in `schemas/list.yaml`."""
        (data,) = Report((self.record,)).to_dict()["plugins"]
        return {
            **data,
            "keys": [{"action": action, "key": key} for action, key in self.keys],
            "keys_from": self.keys_from,
            "complete": self.complete,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryKey:
    """The facts about one key that a plugin declares."""

    item: InventoryItem
    declaration: SourceDeclaration
    why_not: str | None = None  # the rule, error or other plugin that keeps calls from it, if any
    prefer_place: str | None = None  # of the `prefer` rule that gives the key to another plugin

    @property
    def answers(self) -> bool:
        return self.why_not is None

    @property
    def slot(self) -> str:
        return f"{self.declaration.action}:{self.declaration.key}"

    @property
    def place(self) -> str | None:
        """File and line of the declaration: `pkg/svc.py:14`."""
        found = self.declaration
        return Provenance(module=found.module, file=found.file, line=found.line).place


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What is installed, and what a conf makes of it."""

    plugins: tuple[InventoryItem, ...]  # in the order of loading; what is missing comes last
    findings: tuple[Finding, ...]
    installed: Scan
    policy: Policy
    admission: Admission
    # What is installed here, under `None`, and in environments.
    scans: Mapping[str | None, Scan]
    # Whether the plugins were imported for it.
    loaded: bool = False

    @property
    def report(self) -> Report:
        return Report((item.record for item in self.plugins), self.findings)

    @property
    def why_empty(self) -> str:
        place = self.policy.disabled_place
        installed = f"none is installed in {sys.prefix}"
        why = installed if place is None else f"entry points are disabled ({place})"
        return f"no plugins: {why}, and no conf names one"

    @property
    def ends(self) -> Finding | None:
        """What ends a start as a whole, so that no plugin of it answers: a missing secret."""
        return next((found for found in self.findings if found.code == "secret-missing"), None)

    @property
    def why_ended(self) -> str | None:
        found = self.ends
        return found and f"the start ends, since {found.subject} {found.message} ({found.place})"

    @property
    def keys(self) -> list[InventoryKey]:
        found = [key for item in self.plugins for key in self.keys_of(item)]
        return sorted(found, key=lambda key: (key.declaration.action, key.declaration.key))

    def keys_of(self, item: InventoryItem) -> list[InventoryKey]:
        provided = frozenset(item.record.provides)
        return [self._key(item, declaration, provided) for declaration in item.declarations]

    def keys_named(self, name: str) -> list[InventoryKey]:
        return [key for key in self.keys if name in (key.declaration.key, key.slot)]

    def of_distribution(self, name: str) -> list[InventoryItem]:
        wanted = normalized(name)
        return [
            item
            for item in self.plugins
            if item.record.distribution and normalized(item.record.distribution) == wanted
        ]

    def remedy(self, item: InventoryItem) -> str | None:
        """What to change so that calls reach a plugin by all its keys; `None` where they do."""
        record = item.record
        if item.active and record.error is None:
            return None if self.ends is None else self.ends.remedy
        installed = self.scans.get(record.environment, self.installed)
        return remedy_for(record, self.policy, installed)

    def _key(
        self, item: InventoryItem, declaration: SourceDeclaration, provided: frozenset[Slot]
    ) -> InventoryKey:
        record = item.record
        slot = (declaration.action, declaration.key)
        if item.active and (slot in provided or not declaration.certain):
            return InventoryKey(item=item, declaration=declaration, why_not=self.why_ended)
        text, place = f"{declaration.action}:{declaration.key}", None
        error = _error_about(record.error, slot)
        if error is not None:
            why = described(error)
        elif record.state == "denied":
            why = record.reason or record.state
        elif (preferred := self._preferred(text, declaration.key)) is not None:
            wanted, place = preferred
            why = f"prefer gives {text} to {wanted} ({place})"
        else:
            why = record.reason or "its metadata publishes it, and its module does not declare it"
        return InventoryKey(item=item, declaration=declaration, why_not=why, prefer_place=place)

    def _preferred(self, slot: str, key: str) -> tuple[str, str] | None:
        """The name that a `prefer` rule gives a key to, and the place of the rule."""
        for layer in self.policy.layers:
            for rule in (slot, key):
                if rule in layer.prefer:
                    return layer.prefer[rule]
        return None


def _error_about(error: BaseException | None, slot: Slot) -> BaseException | None:
    """What of a plugin's error keeps a key from it: of its conflicts, the one about the key."""
    for single in () if error is None else single_errors(error):
        if not isinstance(single, PluginConflictError) or (
            single.key == slot[1] and slot[0] in single.actions
        ):
            return single
    return None
