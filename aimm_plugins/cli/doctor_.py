"""`aimm-plugins doctor`."""

from __future__ import annotations

import click

from aimm_plugins._diagnostics.doctor import examine
from aimm_plugins._diagnostics.survey import survey
from aimm_plugins._system.text import one_line
from aimm_plugins.cli._output import (
    conf_option,
    echo,
    format_option,
    load_option,
    print_json,
    print_pairs,
    stdout_kept,
)


@click.command("doctor")
@load_option
@format_option
@conf_option
def command(load: bool, form: str, conf: str | None) -> int:
    """Look for what is wrong with the installed plugins, and say what to do about each.

    Broken metadata, doubles, entry points that lead nowhere, modules that declare nothing,
    published keys that the code does not bear out, rules that match nothing, conflicts, and
    versions of libraries with known faults. With --load also what fails when it is imported. The
    exit status is 1 if anything was found.
    """
    with stdout_kept():
        found = examine(survey(conf, load=load, sources=True))
    if form == "json":
        print_json({"ok": not found, "findings": [finding.to_dict() for finding in found]})
    elif not found:
        echo("nothing found")
    else:
        for number, finding in enumerate(found):
            if number:
                click.echo()
            echo(one_line(f"{finding.code}: {finding.subject}"))
            print_pairs(
                [("found", finding.message), ("place", finding.place), ("to do", finding.remedy)]
            )
    return 1 if found else 0
