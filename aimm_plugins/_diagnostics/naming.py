"""How answers name a plugin."""

from __future__ import annotations

from aimm_plugins._values.report import PluginRecord


def identity_cells(record: PluginRecord) -> tuple[str, str, str, str, str]:
    """Name, distribution, version, origin and target, as cells of a table; unknown ones are empty.

    The target is what the import names, `module` or `module:object`, and where: `@environment`.
    """
    target = f"{record.module}:{record.attribute}" if record.attribute else record.module
    if record.environment is not None:
        target += f"@{record.environment}"
    return (
        record.name,
        record.distribution or "",
        record.version or "",
        record.origin or "",
        target,
    )
