"""Why a plugin is sure to fail, known before its import, as the error that it will raise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aimm_plugins._discovery.module_location import Modules
from aimm_plugins._discovery.published import Published
from aimm_plugins._registry.findings import keys_differ
from aimm_plugins._registry.providers import Slot
from aimm_plugins._source.declarations import Fault, PluginSource
from aimm_plugins._values.report import Finding, PluginRecord
from aimm_plugins.errors import DeclarationError


def sure_failure(
    record: PluginRecord, source: PluginSource, published: Sequence[Published], modules: Modules
) -> Fault | None:
    """The error of a plugin that cannot be loaded; `None` where nothing is sure."""
    missing = modules.missing(record.module) if source.file is None else None
    if missing is not None:
        return Fault(missing, record.config_place)
    if source.fault is not None:
        return source.fault
    name = (record.attribute or "").partition(".")[0]
    if name and source.names is not None:
        if name not in source.names and modules.missing(f"{record.module}.{name}") is not None:
            return Fault(no_such_object(record, source.near), record.provenance.place)
        if source.declares_nothing and name in source.names:
            return Fault(not_decorated(record), record.provenance.place)
    differ = differing_keys(record, source, published) if record.state == "deferred" else None
    if differ is None:
        return None
    return Fault(DeclarationError(f"{differ.message}. {differ.remedy}"), differ.place)


def failure_of_required(
    record: PluginRecord,
    published: Sequence[Published],
    is_denied: Callable[[str], bool],
    modules: Modules,
) -> Exception | None:
    """The error of a deferred plugin that something is required of, by its source."""
    from aimm_plugins._source.reader import SourceReader

    reader = SourceReader([record.module], modules, is_denied)
    source = reader.read(record.module, record.attribute)
    fault = sure_failure(record, source, published, modules)
    return None if fault is None else fault.error


def differing_keys(
    record: PluginRecord, source: PluginSource, published: Sequence[Published]
) -> Finding | None:
    """How the keys that a plugin publishes differ from those in its source; see `keys_differ`."""
    if not source.is_complete:
        return None
    by_slot: dict[Slot, Published] = {(key.action, key.key): key for key in published}
    declared: set[Slot] = {(found.action, found.key) for found in source.declarations}
    certain: set[Slot] = {
        (found.action, found.key) for found in source.declarations if found.certain
    }
    return keys_differ(record, by_slot, by_slot.keys() - declared, certain - by_slot.keys())


def no_such_object(record: PluginRecord, near: Sequence[str]) -> AttributeError:
    hint = f"did you mean {near[0]}? Correct" if near else "correct"
    return AttributeError(
        f"{record.module} has no {record.attribute!r}, which "
        f"{record.provenance._replace(file=None)} names; {hint} the entry point or the module"
    )


def not_decorated(record: PluginRecord) -> DeclarationError:
    return DeclarationError(
        f"{record.module}:{record.attribute} is not decorated, so "
        f"{record.provenance._replace(file=None)} declares nothing; decorate it, or name the "
        "module alone"
    )
