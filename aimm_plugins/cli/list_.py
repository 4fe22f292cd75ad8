"""`aimm-plugins list`."""

from __future__ import annotations

import click

from aimm_plugins._api import plan
from aimm_plugins.cli._output import conf_option, format_option, print_json, print_table
from aimm_plugins.testing._receipt import with_receipts


@click.command("list")
@format_option
@conf_option
def command(form: str, conf: str | None) -> None:
    """List installed plugins, and those that a conf names, without importing them.

    Findings, such as broken metadata, go to stderr.
    """
    report, receipts = with_receipts(plan(conf))
    if form == "json":
        print_json(report.to_dict())
        return
    heading = ["receipt"] if receipts else []
    print_table(
        ["name", "distribution", "version", "origin", "module", "state", "reason", *heading],
        [
            (
                record.name,
                record.distribution or "-",
                record.version or "-",
                record.origin or "-",
                record.module + (f":{record.attribute}" if record.attribute else ""),
                "installed" if record.state == "planned" else record.state,
                record.reason or "-",
                *(receipts.get(number, "-") for _ in heading),
            )
            for number, record in enumerate(report.plugins)
        ],
    )
    for finding in report.findings:
        click.echo(f"finding  {finding}", err=True)
