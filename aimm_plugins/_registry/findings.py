"""Findings about what plugins declare, for plans and starts alike."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

from aimm_plugins._declarations.ledger import DeclarationLedger
from aimm_plugins._registry.providers import Slot
from aimm_plugins._system.modules import contents
from aimm_plugins._values.report import Finding, PluginRecord

if TYPE_CHECKING:
    from aimm_plugins._discovery.published import Published
    from aimm_plugins._registry.outcome import Loaded

PUBLISH = (
    "Its author publishes what the module declares by `aimm-plugins entry-points --write`, "
    "and installs the distribution again."
)


def declares_nothing(record: PluginRecord) -> Finding:
    """The finding that a plugin provides nothing."""
    return Finding(
        code="declares-nothing",
        subject=record.subject,
        message=f"{record.module} declares nothing: its import runs no decorator of aimm_plugins, "
        "and it has no hook implementation",
        place=record.provenance.place,
        remedy="Decorate what it should provide; if it is no plugin, take its entry point or its "
        "name in the conf away.",
    )


def empty_plugins(
    loaded: Mapping[str, Sequence[Loaded]], accounted: Collection[str], ledger: DeclarationLedger
) -> Iterator[Finding]:
    """Plugins that are loaded and have declared nothing: mostly a forgotten decorator.

    Args:
        loaded: The plugins, by module.
        accounted: Modules of those that have keys, have lost some, or have an error.
        ledger: What modules declared.
    """
    for module, entries in loaded.items():
        if module in accounted or any(entry.may_be_empty for entry in entries):
            continue
        if not _leads_to_declarations(module, ledger):
            yield declares_nothing(entries[0].record)


def keys_differ(
    record: PluginRecord,
    published: Mapping[Slot, Published],
    missing: Collection[Slot],
    more: Collection[Slot],
) -> tuple[str, str] | None:
    """What is to be said of a plugin that declares other keys than it publishes, and the place.

    Args:
        record: The plugin.
        published: The keys in its metadata.
        missing: Those of them that it does not declare.
        more: What it declares beyond them.
    """
    if not published or not (missing or more):
        return None
    parts = []
    if missing:
        parts.append(f"does not declare {_spelled(missing)}")
    if more:
        parts.append(f"declares {_spelled(more)} beyond that")
    message = (
        f"its metadata publishes {_spelled(published)}, and {record.module} {' and '.join(parts)}"
    )
    return message, next(iter(published.values())).place


def published_keys_differ(record: PluginRecord, message: str, place: str) -> Finding:
    """The finding of what `keys_differ` says."""
    return Finding("published-keys-differ", record.subject, message, place, PUBLISH)


def _leads_to_declarations(module: str, ledger: DeclarationLedger) -> bool:
    """Whether a module has declared, or has names of modules and functions of others that have."""
    if ledger.has(module):
        return True
    found = sys.modules.get(module)
    for value in list(contents(found).values()) if isinstance(found, ModuleType) else ():
        name = None
        if type(value) is ModuleType:
            name = contents(value).get("__name__")
        elif type(value) in (FunctionType, type):
            name = value.__module__
        if isinstance(name, str) and ledger.has(name):
            return True
    return False


def _spelled(slots: Iterable[Slot]) -> str:
    return ", ".join(f"{action}:{key}" for action, key in sorted(slots))
