"""How the cells of tables tell of a plugin."""

from __future__ import annotations

from aimm_plugins._startup.inventory import Inventory
from aimm_plugins._system.text import described
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


def account(record: PluginRecord) -> str:
    """Why it is in its state, on one line: what has failed comes before a rule."""
    if record.error is None or record.state == "missing":  # whose reason says the same
        return record.reason or ""
    error = described(record.error).partition("\n")[0]
    return f"{error}; {record.reason}" if record.reason else error


def why_no_plugins(inventory: Inventory) -> str:
    """Why an inventory is empty."""
    place = inventory.policy.disabled_place
    why = "none is installed" if place is None else f"entry points are disabled ({place})"
    return f"no plugins: {why}, and no conf names one"
