"""Why a plugin is sure to fail, known before its import, as the error that it will raise."""

from __future__ import annotations

from aimm_plugins._discovery.module_location import is_missing, missing_module
from aimm_plugins._source.declarations import Fault, PluginSource
from aimm_plugins._system.text import nearest
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.errors import DeclarationError


def sure_failure(record: PluginRecord, source: PluginSource) -> Fault | None:
    """The error of a plugin that cannot be loaded; `None` where nothing is sure.

    Args:
        record: The plugin, not imported.
        source: What its source says.
    """
    missing = missing_module(record.module)
    if missing is not None:
        return Fault(missing, record.config_place)
    if source.fault is not None:
        return source.fault
    name = (record.attribute or "").partition(".")[0]
    if not name or source.names is None:
        return None
    if name not in source.names and is_missing(f"{record.module}.{name}"):
        return Fault(no_such_object(record, source.names), record.provenance.place)
    if source.declares_nothing and name in source.names:
        return Fault(not_decorated(record), record.provenance.place)
    return None


def no_such_object(record: PluginRecord, names: frozenset[str] | None = None) -> AttributeError:
    """The error of an entry point whose object is not in its module.

    Args:
        record: The plugin.
        names: The names that the module has, where they are known.
    """
    near = nearest(record.attribute or "", sorted(names or ()))
    hint = f"did you mean {near[0]}? Correct" if near else "correct"
    return AttributeError(
        f"{record.module} has no {record.attribute!r}, which "
        f"{record.provenance._replace(file=None)} names; {hint} the entry point or the module"
    )


def not_decorated(record: PluginRecord) -> DeclarationError:
    """The error of an entry point whose object declares nothing."""
    return DeclarationError(
        f"{record.module}:{record.attribute} is not decorated, so "
        f"{record.provenance._replace(file=None)} declares nothing; decorate it, or name the "
        "module alone"
    )
