"""`aimm-plugins diff`."""

from __future__ import annotations

from dataclasses import asdict

import click

from aimm_plugins._api.starting import freeze
from aimm_plugins._diagnostics.comparison import (
    list_changes,
    read_side,
    side_of_freeze,
    side_of_inventory,
)
from aimm_plugins._policy.lockfile import parse_lock
from aimm_plugins.cli import _output as output


@click.command("diff")
@click.argument("before", metavar="A", type=click.Path())
@click.argument("after", metavar="[B]", type=click.Path(), required=False)
@output.inventory_options
def command(before: str, after: str | None, load: bool, form: str, conf: str | None) -> int:
    """Compare two reports or freezes, or one of them with this environment.

    A and B are files: JSON of `report`, `list`, `plan` or `freeze`, or a freeze. Without B, A is
    compared with what is installed here, under the conf. Of a report and a freeze, the
    distributions are compared. Times make no difference, nor whether a plugin is loaded, deferred
    or only planned. The exit status is 1 if anything differs.
    """
    if after is not None and output.is_conf_name(after):
        after, conf = None, after
    one = read_side(before)
    if after is not None:
        other = read_side(after)
    elif one.is_report:
        other = side_of_inventory(output.inventory_of(conf, load))
    else:
        # A freeze holds what a conf would load, so the same is asked of this environment.
        text, findings = freeze(conf)
        output.print_findings(findings)
        other = side_of_freeze(parse_lock(text, "this environment"))
    changes = list_changes(one, other)
    if form == "json":
        output.print_json(
            {
                "same": not changes,
                "before": one.name,
                "after": other.name,
                "differences": [asdict(change) for change in changes],
            }
        )
    elif changes:
        output.print_table(
            ["kind", "subject", "what", "before", "after"],
            [
                (found.kind, found.subject, found.field, found.before or "-", found.after or "-")
                for found in changes
            ],
        )
    return 1 if changes else 0
