"""What the import of a plugin will surely raise, as far as its source shows.

The error is the one that Python would raise, so that a plan and a start say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aimm_plugins._discovery.module_location import is_missing, missing_module
from aimm_plugins._source.declarations import Fault, ModuleSource, Need
from aimm_plugins._values.provenance import short_file


def foresee(
    plugin: str,
    reached: Sequence[tuple[ModuleSource, bool]],
    source_of: Callable[[str], ModuleSource | None],
) -> Fault | None:
    """The first fault of the modules that an import of a plugin runs; `None` where none shows."""
    certain = [module for module, surely in reached if surely]
    may_look_elsewhere = any(module.finds_by_itself for module in certain)
    top = plugin.partition(".")[0]
    for module in certain:
        for need in () if may_look_elsewhere else module.needs:
            error = _unmet(need, top, source_of)
            if error is not None:
                return Fault(error, f"{short_file(need.file, module.name)}:{need.line}")
        if module.fault is not None:
            line = getattr(module.fault, "lineno", None) or getattr(module.fault, "line", None)
            place = short_file(module.file, module.name)
            return Fault(module.fault, f"{place}:{line}" if line else place)
    return None


def _unmet(
    need: Need, top: str, source_of: Callable[[str], ModuleSource | None]
) -> ImportError | None:
    """What an import statement raises. Of other packages only their existence can be told."""
    parts = need.module.split(".")
    missing = missing_module(need.module if parts[0] == top else parts[0])
    if missing is not None or parts[0] != top:
        return missing
    if need.attribute is None or need.attribute == "*":
        return None
    source = source_of(need.module)
    if source is None or source.names is None or need.attribute in source.names:
        return None
    if not is_missing(f"{need.module}.{need.attribute}"):
        return None
    return ImportError(
        f"cannot import name {need.attribute!r} from {need.module!r} ({source.file})",
        name=need.module,
        path=source.file,
    )
