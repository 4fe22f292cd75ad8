"""`aimm-plugins show`."""

from __future__ import annotations

from typing import Any

import click

from aimm_plugins._diagnostics.explanation import explain
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins._options.limits import Allowance, UnjudgedError
from aimm_plugins._options.schema import KnownOption, read_schema
from aimm_plugins._startup.inventory import Inventory, InventoryKey
from aimm_plugins._system.text import one_line
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.cli import _output as output
from aimm_plugins.cli._completion import complete_keys
from aimm_plugins.errors import DeclarationError, PluginImportError


@click.command("show")
@click.argument("key", shell_complete=complete_keys)
@output.inventory_options
def command(key: str, load: bool, form: str, conf: str | None) -> int:
    """Show who provides KEY: `fit:iris.svc`, or `iris.svc` for all actions.

    Provider, place, signature and docstring come from metadata and from the source; with --load
    from the imported plugin. The exit status is 1 if nobody provides it.
    """
    # With --load, signatures and schemas come from objects of the plugins, which may print.
    with output.stdout_kept():
        inventory = take_inventory(conf, load=load)
        found = inventory.keys_named(key)
        allowance = Allowance()
        options = [_known_options(inventory, declared.item.record, allowance) for declared in found]
        data = [_data(*described) for described in zip(found, options, strict=True)]
        blocks = [_block(*described) for described in zip(found, options, strict=True)]
    if form == "json":
        output.print_json({"key": key, "providers": data})
    else:
        output.print_blocks(blocks)
    if not found:
        nothing = explain(inventory, key).reasons[0]
        output.echo(one_line(f"{key}: {nothing.why}. {nothing.remedy or ''}".rstrip()), err=True)
    return 0 if any(declared.answers for declared in found) else 1


def _known_options(
    inventory: Inventory, record: PluginRecord, allowance: Allowance
) -> list[KnownOption]:
    """The options that a plugin's schema names, where it may be looked at."""
    published = inventory.scans[record.environment].options_of(record.module, record.distribution)
    if len(published) != 1:
        return []
    if record.state == "denied":  # which nobody can give options
        return []
    try:
        denial = inventory.admission.denial_of if inventory.loaded else None
        with allowance.of(published[0]):
            return read_schema(published[0], denial).known()
    except (DeclarationError, PluginImportError, UnjudgedError):
        # A finding or the plugin's reason says so.
        return []


def _data(key: InventoryKey, options: list[KnownOption]) -> dict[str, Any]:
    declaration, record = key.declaration, key.item.record
    return {
        "action": declaration.action,
        "key": declaration.key,
        "provides": key.answers,
        "state": record.state,
        "reason": key.why_not,
        "plugin": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "origin": record.origin,
        "module": declaration.module,
        "function": declaration.qualname or None,
        "file": declaration.file,
        "line": declaration.line,
        "signature": declaration.signature,
        "docstring": declaration.docstring,
        "known_from": key.item.keys_from,
        "options": list(record.options),
        "options_schema": record.options_schema,
        "options_known": [option._asdict() for option in options],
        "environment": record.environment,
    }


def _block(key: InventoryKey, options: list[KnownOption]) -> tuple[str, output.Pairs]:
    declaration, record = key.declaration, key.item.record
    settings = None
    if record.options or record.options_schema is not None:
        settings = "\n".join(
            [
                f"set: {', '.join(record.options) or 'none'}",
                f"schema: {record.options_schema or 'none'}",
                *map(str, options),
            ]
        )
    who = f"{record.name}  {record.distribution or '-'} {record.version or ''}".rstrip()
    return key.slot, [
        ("provided by" if key.answers else "could be by", who),
        ("state", record.state),
        ("reason", key.why_not),
        ("origin", record.origin),
        ("environment", record.environment),
        ("function", f"{declaration.module}:{declaration.qualname or '?'}"),
        ("place", key.place),
        ("signature", declaration.signature or "unknown"),
        ("docstring", declaration.docstring or "-"),
        ("options", settings),
    ]
