"""`aimm-plugins list`."""

from __future__ import annotations

import click

from aimm_plugins._diagnostics.naming import account, identity_cells, why_no_plugins
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins._startup.inventory import InventoryItem
from aimm_plugins._system.text import did_you_mean
from aimm_plugins._values.actions import ACTIONS
from aimm_plugins.cli import _output as output


@click.command("list")
@click.option(
    "--provides",
    "wanted",
    metavar="ACTION[:KEY]|KEY",
    help="Only plugins that declare this: `fit`, `fit:iris.svc` or `iris.svc`.",
)
@output.inventory_options
def command(wanted: str | None, load: bool, form: str, conf: str | None) -> None:
    """List installed plugins, and those that a conf names, without importing them.

    Keys come from metadata, else from the source; a `?` means that there may be others, which only
    the import can tell. Findings, such as broken metadata, go to stderr.
    """
    with output.stdout_kept():
        inventory = take_inventory(conf, load=load)
    items = [item for item in inventory.plugins if wanted is None or _declares(item, wanted)]
    if form == "json":
        output.print_json(
            {
                "plugins": [item.to_dict() for item in items],
                "findings": [finding.to_dict() for finding in inventory.findings],
            }
        )
        return
    if not inventory.plugins:
        output.echo(why_no_plugins(inventory), err=True)
    elif wanted is not None and not items:
        slots = [slot for item in inventory.plugins for slot in item.keys]
        known = {text for slot in slots for text in (*slot, ":".join(slot))}
        hint = did_you_mean(wanted, known) or "see `aimm-plugins list`"
        output.echo(f"no plugin declares {wanted}; {hint}", err=True)
    output.print_table(
        ["name", "distribution", "version", "origin", "module", "state", "keys", "reason"],
        [_row(item) for item in items],
    )
    output.print_findings(inventory.findings)


def _declares(item: InventoryItem, wanted: str) -> bool:
    return any(wanted in (action, key, f"{action}:{key}") for action, key in item.keys)


def _row(item: InventoryItem) -> list[str]:
    record = item.record
    state = "installed" if record.state == "planned" else record.state
    return [cell or "-" for cell in (*identity_cells(record), state, _keys(item), account(record))]


def _keys(item: InventoryItem) -> str:
    """The keys on one line, the actions of a key together: `fit,predict:iris.svc`."""
    actions: dict[str, set[str]] = {}
    for action, key in item.keys:
        actions.setdefault(key, set()).add(action)
    parts = [
        f"{','.join(action for action in ACTIONS if action in found)}:{key}"
        for key, found in actions.items()
    ]
    if not item.complete and item.record.module:
        parts.append("?")
    return " ".join(parts)
