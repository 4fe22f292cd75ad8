"""`aimm-plugins freeze`."""

from __future__ import annotations

import click

from aimm_plugins._api.starting import freeze
from aimm_plugins.cli._output import (
    conf_option,
    format_option,
    path_option,
    print_findings,
    print_json,
)


@click.command("freeze")
@format_option
@conf_option
@path_option
def command(form: str, conf: str | None) -> int:
    """Print the distributions that a conf would load, with versions and digests of their RECORD.

    The output is a list of pip requirements; `locked: FILE` in a conf then loads nothing else. The
    exit status is 1 if a distribution has no RECORD to compare.
    """
    text, findings = freeze(conf)
    if form == "json":
        print_json(
            {
                "frozen": frozen_entries(text),
                "findings": [finding.to_dict() for finding in findings],
            }
        )
    else:
        click.echo(text, nl=False)
        print_findings(findings)
    return 1 if findings else 0


def frozen_entries(text: str) -> list[dict[str, str]]:
    """The lines of a freeze file, as in `schemas/freeze.yaml`."""
    entries = []
    for line in text.splitlines():
        name, _, rest = line.partition("==")
        version, _, digest = rest.partition("  # record ")
        entries.append({"name": name, "version": version, "record": digest})
    return entries
