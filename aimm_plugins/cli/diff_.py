"""`aimm-plugins diff`."""

from __future__ import annotations

import click

from aimm_plugins._api.starting import freeze
from aimm_plugins._diagnostics.comparison import compare, read_side, side_of_freeze, side_of_survey
from aimm_plugins._diagnostics.survey import survey
from aimm_plugins.cli._output import (
    conf_option,
    format_option,
    load_option,
    print_findings,
    print_json,
    print_table,
    stdout_kept,
)
from aimm_plugins.cli.freeze_ import frozen_entries


@click.command("diff")
@click.argument("before", metavar="A", type=click.Path())
@click.argument("after", metavar="[B]", type=click.Path(), required=False)
@load_option
@format_option
@conf_option
def command(before: str, after: str | None, load: bool, form: str, conf: str | None) -> int:
    """Compare two reports or freezes, or one of them with this environment.

    A and B are files: JSON of `report`, `list`, `plan` or `freeze`, or a freeze. Without B, A is
    compared with what is installed here, under the conf. Of a report and a freeze, the
    distributions are compared. Times make no difference, nor whether a plugin is loaded, deferred
    or only planned. The exit status is 1 if anything differs.
    """
    one = read_side(before)
    if after is not None:
        other = read_side(after)
    elif one.plugins is None:
        # A freeze holds what a conf would load; the environment is asked for the same.
        text, findings = freeze(conf)
        print_findings(findings)
        other = side_of_freeze("this environment", frozen_entries(text))
    else:
        with stdout_kept():
            other = side_of_survey(survey(conf, load=load))
    differences = compare(one, other)
    if form == "json":
        print_json(
            {
                "same": not differences,
                "before": one.name,
                "after": other.name,
                "differences": [each.to_dict() for each in differences],
            }
        )
    elif differences:
        print_table(
            ["kind", "subject", "what", "before", "after"],
            [
                (each.kind, each.subject, each.field, each.before or "-", each.after or "-")
                for each in differences
            ],
        )
    return 1 if differences else 0
