"""`aimm-plugins freeze`."""

from __future__ import annotations

import click

from aimm_plugins._api.starting import freeze
from aimm_plugins._policy.lockfile import parse_lock
from aimm_plugins.cli import _output as output


@click.command("freeze")
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write the file whole instead, if the exit status is 0.",
)
@output.format_option
@output.conf_option
@output.path_option
def command(file: str | None, form: str, conf: str | None) -> int:
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
            output.echo(f"wrote {file}", err=True)
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
