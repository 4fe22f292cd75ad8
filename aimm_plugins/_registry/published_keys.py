"""Compare the keys that metadata publishes with those that modules declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aimm_plugins._registry.findings import PUBLISH, keys_differ, published_keys_differ
from aimm_plugins._registry.providers import Offer, Slot
from aimm_plugins._values.report import Finding
from aimm_plugins.errors import DeclarationError

if TYPE_CHECKING:
    from aimm_plugins._discovery.published import Published
    from aimm_plugins._registry.outcome import Loaded


def check_published_keys(
    loaded: Mapping[str, Sequence[Loaded]],
    contenders: Mapping[Slot, Mapping[str, Offer]],
    errors: dict[str, list[Exception]],
) -> list[Finding]:
    """Find plugins whose modules declare other keys than their metadata publishes.

    Others have relied on the published keys of a plugin that was deferred, so there it is the
    plugin's failure and is added to `errors`. Otherwise it is a finding.

    Args:
        loaded: The plugins of a call that are imported, by module.
        contenders: All that plugins declare, by slot and plugin.
        errors: The errors of plugins, by module.
    """
    if not any(entry.published for entries in loaded.values() for entry in entries):
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
        keys = (key for entry in entries for key in entry.published)
        published: dict[Slot, Published] = {(key.action, key.key): key for key in keys}
        actual = declared.get(plugin, set())
        more = {slot for slot in actual if (plugin, slot) not in brought_by_others}
        record = entries[0].record
        told = keys_differ(record, published, published.keys() - actual, more - published.keys())
        if told is None:
            continue
        message, place = told
        if any(entry.lazily for entry in entries):
            errors.setdefault(plugin, []).append(
                DeclarationError(f"{record.provenance}: {message} (metadata: {place}). {PUBLISH}")
            )
        else:
            findings.append(published_keys_differ(record, message, place))
    return findings


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
