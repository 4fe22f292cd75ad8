"""`aimm-plugins freeze`."""

from __future__ import annotations

import click

from aimm_plugins._api.starting import freeze
from aimm_plugins.cli._output import (
    conf_option,
    echo,
    format_option,
    path_option,
    print_findings,
    print_json,
    write_file,
)


@click.command("freeze")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write the file whole instead, if the exit status is 0.",
)
@format_option
@conf_option
@path_option
def command(output: str | None, form: str, conf: str | None) -> int:
    """Print the distributions that a conf would load, with versions and digests of their RECORD.

    The output is a list of pip requirements; `locked: FILE` in a conf then loads nothing else. What
    the conf locks now is no matter. What other rules keep out is left out, and said. The exit
    status is 1 if a distribution has no RECORD to compare, or a required one is not in the file.
    """
    if output is not None and form == "json":
        raise click.UsageError("-o writes the freeze file: it goes without --format json.")
    text, findings = freeze(conf)
    is_whole = all(finding.code == "left-out" for finding in findings)
    if output is not None:
        print_findings(findings)
        if is_whole:
            write_file(output, text)
            echo(f"wrote {output}", err=True)
    elif form == "json":
        print_json(
            {
                "frozen": frozen_entries(text),
                "findings": [finding.to_dict() for finding in findings],
            }
        )
    else:
        click.echo(text, nl=False)
        print_findings(findings)
    return 0 if is_whole else 1


def frozen_entries(text: str) -> list[dict[str, str]]:
    """The lines of a freeze file, as in `schemas/freeze.yaml`."""
    entries = []
    for line in text.splitlines():
        name, _, rest = line.partition("==")
        version, _, digest = rest.partition("  # record ")
        entries.append({"name": name, "version": version, "record": digest})
    return entries
