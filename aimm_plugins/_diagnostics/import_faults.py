"""Why the import of a plugin would fail, as far as its source shows. Nothing is imported."""

from __future__ import annotations

import os
import sys

from aimm_plugins._diagnostics.naming import subject_of
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._source.declarations import PluginSource
from aimm_plugins._values.report import Finding, PluginRecord


def import_fault(record: PluginRecord, source: PluginSource) -> Finding | None:
    """The first reason why an import would fail; `None` where the source shows none.

    Args:
        record: The plugin, not imported.
        source: What its source says.
    """
    if record.state not in ("planned", "deferred", "failed"):
        return None
    if record.file is None and not _exists(record.module):
        return Finding(
            code="module-not-found",
            subject=subject_of(record),
            message=f"its module {record.module} is not found",
            place=record.config_place,
            remedy="Reinstall the distribution; if that does not help, its metadata names a module "
            "that it does not bring: tell its author."
            if record.distribution
            else "Correct the name in the conf, or put the module on the path.",
        )
    name = (record.attribute or "").partition(".")[0]
    bound = source.names is None or name in source.names
    if name and not bound and locate(f"{record.module}.{name}") is None:
        return Finding(
            code="object-not-found",
            subject=subject_of(record),
            message=f"{record.module} has no {name}, which its entry point "
            f"`{record.entry_point}` names",
            place=record.provenance.place,
            remedy="Tell its author: the entry point names an object that is not there.",
        )
    missing = [name for name in source.needs if not _exists(name) and not locate(name)]
    if missing:
        return Finding(
            code="import-not-found",
            subject=subject_of(record),
            message=f"it imports {', '.join(missing)}, which is not on the path",
            place=record.provenance.place,
            remedy="Install what provides it; its author should declare the dependency.",
        )
    return None


def _exists(module: str) -> bool:
    """Whether a module without a file exists: built in, frozen, or a namespace package."""
    if module in {*sys.modules, *sys.builtin_module_names, *sys.stdlib_module_names}:
        return True
    parts = module.split(".")
    return all(part.isidentifier() for part in parts) and any(
        isinstance(item, str) and os.path.isdir(os.path.join(item, *parts)) for item in sys.path
    )
