"""`aimm-plugins freeze`."""

from __future__ import annotations

import click

from aimm_plugins._api import freeze
from aimm_plugins.cli._output import conf_option, format_option, print_json


@click.command("freeze")
@format_option
@conf_option
def command(form: str, conf: str | None) -> int:
    """Print the distributions that a conf would load, with versions and digests of their RECORD.

    The output is a list of pip requirements; `locked: FILE` in a conf then loads nothing else. The
    exit status is 1 if a distribution has no RECORD to compare.
    """
    text, findings = freeze(conf)
    if form == "json":
        print_json(
            {
                "frozen": [
                    {"name": name, "version": version, "record": digest}
                    for name, version, digest in map(_split, text.splitlines())
                ],
                "findings": [finding.to_dict() for finding in findings],
            }
        )
    else:
        click.echo(text, nl=False)
        for finding in findings:
            click.echo(f"finding  {finding}", err=True)
    return 1 if findings else 0


def _split(line: str) -> tuple[str, str, str]:
    name, _, rest = line.partition("==")
    version, _, digest = rest.partition("  # record ")
    return name, version, digest
