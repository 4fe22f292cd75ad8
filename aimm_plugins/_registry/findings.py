"""Findings about what plugins declare, for plans and starts alike."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

from aimm_plugins._declarations.ledger import DeclarationLedger
from aimm_plugins._registry.providers import Offer, Slot
from aimm_plugins._system.modules import contents
from aimm_plugins._values.report import Finding, Identity, PluginRecord
from aimm_plugins.errors import DeclarationError

if TYPE_CHECKING:
    from aimm_plugins._discovery.published import Published
    from aimm_plugins._registry.change import Loaded


def declares_nothing(record: PluginRecord) -> Finding:
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

    Those `accounted` for have keys, have lost some, or have an error.
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
) -> Finding | None:
    """The finding that a plugin does not declare published keys, or declares more than these."""
    if not published or not (missing or more):
        return None
    parts = [f"does not declare {_spelled(missing)}"] if missing else []
    parts += [f"declares {_spelled(more)} beyond that"] if more else []
    first = next(iter(published.values()))
    metadata, module = "its metadata publishes", record.module
    place: str | None = first.place
    remedy = (
        "Its author publishes what the module declares by `aimm-plugins entry-points --write`, "
        "and installs the distribution again."
    )
    if first.distribution.version != record.version:  # upgraded while it waited for its first call
        metadata, place = f"the metadata of {first.distribution.who} published", None
        module += f" of {record.version}, which is installed by now,"
        remedy = "Call refresh(), which reads the metadata again."
    message = f"{metadata} {_spelled(published)}, and {module} {' and '.join(parts)}"
    return Finding("published-keys-differ", record.subject, message, place, remedy)


def check_published_keys(
    loaded: Mapping[str, Sequence[Loaded]],
    published: Mapping[Identity, Sequence[Published]],
    contenders: Mapping[Slot, Mapping[str, Offer]],
    errors: dict[str, list[Exception]],
) -> list[Finding]:
    """Find plugins whose modules declare other keys than their metadata publishes.

    Others have relied on the published keys of a plugin that was deferred, so there it is the
    plugin's failure and is added to `errors`. Otherwise it is a finding.
    """
    if not published:
        return []
    declared: dict[str, set[Slot]] = {}
    brought_by_others: set[tuple[str, Slot]] = set()
    for slot, offers in contenders.items():
        for offer in offers.values():
            declared.setdefault(offer.plugin, set()).add(slot)
            if _is_brought_by_another(offer):
                brought_by_others.add((offer.plugin, slot))
    findings = []
    for plugin, entries in loaded.items():
        keys = chain.from_iterable(published.get(e.record.identity, ()) for e in entries)
        promised: dict[Slot, Published] = {(key.action, key.key): key for key in keys}
        actual = declared.get(plugin, set())
        more = {slot for slot in actual if (plugin, slot) not in brought_by_others}
        record = entries[0].record
        found = keys_differ(record, promised, promised.keys() - actual, more - promised.keys())
        if found is None:
            continue
        if any(entry.lazily for entry in entries):
            place = f" (metadata: {found.place})" if found.place else ""
            error = DeclarationError(f"{record.provenance}: {found.message}{place}. {found.remedy}")
            errors.setdefault(plugin, []).append(error)
        else:
            findings.append(found)
    return findings


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


def _is_brought_by_another(offer: Offer) -> bool:
    """Whether a submodule declared this that the load of another plugin imported.

    That one publishes its keys: a distribution may have a plugin in its package and another in a
    module of the package.
    """
    declaration = offer.declaration
    return (
        declaration is not None
        and declaration.owner_module != offer.plugin
        and declaration.importer not in (None, offer.plugin)
    )
