"""`aimm-plugins doctor`."""

from __future__ import annotations

import click

from aimm_plugins._diagnostics.doctor import examine
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins.cli import _output as output


@click.command("doctor")
@output.inventory_options
def command(load: bool, form: str, conf: str | None) -> int:
    """Look for what is wrong with the installed plugins, and say what to do about each.

    Broken metadata, doubles, entry points that lead nowhere, modules that declare nothing,
    published keys that the code does not bear out, rules that match nothing, conflicts, and
    versions of libraries with known faults. With --load also what fails when it is imported. The
    exit status is 1 if anything was found.
    """
    with output.stdout_kept():
        found = examine(take_inventory(conf, load=load))
    if form == "json":
        output.print_json({"ok": not found, "findings": [finding.to_dict() for finding in found]})
    elif not found:
        output.echo("nothing found")
    else:
        output.print_blocks(
            (
                f"{finding.code}: {finding.subject}",
                [("found", finding.message), ("place", finding.place), ("to do", finding.remedy)],
            )
            for finding in found
        )
    return 1 if found else 0
