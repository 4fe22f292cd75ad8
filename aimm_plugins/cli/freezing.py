"""The verbs that say what is there for another time: `freeze`, and `diff` with what was."""

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


@click.command("freeze")
@output.file_option(
    "-o", "--output", "file", help="Write the file whole instead, if the exit status is 0."
)
@output.conf_options
def freeze_(file: str | None, form: str, conf: str | None) -> int:
    """Print the distributions that a conf would load, with versions and digests of their RECORD.

    The output is a list of pip requirements; `locked: FILE` in a conf then loads nothing else. What
    the conf locks now is no matter. What other rules keep out is left out, and said. The exit
    status is 1 if a distribution has no RECORD to compare, or a required one is not in the file.
    """
    if file is not None and form == "json":
        raise click.UsageError("-o writes the freeze file: it goes without --format json.")
    text, findings = freeze(conf)
    is_whole = all(finding.code == "left-out" for finding in findings)
    if file is not None:
        output.print_findings(findings)
        if is_whole:
            output.write_file(file, text)
        output.echo(f"wrote {file}" if is_whole else f"did not write {file}", err=True)
    elif form == "json":
        output.print_json(
            {
                "frozen": [
                    {"name": entry.name, "version": entry.version, "record": entry.digest}
                    for entry in parse_lock(text, "-").entries.values()
                ],
                "findings": [finding.to_dict() for finding in findings],
            }
        )
    else:
        click.echo(text, nl=False)
        output.print_findings(findings)
    return 0 if is_whole else 1


@click.command("diff")
@click.argument("before", metavar="A", type=click.Path())
@click.argument("after", metavar="[B]", type=click.Path(), required=False)
@output.inventory_options
def diff_(before: str, after: str | None, load: bool, form: str, conf: str | None) -> int:
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
